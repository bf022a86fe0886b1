"""The only executor: a spec and a run directory in, exactly one terminal event out.

The window, the command line and Slurm differ only in who calls :func:`run`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine import errors
from engine.events import TERMINAL, Cancelled, Completed, Emit, Event, Failed, Notice, Progress, Started
from engine.jobs import memory
from engine.jobs.device_queue import CPU, GPU, Turn, device_of
from engine.jobs.event_log import EventWriter
from engine.jobs.fork import parent_of
from engine.jobs.manifest import changed_inputs, require_same_inputs, version, write_manifest
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec, TrainDenoiserSpec

if TYPE_CHECKING:
    from engine.numerics.devices import DeviceChoice
    from engine.pipelines.context import RunContext

POLL_S = 0.05  # a file system is asked for requests at most this often
Terminal = Completed | Cancelled | Failed

_LESS_MEMORY = "Choose a smaller `batch`, fewer samples or fewer points, or another device."
_BUG = "This is a bug in Verglas: please report it with the run's log.txt."


def run(
    spec: JobSpec,
    run_dir: RunDir,
    emit: Emit = lambda event: None,
    cancel: Callable[[], bool] = lambda: False,
    *,
    priority: int | None = None,
    compute: Callable[[JobSpec, RunContext], None] | None = None,
) -> Terminal:
    """Carry out a spec.

    Every event goes to ``events.jsonl`` and to ``emit``. No exception of the run itself leaves this
    function: it becomes a :class:`~engine.events.Failed` with advice.

    Parameters
    ----------
    run_dir : made by :meth:`RunDir.create` for this spec.
    emit : told about every event; called on whatever thread the pipeline emits from.
    cancel : asked at every step, besides the run directory's ``cancel`` file.
    priority : in the line of the device (:mod:`engine.jobs.device_queue`); None begins at once, for where
        something else hands out devices.
    compute : a part of the run (:mod:`engine.jobs.part_runner`); None computes it all.

    Returns
    -------
    The terminal event.

    Raises
    ------
    RunError
        If the directory is being computed by another process, or its events can't be written.
    """
    with run_dir.locked(), run_dir.writer() as writer:
        run_dir.sweep()
        return _Attempt(spec, run_dir, writer, emit, cancel, priority, compute).terminal()


def warm_up() -> None:
    """Import what runs need, which takes seconds."""
    import engine.numerics.devices
    import engine.pipelines.dps  # noqa: F401


class _Attempt:
    def __init__(
        self,
        spec: JobSpec,
        run_dir: RunDir,
        writer: EventWriter,
        emit: Emit,
        cancel: Callable[[], bool],
        priority: int | None,
        compute: Callable[[JobSpec, RunContext], None] | None,
    ) -> None:
        self._part = compute
        self._spec, self._run_dir, self._writer = spec, run_dir, writer
        self._emit, self._cancel = emit, cancel
        self._priority, self._index = priority, 0
        self._turn: Turn | None = None
        self._began = time.monotonic()
        self._asked, self._stop = 0.0, False

    def terminal(self) -> Terminal:
        try:
            self._execute()
            event: Terminal = Completed(seconds=self._seconds())
        except (errors.Cancelled, KeyboardInterrupt):
            event = Cancelled(seconds=self._seconds())
        except errors.VerglasError as exc:
            # without its folder this process can't let go of the run but by ending
            cause = type(exc).__name__ if self._run_dir.there else ""
            event = Failed(message=str(exc), detail=self._trace(), cause=cause)
        except Exception as exc:
            event = self._unexpected(exc)
        self._say(event)
        return event

    def _execute(self) -> None:
        with ExitStack() as line:
            self._line_up(line)
            spec = self._spec
            while (less := self._try(spec)) is not None:
                memory.let_go()
                spec = less
        for name in changed_inputs(self._run_dir):
            self._warn(
                f"{name} was changed or removed while the run read it: results may mix two versions. "
                "Run it again in another folder."
            )

    def _try(self, spec: JobSpec) -> JobSpec | None:
        """Compute; where memory doesn't suffice, a spec that needs less and computes the same."""
        # Here, not above: the window and `--help` never import torch.
        from engine.numerics.devices import choose_device, free_memory

        choice = choose_device(spec.device)
        gpu = choice.device.type != "cpu"
        self._settle(choice)
        spec, words = memory.fitted(spec, free_memory(choice.device), "GPU" if gpu else "computer")
        if gpu and spec.device == "cpu":
            self._warn(words)
            return spec
        if self._index and choice.device.type == "cuda":
            import torch

            torch.cuda.set_device(self._index)
        self._say(Started(kind=spec.kind, device=choice.words, version=version()))
        for warning in (*choice.warnings, *([words] if words else ())):
            self._warn(warning)
        try:
            self._compute(spec, choice)
            return None
        except errors.Cancelled:
            raise
        except Exception as exc:
            found = memory.lighter(spec, gpu=gpu) if memory.is_out_of_memory(exc) else None
            if found is None:
                raise
            less, words = found
            self._trace()
        # Outside the handler: the exception holds on to what filled the memory.
        where = "GPU" if gpu else "computer"
        self._warn(f"The {where} ran out of memory: the run goes on with {words}. What is finished is kept.")
        return less

    def _line_up(self, line: ExitStack) -> None:
        """Wait for the device's turn, if this run is one that waits."""
        if self._priority is None:
            return
        try:
            turn = line.enter_context(Turn(self._run_dir.path, device_of(self._spec.device), self._priority))
        except errors.VerglasError as exc:
            self._warn(f"The queue can't be used, so the run begins at once. {exc}")
            return
        self._turn = turn
        self._wait()

    def _wait(self) -> None:
        """Wait in the line; raises Cancelled if asked to stop meanwhile."""
        if self._turn is None:
            return

        def tell(words: str) -> None:
            self._say(Progress(stage=words.rstrip("."), done=0, total=1))

        self._index = self._turn.wait(tell, lambda: not self._run_dir.pause_requested(), self._asked_to_stop)
        if self._index < 0:
            raise errors.Cancelled

    def _settle(self, choice: DeviceChoice) -> None:
        """Move over to the line of the device that the run really gets."""
        device = CPU if choice.device.type == "cpu" else GPU
        if self._turn is not None and self._turn.device != device:
            self._turn.move(device)
            self._wait()

    def _compute(self, spec: JobSpec, choice: DeviceChoice) -> None:
        from engine.pipelines.context import RunContext

        require_same_inputs(self._run_dir, spec)
        if self._part is None or self._run_dir.manifest() is None:  # parts share the run's
            write_manifest(self._run_dir, spec, device=choice.words, prior=_prior_of(spec))
        context = RunContext(
            folder=self._run_dir.path,
            emit=self._say_ordinary,
            cancelled=self._stop_wanted,
            device=choice.device,
            device_words=choice.words,
        )
        context.check()
        if self._part is None and (parent := parent_of(self._run_dir)) is not None:
            self._say(Notice(level="info", message=parent.words))
        if self._part is not None:
            self._part(spec, context)
        elif isinstance(spec, TrainPriorSpec):
            from engine.pipelines import train_prior

            train_prior.run(spec, context)
        elif isinstance(spec, DpsSpec):
            from engine.pipelines import dps

            dps.run(spec, context)
        elif isinstance(spec, TrainDenoiserSpec):
            from engine.pipelines import train_denoiser

            train_denoiser.run(spec, context)
        elif isinstance(spec, SdsSpec):
            from engine.pipelines import sds

            sds.run(spec, context)
        elif isinstance(spec, KnownPosesSpec):
            from engine.pipelines import known_poses

            known_poses.run(spec, context)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _say(self, event: Event) -> None:
        self._writer.write(event)
        self._emit(event)

    def _say_ordinary(self, event: Event) -> None:
        if isinstance(event, TERMINAL):
            raise TypeError("a pipeline returns or raises; only the runner ends a run")
        self._say(event)

    def _warn(self, words: str) -> None:
        self._say(Notice(level="warning", message=words))

    def _asked_to_stop(self) -> bool:
        return self._cancel() or self._run_dir.cancel_requested()

    def _stop_wanted(self) -> bool:
        """Whether to stop; waits here while the run is paused."""
        if self._stop or self._cancel():
            self._stop = True
            return True
        now = time.monotonic()
        if now - self._asked < POLL_S:
            return False
        self._asked = now
        if not self._run_dir.there:
            raise errors.RunError(
                "The run's folder was moved or removed while it was computed.",
                "Run it again where it is now: it goes on with what it had kept.",
                self._run_dir.path,
            )
        self._stop = self._run_dir.cancel_requested()
        if not self._stop and self._run_dir.pause_requested():
            self._pause()
        return self._stop

    def _pause(self) -> None:
        self._say(Notice(level="info", message="Paused."))
        if self._turn is not None:
            self._turn.give_up()  # others may compute meanwhile
        while self._run_dir.pause_requested() and not self._asked_to_stop():
            time.sleep(POLL_S)
        self._stop = self._asked_to_stop()
        if not self._stop:
            self._wait()
            self._say(Notice(level="info", message="Going on."))

    def _trace(self) -> str:
        text = traceback.format_exc()
        try:
            if self._run_dir.there:
                self._run_dir.log(text)
        except OSError:
            pass  # the event tells it too
        return text

    def _unexpected(self, exc: Exception) -> Failed:
        trace = self._trace()
        if memory.is_out_of_memory(exc):
            where = "GPU" if memory.on_gpu(exc) else "computer"
            return Failed(message=f"The {where} ran out of memory. {_LESS_MEMORY}", detail=trace)
        reason = str(exc).strip().splitlines()
        summary = f"{type(exc).__name__}: {reason[0]}" if reason else type(exc).__name__
        return Failed(message=f"An unexpected error stopped the run ({summary[:300]}). {_BUG}", detail=trace)


def _prior_of(spec: JobSpec) -> Path | None:
    if isinstance(spec, SdsSpec | KnownPosesSpec):
        return Path(spec.denoiser.weights) if spec.denoiser.kind == "trained" else None
    if (
        not isinstance(spec, DpsSpec)
        or spec.prior.kind != "network"
        or spec.sampler.kind == "maximum_likelihood"
    ):
        return None
    from engine.priors.checkpoint import resolve

    path = resolve(spec.prior.weights)
    if not path.is_file():
        raise errors.PriorError("The prior's weights are missing.", "Check the path, or use `shipped`.", path)
    return path
