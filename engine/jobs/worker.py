"""One plain thread per running job: starts or re-attaches to its engine process and relays its events.

No Qt and no torch here. The thread only reads a file and looks whether a process lives; whoever
listens gets events on this thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engine.errors import RunError, VerglasError
from engine.events import TERMINAL, Cancelled, Event, Failed
from engine.jobs.engine_process import POOL, EngineProcess, fit_for_more, kill_tree
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec

POLL_S = 0.05
_LOG_LINES = 15
_log = logging.getLogger(__name__)
_workers: set[Worker] = set()
_workers_lock = threading.Lock()


class Worker:
    """Runs a job, or follows one that is running or has run, and tells its events.

    Parameters
    ----------
    job : a spec to run (or go on with) in ``folder``, or a run directory: one that was never started
        is started, one that is being computed is attached to, one that has ended is told again.
    folder : of a new run; ignored for a run directory.
    on_event : called on the worker's thread with every event, the terminal one last, once.

    Raises
    ------
    RunError
        If the folder can't take this run (see :meth:`RunDir.create`).
    """

    def __init__(
        self, job: JobSpec | RunDir, folder: str | Path | None, on_event: Callable[[Event], None]
    ) -> None:
        if isinstance(job, RunDir):
            self.run_dir = job
        elif folder is None:
            raise RunError("A new run needs a folder.", "Choose where it shall be written.")
        else:
            self.run_dir = RunDir.create(folder, job)
        self._on_event = on_event
        self._process: EngineProcess | None = None
        self._wake = threading.Event()
        self._detached = False
        self._forced = False
        self._tried_again = False
        self._began = time.monotonic()
        # A daemon: a window that dies without a farewell must not hang on us; the run itself goes on.
        self._thread = threading.Thread(target=self._relay, name=f"run {self.run_dir.path.name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        with _workers_lock:
            _workers.add(self)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events may still come."""
        return self._thread.is_alive()

    @property
    def pid(self) -> int | None:
        """The engine process's number, if this worker started it."""
        return self._process.pid if self._process is not None else None

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the terminal event to be told; whether that has happened."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self.alive

    def cancel(self, *, force: bool = False) -> None:
        """Ask the run to stop after its current step.

        Parameters
        ----------
        force : kill the process instead; what it has written so far is kept.
        """
        self.run_dir.request_cancel()
        if not force:
            return
        self._forced = True
        holder = self.run_dir.holder()
        if self._process is not None:
            self._process.kill()
        elif holder is not None and holder.here and holder.alive:
            kill_tree(holder.pid)

    def pause(self) -> None:
        """Ask the run to wait after its current step."""
        self.run_dir.request_pause()

    def resume(self) -> None:
        """Let a waiting run go on."""
        self.run_dir.request_resume()

    def detach(self) -> None:
        """Stop telling events; the run itself goes on. Follow it again with another worker."""
        self._detached = True
        self._wake.set()

    # ---- the thread ---------------------------------------------------------------------------

    def _relay(self) -> None:
        terminal: Event | None = None
        try:
            self._start_if_new()
            terminal = self._follow()
        except Exception as exc:  # a thread's exception would vanish
            _log.exception("relaying a run failed")
            message = str(exc) if isinstance(exc, VerglasError) else f"The run can't be followed ({exc})."
            terminal = Failed(message=message)
        finally:
            # The next run may start as soon as the listener knows: the warm process must be there then.
            fit = terminal is not None and fit_for_more(terminal)
            if self._process is not None and terminal is None:
                POOL.leave_alone(self._process)
            elif self._process is not None and fit:
                POOL.release(self._process)
            if terminal is not None:
                self._tell(terminal)
            if self._process is not None and terminal is not None and not fit:
                self._process.end()
            with _workers_lock:
                _workers.discard(self)

    def _start_if_new(self) -> None:
        run = self.run_dir
        if run.running or (run.events_file.exists() and run.events_file.stat().st_size):
            return
        self._process = POOL.acquire(run.log_file)
        self._process.run(run.path)

    def _follow(self) -> Event | None:
        """Tell events until the terminal one, which is returned; None when detached."""
        offset = 0
        while not self._detached:
            # Asked before reading: what a process wrote before it died is still read below.
            lives = self._computed()
            tail = self.run_dir.follow(offset)
            offset = tail.offset
            for event in tail.events:
                if isinstance(event, TERMINAL):
                    return event
                self._tell(event)
            if not lives and offset == 0 and self._process is not None and not self._tried_again:
                self._try_again()
                continue
            ended = None if lives else self._died()
            if ended is not None:
                return ended
            self._wake.wait(POLL_S)
        return None

    def _try_again(self) -> None:
        """Use a new process: an idle one can die in the moment in which it is given a run."""
        self._tried_again = True
        if self._process is not None:
            self._process.let_go()
        self._process = EngineProcess(self.run_dir.log_file)
        self._process.run(self.run_dir.path)

    def _computed(self) -> bool:
        """Whether a living process computes the run or is about to."""
        return (self._process is not None and self._process.alive) or self.run_dir.running

    def _died(self) -> Event | None:
        """Record that the process is gone; None while another watcher is doing just that."""
        event: Cancelled | Failed
        if self._forced:
            event = Cancelled(seconds=time.monotonic() - self._began)
        else:
            event = Failed(
                message="The engine process ended without a word: it was killed, ran out of memory or "
                "crashed. Run it again in the same folder; if it happens again, choose a smaller batch.",
                detail=self.run_dir.last_log_lines(_LOG_LINES),
            )
        try:
            return self.run_dir.end_unfinished(event)
        except (VerglasError, OSError) as exc:
            if self.run_dir.running:
                return None
            _log.warning("the run's end can't be recorded: %s", exc)
            return self.run_dir.outcome() or event

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            _log.exception("a listener failed on %s", event.type)


def prewarm() -> None:
    """Start an engine process that imports torch in the background, for a quick first run."""
    POOL.prewarm()


def shutdown(timeout: float = 5.0) -> None:
    """Farewell: detach all workers and end the idle engine process. Running jobs go on."""
    with _workers_lock:
        workers = list(_workers)
    for worker in workers:
        worker.detach()
    deadline = time.monotonic() + timeout
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    POOL.end_idle()
