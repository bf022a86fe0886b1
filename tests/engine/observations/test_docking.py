"""A known part finds its place in the whole, and says where it can't."""

from __future__ import annotations

import numpy as np
import pytest

from engine.numerics.rotations import random_rotations
from engine.observations.docking import AMBIGUOUS, dock
from tests.engine.observations.test_pose_correction import cloud


def split(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A whole, and the part of it that is nearest to one of its ends."""
    x = cloud(seed)
    part = x[np.argsort(x @ np.array([1.0, 0.3, 0.2]))[-160:]]
    return x, np.asarray(part)


def test_a_planted_part_is_found() -> None:
    whole, part = split()
    rng = np.random.default_rng(1)
    clouds = np.stack([whole + 0.03 * rng.normal(size=whole.shape) for _ in range(2)])
    turn = random_rotations(1, rng)[0]
    found = dock(part @ turn.T + (0.4, -0.3, 0.2), clouds)
    placed = (part @ turn.T + (0.4, -0.3, 0.2)) @ found[0].rotation.T + found[0].shift
    assert np.sqrt(((placed - part) ** 2).sum(1).mean()) < 0.03
    assert found[0].distance < 0.1
    assert found[1].distance > AMBIGUOUS * found[0].distance
    assert [p.distance for p in found] == sorted(p.distance for p in found)


def test_two_copies_are_two_equal_placements() -> None:
    """A dimer: a part fits on either side equally well, and both are told."""
    one = cloud(3)[:200]
    two = np.diag([-1.0, -1.0, 1.0])
    half = one + (0.9, 0.0, 0.0)
    whole = np.concatenate([half, half @ two.T])
    found = dock(one, whole[None])
    assert found[1].distance < AMBIGUOUS * found[0].distance + 1e-3
    for p in found[:2]:
        placed = one @ p.rotation.T + p.shift
        off = [np.sqrt(((placed - copy) ** 2).sum(1).mean()) for copy in (half, half @ two.T)]
        assert min(off) < 0.05


def test_a_part_larger_than_the_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="only 10"):
        dock(cloud(), cloud()[None, :10])


def test_it_can_be_stopped() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        dock(cloud()[:50], cloud()[None], stop)
