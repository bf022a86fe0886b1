"""What a reconstruction says about its own reliability: misfit, control, gauge, stated error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import SamplingError
from engine.events import Progress
from engine.metrics.gauge import free_clouds, gauge
from engine.metrics.stated_error import StatedError, stated_error
from engine.observations.matched import MatchedPoints
from engine.observations.misfit import SUSPICIOUS, chi_square, fitted_sigma, left_open
from engine.pipelines.context import RunContext
from engine.pipelines.draw import Step, draw
from engine.priors.edm import EdmDenoiser, GaussianDenoiser
from engine.protocols import Denoiser
from engine.sampling.matching import match_all
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DpsSpec
from engine.specs.samplers import MaximumLikelihood, SamplerSpec, Unconditional
from engine.types import Frame

STATED_SIGMA = 0.01
"""Error of the evidence, normalised units, where the sampler doesn't state one."""
DEPTH_SIGMA = 0.15
"""How far a prior of shapes leaves a point that is seen from one side only, normalised units.

Less than half of an object's 0.36, which would state errors twice as large as they are for two views alone.
"""
APART = 1_000_003  # between the seeds of a run and those of its control
FREE = 8  # clouds of noise: enough that the control's number decides


def stated_sigma(sampler: SamplerSpec) -> float:
    """The error of the evidence per coordinate that a sampler works with, normalised units."""
    stated = getattr(sampler, "observation_sigma", None)
    return float(stated) if isinstance(stated, int | float) else STATED_SIGMA


def misfit(
    observations: Sequence[MatchedPoints], points_A: NDArray[np.floating], frame: Frame, sigma: float
) -> dict[str, Any]:
    """How well samples fit each observation, ready for JSON.

    Returns
    -------
    dict
        ``names``; ``chi_square`` (samples, observations): squared residuals per coordinate over what the
        stated error and the coarseness of the evidence let expect, 1 where points fit to the stated error;
        ``stated_A`` that error; ``fitted_A`` (observations,): the error for which the residuals would speak;
        ``flagged_above``: what is suspicious, as far above 1 and above the others.
    """
    device = observations[0].targets.device if observations else torch.device("cpu")
    x = torch.as_tensor(frame.from_A(points_A), dtype=torch.float32, device=device)
    matches = match_all(observations, x)
    each = [chi_square(o, x, m, sigma).tolist() for o, m in zip(observations, matches, strict=True)]
    fitted = [fitted_sigma(o, x, m) * frame.scale_A for o, m in zip(observations, matches, strict=True)]
    # Correspondences that are not settled leave residuals on all views alike: what stands out is suspicious.
    typical = float(np.quantile(np.mean(each, axis=1), 0.5, method="lower")) if each else 1.0
    return {
        "names": [o.name for o in observations],
        "stated_A": sigma * frame.scale_A,
        "fitted_A": fitted,
        "chi_square": np.array(each).T.tolist() if each else [],
        "flagged_above": SUSPICIOUS * max(1.0, typical),
        "unit": "squared residual per coordinate over its expected variance",
    }


def error_of(
    observations: Sequence[MatchedPoints],
    points_A: NDArray[np.floating],
    frame: Frame,
    sigma: float,
) -> StatedError | None:
    """What is stated about the error of each point, Å, from matched samples (n, points, 3)."""
    device = observations[0].targets.device
    shown = torch.as_tensor(frame.from_A(points_A.mean(0)), dtype=torch.float32, device=device)
    left = left_open(observations, shown, sigma, DEPTH_SIGMA).double().cpu().numpy() * frame.scale_A**2
    return stated_error(points_A, left)


def contradictions(found: dict[str, Any], most: int = 3) -> list[str]:
    """Sentences about the observations that the samples don't fit to the stated error, the worst first."""
    if not found["chi_square"]:
        return []
    mean = np.asarray(found["chi_square"], float).mean(0)
    wrong = [int(i) for i in np.argsort(-mean) if mean[i] > found["flagged_above"]]
    told = [
        f"{found['names'][i]} is not met to its stated error of {found['stated_A']:.2g} Å: its residuals "
        f"speak for {found['fitted_A'][i]:.2g} Å (χ² {mean[i]:.1f}, 1 fits). Its pose, pixel size or centre "
        "may be wrong, or it is noisier than stated."
        for i in wrong[:most]
    ]
    if len(wrong) > most:
        told.append(f"So it is with {len(wrong) - most} more of {len(mean)} pieces of evidence.")
    return told


def gauge_of(
    spec: DpsSpec,
    context: RunContext,
    prior: Denoiser,
    observations: Sequence[MatchedPoints],
    shown: NDArray[np.floating],
) -> NDArray[np.float64] | None:
    """The prior's share (:mod:`engine.metrics.gauge`) of each point (points, 3), normalised coordinates.

    Draws the control: ``spec.control`` samples with a prior that knows no shapes. None where there is nothing
    to compare: no learned prior, no evidence, or a sampler that uses only one of the two.

    Raises
    ------
    Cancelled
        If asked to stop.
    """
    compares = isinstance(prior, EdmDenoiser) and not isinstance(
        spec.sampler, MaximumLikelihood | Unconditional
    )
    if not compares or not observations or not spec.control:
        return None
    assert isinstance(prior, EdmDenoiser)  # noqa: S101 - for the type checker

    def watch(step: Step) -> None:
        context.check()
        context.emit(Progress(stage="control without shapes", done=step.number, total=step.total))

    try:
        control, _ = draw(
            GaussianDenoiser(prior.sigma_data).to(context.device),
            observations,
            spec.sampler,
            sample_seeds(spec.seed + APART, spec.control),
            points=len(shown),
            device=context.device,
            watch=watch,
        )
    except SamplingError as exc:  # the samples are good all the same
        context.notice(f"The prior's share is left out: {exc}")
        return None
    free = free_clouds(FREE, len(shown), prior.sigma_data, seed=spec.seed)
    return gauge(shown, control.double().cpu().numpy(), free)
