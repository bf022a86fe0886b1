"""What a finished (or stopped) reconstruction leaves in ``results/``: the ensemble and what it is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.io.atomic import write_npy, write_text
from engine.io.ensemble import write_ensemble
from engine.metrics.ensemble import matched, spread_of_matched
from engine.observations.matched import MatchedPoints
from engine.pipelines.context import RunContext
from engine.pipelines.evaluate import evaluate
from engine.pipelines.trust import contradictions, error_of, gauge_of, misfit, stated_sigma
from engine.protocols import Denoiser
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
    prior: Denoiser | None = None,
) -> None:
    """Ensemble, spread, stated error, the prior's share, and metrics.

    Parameters
    ----------
    prior : that the samples were drawn with; without it the prior's share is left out.

    Raises
    ------
    Cancelled
        If asked to stop while the control is drawn; all else is written all the same.
    """
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

    def write_values(name: str, values: NDArray[np.floating]) -> None:
        write_npy(results / f"{name}.npy", values.astype(np.float32))
        context.result(name, results / f"{name}.npy")

    write_values("spread", spread_of_matched(points_A))
    sigma, error = stated_sigma(spec.sampler), None
    if ensemble.kind == "posterior" and observations:
        error = error_of(observations, points_A, frame, sigma)
    if error is not None:
        write_npy(results / "error_freedom.npy", error.freedom.astype(np.float32))
        write_values("error", error.radius)
    truth = Path(spec.truth) if spec.truth else None
    report = evaluate(ensemble, truth, seed=spec.seed, error=error)
    if observations:
        report["misfit"] = misfit(observations, points_A, frame, sigma)
        for sentence in contradictions(report["misfit"]):
            context.notice(sentence, warning=True)
    _write_report(results, context, report)
    if prior is not None and not context.cancelled():
        share = gauge_of(spec, context, prior, observations, frame.from_A(points_A.mean(0)))
        if share is not None:
            write_values("gauge", share)
            report["gauge"] = {"median": float(np.median(share)), "above_half": float((share > 0.5).mean())}
            _write_report(results, context, report)


def _write_report(results: Path, context: RunContext, report: dict[str, Any]) -> None:
    write_text(results / "metrics.json", json.dumps(report, indent=1))
    context.result("metrics", results / "metrics.json")
