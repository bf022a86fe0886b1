"""Noisy projections keep their mass where the particle is."""

from __future__ import annotations

import numpy as np
import pytest

from engine.forward.gaussians import splat_image
from engine.observations.background import particle_density
from engine.observations.denoising import denoise
from engine.observations.profiles import profile
from tests.engine.observations.test_pose_correction import cloud

BOX = 96
ANGLES = np.arange(8) * np.pi / 8
LINES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1)
PIXELS = np.stack(np.meshgrid(np.arange(BOX) - BOX // 2, np.arange(BOX) - BOX // 2), -1).reshape(-1, 2)


def clean() -> tuple[np.ndarray, np.ndarray]:
    """Points in pixels and their image."""
    points = (30.0 * cloud())[:, :2]
    return points, splat_image(points, pixel_size_A=1.0, box=BOX, resolution_A=4.0).astype(np.float64)


def displaced(points: np.ndarray, density: np.ndarray) -> float:
    """Rms distance of the mass along lines from that of the points, pixels."""
    mass = density.ravel()
    seen = profile(PIXELS[mass > 0].astype(float), mass[mass > 0], LINES)
    true = profile(points, np.ones(len(points)), LINES)
    return float(np.sqrt((np.einsum("lqd,ld->lq", seen - true, LINES) ** 2).mean()))


def test_a_clean_image_keeps_its_density() -> None:
    points, image = clean()
    found = denoise(image)
    assert found is not None
    assert found.snr > 1e3
    assert displaced(points, found.density) < 0.3
    inside = found.particle & (image > 0.05 * image.max())
    np.testing.assert_allclose(found.density[inside], image[inside], rtol=0.05)


@pytest.mark.parametrize(("snr", "most"), [(1.0, 0.6), (0.3, 1.0), (0.1, 2.0), (0.05, 3.0)])
def test_noise_is_not_taken_for_matter(snr: float, most: float) -> None:
    points, image = clean()
    noisy = image + np.sqrt(image.var() / snr) * np.random.default_rng(2).normal(size=image.shape)
    found = denoise(noisy)
    assert found is not None
    assert displaced(points, found.density) < most
    if snr < 0.5:
        assert displaced(points, particle_density(noisy)) > 3 * displaced(points, found.density)
    share = image[found.particle].sum() / image.sum()
    assert share > 0.9


def test_ratio_is_that_in_the_particle() -> None:
    _, image = clean()
    noisy = image + np.sqrt(image.var() / 0.3) * np.random.default_rng(2).normal(size=image.shape)
    found = denoise(noisy)
    assert found is not None
    true = (image**2)[found.particle].mean() / (image.var() / 0.3)
    assert 0.4 * true < found.snr < 1.6 * true


def test_a_circular_mask_hides_no_noise() -> None:
    points, image = clean()
    noisy = image + np.sqrt(image.var() / 0.3) * np.random.default_rng(2).normal(size=image.shape)
    y, x = np.indices(image.shape) - BOX // 2
    found = denoise(np.where(np.hypot(x, y) < 44, noisy, 0.0))
    assert found is not None
    assert found.snr < 5
    assert displaced(points, found.density) < 1.5


def test_a_negative_ring_is_background() -> None:
    points, image = clean()
    fraction = np.hypot(np.fft.fftfreq(BOX)[:, None], np.fft.fftfreq(BOX)[None])
    ringed = np.fft.ifft2(np.fft.fft2(image) * (1 - 0.8 * np.exp(-((fraction / 0.015) ** 2)))).real
    found = denoise(ringed)
    assert found is not None
    assert found.density.min() >= 0
    assert displaced(points, found.density) < 3


def test_noise_alone_is_no_particle_or_a_faint_one() -> None:
    found = denoise(np.random.default_rng(3).normal(size=(BOX, BOX)))
    assert found is None or found.snr < 0.3
