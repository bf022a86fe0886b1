"""The house rules hold, and the contracts that say so can fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    p
    for folder in ("engine", "app", "tests", "resources", "packaging")
    for p in (ROOT / folder).rglob("*")
    if p.suffix in (".py", ".sh") and "__pycache__" not in p.parts
)
LONGEST = 400


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "COLUMNS": "200"},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source tree, without this checkout's own on the path before it."""
    ignore = shutil.ignore_patterns("__pycache__")
    for package in ("engine", "app"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(copy: Path):
    done = _lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("engine/types.py", "import PySide6", "The engine knows no window"),
        ("engine/pipelines/dps.py", "import app", "The engine knows no window"),
        ("app/__init__.py", "import torch", "The window never imports torch"),
        ("app/__init__.py", "from engine.jobs import runner", "The window never imports torch"),
        ("engine/io/atomic.py", "def f():\n    import torch", "The window never imports torch"),
        ("engine/numerics/fourier.py", "import engine.pipelines.dps", "imports point inward"),
        ("engine/types.py", "import engine.events", "imports point inward"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, file: str, line: str, contract: str):
    (copy / "app" / "planted.py").write_text("import engine.io.atomic\n")
    target = copy / file
    target.write_text(target.read_text() + f"\n{line}\n")
    done = _lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(f"{contract}.*BROKEN", done.stdout), done.stdout


TORCH_FREE = (
    "engine.specs.codec", "engine.specs.presets", "engine.events", "engine.types", "engine.errors",
    "engine.conventions", "engine.io.formats", "engine.io.export", "engine.io.ensemble", "engine.io.mrc",
    "engine.io.star", "engine.io.structure", "engine.io.points", "engine.jobs.worker", "engine.jobs.run_dir",
    "engine.cli",
)  # fmt: skip


def test_what_the_window_imports_loads_no_torch_and_no_qt():
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    program += "print(*[n for n in ('torch', 'PySide6', 'vispy') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program, *TORCH_FREE], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == ""


def test_the_window_loads_no_torch():
    modules = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts)
        for p in (ROOT / "app").rglob("*.py")
        if p.stem[0] != "_"
    ]
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    program += "print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *modules], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("file", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(file: Path):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_names_are_the_fields():
    forbidden = {"utils", "util", "helpers", "helper", "manager", "common", "data", "misc"}
    assert not [p for p in SOURCES if p.stem in forbidden or p.parent.name in forbidden]


def test_packaging_does_not_shadow_its_namesake():
    assert not (ROOT / "packaging" / "__init__.py").exists()


def test_nothing_is_unpickled():
    calls = re.compile(r"allow_pickle\s*=\s*True|\bpickle\.loads?\(|torch\.load\(|joblib\.load\(")
    found = [
        str(p.relative_to(ROOT))
        for p in SOURCES
        if p.parts[len(ROOT.parts)] != "tests" and calls.search(p.read_text())
    ]
    assert found == []
