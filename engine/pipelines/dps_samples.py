"""The samples of a run: drawn in batches, kept as soon as a batch is finished, and shown on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.events import Energies, Metric, Progress, Snapshot
from engine.io.atomic import write_npy
from engine.io.frames import FrameFacts, FrameKeeper
from engine.io.kept_samples import KeptSample, read_samples, write_sample
from engine.pipelines.context import RunContext
from engine.pipelines.draw import Step, draw
from engine.protocols import Denoiser, Observation
from engine.specs.estimates import SAMPLES_TOGETHER
from engine.specs.job import DpsSpec
from engine.types import Frame

SNAPSHOT_SECONDS = 0.1  # at most ten a second reach the window
LIVE_SNAPSHOTS = 8  # for who watches; what is kept for later are frames


class Samples:
    """Draws the wanted samples of a run, except those that an earlier attempt has kept.

    Turns steps into events and snapshots, and polls for cancellation.

    Parameters
    ----------
    seeds : of all samples of the run.
    stated : for each observation the energy at which it is met to its stated error, normalised units².
    numbers : the wanted samples, counted from 1.
    alone : whether no other process draws samples of this run: frames are kept then.

    Attributes
    ----------
    done : what is finished, by number.
    """

    def __init__(
        self,
        spec: DpsSpec,
        context: RunContext,
        frame: Frame,
        seeds: Sequence[int],
        stated: Mapping[str, float],
        numbers: Sequence[int],
        *,
        alone: bool,
    ) -> None:
        self.spec, self.context, self.frame, self.seeds = spec, context, frame, seeds
        self.numbers, self.samples = list(numbers), len(numbers)
        self.names, self.stated = tuple(stated), {n: e * frame.scale_A**2 for n, e in stated.items()}
        self.frames = FrameKeeper(context.folder) if alone else None
        self.done, complaints = read_samples(
            context.folder, numbers, points=spec.points, observations=len(stated), seeds=seeds
        )
        for sentence in complaints:
            context.notice(sentence, warning=True)
        if spec.steered and len(self.done) < self.samples:
            self.done = {}  # they were drawn together, and are again
        if self.done:
            context.notice(f"{len(self.done)} of {self.samples} samples were finished before; going on.")
        self._first = len(self.done)
        self._batch: list[int] = []
        self._live: list[Path] = []
        self._started, self._shown, self._warned = time.monotonic(), 0.0, False

    @property
    def finished(self) -> list[int]:
        """Numbers of the finished samples."""
        return sorted(self.done)

    def points_A(self) -> NDArray[np.float32]:
        """Finished samples (n, points, 3), Å."""
        return np.stack(
            [self.frame.to_A(self.done[number].points).astype(np.float32) for number in self.finished]
        )

    def energies(self) -> NDArray[np.float32]:
        """Of the finished samples (n, observations), normalised units²."""
        return np.stack([self.done[number].energies for number in self.finished])

    def draw(self, prior: Denoiser, observations: Sequence[Observation]) -> None:
        """Draw what is missing, batch after batch. Raises as :func:`engine.pipelines.draw.draw`."""
        missing = [number for number in self.numbers if number not in self.done]
        # samples that displace each other: all of the run, whatever the batch
        size = max(1, len(missing)) if self.spec.steered else self.spec.batch or SAMPLES_TOGETHER
        for start in range(0, len(missing), size):
            self._batch = missing[start : start + size]
            points, energies = draw(
                prior,
                observations,
                self.spec.sampler,
                [self.seeds[number - 1] for number in self._batch],
                points=self.spec.points,
                device=self.context.device,
                watch=self._watch,
            )
            self._keep(points, energies)

    def _keep(self, points: Tensor, energies: Tensor) -> None:
        clouds = points.to(torch.float32).cpu().numpy()
        values = energies.to(torch.float32).cpu().numpy()
        for row, number in enumerate(self._batch):
            kept = KeptSample(clouds[row], values[row], self.seeds[number - 1])
            write_sample(self.context.folder, number, kept)
            self.done[number] = kept

    # ---- telling --------------------------------------------------------------------------------

    def _watch(self, step: Step) -> None:
        self.context.check()
        now = time.monotonic()
        here = step.number / step.total * len(step.points)
        share = (len(self.done) + here) / self.samples
        drawn = (len(self.done) - self._first + here) / self.samples
        eta = (now - self._started) * (1 - share) / drawn
        total = step.total * self.samples
        self.context.emit(Progress(stage="sampling", done=round(share * total), total=total, eta_s=eta))
        values: dict[str, float] = {}
        if self.names:
            mean = step.energies.mean(0).tolist()
            values = {n: e * self.frame.scale_A**2 for n, e in zip(self.names, mean, strict=True)}
            self.context.emit(Energies(step=step.number, sigma=step.sigma, values=values, stated=self.stated))
        if step.stability is not None:
            self.context.emit(Metric("stability number φ", step.number, step.stability))
            if step.stability > 1 and not self._warned:
                self.context.notice(
                    f"The guidance scale is clamped: φ is {step.stability:.1f} at σ={step.sigma:.2g}."
                )
                self._warned = True
        if (r := step.resampled) is not None:
            before, after = (s * self.frame.scale_A for s in (r.spread_before, r.spread_after))
            self.context.notice(
                f"Steering after step {r.step + 1}: {r.survivors} of {len(step.points)} samples went on "
                f"(effective number {r.effective:.1f}); {before:.2f} Å apart before, {after:.2f} Å after."
            )
        if now - self._shown >= SNAPSHOT_SECONDS or step.number == step.total:
            self._shown = now
            self._snapshot(step, values)

    def _snapshot(self, step: Step, energies: dict[str, float]) -> None:
        here = self.frame.to_A(step.points.cpu().numpy())
        before = [self.points_A()] if self.done else []
        points = np.concatenate([*before, here]).astype(np.float32)
        path = self.context.folder / "snapshots" / f"step_{self._batch[0] - 1:04d}_{step.number:04d}.npy"
        write_npy(path, points)
        relative = path.relative_to(self.context.folder).as_posix()
        self.context.emit(Snapshot(step=step.number, total=step.total, sigma=step.sigma, path=relative))
        batch = f"samples {self._batch[0]} to {self._batch[-1]} of {self.spec.samples}"
        label = batch if self.samples > len(step.points) else ""
        if self.frames is not None:
            kept = FrameFacts("points", "", step.number, step.total, step.sigma, label, energies=energies)
            self.frames.points(points, kept)
        self._live.append(path)
        for old in self._live[:-LIVE_SNAPSHOTS]:
            old.unlink(missing_ok=True)
        del self._live[:-LIVE_SNAPSHOTS]
