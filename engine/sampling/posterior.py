"""Algorithm 1 of Möbius & Habeck 2024: a predictor-corrector sampler with churn.

The score is ``s(x, t) = (D(x, t) - x) / t²``. With evidence, D is the guided denoiser of
:mod:`engine.sampling.guidance`; this page does not know. It deviates from textbook Heun on purpose:
both scores of the corrector take the prefactor at ``t_i``, as published.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Points
from engine.sampling.schedules import SampleNoise, level

Beta = Callable[[float], float]
OnStep = Callable[[int, float, Points], None]


def churn(kind: Literal["inverse", "inverse_then_zero", "unconditional"], ceiling: float = 0.8) -> Beta:
    """The published β(t).

    ``inverse``: 1/t. ``inverse_then_zero``: 1/t above 0.15, else 0 (Table 1, rows b).
    ``unconditional``: 1/t above ``ceiling``, else 1 (prior samples; 0.8 for complexes).
    """
    if kind == "inverse":
        return lambda t: 1 / t
    if kind == "inverse_then_zero":
        return lambda t: 1 / t if t > 0.15 else 0.0
    return lambda t: 1 / t if t > ceiling else 1.0


def algorithm1(
    denoiser: Denoiser,
    levels: Sequence[float],
    noise: SampleNoise,
    *,
    points: int,
    beta: Beta,
    on_step: OnStep,
) -> Float[Tensor, "n points 3"]:
    """Draw samples; ``2 len(levels) - 3`` calls of the denoiser.

    Parameters
    ----------
    denoiser : prior or guided prior, normalised coordinates.
    levels : falling noise levels, the last one 0.
    noise : one random stream per sample.
    beta : churn.
    on_step : called after every step with its number, noise level and current clean estimate.
    """

    def score(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        estimate = denoiser(x, level(t, x))
        return (estimate - x) / t**2, estimate

    x = levels[0] * noise.normal(points, 3)
    for i in range(len(levels) - 1):
        t, t_next = levels[i], levels[i + 1]
        dt = t - t_next
        s, estimate = score(x, t)
        x_ode = x + t * s * dt
        if t_next > 0:
            s_next, _ = score(x_ode, t_next)
            drift = (t + beta(t) * t**2) * (s + s_next) * dt / 2
            x = x + drift + math.sqrt(2 * beta(t) * t**2 * dt) * noise.normal(points, 3)
        else:
            x = x_ode
        on_step(i, t, estimate)
    return x
