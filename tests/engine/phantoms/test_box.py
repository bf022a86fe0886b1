"""The box with lids: its measures, its symmetry and what moves."""

from __future__ import annotations

import numpy as np
import pytest

from engine.phantoms.box import HALF_SIZES, LID, WALL, box_volume


def _flipped(volume: np.ndarray, axis: int) -> np.ndarray:
    """The mirror image about voxel n // 2: voxel 0 of an even box has no partner and is left out."""
    inner = volume[1:, 1:, 1:]
    return np.flip(inner, axis)


def test_the_top_is_mirrored_at_the_bottom_and_x_mirrors_too():
    volume = box_volume(25.0, 100.0, 48)
    for axis, same in ((0, True), (2, True), (1, False)):
        difference = np.abs(_flipped(volume, axis) - volume[1:, 1:, 1:]).max()
        assert (difference < 1e-5) == same


def test_exchanging_the_angles_is_a_mirror_in_y():
    a, b = box_volume(10.0, 70.0, 48), box_volume(70.0, 10.0, 48)
    np.testing.assert_allclose(_flipped(a, 1), b[1:, 1:, 1:], atol=1e-5)


def test_volume_of_the_walls_and_lids():
    """Wide open, lids overlap the walls least: the painted volume is the sum, less what overlaps."""
    size = 88
    a, b, c = HALF_SIZES
    walls = 8 * (a * b - (a - WALL) * (b - WALL)) * c
    lids = 4 * LID[0] * LID[1] * LID[2]
    painted = float(box_volume(90.0, 90.0, size).sum()) * (2 / size) ** 3
    # at 90° each lid reaches half its thickness beyond the wall; nothing of it lies inside
    assert painted == pytest.approx(walls + lids, rel=0.01)
    closed = float(box_volume(0.0, 0.0, size).sum()) * (2 / size) ** 3
    assert closed < walls + lids


def test_only_the_lids_on_one_side_move():
    a, b = box_volume(20.0, 60.0, 48), box_volume(100.0, 60.0, 48)
    changed = np.abs(a - b) > 0
    # +y of the centre plane only, and nothing between the hinges' lids
    assert changed[:, 24:].any()
    assert not changed[:, :24].any()
    assert not changed[20:29].any()


def test_the_same_object_in_another_box():
    coarse, fine = box_volume(40.0, 80.0, 32), box_volume(40.0, 80.0, 64)
    assert float(fine.sum()) / 8 == pytest.approx(float(coarse.sum()), rel=0.03)
    assert coarse.dtype == np.float32
    assert 0.0 <= fine.min()
    assert fine.max() == 1.0


def test_impossible_boxes_are_refused():
    with pytest.raises(ValueError, match="8 to 1024"):
        box_volume(0.0, 0.0, 4)
