"""The control that knows the spectrum alone: the Wiener filter it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.forward.map_posterior import shells_of
from engine.priors.spectrum import SpectrumDenoiser

SIZE, RADIUS = 32, 15.0


def gaussian_images(count: int, seed: int) -> torch.Tensor:
    """White noise under a falling spectrum."""
    rings = shells_of(SIZE, 2).float()
    amplitude = torch.exp(-rings / 4) * (rings <= SIZE // 2)
    white = torch.randn(count, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(SIZE, SIZE))


def test_no_linear_filter_of_rings_does_better_on_such_images():
    denoiser = SpectrumDenoiser.fit(gaussian_images(200, 0).numpy(), mask_radius_px=RADIUS)
    clean = gaussian_images(50, 1)
    sigma = 0.15
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    found = denoiser(noisy, torch.full((50,), sigma))
    middle = slice(8, 24)
    error = float((found - clean)[:, middle, middle].square().mean())
    rings = shells_of(SIZE, 2).float()
    power = torch.exp(-rings / 2) * (rings <= SIZE // 2)
    best = torch.fft.irfft2(torch.fft.rfft2(noisy) * power / (power + sigma**2), s=(SIZE, SIZE))
    least = float((best - clean)[:, middle, middle].square().mean())
    assert least <= error < 1.15 * least
    assert error < 0.5 * sigma**2


def test_it_keeps_clean_images_and_answers_the_mean_to_noise():
    images = gaussian_images(60, 0).numpy() + np.float32(0.5)
    denoiser = SpectrumDenoiser.fit(images, mask_radius_px=RADIUS)
    clean = torch.from_numpy(images[:4])
    kept = denoiser(clean, torch.full((4,), 1e-4))
    middle = slice(8, 24)
    assert torch.allclose(kept[:, middle, middle], clean[:, middle, middle], atol=2e-2)
    lost = denoiser(torch.randn(4, SIZE, SIZE) * 100, torch.full((4,), 100.0))
    assert float(lost[:, middle, middle].mean()) == pytest.approx(0.5, abs=0.15)
    assert float(lost[:, 0, 0].abs().max()) == 0
