"""Images on the grid of a map: what is drawn there directly is what is resampled there."""

from __future__ import annotations

import numpy as np
import pytest

from engine.forward.gaussians import splat_image
from engine.io.map_grid import images_on_grid

POINTS = np.random.default_rng(0).uniform(-40, 40, (30, 2))
WIDTH_A = 24.0


def drawn(pixel_A: float, box: int, move: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Density per Å² of the same points, moved."""
    image = splat_image(POINTS + move, pixel_size_A=pixel_A, box=box, resolution_A=WIDTH_A)
    return image / pixel_A**2


@pytest.mark.parametrize(
    ("pixel", "box", "size", "voxel", "centre"),
    [
        (3.0, 64, 64, 3.0, (0.0, 0.0)),  # the same grid
        (3.0, 64, 48, 3.0, (6.0, -9.0)),  # cut out, by whole pixels
        (3.0, 64, 48, 3.0, (4.0, 2.5)),  # and by parts of them
        (3.0, 64, 40, 4.5, (-3.5, 1.0)),  # coarser, a whole number of old pixels across
        (3.0, 50, 60, 3.0, (20.0, 10.0)),  # beyond the image
        (3.0, 64, 50, 3.31, (2.0, 1.0)),  # any ratio
        (5.0, 40, 60, 3.0, (1.0, 0.0)),  # finer
    ],
)
def test_resampling_is_drawing_anew(
    pixel: float, box: int, size: int, voxel: float, centre: tuple[float, float]
) -> None:
    found = images_on_grid(drawn(pixel, box)[None], pixel, np.array([centre]), size, voxel)[0]
    expected = drawn(voxel, size, (-centre[0], -centre[1]))
    assert found.shape == (size, size)
    np.testing.assert_allclose(found, expected, atol=0.012 * expected.max())


def test_white_noise_stays_white_and_shrinks_with_the_pixels() -> None:
    noise = np.random.default_rng(1).normal(size=(6, 96, 96))
    found = images_on_grid(noise, 2.0, np.full((6, 2), 0.7), 48, 4.0)
    assert found.std() == pytest.approx(0.5, rel=0.03)
    power = (np.abs(np.fft.fft2(found)) ** 2).mean(0)
    assert power[:12, :12].mean() == pytest.approx(power[12:24, 12:24].mean(), rel=0.15)


def test_spacings_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        images_on_grid(np.zeros((1, 8, 8)), 0.0, np.zeros((1, 2)), 8, 1.0)
