"""The loop that computes the cells of a benchmark and keeps them."""

from __future__ import annotations

import json
import os

import pytest

from tests.benchmarks.cells import Results, finish


def prepare(setup: int) -> tuple[int, str | None]:
    return setup, os.environ.get("OMP_NUM_THREADS")


def square(state: tuple[int, str | None], number: int) -> dict:
    if number == 13:
        raise ValueError("thirteen")
    return {"value": number**2 + state[0], "threads": state[1], "process": os.getpid()}


def test_cells_are_computed_by_workers_and_kept(tmp_path):
    path = tmp_path / "out.json"
    wanted = {f"cell/{n}": n for n in range(5)}
    results = Results(path, {"seed": 0}, {})
    results.keep("cell/2", {"value": -1})
    finish(results, wanted, prepare, 100, square, workers=2)
    stored = json.loads(path.read_text())["cells"]
    assert {k: c["value"] for k, c in stored.items()} == {
        f"cell/{n}": -1 if n == 2 else n**2 + 100 for n in range(5)
    }
    computed = [c for k, c in stored.items() if k != "cell/2"]
    assert {c["threads"] for c in computed} == {"1"}
    assert os.getpid() not in {c["process"] for c in computed}


def test_a_cell_that_fails_is_named_and_the_others_stay(tmp_path):
    path = tmp_path / "out.json"
    with pytest.raises(RuntimeError, match="(?s)b failed.*thirteen"):
        finish(Results(path, {}, {}), {"a": 1, "b": 13, "c": 2}, prepare, 0, square)
    assert list(json.loads(path.read_text())["cells"]) == ["a"]


def test_results_of_other_settings_are_not_overwritten(tmp_path):
    path = tmp_path / "out.json"
    Results(path, {"seed": 0}, {}).keep("a", {})
    with pytest.raises(SystemExit, match="seed 0, not 1"):
        Results(path, {"seed": 1}, {})


def test_cells_of_another_prior_are_dropped_unless_no_prior_is_asked_for(tmp_path):
    path = tmp_path / "out.json"

    def of_prior(key: str) -> bool:
        return key.startswith("dps")

    results = Results(path, {}, {"prior": ("first", of_prior)})
    results.keep("dps/a", {})
    results.keep("ml/a", {})
    without = Results(path, {}, {"prior": ("", of_prior)})
    assert set(without.cells) == {"dps/a", "ml/a"}
    assert without.versions["prior"] == "first"
    assert set(Results(path, {}, {"prior": ("second", of_prior)}).cells) == {"ml/a"}
