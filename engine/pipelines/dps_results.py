"""What a finished (or stopped) reconstruction leaves in ``results/``: the ensemble and what it is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.io.atomic import write_npy, write_text
from engine.io.ensemble import write_ensemble
from engine.metrics.ensemble import matched, spread_of_matched
from engine.observations.matched import MatchedPoints
from engine.pipelines.context import RunContext
from engine.pipelines.evaluate import evaluate
from engine.specs.job import DpsSpec
from engine.types import Ensemble, Frame


def write_results(
    spec: DpsSpec,
    context: RunContext,
    frame: Frame,
    observations: Sequence[MatchedPoints],
    points_A: NDArray[np.float32],
    energies: NDArray[np.float32],
    seeds: Sequence[int],
) -> None:
    """Ensemble, spread, and metrics."""
    results = context.folder / "results"
    # One order for all samples, so that a point's spread means something and exports can carry it.
    points_A = matched(points_A).astype(np.float32)
    ensemble = Ensemble(
        points_A=points_A,
        kind="optimum" if spec.sampler.kind == "maximum_likelihood" else "posterior",
        frame=frame,
        energies=energies,
        observation_names=tuple(o.name for o in observations),
        seeds=np.asarray(seeds[: len(points_A)], dtype=np.int64),
    )
    write_ensemble(results / "ensemble.npz", ensemble)
    context.result("ensemble", results / "ensemble.npz")
    write_npy(results / "spread.npy", spread_of_matched(points_A).astype(np.float32))
    context.result("spread", results / "spread.npy")
    truth = Path(spec.truth) if spec.truth else None
    write_text(results / "metrics.json", json.dumps(evaluate(ensemble, truth, seed=spec.seed), indent=1))
    context.result("metrics", results / "metrics.json")
