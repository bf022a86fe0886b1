"""Feynman-Kac steering: samples of a run compete, the better ones are drawn on (Singhal et al. 2025).

While noise falls, each sample carries a weight, the product of ``exp(-strength (G_i - G_(i-1)))`` with the
potential G its energy in expected errors. When few samples hold most of the weight (effective sample size
below a share of their number) all are drawn anew in proportion to it, and the weights begin at 1 again. It
costs no call of the denoiser. It makes the samples of a run depend on each other, and shrinks their spread:
how large that was before is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from engine.assignment.exact import assign_points
from engine.protocols import Points
from engine.sampling.likelihood import Likelihood

Indices = Int64[Tensor, " n"]
Steer = Callable[[int, Points], Indices]
"""Number of the step and clean objects to which of them go on, as many as there are, some perhaps twice."""


def everyone(step: int, x: Points) -> Indices:
    """No steering: every sample goes on."""
    return torch.arange(len(x), device=x.device)


def systematic(weights: Float[Tensor, " n"], offset: float) -> Indices:
    """Indices drawn in proportion to ``weights``, each within one of its expected number.

    Parameters
    ----------
    weights : sum 1.
    offset : uniform on [0, 1).
    """
    places = (torch.arange(len(weights), dtype=torch.float64) + offset) / len(weights)
    return torch.searchsorted(weights.double().cumsum(0), places).clamp_max(len(weights) - 1)


def spread(x: Points) -> float:
    """Root mean squared distance of samples from their mean, 0 for one sample.

    Points have no names: each sample's are first put in the order of the first's by an exact assignment.
    """
    order = assign_points(x[:1].expand_as(x), x)
    named = x.gather(1, order[..., None].expand_as(x))
    return float((named - named.mean(0)).square().sum(-1).mean().sqrt())


@dataclass(frozen=True)
class Resampling:
    """One redrawing of the samples.

    Attributes
    ----------
    step : its number, from 0.
    effective : sample size before.
    survivors : how many different samples went on.
    spread_before, spread_after : see :func:`spread`, normalised units.
    """

    step: int
    effective: float
    survivors: int
    spread_before: float
    spread_after: float


class Steering:
    """Weights of the samples of one run, a :data:`Steer`.

    Parameters
    ----------
    likelihood : whose energies weigh, and whose memory moves with the samples.
    sigma : stated error of the evidence, normalised units.
    strength : of the weights; 0 never resamples.
    share : of the number of samples, below which the effective sample size calls for redrawing.
    seed : of the redrawing.

    Attributes
    ----------
    log : what was redrawn.
    """

    def __init__(
        self, likelihood: Likelihood, *, sigma: float, strength: float, share: float, seed: int
    ) -> None:
        self.likelihood, self.sigma, self.strength, self.share = likelihood, sigma, strength, share
        self.log: list[Resampling] = []
        self._random = np.random.default_rng(seed)
        self._before: Tensor | None = None
        self._weights: Tensor | None = None

    def __call__(self, step: int, x: Points) -> Indices:
        """The samples that go on."""
        potential = self.likelihood.energies.double().mean(1).cpu() / self.sigma**2
        if self._before is None or self._weights is None:
            self._before, self._weights = potential, torch.zeros_like(potential)
        self._weights = self._weights - self.strength * (potential - self._before)
        self._before = potential
        weights = torch.softmax(self._weights, dim=0)
        effective = float(1 / weights.square().sum())
        if effective >= self.share * len(x):
            return everyone(step, x)
        chosen = systematic(weights, self._random.random())
        self._before, self._weights = potential[chosen], torch.zeros_like(weights)
        chosen = chosen.to(x.device)
        self.likelihood.reorder(chosen)
        survivors = len(set(chosen.tolist()))
        self.log.append(Resampling(step, effective, survivors, spread(x), spread(x[chosen])))
        return chosen
