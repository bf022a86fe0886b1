"""Matching and spread: the order of points and members must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from engine.metrics.ensemble import matched, medoid_index, spread


def members(seed: int, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A jittered grid (well-separated points) and noisy, shuffled copies of it."""
    rng = np.random.default_rng(seed)
    axes = np.arange(5) * 10.0
    base = np.stack(np.meshgrid(axes, axes, axes), -1).reshape(-1, 3) + rng.normal(size=(125, 3))
    copies = np.stack([rng.permutation(base + noise * rng.normal(size=base.shape)) for _ in range(n)])
    return base, copies.astype(np.float32)


def test_matched_members_lie_on_each_other() -> None:
    _, clouds = members(0, 6, 0.3)
    found = matched(clouds)
    assert found.dtype == clouds.dtype
    central = clouds[medoid_index(clouds)]
    assert np.linalg.norm(found - central, axis=-1).max() < 4
    for before, after in zip(clouds, found, strict=True):
        assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
    assert np.array_equal(found[medoid_index(clouds)], central)


@pytest.mark.parametrize("n", [4, 20])
def test_spread_estimates_the_noise_whatever_the_number_of_members(n: int) -> None:
    _, clouds = members(1, n, 0.5)
    found = spread(clouds)
    assert found.shape == (125,)
    # noise of 0.5 per coordinate is a 3D standard deviation of 0.5 sqrt(3)
    assert np.sqrt((found**2).mean()) == pytest.approx(0.5 * np.sqrt(3), rel=0.05)


def test_spread_does_not_depend_on_the_order_of_points_and_members() -> None:
    rng = np.random.default_rng(2)
    _, clouds = members(2, 5, 0.3)
    shuffled = np.stack([rng.permutation(c) for c in clouds[rng.permutation(5)]])
    assert np.allclose(np.sort(spread(shuffled)), np.sort(spread(clouds)), atol=1e-5)


def test_a_loose_region_shows() -> None:
    base, _ = members(3, 1, 0)
    rng = np.random.default_rng(3)
    noise = np.where(base[:, :1] > 35, 1.5, 0.1)
    clouds = np.stack([base + noise * rng.normal(size=base.shape) for _ in range(10)])
    found, first = spread(clouds), clouds[medoid_index(clouds)]
    assert found[first[:, 0] > 35].mean() > 5 * found[first[:, 0] < 30].mean()


@pytest.mark.parametrize("n", [3, 40])
def test_the_medoid_is_not_the_outlier(n: int) -> None:
    base, clouds = members(4, n, 0.5)
    clouds[0] += 25
    central = medoid_index(clouds)
    assert central != 0
    # the clean object among noisy copies of it is the most central
    clouds[n - 1] = base
    assert medoid_index(clouds) == n - 1


def test_few_members() -> None:
    _, clouds = members(5, 2, 0.3)
    assert np.array_equal(spread(clouds[:1]), np.zeros(125))
    assert medoid_index(clouds) == 0
    assert (spread(clouds) > 0).all()
