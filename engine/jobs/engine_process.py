"""The process that computes: spawned, in a session of its own, and kept warm for the next run.

It takes run directories from its standard input, one JSON line each, and speaks through their
``events.jsonl`` alone. So it outlives the window: it finishes the run at hand, then finds its input
closed and ends. A plain spawned interpreter is used rather than ``multiprocessing``, which would
make the window wait for the run when it closes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil

import engine
from engine.errors import VerglasError
from engine.events import Event, Failed
from engine.jobs import memory
from engine.jobs.run_dir import RunDir

_ENDS_WITHIN_S = 5.0
_NICENESS = 5  # the window stays smooth while all cores compute


def fit_for_more(event: Event) -> bool:
    """Whether the process that ended a run with ``event`` may run another one.

    After a user's error it may; after the unexpected, or without memory, it may be damaged.
    """
    return not isinstance(event, Failed) or bool(event.cause)


# ---- the starting side (no torch) ---------------------------------------------------------------


class EngineProcess:
    """A spawned engine process.

    Parameters
    ----------
    log : gets what the process prints before its first run; None discards it.
    """

    def __init__(self, log: Path | None = None) -> None:
        environment = dict(os.environ)
        root = str(Path(engine.__path__[0]).parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
        with contextlib.ExitStack() as stack:
            sink: int | IO[bytes] = subprocess.DEVNULL
            if log is not None:
                sink = stack.enter_context(open(log, "ab"))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.jobs.engine_process"],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C or the window's end must not reach it
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def run(self, folder: Path, priority: int = 0) -> bool:
        """Hand it a run directory, with its priority in the line of its device.

        Returns
        -------
        False if the process is no longer there to take it.
        """
        return self._send({"run": str(folder), "priority": priority})

    def warm_up(self) -> None:
        """Have it import torch now, before the first run needs it."""
        self._send({"warm": True})

    def _send(self, request: dict[str, str | bool | int]) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def let_go(self) -> None:
        """Give it no more runs: it ends by itself once it is idle."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self) -> None:
        """End an idle process and wait for that."""
        self.let_go()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it at once, with the processes that it started."""
        kill_tree(self.pid)
        self.let_go()
        self._process.wait(_ENDS_WITHIN_S)


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants; quiet if it is gone."""
    try:
        process = psutil.Process(pid)
        for child in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    except psutil.NoSuchProcess:
        pass


class WarmPool:
    """At most one idle engine process, ready for the next run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: EngineProcess | None = None
        # Kept so that they are not collected, and complained about, while their runs go on.
        self._left_alone: list[EngineProcess] = []

    def acquire(self, log: Path) -> EngineProcess:
        """The idle process if there is one, else a new one."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None and idle.alive:
            return idle
        return EngineProcess(log)

    def release(self, process: EngineProcess) -> None:
        """Keep a process that has finished its run for the next one."""
        if not process.alive:
            process.let_go()
            return
        with self._lock:
            if self._idle is None or not self._idle.alive:
                self._idle = process
                return
        process.end()

    def leave_alone(self, process: EngineProcess) -> None:
        """Let a process finish its run without us."""
        process.let_go()
        with self._lock:
            self._left_alone = [p for p in self._left_alone if p.alive] + [process]

    def prewarm(self) -> None:
        """Start an idle process that imports torch meanwhile, unless there is one."""
        with self._lock:
            if self._idle is None or not self._idle.alive:
                self._idle = EngineProcess()
                self._idle.warm_up()

    @property
    def idle_pid(self) -> int | None:
        """Process number of the idle process, or None."""
        with self._lock:
            return self._idle.pid if self._idle is not None and self._idle.alive else None

    def end_idle(self) -> None:
        """End the idle process."""
        with self._lock:
            idle, self._idle = self._idle, None
            self._left_alone = [p for p in self._left_alone if p.alive]
        if idle is not None:
            idle.end()


POOL = WarmPool()


# ---- the computing side -------------------------------------------------------------------------


class _Terminated:
    """SIGTERM, e.g. of a shutdown: a run is cancelled, an idle process ends."""

    def __init__(self) -> None:
        self.asked = False
        self.busy = False

    def __call__(self, number: int, frame: object) -> None:
        self.asked = True
        if not self.busy:
            raise SystemExit(0)


def serve() -> int:
    """Take run directories from standard input until it closes; the exit status."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # no library may read our requests
    faulthandler.enable()
    stop = _Terminated()
    signal.signal(signal.SIGTERM, stop)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    while line := requests.readline():
        request = json.loads(line)
        if "warm" in request:
            _warm_up()
            continue
        folder = Path(request["run"])
        _print_to(folder / "log.txt")
        stop.busy = True
        fit = _carry_out(folder, stop, int(request.get("priority", 0)))
        stop.busy = False
        if stop.asked or not fit:
            return 0 if fit else 3
        memory.let_go()
        _print_to(Path(os.devnull))
    return 0


def _carry_out(folder: Path, stop: _Terminated, priority: int) -> bool:
    """Run; False if this process should end: the outcome could not be told, or it is unfit for more."""
    from engine.jobs import runner

    try:
        run = RunDir.open(folder)
        try:
            event = runner.run(run.spec(), run, cancel=lambda: stop.asked, priority=priority)
        except VerglasError as exc:
            event = run.end_unfinished(Failed(message=str(exc), cause=type(exc).__name__))
    except VerglasError as exc:
        sys.stderr.write(f"{exc}\n")
        return False
    return fit_for_more(event)


def _warm_up() -> None:
    from engine.jobs import runner

    with contextlib.suppress(Exception):  # a run would report it
        runner.warm_up()


def _print_to(path: Path) -> None:
    """Send what this process and its libraries print to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError), open(path, "ab") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)


if __name__ == "__main__":
    sys.exit(serve())
