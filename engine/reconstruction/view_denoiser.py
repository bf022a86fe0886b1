"""A 2D denoiser asked about projections of density: between their units and the denoiser's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engine.distillation.volume_sds import ImageScale
from engine.numerics.rotations import random_rotations
from engine.protocols import Denoiser


@dataclass(frozen=True)
class ViewDenoiser:
    """What a denoiser of normalised images says of images of density.

    Attributes
    ----------
    denoiser : of images with mean 0 and variance 1 in the disc.
    scale : between them and density that is zero outside.
    """

    denoiser: Denoiser
    scale: ImageScale

    @torch.no_grad()
    def clean(
        self, noisy: Float[Tensor, "n y x"], sigma: float, noise: Float[Tensor, "n y x"] | None = None
    ) -> Float[Tensor, "n y x"]:
        """Posterior mean of the density in images whose noise has a standard deviation of ``sigma``.

        Parameters
        ----------
        noisy : density.
        noise : of unit variance, added first ``sigma`` times inside the disc; None adds none.
        """
        seen = self.scale.to_denoiser(noisy)
        if noise is not None:
            seen = seen + sigma * noise * self.scale.disc
        levels = torch.full((len(seen),), max(sigma, 1e-3), device=seen.device)
        return self.scale.to_density(self.denoiser(seen, levels))


class RandomViews:
    """Directions and noise of one run, drawn in one order whatever the device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._rng, self._noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self._device = device

    def rotations(self, count: int) -> Float[Tensor, "n 3 3"]:
        """Uniform over all rotations."""
        return torch.from_numpy(random_rotations(count, self._rng)).float().to(self._device)

    def noise(self, count: int, size: int) -> Float[Tensor, "n y x"]:
        """White, of unit variance."""
        return torch.randn(count, size, size, generator=self._noise).to(self._device)


def level(first: float, last: float, step: int, steps: int) -> float:
    """Noise level of a step, falling geometrically."""
    return float(first * (last / first) ** (step / max(1, steps - 1)))
