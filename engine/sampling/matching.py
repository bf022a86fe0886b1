"""Correspondences and energies of several observations at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Match, Observation, Points


def match_all(observations: Sequence[Observation], x0: Points) -> list[Match]:
    """Correspondences of every observation at the given points.

    Observations are matched side by side, so that a single sample occupies all cores too; the
    assignments leave the GIL.
    """
    if len(observations) < 2:
        return [o.match(x0) for o in observations]
    with ThreadPoolExecutor(len(observations)) as pool:
        return list(pool.map(lambda o: o.match(x0), observations))


def total_energy(energies: Sequence[Tensor], observations: Sequence[Observation]) -> Float[Tensor, " n"]:
    """Weighted mean of the observations' energies (the paper's weights, 1/|y| each, if all are equal)."""
    weights = [o.weight for o in observations]
    return torch.stack([w * e for w, e in zip(weights, energies, strict=True)]).sum(0) / sum(weights)
