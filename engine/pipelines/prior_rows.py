"""What the worker processes of an evaluation compute: rows of arrays, by number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import SamplingError
from engine.metrics.nearest_training import TrainingClouds, shape_descriptor
from engine.pipelines.draw import draw
from engine.pipelines.kept_rows import Block, Rows
from engine.priors.checkpoint import load_prior
from engine.specs.samplers import Unconditional

Array = NDArray[np.float64]


def draws(
    weights: Path, sampler: Unconditional, points: int, seeds: list[int], device: str
) -> Callable[[Block], Rows]:
    """Unconditional samples by number, (rows, points, 3) float32, normalised."""
    prior, _ = load_prior(weights, device)

    def rows(block: Block) -> Rows:
        own = [seeds[i] for i in block]
        try:
            x, _ = draw(
                prior, [], sampler, own, points=points, device=torch.device(device), watch=lambda step: None
            )
        except SamplingError as exc:
            raise SamplingError(exc.problem, "Draw with more steps: `--steps 100` or more.", weights) from exc
        return np.asarray(x.cpu().numpy())

    return rows


def pair_rows(kind: Any, a: Array, b: Array | None) -> Callable[[Block], Rows]:
    """Rows of the distances between two sets; within one (``b`` None) only right of the diagonal, else 0."""
    distances = kind(a, a if b is None else b)
    columns = len(a if b is None else b)

    def rows(block: Block) -> Rows:
        out = np.zeros((len(block), columns))
        for k, i in enumerate(block):
            first = 0 if b is not None else i + 1  # within a set the upper triangle says it all
            out[k, first:] = distances(i, range(first, columns))
        return out

    return rows


def descriptors(clouds: Rows) -> Callable[[Block], Rows]:
    """Rows of shape descriptors of training clouds."""
    return lambda block: np.stack([shape_descriptor(clouds[i].astype(np.float64)) for i in block])


def nearest_rows(clouds: Array, train: Rows, described: Array) -> Callable[[Block], Rows]:
    """Rows of nearest training clouds: index, distance, rotation (9), shift (3)."""
    search = TrainingClouds(train, described)

    def rows(block: Block) -> Rows:
        found = [search.nearest(clouds[i]) for i in block]
        return np.stack([np.r_[f.index, f.distance, f.rotation.ravel(), f.shift] for f in found])

    return rows
