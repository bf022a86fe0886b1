"""Laws of points turned into densities: mass, centroid, width, projection."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conventions import centred_coordinates, volume_origin_A
from engine.forward.gaussians import resolution_to_sigma_A, splat_image, splat_volume


def _points(n: int = 300, radius: float = 25.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(-radius, radius, (n, 3)) + [3.0, -4.0, 6.0]


@pytest.mark.parametrize("shape", [(50, 54, 57), (49, 64, 50)])
def test_mass_and_centroid(shape: tuple[int, int, int]) -> None:
    points = _points()
    weights = np.random.default_rng(1).random(len(points))
    volume = splat_volume(
        points,
        voxel_size_A=1.7,
        shape=shape,
        origin_A=volume_origin_A(shape, 1.7),
        resolution_A=9.0,
        weights=weights,
    )
    assert volume.shape == shape
    assert volume.dtype == np.float32
    assert volume.sum(dtype=float) == pytest.approx(weights.sum(), rel=1e-5)
    z, y, x = (centred_coordinates(n, 1.7) for n in shape)
    marginals = (volume.sum((0, 1)) @ x, volume.sum((0, 2)) @ y, volume.sum((1, 2)) @ z)
    expected = weights @ points / weights.sum()
    np.testing.assert_allclose(np.array(marginals) / weights.sum(), expected, atol=2e-3)


def test_one_point_is_the_sampled_gaussian_in_closed_form() -> None:
    point = np.array([[2.3, -3.1, 4.7]])
    origin = (-20.0, -22.0, -18.0)
    volume = splat_volume(point, voxel_size_A=2.0, shape=(19, 21, 23), origin_A=origin, resolution_A=12.0)
    sigma = 12.0 / (np.pi * np.sqrt(2))
    assert resolution_to_sigma_A(12.0) == pytest.approx(sigma)
    x, y, z = (o + 2.0 * np.arange(n) for o, n in zip(origin, (23, 21, 19), strict=True))
    squared = (z[:, None, None] - 4.7) ** 2 + (y[None, :, None] + 3.1) ** 2 + (x[None, None, :] - 2.3) ** 2
    expected = np.exp(-0.5 * squared / sigma**2) * (2.0 / sigma) ** 3 / (2 * np.pi) ** 1.5
    np.testing.assert_allclose(volume, expected, atol=expected.max() * 1e-4)


@pytest.mark.parametrize("box", [48, 49])
def test_projection_of_the_volume_is_the_image(box: int) -> None:
    points = _points(500, 20)
    volume = splat_volume(
        points,
        voxel_size_A=2.0,
        shape=(60, box, box),
        origin_A=volume_origin_A((60, box, box), 2.0),
        resolution_A=8.0,
    )
    image = splat_image(points[:, :2], pixel_size_A=2.0, box=box, resolution_A=8.0)
    np.testing.assert_allclose(volume.sum(0), image, atol=image.max() * 1e-5)


def test_image_origin_is_the_centre_pixel_and_axes_are_yx() -> None:
    for box in (20, 21):
        image = splat_image(np.array([[6.0, -4.0]]), pixel_size_A=2.0, box=box, resolution_A=6.0)
        assert np.unravel_index(image.argmax(), image.shape) == (box // 2 - 2, box // 2 + 3)


def test_mass_is_exact_even_below_the_voxel_size() -> None:
    """Sampling alone would be wrong by tens of per cent here; far points don't fold back."""
    points = np.random.default_rng(3).uniform(-5, 5, (50, 3))
    volume = splat_volume(
        points, voxel_size_A=2.0, shape=(15, 15, 15), origin_A=(-14.0, -14.0, -14.0), resolution_A=0.5
    )
    assert volume.sum(dtype=float) == pytest.approx(1.0, rel=1e-5)
    far = splat_volume(
        points + 500, voxel_size_A=2.0, shape=(15, 15, 15), origin_A=(-14.0, -14.0, -14.0), resolution_A=4.0
    )
    assert not far.any()
    half = splat_volume(
        np.array([[-14.0 - 1.0, 0, 0]]),
        voxel_size_A=2.0,
        shape=(15, 15, 15),
        origin_A=(-14.0, -14.0, -14.0),
        resolution_A=20.0,
    )
    assert half.sum(dtype=float) == pytest.approx(0.5, abs=0.01)


def test_order_of_points_and_linearity() -> None:
    points, other = _points(100), _points(70)[::-1] + 1.0
    settings = {
        "voxel_size_A": 2.0,
        "shape": (40, 40, 40),
        "origin_A": (-40.0, -40.0, -40.0),
        "resolution_A": 7.0,
    }
    both = splat_volume(np.concatenate([points, other]), **settings)
    parts = 100 * splat_volume(points[::-1], **settings) + 70 * splat_volume(other, **settings)
    np.testing.assert_allclose(both, parts / 170, atol=1e-7)


def test_no_points_give_an_empty_map() -> None:
    assert not splat_volume(
        np.zeros((0, 3)), voxel_size_A=1.0, shape=(4, 4, 4), origin_A=(0.0, 0.0, 0.0), resolution_A=4.0
    ).any()
    assert not splat_image(np.zeros((0, 2)), pixel_size_A=1.0, box=4, resolution_A=4.0).any()


@pytest.mark.parametrize(
    ("points", "spacing", "resolution", "weights"),
    [
        (np.zeros((3, 2)), 1.0, 4.0, None),
        (np.zeros((3, 3)), 0.0, 4.0, None),
        (np.zeros((3, 3)), 1.0, 0.0, None),
        (np.zeros((3, 3)), 1.0, float("nan"), None),
        (np.zeros((3, 3)), 1.0, 4.0, np.ones(2)),
    ],
)
def test_nonsense_is_refused(
    points: np.ndarray, spacing: float, resolution: float, weights: np.ndarray | None
) -> None:
    with pytest.raises(ValueError, match="must"):
        splat_volume(
            points,
            voxel_size_A=spacing,
            shape=(4, 4, 4),
            origin_A=(0.0, 0.0, 0.0),
            resolution_A=resolution,
            weights=weights,
        )
