"""The baseline without a prior: Adam on the energy from a uniform start (Möbius & Habeck 2024).

As a fair control it may be annealed and begun again: noise on the points, lowered to nothing, helps over
local minima, and of several starts the one with the least energy is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Observation, Points
from engine.sampling.matching import match_all, total_energy
from engine.sampling.schedules import SampleNoise

_ANNEALED = 0.75
"""Share of the steps with noise."""


def maximum_likelihood(
    observations: Sequence[Observation],
    noise: SampleNoise,
    *,
    points: int,
    steps: int,
    learning_rate: float,
    annealing: float = 0.0,
    restarts: int = 1,
    on_step: Callable[[int, Points, Float[Tensor, "n observations"]], None],
) -> Float[Tensor, "n points 3"]:
    """Minimise the total energy; one exact assignment per observation and step.

    Parameters
    ----------
    noise : start points, uniform on [-1, 1]³, one random stream per sample.
    steps, learning_rate : 100 and 0.01 in the paper.
    annealing : standard deviation of the noise at the first step, normalised units; it falls linearly and is
        0 in the last quarter. Energy and gradient are taken at the noisy points.
    restarts : starts of each sample; the one that ends with the least energy is kept.
    on_step : called after every step with its number (through all starts), the points and the energies
        before the step.
    """
    best, least = torch.zeros(0), torch.zeros(0)
    for start in range(restarts):
        x = noise.uniform(-1.0, 1.0, points, 3).requires_grad_(True)
        # Adam acts on each coordinate by itself, so a batch of samples is as good as one at a time.
        optimiser = torch.optim.Adam([x], lr=learning_rate)
        for i in range(steps):
            spread = annealing * max(0.0, 1 - i / (_ANNEALED * steps))
            optimiser.zero_grad(set_to_none=True)
            with torch.enable_grad():
                seen = x + spread * noise.normal(points, 3) if spread > 0 else x
                matches = match_all(observations, seen)
                each = [o.energy(seen, m) for o, m in zip(observations, matches, strict=True)]
                total_energy(each, observations).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            on_step(start * steps + i, x.detach(), torch.stack(each, dim=1).detach())
        x = x.detach()
        if restarts == 1:
            return x
        matches = match_all(observations, x)
        energy = total_energy(
            [o.energy(x, m) for o, m in zip(observations, matches, strict=True)], observations
        )
        if start == 0:
            best, least = x, energy
        else:
            better = energy < least
            best, least = torch.where(better[:, None, None], x, best), torch.where(better, energy, least)
    return best
