"""Chamfer and Earth Mover's distance: definitions, bounds, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.metrics.point_clouds import chamfer, earth_movers
from engine.numerics.rotations import random_rotations


def test_definitions_on_small_clouds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    distance = np.linalg.norm(a[:, None] - b, axis=-1)
    assert chamfer(a, b) == pytest.approx(distance.min(1).mean() + distance.min(0).mean())
    orders = itertools.permutations(range(5))
    assert earth_movers(a, b) == pytest.approx(min(distance[range(5), list(o)].mean() for o in orders))


@pytest.mark.parametrize("measure", [chamfer, earth_movers])
def test_laws(measure) -> None:
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 80, 3))
    rotation, shift = random_rotations(1, rng)[0], rng.normal(size=3)
    assert measure(a, rng.permutation(a)) == 0
    assert measure(a, b) == pytest.approx(measure(b, a))
    assert measure(a, b) == pytest.approx(measure(a @ rotation.T + shift, b @ rotation.T + shift))
    assert measure(3 * a, 3 * b) == pytest.approx(3 * measure(a, b))
    if measure is earth_movers:
        assert measure(a, c) <= measure(a, b) + measure(b, c) + 1e-12


def test_the_sum_of_both_directions_may_exceed_the_movers_distance_but_not_twice() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 20, 100, 3))
    assert (chamfer(a, b) <= 2 * earth_movers(a, b)).all()
    near = a + 0.01 * rng.normal(size=a.shape)
    assert (chamfer(a, near) > earth_movers(a, near)).all()  # as in the paper's tables


def test_a_shift_costs_its_length() -> None:
    a = np.random.default_rng(3).normal(size=(60, 3))
    assert earth_movers(a, a + [0.3, 0.4, 0]) == pytest.approx(0.5)


def test_leading_dimensions_broadcast() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(20, 1, 12, 3)), rng.normal(size=(2, 12, 3))
    for measure in (chamfer, earth_movers):
        found = measure(a, b)
        assert found.shape == (20, 2)
        assert found[17, 1] == pytest.approx(measure(a[17, 0], b[1]))


def test_sizes() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(10, 3)), rng.normal(size=(12, 3))
    assert chamfer(a, b) > 0
    with pytest.raises(ValueError, match="same number"):
        earth_movers(a, b)
