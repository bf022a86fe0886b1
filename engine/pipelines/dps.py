"""From a run description to an ensemble on disk: diffusion posterior sampling of point clouds."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.assignment.transport import compile_now
from engine.events import Energies, Metric, Progress, Snapshot
from engine.io.atomic import write_npy
from engine.io.frames import FrameFacts, FrameKeeper
from engine.observations.evidence import estimate_frame, to_observations
from engine.observations.gather import gather
from engine.observations.misfit import expected_energy
from engine.observations.pose_correction import correct_poses
from engine.pipelines.context import RunContext
from engine.pipelines.density_map import write_density_map
from engine.pipelines.dps_results import write_results
from engine.pipelines.dps_views import write_views
from engine.pipelines.draw import Step, draw
from engine.pipelines.finer import write_finer
from engine.pipelines.placing import place_parts
from engine.pipelines.trust import stated_sigma
from engine.priors.checkpoint import load_prior, resolve
from engine.priors.edm import GaussianDenoiser
from engine.protocols import Denoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DpsSpec
from engine.specs.samplers import Annealed
from engine.types import Frame

SNAPSHOT_SECONDS = 0.1  # at most ten a second reach the window
LIVE_SNAPSHOTS = 8  # for who watches; what is kept for later are frames
BATCH = 16  # samples together where the spec leaves it open; bounds memory, not results


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


class _Watch:
    """Turns steps into events and snapshots, and polls for cancellation."""

    def __init__(self, context: RunContext, frame: Frame, stated: Mapping[str, float], samples: int) -> None:
        self.context, self.frame, self.samples = context, frame, samples
        self.names, self.stated = tuple(stated), {n: e * frame.scale_A**2 for n, e in stated.items()}
        self.frames = FrameKeeper(context.folder)
        self.done: list[NDArray[np.float32]] = []
        self.finished = 0
        self.started, self.shown, self.warned = time.monotonic(), 0.0, False

    def __call__(self, step: Step) -> None:
        self.context.check()
        now = time.monotonic()
        share = (self.finished + step.number / step.total * len(step.points)) / self.samples
        eta = (now - self.started) * (1 - share) / share
        total = step.total * self.samples
        self.context.emit(Progress(stage="sampling", done=round(share * total), total=total, eta_s=eta))
        values: dict[str, float] = {}
        if self.names:
            mean = step.energies.mean(0).tolist()
            values = {n: e * self.frame.scale_A**2 for n, e in zip(self.names, mean, strict=True)}
            self.context.emit(Energies(step=step.number, sigma=step.sigma, values=values, stated=self.stated))
        if step.stability is not None:
            self.context.emit(Metric("stability number φ", step.number, step.stability))
            if step.stability > 1 and not self.warned:
                self.context.notice(
                    f"The guidance scale is clamped: φ is {step.stability:.1f} at σ={step.sigma:.2g}."
                )
                self.warned = True
        if (r := step.resampled) is not None:
            before, after = (s * self.frame.scale_A for s in (r.spread_before, r.spread_after))
            self.context.notice(
                f"Steering after step {r.step + 1}: {r.survivors} of {len(step.points)} samples went on "
                f"(effective number {r.effective:.1f}); {before:.2f} Å apart before, {after:.2f} Å after."
            )
        if now - self.shown >= SNAPSHOT_SECONDS or step.number == step.total:
            self.shown = now
            self.snapshot(step, values)

    def snapshot(self, step: Step, energies: dict[str, float]) -> None:
        points = np.concatenate([*self.done, self.frame.to_A(step.points.cpu().numpy())]).astype(np.float32)
        path = self.context.folder / "snapshots" / f"step_{self.finished:04d}_{step.number:04d}.npy"
        write_npy(path, points)
        relative = path.relative_to(self.context.folder).as_posix()
        self.context.emit(Snapshot(step=step.number, total=step.total, sigma=step.sigma, path=relative))
        batch = f"samples {self.finished + 1} to {self.finished + len(step.points)} of {self.samples}"
        label = batch if self.samples > len(step.points) else ""
        kept = FrameFacts("points", "", step.number, step.total, step.sigma, label, energies=energies)
        self.frames.points(points, kept)
        for old in sorted(path.parent.glob("step_*.npy"))[:-LIVE_SNAPSHOTS]:
            old.unlink(missing_ok=True)

    def finish(self, points: Tensor) -> None:
        """A batch is done."""
        self.done.append(self.frame.to_A(points.cpu().numpy()).astype(np.float32))
        self.finished += len(points)


def run(spec: DpsSpec, context: RunContext) -> None:
    """Read the evidence, draw the ensemble, judge it, write ``results/``.

    Samples are drawn in batches; what is finished when the run is cancelled is kept in
    ``results/ensemble.npz``.

    Raises
    ------
    VerglasError
        With advice: a file, a setting or the numbers are at fault. ``Cancelled`` if asked to stop.
    """
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
    seeds = sample_seeds(spec.seed, spec.samples)
    stated = {o.name: expected_energy(o, stated_sigma(spec.sampler)) for o in observations}
    watch = _Watch(context, frame, stated, spec.samples)
    energies: list[NDArray[np.float32]] = []
    batch = spec.batch or BATCH
    if isinstance(spec.sampler, Annealed) and spec.sampler.steering:
        batch = spec.samples  # samples displace each other: all of the run, whatever the batch
    try:
        for start in range(0, spec.samples, batch):
            points, energy = draw(
                prior,
                observations,
                spec.sampler,
                seeds[start : start + batch],
                points=spec.points,
                device=context.device,
                watch=watch,
            )
            watch.finish(points)
            energies.append(energy.cpu().numpy().astype(np.float32))
    finally:
        # Also when cancelled or out of memory: whole batches are kept, and judged.
        if energies:
            context.emit(Progress(stage="judging", done=0, total=1))
            expected = np.array([stated[o.name] for o in observations])
            write_views(spec, context, evidence, corrections, np.concatenate(energies) / expected)
            write_results(
                spec,
                context,
                frame,
                observations,
                np.concatenate(watch.done),
                np.concatenate(energies),
                seeds,
                prior,
            )
    samples = np.concatenate(watch.done)
    write_finer(spec, context, frame, samples, evidence, corrections, prior)
    write_density_map(spec, context, samples, evidence, corrections)
