"""What a run of points leaves besides its ensemble: exports of the density map and of the finer clouds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.io.ensemble import write_ensemble
from engine.io.hand import mirrored_density, set_flipped
from engine.io.mrc import read_volume, write_volume
from engine.types import Ensemble, Frame, Volume

Verglas = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verglas(capfd: pytest.CaptureFixture[str]) -> Verglas:
    """Run a command in this process: exit status, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        code = cli.main([str(w) for w in words])
        return code, *capfd.readouterr()

    return call


def test_exports_of_the_map_and_of_finer_clouds(verglas: Verglas, tmp_path: Path):
    results = tmp_path / "run" / "results"
    results.mkdir(parents=True)
    points = np.random.default_rng(0).normal(scale=20, size=(2, 80, 3)).astype(np.float32)
    names = ("view 1",)
    for name, part in (("ensemble", points[:, :20]), ("fine", points)):
        ensemble = Ensemble(
            part, "posterior", Frame((0.0, 0.0, 0.0), 50.0), np.zeros((2, 1), np.float32), names, np.arange(2)
        )
        write_ensemble(results / f"{name}.npz", ensemble)
    code, shown, told = verglas("export", tmp_path / "run", "--format", "csv", "--which", "fine")
    assert code == 0, told
    assert shown.strip() == str(results / "fine.csv")
    assert len((results / "fine.csv").read_text().splitlines()) == 161
    code, _, error = verglas("export", tmp_path / "run", "--format", "mrc", "--which", "map")
    assert code != 0
    assert "no density map" in error
    density = np.random.default_rng(1).normal(size=(8, 8, 8)).astype(np.float32)
    write_volume(results / "map.mrc", Volume(density, (2.0, 2.0, 2.0), (1.0, 2.0, 3.0)))
    asked = ("export", tmp_path / "run", "--format", "mrc", "--which", "map", "--out", tmp_path / "m.mrc")
    assert verglas(*asked)[0] == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "m.mrc").density, density)
    set_flipped(tmp_path / "run", True)
    verglas(*asked)
    np.testing.assert_array_equal(read_volume(tmp_path / "m.mrc").density, mirrored_density(density))
    code, _, error = verglas("export", tmp_path / "run", "--format", "pdb", "--which", "all")
    assert code == 2
    assert "no `all`" in error
