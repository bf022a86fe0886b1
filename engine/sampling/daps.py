"""Decoupled annealing posterior sampling (Zhang et al. 2024, DAPS, Algorithm 1), for matched points.

Each step guesses a clean object by the probability flow, draws one near it that agrees with the data, and
adds noise of the next level in full: steps are decoupled, so a wrong place is not inherited. Where DAPS runs
Langevin dynamics on ``|x0 - guess|² / 2 r² - log p(y | x0)``, here the draw is exact: at fixed
correspondences that density is Gaussian. r is the guess's error, ``s t / sqrt(s² + t²)`` for a Gaussian
object of standard deviation s (DAPS takes t).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Points
from engine.sampling.likelihood import Likelihood
from engine.sampling.posterior import OnStep
from engine.sampling.schedules import SampleNoise, gaussian_error, level
from engine.sampling.steering import Steer


def flow(prior: Denoiser, x: Points, sigma: float, *, calls: int, lowest: float) -> Points:
    """Where the probability flow from noise level ``sigma`` ends: Euler, ``calls`` of the denoiser.

    Levels fall geometrically to ``lowest``, then to 0. With one call it is the posterior mean.
    """
    ends = np.geomspace(sigma, min(lowest, sigma), calls) if calls > 1 else np.array([sigma])
    levels = [*(float(s) for s in ends), 0.0]
    for s, s_next in zip(levels, levels[1:], strict=False):
        clean = prior(x, level(s, x))
        x = clean + (s_next / s) * (x - clean)
    return x


def daps(
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
    """Draw samples; ``calls (len(levels) - 1)`` calls of the denoiser.

    Parameters
    ----------
    prior : denoiser, normalised coordinates.
    likelihood : the evidence's step.
    levels : falling noise levels, the last one 0.
    noise : one random stream per sample.
    calls : of the denoiser for each guess.
    spread : s, standard deviation of clean coordinates.
    steer : which samples go on, see :mod:`engine.sampling.steering`.
    on_step : called after every step with its number, noise level and clean object.
    """
    x = levels[0] * noise.normal(points, 3)
    for i, (t, t_next) in enumerate(zip(levels, levels[1:], strict=False)):
        guess = flow(prior, x, t, calls=calls, lowest=levels[-2])
        variance = gaussian_error(spread, t)
        if t_next == 0:  # the last draw would only add noise of this size
            x = likelihood.mean(guess, variance)
            on_step(i, t, x)
            break
        clean = likelihood.draw(guess, variance, noise)
        on_step(i, t, clean)
        x = clean[steer(i, clean)] + t_next * noise.normal(points, 3)
    return x
