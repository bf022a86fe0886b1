"""Proximal posterior sampling (the DiffPIR form, Zhu et al. 2023), for matched points.

Each step asks the denoiser for a clean object, moves it to the exact minimum of data misfit plus
distance (:class:`engine.sampling.guidance.ProximalGuidance`), and adds noise again at the next level.
Re-noising in full (``zeta`` = 1) lets a later step undo a wrong assignment. One network evaluation per
step, no gradient through the network, no guidance scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser
from engine.sampling.posterior import OnStep
from engine.sampling.schedules import SampleNoise, level
from engine.sampling.steering import Steer, everyone


def renoising(
    denoiser: Denoiser,
    levels: Sequence[float],
    noise: SampleNoise,
    *,
    points: int,
    zeta: float,
    steer: Steer = everyone,
    on_step: OnStep,
) -> Float[Tensor, "n points 3"]:
    """Draw samples; ``len(levels) - 1`` calls of the denoiser.

    ``z = D(x, t)``, then ``x = z + t' (sqrt(1 - zeta) (x - z) / t + sqrt(zeta) noise)``.

    Parameters
    ----------
    denoiser : guided prior, normalised coordinates.
    levels : falling noise levels, the last one 0.
    noise : one random stream per sample.
    zeta : share of fresh noise.
    steer : which samples go on, see :mod:`engine.sampling.steering`.
    on_step : called after every step with its number, noise level and current clean estimate.
    """
    x = levels[0] * noise.normal(points, 3)
    for i in range(len(levels) - 1):
        t, t_next = levels[i], levels[i + 1]
        z = denoiser(x, level(t, x))
        on_step(i, t, z)
        if t_next == 0:
            return z
        chosen = steer(i, z)
        z, kept = z[chosen], ((x - z) / t)[chosen]
        x = z + t_next * (math.sqrt(1 - zeta) * kept + math.sqrt(zeta) * noise.normal(points, 3))
    return x
