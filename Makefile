# Two commands do all the set-up on a bare machine: `make demo` and `make test`.
.PHONY: help setup demo test test-slurm fuzz check audit lock format bench app
.DEFAULT_GOAL := help
BIN := .venv/bin

help:
	@echo "make demo    set up, reconstruct a real complex from embedded projections, show the result"
	@echo "make app     set up, open the window"
	@echo "make test    set up, run all checks and tests (what CI runs)"
	@echo "make fuzz    broken files for every reader: make fuzz ARGS='--inputs 20000 --reader mrc'"
	@echo "make test-slurm  runs on a real Slurm of its own: needs root and, on Debian, slurm-wlm and munge"
	@echo "make check   only the static checks: ruff, mypy, import-linter"
	@echo "make audit   is what is installed what packaging/requirements.lock says?"
	@echo "make lock    write that file anew (needs uv)"
	@echo "make format  lay out the code (ruff)"
	@echo "make bench   accuracy benchmark: make bench ARGS='--clouds FILE.npz --limit 5'"
	@echo "make setup   only the set-up"

setup:
	@bash packaging/setup.sh

demo: setup
	$(BIN)/verglas demo --out demo-output

app: setup
	$(BIN)/verglas app

test: check
	OMP_NUM_THREADS=1 LIBGL_ALWAYS_SOFTWARE=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(ARGS)

test-slurm: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm/cluster_checks.py -rs -s --durations=0

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy

audit: setup
	$(BIN)/python packaging/audit.py

lock: setup
	@bash packaging/lock.sh

format: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix --exit-zero

bench: setup
	$(BIN)/python -m tests.benchmarks.dps_accuracy $(ARGS)
