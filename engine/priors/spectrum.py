"""The closed-form denoiser of images that are Gaussian with a given spectrum: the control for image priors.

It knows how much power images have at each frequency and how wide particles are, and nothing about shapes.
What a reconstruction gains with a denoiser of shapes over this one is what shapes have taught it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from engine.forward.map_posterior import shell_sums, shells_of
from engine.io.particle_extent import soft_disc


class SpectrumDenoiser:
    """Wiener filter ``mean + s(k) / (s(k) + sigma²) (x - mean)`` inside the mask.

    Parameters
    ----------
    mean : (n, n) rotational average of the images, which every direction has alike.
    power : (n // 2 + 1,) variance about it of a coefficient of the orthonormal transform, in each ring.
    disc : (n, n) soft mask.
    """

    def __init__(
        self, mean: Float[Tensor, "y x"], power: Float[Tensor, " rings"], disc: Float[Tensor, "y x"]
    ) -> None:
        self._mean, self._disc = mean, disc
        rings = shells_of(len(mean), 2, mean.device).clamp_max(len(power))
        self._power = torch.cat([power, power.new_zeros(1)])[rings]

    @classmethod
    def fit(
        cls, images: NDArray[np.float32], *, mask_radius_px: float, device: torch.device | str = "cpu"
    ) -> SpectrumDenoiser:
        """Mean and spectrum of images.

        Parameters
        ----------
        images : (n, y, x) clean images, circularly masked.
        mask_radius_px : radius of their mask.
        """
        stack = torch.from_numpy(np.asarray(images, np.float32)).to(device)
        size = stack.shape[-1]
        mean = _rotational_mean(stack.mean(0))
        power, count = shell_sums(stack - mean, stack - mean, 2)
        disc = torch.from_numpy(soft_disc(size, mask_radius_px)).to(stack)
        # white noise cut by the mask keeps only the mask's share of its power
        share = float(disc.square().mean())
        return cls(mean, power / count.clamp_min(1) / size**2 / share, disc)

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "n y x"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n y x"]:
        """Posterior mean of the clean images."""
        gain = self._power / (self._power + sigma.square().view(-1, 1, 1).clamp_min(1e-12))
        left = torch.fft.irfft2(torch.fft.rfft2(x - self._mean) * gain, s=x.shape[-2:])
        clean: Tensor = (self._mean + left) * self._disc
        return clean


def _rotational_mean(image: Tensor) -> Tensor:
    """The image averaged over rings about its centre, one pixel wide, linear in between."""
    size = len(image)
    axis = torch.arange(size, device=image.device, dtype=image.dtype) - size // 2
    radius = (axis[:, None].square() + axis.square()).sqrt()
    low = radius.floor().long()
    share = radius - low
    total, weight = image.new_zeros(size + 1), image.new_zeros(size + 1)
    for ring, part in ((low, 1 - share), (low + 1, share)):
        total.index_add_(0, ring.clamp_max(size).flatten(), (part * image).flatten())
        weight.index_add_(0, ring.clamp_max(size).flatten(), part.flatten())
    profile = total / weight.clamp_min(1e-6)
    found: Tensor = profile[low.clamp_max(size)] * (1 - share) + profile[(low + 1).clamp_max(size)] * share
    return found
