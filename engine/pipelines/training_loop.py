"""The loop of every training: until the time or the steps are used up, saying and keeping what has to be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from engine.errors import Cancelled, RunError, SamplingError
from engine.events import Metric, Progress
from engine.pipelines.context import RunContext
from engine.priors.training_state import TrainingState

REPORT_SECONDS = 5.0
CHECKPOINT = Path("checkpoints") / "training.safetensors"
MILESTONES = Path("checkpoints") / "milestones"
MILESTONE_EVERY = 0.2  # of the training: what branches can begin from


@runtime_checkable
class Training(Protocol):
    """What a loop carries out."""

    @property
    def trainer(self) -> TrainingState:
        """Weights and randomness."""
        ...

    def step(self, progress: float) -> float:
        """One step; the loss. ``progress`` in [0, 1] is the share that is over."""
        ...

    def save(self, *, final: bool) -> None:
        """Write weights and metrics; all that is measured at the end if ``final``."""
        ...

    def pause(self) -> None:
        """Called between steps, for pictures."""
        ...


class SamplePace:
    """When a training shows what it would draw: ever more rarely in long ones, since each is a file.

    Parameters
    ----------
    seconds : at least so long between two.
    share : of the time that drawing takes, at most.
    rarer : at least this share of the training time so far between two.
    """

    def __init__(
        self, *, seconds: float, share: float, rarer: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self.share, self.rarer, self._clock = seconds, share, rarer, clock
        self._drawn, self._cost = clock(), 0.0

    def keep(self, trained_s: float, draw: Callable[[], None]) -> None:
        """Draw, if it is time."""
        if self._clock() - self._drawn < max(self.seconds, self._cost / self.share, self.rarer * trained_s):
            return
        begun = self._clock()
        draw()
        self._drawn = self._clock()
        self._cost = self._drawn - begun


class TrainingLoop:
    """Runs a training and counts its time.

    Parameters
    ----------
    seconds, max_steps : the training ends with whichever comes first. Only steps count, not what is
        measured or written between them.
    checkpoint_seconds : time between checkpoints.
    """

    def __init__(
        self,
        training: Training,
        context: RunContext,
        *,
        seconds: float,
        max_steps: int,
        checkpoint_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.training, self.context = training, context
        self.seconds, self.max_steps, self.checkpoint_seconds = seconds, max_steps, checkpoint_seconds
        self._clock = clock
        self._losses: list[float] = []
        self._reported = self._saved = clock()
        if self._load():
            trainer = training.trainer
            context.notice(f"Resumed after {trainer.steps} steps and {_words(trainer.seconds)}.")
        self._passed = self._milestone()

    def _load(self) -> bool:
        """Take up the newest checkpoint that can be read; False if there is none.

        Raises
        ------
        RunError
            If there are some, and none can be used.
        """
        folder = self.context.folder
        older = sorted((folder / MILESTONES).glob("*.safetensors"), reverse=True)
        problem: RunError | None = None
        for checkpoint in (folder / CHECKPOINT, *older):
            if not checkpoint.is_file():
                continue
            try:
                self.training.trainer.load(checkpoint)
            except RunError as exc:
                problem = problem or exc
                continue
            if problem is not None:
                self.context.notice(f"{problem} The one of an earlier step is used.", warning=True)
            return True
        if problem is not None:
            raise problem
        return False

    def _milestone(self) -> int:
        """How many milestones are passed; none at the very end, which has a checkpoint of its own."""
        return min(int(self.progress() / MILESTONE_EVERY + 1e-9), round(1 / MILESTONE_EVERY) - 1)

    def follow(self) -> None:
        """Take part in the steps that the team's leader announces, until it says that there are no more.

        Measuring, writing and speaking are the leader's.
        """
        trainer = self.training.trainer
        assert trainer.team is not None
        while (progress := trainer.team.announce(None)) is not None:
            self.training.step(progress)

    def progress(self) -> float:
        """Share of the training that is over, by time or steps, whichever is further."""
        t = self.training.trainer
        return min(1.0, max(t.seconds / self.seconds, t.steps / self.max_steps))

    def run(self) -> None:
        """Train to the end; a cancelled training keeps its checkpoint, weights and metrics.

        Raises
        ------
        Cancelled
            If the run was asked to stop.
        SamplingError
            If the loss left the finite numbers.
        """
        team = self.training.trainer.team
        try:
            self._steps()
        except Cancelled:
            if team is not None:
                team.announce(None)
            self._save(final=False)
            raise
        if team is not None:
            team.announce(None)
        self._report()
        self._save(final=True)

    def _steps(self) -> None:
        trainer = self.training.trainer
        while self.progress() < 1.0:
            self.context.check()
            begun, progress = self._clock(), self.progress()
            if trainer.team is not None:
                trainer.team.announce(progress)
            loss = self.training.step(progress)
            if not loss < 1e6:  # also NaN
                raise SamplingError(
                    f"The loss left the finite numbers at step {trainer.steps}.",
                    "Lower the learning rate; the last checkpoint is kept.",
                )
            self._losses.append(loss)
            trainer.seconds += self._clock() - begun
            self.training.pause()
            if self._clock() - self._reported > REPORT_SECONDS:
                self._report()
            if (passed := self._milestone()) > self._passed:
                self._passed = passed
                trainer.save(self.context.folder / MILESTONES / f"step_{trainer.steps:09d}.safetensors")
            if self._clock() - self._saved > self.checkpoint_seconds:
                self._save(final=False)

    def _report(self) -> None:
        share, t = self.progress(), self.training.trainer
        eta = t.seconds * (1 - share) / share if share > 0 else None
        self.context.emit(Progress(stage="training", done=round(1000 * share), total=1000, eta_s=eta))
        if self._losses:
            self.context.emit(Metric("loss", t.steps, sum(self._losses) / len(self._losses)))
        self._losses, self._reported = [], self._clock()

    def _save(self, *, final: bool) -> None:
        self.training.trainer.save(self.context.folder / CHECKPOINT)
        self.training.save(final=final)
        self._saved = self._clock()


def _words(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
