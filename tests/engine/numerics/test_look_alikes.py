"""Shapes that are nearly the same are found in every orientation, and held out together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from engine.errors import InputError
from engine.numerics.look_alikes import alike, groups, split, symmetries


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize(("grid", "count"), [((4, 4, 4), 48), ((4, 4, 6), 16), ((3, 4, 5), 8)])
def test_a_grid_has_the_symmetries_of_its_sides(grid, count):
    found = symmetries(grid)
    assert len(np.unique(found, axis=0)) == count
    assert np.array_equal(found[0], np.arange(np.prod(grid)))
    assert (np.sort(found, 1) == np.arange(np.prod(grid))).all()


def test_no_pair_is_missed_or_made_up(rng):
    blobs = rng.random((14, 6, 6, 6)) < rng.uniform(0.3, 0.8, 14)[:, None, None, None]
    flat = blobs.reshape(14, -1)
    expected = []
    for i, j in combinations(range(14), 2):
        turned = flat[i][symmetries((6, 6, 6))]
        iou = (turned & flat[j]).sum(1) / (turned | flat[j]).sum(1)
        if iou.max() >= 0.5:
            expected.append([i, j])
    assert 5 < len(expected) < 80
    assert alike(blobs, 0.5).tolist() == expected


@pytest.mark.parametrize("turn", range(0, 48, 7))
def test_a_copy_is_found_turned_or_mirrored_and_slightly_changed(rng, turn):
    shape = rng.random((8, 8, 8)) < 0.4
    copy = shape.ravel()[symmetries((8, 8, 8))[turn]].reshape(8, 8, 8).copy()
    copy[0] = False
    other = rng.random((8, 8, 8)) < 0.4
    assert alike(np.stack([shape, other, copy]), 0.8).tolist() == [[0, 2]]


def test_groups_are_chains_of_pairs():
    group = groups(6, np.array([[0, 3], [3, 5]]))
    assert group[0] == group[3] == group[5]
    assert len(set(group)) == 4
    assert len(set(groups(3, np.empty((0, 2), int)))) == 3


def test_no_group_is_in_two_parts_of_a_split(rng):
    group = rng.integers(0, 40, 100)
    parts = split(group, 5, 8, seed=1)
    assert (len(parts["val"]), len(parts["test"])) == (5, 8)
    held = np.concatenate([parts["val"], parts["test"]])
    assert len(set(group[held])) == 13  # one of each
    assert sorted(parts["train"]) == sorted(np.flatnonzero(~np.isin(group, group[held])))
    assert all(np.array_equal(parts[k], split(group, 5, 8, seed=1)[k]) for k in parts)
    assert not np.array_equal(parts["test"], split(group, 5, 8, seed=2)["test"])


def test_nothing_left_for_training_is_refused_in_words():
    with pytest.raises(InputError, match=r"2 \+ 2 shapes can't be held out of 4 different ones"):
        split(np.array([0, 1, 2, 3, 3]), 2, 2, seed=0)
    assert len(split(np.arange(3), 0, 0, seed=0)["train"]) == 3
