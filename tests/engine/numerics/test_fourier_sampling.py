"""Transforms between grid points against closed forms; maps on other grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.numerics.fourier_sampling import Spectrum, fourier_resample, half_ball
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map

WIDTH = 5.0
SIGMA = WIDTH / (np.pi * np.sqrt(2))


def _closed_form(points: np.ndarray, k: np.ndarray, n: int) -> np.ndarray:
    weights = 1.0 + np.arange(len(points)) % 3
    waves = np.exp(-2j * np.pi / n * k @ points.T) @ (weights / weights.sum())
    return waves * np.exp(-2 * (np.pi * SIGMA / n) ** 2 * (k**2).sum(1))


@pytest.mark.parametrize(("n", "centre"), [(32, (0, 0, 0)), (33, (3, -2, 1))])
def test_values_between_the_grid_points(n: int, centre: tuple[int, int, int]):
    points = asymmetric_points(n, 0, reach=0.25)
    spectrum = Spectrum(blob_map(points + centre, n, WIDTH), np.array(centre), 8.0)
    k = np.random.default_rng(1).uniform(-4.5, 4.5, (500, 3))
    values = spectrum.at(torch.from_numpy(k).float()).numpy()
    exact = _closed_form(points, k, n)
    assert np.abs(values - exact).max() < 0.02 * np.abs(exact).max()
    assert np.linalg.norm(values - exact) < 0.02 * np.linalg.norm(exact)


def test_without_mean_shells_a_round_map_vanishes_and_directions_stay():
    n = 32
    r = np.linalg.norm(np.indices((n,) * 3) - n // 2, axis=0)
    shell = np.exp(-((r - 9) ** 2) / 4)
    patch = blob_map(np.array([[9.0, 0.0, 0.0]]), n, WIDTH)
    k = half_ball(7.0)
    centre = np.zeros(3, np.int64)
    round_part = Spectrum(shell, centre, 7.0)
    left = round_part.without_mean_shells().at(k).abs().square().sum()
    assert left < 2e-3 * round_part.at(k).abs().square().sum()
    with_patch = Spectrum(shell + 150 * patch, centre, 7.0).without_mean_shells().at(k)
    only_patch = Spectrum(150 * patch, centre, 7.0).without_mean_shells().at(k)
    assert (with_patch - only_patch).abs().square().sum() < 0.02 * only_patch.abs().square().sum()


def test_half_a_ball_holds_one_of_each_pair():
    k = half_ball(5.0).numpy()
    both = {tuple(row) for row in np.concatenate([k, -k])}
    assert len(both) == 2 * len(k)
    axis = np.arange(-5, 6)
    inside = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) <= 25
    assert len(both) == inside.sum() - 1


@pytest.mark.parametrize(("n", "m"), [(48, 32), (32, 48), (33, 24), (32, 25)])
def test_resampling_gives_the_same_object(n: int, m: int):
    """In the same box the object of n voxels is m / n times as wide, and voxel n // 2 stays in place."""
    points = asymmetric_points(n, 2, reach=0.25)
    width = 7.0 * n / min(n, m)
    coarse = fourier_resample(blob_map(points, n, width), m)
    exact = blob_map(points * m / n, m, width * m / n) * (m / n) ** 3
    assert np.abs(coarse - exact).max() < 0.01 * exact.max()


def test_what_is_no_cube_is_refused():
    with pytest.raises(ValueError, match="cubic"):
        fourier_resample(np.zeros((8, 8, 9)), 8)
    with pytest.raises(ValueError, match="finite"):
        fourier_resample(np.full((8, 8, 8), np.nan), 8)
