"""Many small tasks over a few processes of one thread each.

Not ``concurrent.futures``: its processes outlive a parent that was killed, because each holds both ends
of the queue that it waits on. Here each has a pipe of its own, which ends with the parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeVar

from engine.errors import RunError, VerglasError

Task = TypeVar("Task")
Found = TypeVar("Found")


class Workers:
    """Processes that compute tasks; with a count of 1 this process does it. Use as a context manager.

    Parameters
    ----------
    count : processes, at least 1. They start with the first task and stay until the block ends.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._processes: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes at once."""
        for process, pipe in self._processes:
            pipe.close()
            process.terminate()
        for process, _ in self._processes:
            process.join()
            process.close()
        self._processes = []

    def compute(
        self, make: Callable[[], Callable[[Task], Found]], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Found]]:
        """Tasks with what was found, in the order of finishing.

        Parameters
        ----------
        make : called once in each process; gives the function of a task. It, tasks and results must be
            able to travel between processes.

        Raises
        ------
        VerglasError
            As raised by a task.
        RunError
            If a process dies.
        """
        if self.count == 1:
            function = make()
            for task in tasks:
                yield task, function(task)
            return
        waiting = deque(tasks)
        try:
            yield from self._share(make, waiting)
        except BaseException:  # also when nobody wants the rest: answers would come to the next question
            self.stop()
            raise

    def _share(
        self, make: Callable[[], Callable[[Task], Found]], waiting: deque[Task]
    ) -> Iterator[tuple[Task, Found]]:
        self._start(min(self.count, len(waiting)))
        busy: dict[Connection, tuple[BaseProcess, Task]] = {}

        def give(process: BaseProcess, pipe: Connection) -> None:
            busy[pipe] = process, waiting.popleft()
            _send(process, pipe, busy[pipe][1])

        for process, pipe in self._processes:
            if waiting:
                _send(process, pipe, make)
                give(process, pipe)
        while busy:
            ready = wait(list(busy))
            for pipe in [p for p in busy if p in ready]:
                process, task = busy.pop(pipe)
                found = _receive(process, pipe)
                if waiting:
                    give(process, pipe)
                else:
                    _send(process, pipe, None)
                yield task, found

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        with one_thread():
            while len(self._processes) < count:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                self._processes.append((process, ours))


def _send(process: BaseProcess, pipe: Connection, content: Any) -> None:
    try:
        pipe.send(content)
    except (BrokenPipeError, ConnectionResetError):
        raise _died(process) from None


def _receive(process: BaseProcess, pipe: Connection) -> Any:
    try:
        outcome, content = pipe.recv()
    except (EOFError, ConnectionResetError):
        raise _died(process) from None
    if outcome == "refused":
        kind, problem, advice, path = content
        raise kind(problem, advice, path)
    if outcome == "failed":
        raise RuntimeError(f"in a worker process:\n{content}")
    return content


def _died(process: BaseProcess) -> RunError:
    process.join(5)
    return RunError(
        f"A worker process ended unexpectedly (exit status {process.exitcode}).",
        "Perhaps memory ran out: give fewer workers. The same command goes on with what is finished.",
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes started meanwhile take one thread each for linear algebra, which they read at import."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection) -> None:
    """A worker: a maker, its tasks, None, the next maker … until the parent's end of the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    try:
        while True:
            function = None
            make = pipe.recv()
            while (task := pipe.recv()) is not None:
                try:
                    function = function or make()
                    answer = ("found", function(task))
                except VerglasError as exc:
                    answer = ("refused", (type(exc), exc.problem, exc.advice, exc.path))
                except Exception:
                    answer = ("failed", traceback.format_exc())
                pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
