"""EDM preconditioning and noise levels (Karras et al. 2022; used by Möbius & Habeck 2024).

A network F that sees unit-variance input and predicts a unit-variance target is turned into a
denoiser ``D(x, sigma) = c_skip x + c_out F(c_in x, c_noise)``. The DPS paper prints
``c_out = 0.25 t / sqrt(t² + 0.25)``; the variance-preserving factor is ``sigma_data t /
sqrt(t² + sigma_data²)``, and that is what is used here.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RawNetwork(Protocol):
    """F: normalised input (points or images) and noise level to a unit-variance target."""

    def __call__(
        self, x: Float[Tensor, " n *shape"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, " n *shape"]:
        """Unit-variance estimate."""
        ...


def scalings(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """``c_skip``, ``c_out`` and ``c_in`` for noise levels of any shape.

    They make the network's input and target have unit variance and its error be amplified least
    (Karras et al. 2022, Appendix B.6).
    """
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), total.rsqrt()


def per_item(sigma: Float[Tensor, " n"], x: Tensor) -> Tensor:
    """Noise levels shaped so that they multiply the items of ``x``."""
    return sigma.view(-1, *[1] * (x.ndim - 1))


class EdmDenoiser(nn.Module):
    """A network behind EDM preconditioning: a prior.

    Parameters
    ----------
    network : F; it receives the *unscaled* noisy input and sigma, and scales what it needs, so
        that geometric features of points can be computed in true coordinates.
    sigma_data : standard deviation per coordinate of clean clouds, or per pixel of clean images.
    """

    def __init__(self, network: nn.Module, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(
        self, x: Float[Tensor, " n *shape"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, " n *shape"]:
        """Posterior mean of the clean input, normalised."""
        c_skip, c_out, _ = scalings(per_item(sigma, x), self.sigma_data)
        out: Tensor = c_skip * x + c_out * self.network(x, sigma)
        return out

    def loss(
        self,
        clean: Float[Tensor, " n *shape"],
        sigma: Float[Tensor, " n"],
        noise: Float[Tensor, " n *shape"],
    ) -> Float[Tensor, " n"]:
        """Denoising error weighted by ``1 / c_out²``: mean squared error of F per item."""
        s = per_item(sigma, clean)
        x = clean + s * noise
        c_skip, c_out, _ = scalings(s, self.sigma_data)
        target = (clean - c_skip * x) / c_out
        # under autocast the network may answer in half precision: the error is taken in full
        error: Tensor = (self.network(x, sigma).float() - target).square().flatten(1).mean(dim=1)
        return error


class GaussianDenoiser(nn.Module):
    """The exact denoiser of an isotropic Gaussian, ``x s² / (s² + sigma²)``.

    The control for every claim about a prior: it knows the size of the object and nothing of its
    shape.
    """

    def __init__(self, sigma_data: float) -> None:
        super().__init__()
        self.sigma_data = sigma_data

    def forward(
        self, x: Float[Tensor, "n points 3"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, "n points 3"]:
        """Posterior mean of the clean points."""
        variance = self.sigma_data**2
        out: Tensor = x * (variance / (variance + sigma.view(-1, 1, 1) ** 2))
        return out


class HandOver:
    """A Gaussian at high noise, a network at low noise, and a blend between.

    A sampler that meets the data exactly at every step shows the network clouds that no noise made:
    before the correspondences have settled they hold ghosts where back-projections cross. A network
    takes such a ghost for structure and keeps it; a Gaussian estimate has no opinion. Where noise hides
    all shapes the network knows hardly more than the Gaussian does, so little is lost by waiting.

    Parameters
    ----------
    network : the prior.
    begin, end : noise levels; above ``begin`` the Gaussian speaks alone, below ``end`` the network.
        Between them its share grows linearly in ln sigma.

    Raises
    ------
    ValueError
        If ``end`` is not below ``begin``.
    """

    def __init__(self, network: EdmDenoiser, begin: float, end: float) -> None:
        if not 0 < end < begin:
            raise ValueError(
                f"the network's end level {end:g} must lie between 0 and its begin level {begin:g}"
            )
        self.network, self.gaussian = network, GaussianDenoiser(network.sigma_data)
        self.begin, self.end = begin, end

    def share(self, sigma: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The network's share at each noise level, in [0, 1]."""
        return (torch.log(self.begin / sigma) / math.log(self.begin / self.end)).clamp(0, 1)

    def __call__(
        self, x: Float[Tensor, "n points 3"], sigma: Float[Tensor, " n"]
    ) -> Float[Tensor, "n points 3"]:
        """Posterior mean of the clean points."""
        share = self.share(sigma).view(-1, 1, 1)
        gaussian: Tensor = self.gaussian(x, sigma)
        if not bool((share > 0).any()):
            return gaussian
        out: Tensor = torch.lerp(gaussian, self.network(x, sigma), share)
        return out


def lognormal_sigmas(n: int, mean: float, std: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Training noise levels, ``ln sigma ~ N(mean, std²)``, clipped to [0.002, 80]."""
    draws = torch.randn(n, generator=generator) * std + mean
    return draws.exp().clamp(0.002, 80.0)
