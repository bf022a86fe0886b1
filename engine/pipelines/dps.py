"""From a run description to an ensemble on disk: diffusion posterior sampling of point clouds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.assignment.transport import compile_now
from engine.errors import SpecError
from engine.events import Progress
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.observations.gather import gather
from engine.observations.matched import MatchedPoints
from engine.observations.misfit import expected_energy
from engine.observations.pose_correction import ViewCorrection, correct_poses
from engine.pipelines.context import RunContext
from engine.pipelines.density_map import write_density_map
from engine.pipelines.dps_results import write_results
from engine.pipelines.dps_samples import Samples
from engine.pipelines.dps_views import write_views
from engine.pipelines.finer import write_finer
from engine.pipelines.placing import place_parts
from engine.pipelines.trust import stated_sigma
from engine.priors.checkpoint import load_prior, resolve
from engine.priors.edm import GaussianDenoiser
from engine.protocols import Denoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DpsSpec
from engine.types import Frame


def build_prior(spec: DpsSpec, device: torch.device) -> Denoiser:
    """The denoiser that the spec names.

    Raises
    ------
    PriorError
        If its weights can't be used.
    """
    if spec.prior.kind == "gaussian":
        return GaussianDenoiser(spec.prior.sigma).to(device)
    denoiser, _ = load_prior(resolve(spec.prior.weights), device)
    return denoiser


@dataclass(frozen=True)
class _Task:
    """What is drawn from.

    Attributes
    ----------
    evidence : in Å, after the correction of poses; ``corrections`` says what that was.
    observations : on the device.
    seeds : of all samples of the run.
    stated : for each observation the energy at which it is met to its stated error, normalised units².
    """

    evidence: list[Evidence]
    corrections: list[ViewCorrection]
    frame: Frame
    prior: Denoiser
    observations: list[MatchedPoints]
    seeds: list[int]
    stated: dict[str, float]


def _task(spec: DpsSpec, context: RunContext) -> _Task:
    context.emit(Progress(stage="reading evidence", done=0, total=1))
    evidence = gather(spec.observations, spec.points, context.notice)
    evidence, corrections = correct_poses(evidence, spec, context.notice)
    frame = estimate_frame(evidence, spec.frame, context.notice)
    context.notice(
        f"{len(evidence)} pieces of evidence; centre {', '.join(f'{c:.1f}' for c in frame.centre_A)} Å, "
        f"half-width {frame.scale_A:.1f} Å."
    )
    context.emit(Progress(stage="compiling, where it is the first run", done=0, total=1))
    compile_now()
    context.emit(Progress(stage="loading prior", done=0, total=1))
    prior = build_prior(spec, context.device)
    evidence = place_parts(spec, context, evidence, frame, prior)
    observations = [o.to(context.device) for o in to_observations(evidence, frame, spec.points)]
    stated = {o.name: expected_energy(o, stated_sigma(spec.sampler)) for o in observations}
    seeds = sample_seeds(spec.seed, spec.samples)
    return _Task(evidence, corrections, frame, prior, observations, seeds, stated)


def run_part(spec: DpsSpec, context: RunContext, numbers: Sequence[int]) -> None:
    """Draw only these samples, counted from 1, into ``checkpoints/samples/``; those there are kept.

    They are what :func:`run` draws, which finds them there and judges all.

    Raises
    ------
    SpecError
        If there are no such samples, or they can't be drawn apart from each other.
    VerglasError
        As :func:`run`.
    """
    if spec.steered:
        raise SpecError(
            "A steered run has no parts: its samples displace each other, and are drawn together.",
            "Run it in one piece, or set `sampler.steering` to 0.",
        )
    for number in numbers:
        if not 1 <= number <= spec.samples:
            raise SpecError(f"There is no sample {number}: the run has {spec.samples}.", "Count from 1.")
    task = _task(spec, context)
    samples = Samples(spec, context, task.frame, task.seeds, task.stated, sorted(set(numbers)), alone=False)
    samples.draw(task.prior, task.observations)


def run(spec: DpsSpec, context: RunContext) -> None:
    """Read the evidence, draw the ensemble, judge it, write ``results/``.

    Samples are drawn in batches, and kept as soon as a batch is finished: a run that goes on draws the
    missing ones only, to the last bit as if it had not been stopped. What is finished when the run is
    cancelled is also judged and kept in ``results/ensemble.npz``.

    Raises
    ------
    VerglasError
        With advice: a file, a setting or the numbers are at fault. ``Cancelled`` if asked to stop.
    """
    task = _task(spec, context)
    wanted = range(1, spec.samples + 1)
    samples = Samples(spec, context, task.frame, task.seeds, task.stated, wanted, alone=True)
    try:
        samples.draw(task.prior, task.observations)
    finally:
        # Also when cancelled or out of memory: whole batches are judged.
        if samples.done:
            context.emit(Progress(stage="judging", done=0, total=1))
            expected = np.array([task.stated[o.name] for o in task.observations])
            energies = samples.energies()
            write_views(spec, context, task.evidence, task.corrections, energies / expected)
            write_results(
                spec, context, task.frame, task.observations, samples.points_A(), energies,
                [task.seeds[number - 1] for number in samples.finished], task.prior,
            )  # fmt: skip
    points_A = samples.points_A()
    write_finer(spec, context, task.frame, points_A, task.evidence, task.corrections, task.prior)
    write_density_map(spec, context, points_A, task.evidence, task.corrections)
