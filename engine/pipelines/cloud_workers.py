"""Processes that make clouds: a crash or a hang costs the file at hand, not the others.

Each process takes one file at a time through a pipe of its own, which ends with the parent, and runs on
one thread: results don't depend on how many processes there are. They are spawned, never forked, so
threads of the parent don't matter.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from engine.errors import RunError, VerglasError
from engine.pipelines.worker_pool import one_thread
from engine.specs.clouds import CloudSettings

_TICK_S = 0.2  # how often a stop is looked for
_STARTS_WITHIN_S = 300.0


@dataclass(frozen=True)
class Task:
    """A structure, and where its result is kept."""

    file: Path
    result: Path


@dataclass(frozen=True)
class Ending:
    """How a task ended.

    Attributes
    ----------
    kind : ``written`` (there is a result), ``crashed`` (the process died) or ``timed out``.
    words : of a crash, e.g. ``signal 11``.
    """

    task: Task
    kind: Literal["written", "crashed", "timed out"]
    words: str = ""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    deadline: float
    task: Task | None = None
    ready: bool = False


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def work_through(
    tasks: Sequence[Task], settings: CloudSettings, cancel: Callable[[], None]
) -> Iterator[Ending]:
    """Carry out tasks in several processes; yields each as it ends, in any order.

    Parameters
    ----------
    cancel : called several times a second; what it raises ends the work at once, with the processes.

    Raises
    ------
    RunError
        If no process can be started.
    VerglasError
        If a result can't be written.
    """
    waiting = deque(tasks)
    crew: list[_Worker] = []
    count = min(settings.workers or cores(), len(tasks))
    try:
        while waiting or any(w.task for w in crew):
            cancel()
            # also in place of those that died
            while len(crew) < count and len(waiting) > sum(w.task is None for w in crew):
                crew.append(_start(settings))
            ready = wait([w.pipe for w in crew], timeout=_TICK_S)
            for worker in list(crew):
                ending = None
                if worker.pipe in ready:
                    ending = _hear(worker)
                elif time.monotonic() > worker.deadline:
                    ending = _give_up(worker)
                if worker.pipe.closed:
                    crew.remove(worker)
                    _end([worker])
                elif worker.ready and worker.task is None and waiting:
                    _give(worker, waiting.popleft(), settings.time_limit_s)
                if ending is not None:
                    yield ending
    finally:
        _end(crew)


def _start(settings: CloudSettings) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
    with one_thread():
        process.start()
    theirs.close()
    return _Worker(process, ours, time.monotonic() + _STARTS_WITHIN_S)


def _give(worker: _Worker, task: Task, limit_s: float) -> None:
    worker.task = task
    worker.deadline = time.monotonic() + limit_s
    try:
        worker.pipe.send(task)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it died between two tasks: the closed pipe says so in the next round


def _hear(worker: _Worker) -> Ending | None:
    """Take a worker's message."""
    task = worker.task
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.pipe.close()
        worker.process.join(5)
        code = worker.process.exitcode
        if task is None and worker.ready:
            return None  # idle, and killed by somebody: another one takes its place
        if task is None:
            raise RunError(
                f"A worker process ended before it had anything to do (exit status {code}).",
                'A script that builds clouds needs `if __name__ == "__main__":` around its commands; perhaps '
                "memory ran out: then give fewer workers.",
            ) from None
        words = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return Ending(task, "crashed", words)
    worker.deadline = float("inf")
    if message == "ready":
        worker.ready = True
        return None
    if message != "written":  # a disk that is full ends everything
        raise VerglasError(*message)
    worker.task = None
    assert task is not None
    return Ending(task, "written")


def _give_up(worker: _Worker) -> Ending:
    if worker.task is None:
        raise RunError("A worker process does not start.", "Try again when the computer is less busy.")
    worker.pipe.close()
    return Ending(worker.task, "timed out")


def _end(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        worker.pipe.close()
        worker.process.kill()  # not terminate: what hangs need not answer
    for worker in crew:
        worker.process.join()
        worker.process.close()


def _serve(pipe: Connection, settings: CloudSettings) -> None:
    """A worker's life: it ends when the parent's end of the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    from engine.pipelines.cloud_from_structure import build_one, write_result

    try:
        pipe.send("ready")
        while True:
            task = pipe.recv()
            result = build_one(task.file, settings)
            try:
                write_result(task.result, result)
            except VerglasError as exc:
                pipe.send((exc.problem, exc.advice, exc.path))
            else:
                pipe.send("written")
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
