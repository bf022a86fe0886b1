"""Conformations of a run's class averages: a round trip, and files that are not what they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.conformations import NAME, Conformations, read_conformations, write_conformations

COUNT = 5


@pytest.fixture
def found() -> Conformations:
    rng = np.random.default_rng(0)
    shapes = ((COUNT, 2), (COUNT, 2, 2), (COUNT, 3, 3), (COUNT, 2), (4, 2))
    return Conformations(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def test_what_is_written_is_read(found: Conformations, tmp_path: Path) -> None:
    assert write_conformations(tmp_path, found) == tmp_path / NAME
    back = read_conformations(tmp_path, COUNT)
    for name in ("latents", "covariances", "rotations", "shifts_px", "left_out"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


def test_other_images_and_numbers_that_are_none_are_refused(found: Conformations, tmp_path: Path) -> None:
    write_conformations(tmp_path, found)
    with pytest.raises(InputError, match="don't fit 6 class averages"):
        read_conformations(tmp_path, 6)
    for wrong in (
        replace(found, latents=np.full((COUNT, 2), np.nan, np.float32)),
        replace(found, covariances=np.zeros((COUNT, 3, 3), np.float32)),
        replace(found, left_out=np.zeros((1, 2), np.float32)),
        replace(found, left_out=np.array(0.5, np.float32)),
    ):
        write_conformations(tmp_path, wrong)
        with pytest.raises(InputError, match="don't fit"):
            read_conformations(tmp_path, COUNT)


def test_missing_and_damaged_files_are_named(found: Conformations, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_conformations(tmp_path, COUNT)
    path = write_conformations(tmp_path, found)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="conformations is damaged") as caught:
        read_conformations(tmp_path, COUNT)
    assert caught.value.path == path
    np.savez(path, latents=found.latents)
    with pytest.raises(InputError, match="lacks covariances"):
        read_conformations(tmp_path, COUNT)


def test_motion_is_believed_where_neighbours_foretell_more_than_all(found: Conformations) -> None:
    rng = np.random.default_rng(0)
    by_all = rng.uniform(0.8, 0.9, 40)
    pairs = {
        gain: np.column_stack([by_all + rng.normal(gain, 0.02, 40), by_all]) for gain in (0.02, 0.0, -0.02)
    }
    told = {gain: replace(found, left_out=pair.astype(np.float32)).moves() for gain, pair in pairs.items()}
    assert told == {0.02: True, 0.0: False, -0.02: False}
