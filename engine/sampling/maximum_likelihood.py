"""The baseline without a prior: Adam on the energy from a uniform start (Möbius & Habeck 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Observation, Points
from engine.sampling.guidance import match_all, total_energy
from engine.sampling.schedules import SampleNoise


def maximum_likelihood(
    observations: Sequence[Observation],
    noise: SampleNoise,
    *,
    points: int,
    steps: int,
    learning_rate: float,
    on_step: Callable[[int, Points, Float[Tensor, "n observations"]], None],
) -> Float[Tensor, "n points 3"]:
    """Minimise the total energy; one exact assignment per observation and step.

    Parameters
    ----------
    noise : start points, uniform on [-1, 1]³, one random stream per sample.
    steps, learning_rate : 100 and 0.01 in the paper.
    on_step : called after every step with its number, the points and the energies before the step.
    """
    x = noise.uniform(-1.0, 1.0, points, 3).requires_grad_(True)
    # Adam acts on each coordinate by itself, so a batch of samples is as good as one at a time.
    optimiser = torch.optim.Adam([x], lr=learning_rate)
    for i in range(steps):
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad():
            matches = match_all(observations, x)
            each = [o.energy(x, m) for o, m in zip(observations, matches, strict=True)]
            total_energy(each, observations).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        on_step(i, x.detach(), torch.stack(each, dim=1).detach())
    return x.detach()
