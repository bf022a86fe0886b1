"""Split Gibbs sampling, also Plug-and-Play diffusion (Wu et al. 2024, PnP-DM, Algorithm 1).

The posterior is split by a copy z of the object: ``p(x, z | y) ∝ p(x) exp(-|x - z|² / 2 rho²) p(y | z)``.
Both conditionals can be drawn: z by the likelihood step, which is a Gaussian once the correspondences are
fixed, and x by denoising z from noise level rho down to nothing. rho falls from step to step; at the end x
and z agree within the lowest rho.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Points
from engine.sampling.likelihood import Likelihood
from engine.sampling.posterior import OnStep
from engine.sampling.schedules import SampleNoise, gaussian_error, level
from engine.sampling.steering import Steer


def denoised(
    prior: Denoiser, z: Points, rho: float, noise: SampleNoise, *, calls: int, spread: float
) -> Points:
    """Draw ``x ~ p(x) exp(-|x - z|² / 2 rho²)``: reverse diffusion from rho, ``calls`` of the denoiser.

    Each step draws from ``p(x_s' | x_s)``, averaged over clean objects ``N(D(x_s, s), v)`` with the error
    of a Gaussian object's estimate, ``v = spread² s² / (spread² + s²)``. So even one call is exact for a
    Gaussian, where ancestral sampling, which takes D for the clean object itself, has too little spread.
    """
    x = z
    for i in range(calls):
        s, s_next = rho * (1 - i / calls), rho * (1 - (i + 1) / calls)
        clean, share = prior(x, level(s, x)), (s_next / s) ** 2
        x = clean + share * (x - clean)
        variance = s_next**2 * (1 - share) + (1 - share) ** 2 * gaussian_error(spread, s)
        x = x + math.sqrt(variance) * noise.normal(*x.shape[1:])
    return x


def split_gibbs(
    prior: Denoiser,
    likelihood: Likelihood,
    levels: Sequence[float],
    noise: SampleNoise,
    *,
    points: int,
    calls: int,
    spread: float,
    steer: Steer,
    on_step: OnStep,
) -> Float[Tensor, "n points 3"]:
    """Draw samples; ``calls (len(levels) - 2)`` calls of the denoiser.

    Parameters
    ----------
    prior : denoiser, normalised coordinates.
    likelihood : the evidence's step.
    levels : falling rho, the last one 0.
    noise : one random stream per sample.
    calls : of the denoiser for each draw of x.
    spread : standard deviation of clean coordinates.
    steer : which samples go on, see :mod:`engine.sampling.steering`.
    on_step : called after every step with its number, rho and the present z.
    """
    x = levels[0] * noise.normal(points, 3)
    for i, rho in enumerate(levels[:-1]):
        if levels[i + 1] == 0:  # the last draw would only add noise of this size
            x = likelihood.mean(x, rho**2)
            on_step(i, rho, x)
            break
        z = likelihood.draw(x, rho**2, noise)
        on_step(i, rho, z)
        x = denoised(prior, z[steer(i, z)], rho, noise, calls=calls, spread=spread)
    return x
