"""The probability flow brings noise to the distribution that the denoiser knows."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.sampling.ode import heun
from engine.sampling.schedules import noise_levels


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """Exact denoiser of N(1, 0.25)."""
    s = sigma.view(-1, 1, 1).square()
    return (0.25 * x + s) / (0.25 + s)


def test_a_gaussian_comes_out_as_it_is_known() -> None:
    noise = torch.randn(200, 5, 5, generator=torch.Generator().manual_seed(0))
    levels = noise_levels(40, 80.0, 0.01, 7.0)
    drawn = heun(gaussian, noise, levels)
    # the flow of a Gaussian is affine: x0 = mean + std * (x_max - mean) / sqrt(std² + sigma_max²)
    expected = 1 + 0.5 * (80 * noise - 1) / (0.25 + 80**2) ** 0.5
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0.02)


def test_is_second_order() -> None:
    noise = torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0))
    exact = 1 + 0.5 * (10 * noise - 1) / (0.25 + 100) ** 0.5

    def error(steps: int) -> float:
        return float((heun(gaussian, noise, noise_levels(steps, 10.0, 0.02, 7.0)) - exact).abs().mean())

    assert error(24) < error(12) / 3
