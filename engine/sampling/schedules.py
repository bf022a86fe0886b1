"""Noise levels, and random numbers that belong to a sample rather than to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def noise_levels(steps: int, sigma_max: float, sigma_min: float, rho: float) -> list[float]:
    """``steps`` levels from ``sigma_max`` down to ``sigma_min``, then 0.

    Equal steps in ``sigma^(1/rho)`` (Karras et al. 2022, eq. 5; Möbius & Habeck use rho = 3).

    Raises
    ------
    ValueError
        If ``sigma_min`` is not below ``sigma_max``.
    """
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"sigma_min {sigma_min:g} must lie between 0 and sigma_max {sigma_max:g}")
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [float(t) for t in np.linspace(*ends, steps) ** rho] + [0.0]


class SampleNoise:
    """One random stream per sample, so that a sample does not depend on what it is batched with.

    Drawn on the CPU, so that it does not depend on the device either.

    Parameters
    ----------
    seeds : one per sample.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.generators = [torch.Generator().manual_seed(int(s)) for s in seeds]
        self.device = device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (samples, *shape)."""
        return torch.stack([torch.randn(*shape, generator=g) for g in self.generators]).to(self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform on [low, high), (samples, *shape)."""
        draws = torch.stack([torch.rand(*shape, generator=g) for g in self.generators])
        return (low + (high - low) * draws).to(self.device)


def sample_seeds(seed: int, samples: int) -> list[int]:
    """Seeds of the samples of a run: well separated, and the same however many samples there are."""
    return [
        int(np.random.SeedSequence([seed, i]).generate_state(1, np.uint64)[0] >> 1) for i in range(samples)
    ]


def gaussian_error(spread: float, sigma: float) -> float:
    """Variance of a coordinate, a priori ``N(0, spread²)``, once it is seen with noise ``sigma``."""
    return (spread * sigma) ** 2 / (spread**2 + sigma**2)


def level(sigma: float, x: Float[Tensor, "n points 3"]) -> Float[Tensor, " n"]:
    """The same noise level for every sample of a batch."""
    return torch.full((len(x),), sigma, device=x.device, dtype=x.dtype)
