"""One running job as the window sees it: events arrive on the worker's thread and leave as signals.

The worker's thread only puts events into a queue and rings. Snapshots are read in the background
(:mod:`app.snapshots`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal, Slot

from app.background import Background, words
from app.run_files import StoredRun, has_results, load_run
from app.run_summary import WAITS
from app.snapshots import SnapshotReader
from engine.events import (
    Cancelled,
    Completed,
    Energies,
    Event,
    Failed,
    ImagesSnapshot,
    MapSnapshot,
    Metric,
    Notice,
    Progress,
    Result,
    Snapshot,
    Started,
)
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec

PAUSED, GOES_ON = "Paused.", "Going on."
"""Notices with which a run answers."""


class WorkerLike(Protocol):
    """What the monitor needs of :class:`engine.jobs.worker.Worker`."""

    def start(self) -> None: ...  # noqa: D102

    def cancel(self) -> None: ...  # noqa: D102

    def join(self, timeout: float | None = None) -> Any: ...  # noqa: D102

    @property
    def alive(self) -> bool: ...  # noqa: D102


MakeWorker = Callable[[JobSpec | None, Path, Callable[[Event], None]], WorkerLike]


def engine_worker(spec: JobSpec | None, folder: Path, on_event: Callable[[Event], None]) -> WorkerLike:
    """The real worker: a thread that supervises an engine process; without a spec it attaches to a run."""
    from engine.jobs.worker import Worker

    return Worker(RunDir.open(folder) if spec is None else spec, folder, on_event)


class JobMonitor(QObject):
    """Starts, watches and cancels one job at a time."""

    began = Signal(object)
    kind_known = Signal(str)
    started = Signal(str)
    progressed = Signal(object)
    moved = Signal(object, object)
    map_moved = Signal(object, object)
    pictured = Signal(object, object)
    wrote = Signal(object)
    energies = Signal(object)
    metric = Signal(object)
    noticed = Signal(str, str)
    pause_changed = Signal(str)
    ended = Signal(str, str)
    stored = Signal(object)
    _rung = Signal()

    def __init__(
        self, background: Background, make_worker: MakeWorker = engine_worker, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.folder: Path | None = None
        self.running = False
        self.cancelling = False
        self.pause = ""  # `pausing` from the wish on, `paused` once the run has said so
        self.paused_at = 0.0
        self.waits = False
        self._attached = False
        self._background = background
        self._make_worker = make_worker
        self._worker: WorkerLike | None = None
        self._stop = threading.Event()
        self._generation = 0
        self._arrived: deque[tuple[int, Event]] = deque()
        self._readers: dict[type, SnapshotReader] = {
            kind: SnapshotReader(background, signal.emit, self)
            for kind, signal in (
                (Snapshot, self.moved), (MapSnapshot, self.map_moved), (ImagesSnapshot, self.pictured)
            )
        }  # fmt: skip
        self._rung.connect(self._drain)

    def start(self, spec: JobSpec | None, folder: Path) -> None:
        """Run a spec in a folder, or attach (None) to the run that is being computed there."""
        if self.running:
            raise RuntimeError("a job is running")
        self._generation += 1
        generation, arrived, rung = self._generation, self._arrived, self._rung

        def on_event(event: Event) -> None:
            arrived.append((generation, event))
            try:
                rung.emit()
            except RuntimeError:
                pass  # the window has gone; the run goes on without it

        self.folder, self.running, self.cancelling = folder, True, False
        self.waits, self._attached = False, spec is None
        self._set_pause("")
        self._worker = None
        self._stop = threading.Event()
        self._forget_snapshots()
        self.began.emit(folder)
        if spec is not None:
            self.kind_known.emit(spec.kind)
        # Making the worker writes the run directory: not on the GUI thread.
        self._background.submit(
            partial(_start_worker, self._make_worker, spec, folder, on_event, self._stop),
            lambda worker: self._worker_started(generation, worker),
            lambda error: self._worker_failed(generation, error),
        )

    @property
    def starting(self) -> bool:
        """Whether the worker is still being made."""
        return self.running and self._worker is None

    def _worker_started(self, generation: int, worker: WorkerLike) -> None:
        if generation != self._generation:
            return
        self._worker = worker
        if self.cancelling:
            worker.cancel()
        elif self._attached and self.folder is not None:
            # asked for before: one that waits for its turn, or is about to, has said nothing
            asked = RunDir(self.folder).pause_requested
            self._background.submit(asked, partial(self._asked_before, generation), self._complain)

    def _asked_before(self, generation: int, asked: bool) -> None:
        if asked and generation == self._generation and self.running and not self.pause:
            self._set_pause("paused" if self.waits else "pausing")

    def _worker_failed(self, generation: int, error: Exception) -> None:
        if generation == self._generation and self.running:
            self._end("failed", words(error))

    def cancel(self) -> None:
        """Ask the job to stop; it ends with its own event."""
        if self.running and not self.cancelling:
            self.cancelling = True
            self._stop.set()
            if self._worker is not None:
                self._worker.cancel()

    def ask_pause(self) -> None:
        """Ask the job to wait after its current step; it says when it does."""
        if self.running and not self.cancelling and not self.pause:
            # one that waits for its turn has no step to finish
            self._set_pause("paused" if self.waits else "pausing")
            self._request(RunDir.request_pause)

    def go_on(self) -> None:
        """Let a job go on that waits or was asked to."""
        if self.running and self.pause:
            self._set_pause("")
            self._request(RunDir.request_resume)

    def _request(self, what: Callable[[RunDir], None]) -> None:
        folder, generation = self.folder, self._generation
        assert folder is not None  # noqa: S101 - for the type checker
        before = self.pause

        def refused(error: Exception) -> None:
            self._complain(error)
            if generation == self._generation and self.pause == before:
                self._set_pause("" if before else "paused")

        self._background.submit(lambda: what(RunDir(folder)), lambda _r: None, refused)

    def _set_pause(self, pause: str, since: float | None = None) -> None:
        if pause == "paused":
            self.paused_at = time.time() if since is None else since
        if pause != self.pause:
            self.pause = pause
            self.pause_changed.emit(pause)

    def _hear_of_pause(self, event: Notice | Progress) -> None:
        if isinstance(event, Progress):
            self.waits = event.stage.startswith(WAITS)
        elif event.message == PAUSED and self.pause != "paused":
            self._set_pause("paused", event.time)
        elif event.message == GOES_ON:
            self.waits = False
            self._set_pause("")

    def leave(self) -> None:
        """Stop watching; the job goes on in the background."""
        self._generation += 1
        self._forget_snapshots()
        self.running = False
        self._set_pause("")
        detach = getattr(self._worker, "detach", None)
        if detach is not None:
            detach()
        self._worker = None

    def leave_going(self) -> None:
        """Stop watching and tell so (``ended`` with ``left``), to prepare or watch something else."""
        folder = self.folder
        if self.running and folder is not None:
            self.leave()
            self.ended.emit("left", f"{folder.name} goes on by itself; the tree of the project shows it.")

    def start_unwatched(self, spec: JobSpec, folder: Path, done: Callable[[], None]) -> None:
        """Have a run computed without watching it: ``done`` when it is in its folder."""
        self._background.submit(
            partial(_start_unwatched, self._make_worker, spec, folder),
            lambda _r: done(),
            self._complain,
        )

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop watching and wait for the worker's thread."""
        worker = self._worker
        self._generation += 1
        self._forget_snapshots()
        self.running = False
        self._worker = None
        if worker is not None:
            worker.join(timeout_s)

    @Slot()
    def _drain(self) -> None:
        while self._arrived:
            generation, event = self._arrived.popleft()
            if generation == self._generation and self.running:
                self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Snapshot | MapSnapshot | ImagesSnapshot):
            if self.folder is not None:
                self._readers[type(event)].offer(self.folder, event)
        elif isinstance(event, Energies):
            self.energies.emit(event)
        elif isinstance(event, Progress):
            self._hear_of_pause(event)
            self.progressed.emit(event)
        elif isinstance(event, Started):
            self.waits = False
            self.kind_known.emit(event.kind)
            self.started.emit(event.device)
        elif isinstance(event, Notice):
            self._hear_of_pause(event)
            self.noticed.emit(event.level, event.message)
        elif isinstance(event, Metric):
            self.metric.emit(event)
        elif isinstance(event, Result):
            self.wrote.emit(event)
        elif isinstance(event, Completed):
            self._end("completed", f"Finished in {event.seconds:.0f} s.")
        elif isinstance(event, Cancelled):
            self._end("cancelled", f"Cancelled after {event.seconds:.0f} s. What was finished is kept.")
        elif isinstance(event, Failed):
            if event.detail:
                self.noticed.emit("detail", event.detail)
            self._end("failed", event.message)

    def _end(self, outcome: str, message: str) -> None:
        self.running = self.cancelling = False
        self._set_pause("")
        self.ended.emit(outcome, message)
        folder = self.folder
        if folder is not None and has_results(folder):
            self._forget_snapshots()
            generation = self._generation
            self._background.submit(
                partial(load_run, folder), lambda run: self._show_stored(generation, run), self._complain
            )

    def _show_stored(self, generation: int, run: StoredRun) -> None:
        if generation == self._generation:
            self.stored.emit(run)

    def _complain(self, error: Exception) -> None:
        self.noticed.emit("warning", words(error))

    def _forget_snapshots(self) -> None:
        for reader in self._readers.values():
            reader.forget()


def _start_unwatched(make: MakeWorker, spec: JobSpec, folder: Path) -> None:
    worker: WorkerLike | None = None

    def on_event(_event: Event) -> None:
        # Only now: until it has said something, the worker sees to it that it begins.
        detach = getattr(worker, "detach", None)
        if detach is not None:
            detach()

    worker = make(spec, folder, on_event)
    worker.start()


def _start_worker(
    make: MakeWorker,
    spec: JobSpec | None,
    folder: Path,
    on_event: Callable[[Event], None],
    stop: threading.Event,
) -> WorkerLike:
    worker = make(spec, folder, on_event)
    worker.start()
    if stop.is_set():
        # The window may be closing: nobody else would pass the wish on.
        worker.cancel()
    return worker
