"""The affine transport changes costs by row and column terms only, also with masses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from engine.assignment.potentials import affine_transport


@pytest.mark.parametrize("d", [2, 3])
def test_costs_change_by_rows_and_columns_only(d: int) -> None:
    rng = np.random.default_rng(d)
    x, y = 0.01 * rng.normal(size=(200, d)), rng.normal(size=(60, d)) * np.array([1.0, 0.5, 0.2])[:d]
    mass = rng.integers(1, 9, 60)
    difference = cdist(x, y, "sqeuclidean") - cdist(*affine_transport(x, y, mass), "sqeuclidean")
    centred = difference - difference.mean(0) - difference.mean(1, keepdims=True) + difference.mean()
    assert np.abs(centred).max() < 1e-10 * np.abs(difference).max()


def test_centres_and_covariances_agree_afterwards() -> None:
    rng = np.random.default_rng(0)
    x, y, mass = rng.normal(size=(300, 3)) + 5, rng.normal(size=(40, 3)) * (3, 2, 0.1), rng.integers(1, 5, 40)
    a, b = affine_transport(x, y, mass)
    tiled = np.repeat(b, mass, axis=0)
    assert np.allclose(a.mean(0), 0, atol=1e-9)
    assert np.allclose(tiled.mean(0), 0, atol=1e-9)
    assert np.allclose(np.cov(a.T, bias=True), np.cov(tiled.T, bias=True), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_single_spot_is_only_moved(which: int) -> None:
    cloud, spot = np.random.default_rng(1).normal(size=(50, 2)), np.full((50, 2), 3.0)
    x, y = [(cloud, spot), (spot, cloud), (spot, spot + 1)][which]
    a, b = affine_transport(x, y)
    assert np.allclose(a, x - x.mean(0))
    assert np.allclose(b, y - y.mean(0))
