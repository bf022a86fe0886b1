"""The only executor: a spec and a run directory in, exactly one terminal event out.

The window, the command line and Slurm differ only in who calls :func:`run`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path

from engine import errors
from engine.events import TERMINAL, Cancelled, Completed, Emit, Event, Failed, Notice, Started
from engine.jobs.event_log import EventWriter
from engine.jobs.manifest import version, write_manifest
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec, TrainDenoiserSpec

POLL_S = 0.05  # a file system is asked for requests at most this often
Terminal = Completed | Cancelled | Failed

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_LESS_MEMORY = "Choose a smaller `batch`, fewer samples or fewer points, or another device."
_BUG = "This is a bug in Verglas: please report it with the run's log.txt."


def run(
    spec: JobSpec,
    run_dir: RunDir,
    emit: Emit = lambda event: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Terminal:
    """Carry out a spec.

    Every event goes to ``events.jsonl`` and to ``emit``. No exception of the run itself leaves this
    function: it becomes a :class:`~engine.events.Failed` with advice.

    Parameters
    ----------
    run_dir : made by :meth:`RunDir.create` for this spec.
    emit : told about every event; called on whatever thread the pipeline emits from.
    cancel : asked at every step, besides the run directory's ``cancel`` file.

    Returns
    -------
    The terminal event.

    Raises
    ------
    RunError
        If the directory is being computed by another process, or its events can't be written.
    """
    with run_dir.locked(), run_dir.writer() as writer:
        return _Attempt(spec, run_dir, writer, emit, cancel).terminal()


def warm_up() -> None:
    """Import what runs need, which takes seconds."""
    import engine.numerics.devices
    import engine.pipelines.dps  # noqa: F401


class _Attempt:
    def __init__(
        self, spec: JobSpec, run_dir: RunDir, writer: EventWriter, emit: Emit, cancel: Callable[[], bool]
    ) -> None:
        self._spec, self._run_dir, self._writer = spec, run_dir, writer
        self._emit, self._cancel = emit, cancel
        self._began = time.monotonic()
        self._asked, self._stop = 0.0, False

    def terminal(self) -> Terminal:
        try:
            self._execute()
            event: Terminal = Completed(seconds=self._seconds())
        except (errors.Cancelled, KeyboardInterrupt):
            event = Cancelled(seconds=self._seconds())
        except errors.VerglasError as exc:
            event = Failed(message=str(exc), detail=self._trace(), cause=type(exc).__name__)
        except MemoryError:
            event = Failed(message=f"The computer ran out of memory. {_LESS_MEMORY}", detail=self._trace())
        except Exception as exc:
            event = self._unexpected(exc)
        self._say(event)
        return event

    def _execute(self) -> None:
        # Here, not above: the window and `--help` never import torch.
        from engine.numerics.devices import choose_device
        from engine.pipelines.context import RunContext

        choice = choose_device(self._spec.device)
        self._say(Started(kind=self._spec.kind, device=choice.words, version=version()))
        for warning in choice.warnings:
            self._say(Notice(level="warning", message=warning))
        write_manifest(self._run_dir, self._spec, device=choice.words, prior=_prior_of(self._spec))
        context = RunContext(
            folder=self._run_dir.path,
            emit=self._say_ordinary,
            cancelled=self._stop_wanted,
            device=choice.device,
            device_words=choice.words,
        )
        context.check()
        if isinstance(self._spec, TrainPriorSpec):
            from engine.pipelines import train_prior

            train_prior.run(self._spec, context)
        elif isinstance(self._spec, DpsSpec):
            from engine.pipelines import dps

            dps.run(self._spec, context)
        elif isinstance(self._spec, TrainDenoiserSpec):
            from engine.pipelines import train_denoiser

            train_denoiser.run(self._spec, context)
        elif isinstance(self._spec, SdsSpec):
            from engine.pipelines import sds

            sds.run(self._spec, context)
        elif isinstance(self._spec, KnownPosesSpec):
            from engine.pipelines import known_poses

            known_poses.run(self._spec, context)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _say(self, event: Event) -> None:
        self._writer.write(event)
        self._emit(event)

    def _say_ordinary(self, event: Event) -> None:
        if isinstance(event, TERMINAL):
            raise TypeError("a pipeline returns or raises; only the runner ends a run")
        self._say(event)

    def _stop_wanted(self) -> bool:
        """Whether to stop; waits here while the run is paused."""
        if self._stop or self._cancel():
            self._stop = True
            return True
        now = time.monotonic()
        if now - self._asked < POLL_S:
            return False
        self._asked = now
        self._stop = self._run_dir.cancel_requested()
        if not self._stop and self._run_dir.pause_requested():
            self._say(Notice(level="info", message="Paused."))
            while self._run_dir.pause_requested() and not (
                self._cancel() or self._run_dir.cancel_requested()
            ):
                time.sleep(POLL_S)
            self._stop = self._cancel() or self._run_dir.cancel_requested()
            if not self._stop:
                self._say(Notice(level="info", message="Going on."))
        return self._stop

    def _trace(self) -> str:
        text = traceback.format_exc()
        try:
            self._run_dir.log(text)
        except OSError:
            pass  # the event tells it too
        return text

    def _unexpected(self, exc: Exception) -> Failed:
        trace = self._trace()
        if any(words in str(exc).lower() for words in _OUT_OF_MEMORY):
            where = "GPU" if "cuda" in str(exc).lower() or "mps" in str(exc).lower() else "computer"
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
