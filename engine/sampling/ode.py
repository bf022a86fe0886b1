"""Unconditional samples by the probability flow: EDM's deterministic Heun sampler.

For pictures of what a denoiser knows, at any shape of object; posteriors are drawn elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser


@torch.no_grad()
def heun(
    denoiser: Denoiser,
    noise: Float[Tensor, " n *shape"],
    levels: Sequence[float],
    on_step: Callable[[int, float, Tensor], None] = lambda step, sigma, clean: None,
) -> Float[Tensor, " n *shape"]:
    """Follow ``dx/dsigma = (x - D(x, sigma)) / sigma`` from pure noise to none.

    Karras et al. 2022, Algorithm 1: second order, Euler in the last step. It calls the denoiser
    ``2 len(levels) - 3`` times.

    Parameters
    ----------
    denoiser : of clean objects of unit size.
    noise : standard normal.
    levels : falling noise levels, the last one 0, as of :func:`engine.sampling.schedules.noise_levels`.
    on_step : called at every step with its number, noise level and clean estimate.
    """

    def clean(x: Tensor, sigma: float) -> Tensor:
        return denoiser(x, torch.full((len(x),), sigma, device=x.device))

    x = levels[0] * noise
    for step, (sigma, lower) in enumerate(zip(levels, levels[1:], strict=False)):
        estimate = clean(x, sigma)
        on_step(step, sigma, estimate)
        here = (x - estimate) / sigma
        ahead = x + (lower - sigma) * here
        if lower > 0:
            ahead = x + (lower - sigma) * 0.5 * (here + (ahead - clean(ahead, lower)) / lower)
        x = ahead
    return x
