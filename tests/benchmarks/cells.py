"""Cells of a benchmark, computed one by one or side by side, and kept as they are finished.

Each worker is a spawned process whose libraries use one thread, also when there is only one worker: the
figures don't depend on the number of workers. Only the parent writes the results file.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from engine.io.atomic import write_text

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Prepare = Callable[[Any], Any]
Compute = Callable[[Any, Any], dict]


class Results:
    """The results file: settings, what the cells were computed with, and the cells.

    Parameters
    ----------
    path : JSON; may not exist yet.
    settings : what all cells depend on. A file with other settings is refused, not overwritten.
    versions : name → (value, depends): cells for which ``depends(key)`` is true are dropped when the file
        was written with another value. An empty value means that this run doesn't need it.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        versions: Mapping[str, tuple[Any, Callable[[str], bool]]],
    ) -> None:
        stored = json.loads(path.read_text()) if path.is_file() else {}
        for key, value in stored.get("settings", {}).items():
            if key in settings and settings[key] != value:
                raise SystemExit(
                    f"{path} holds results for {key} {value}, not {settings[key]}. Give another file."
                )
        self.path, self.settings = path, {**stored.get("settings", {}), **settings}
        self.cells: dict[str, dict] = stored.get("cells", {})
        self.versions: dict[str, Any] = {}
        for name, (value, depends) in versions.items():
            before = stored.get(name)
            if value not in (None, "") and before not in (None, "", value):
                self.cells = {k: v for k, v in self.cells.items() if not depends(k)}
            self.versions[name] = before if value in (None, "") else value

    def keep(self, key: str, cell: dict) -> None:
        """Add one cell and write the file."""
        self.cells[key] = cell
        write_text(self.path, json.dumps({"settings": self.settings, **self.versions, "cells": self.cells}))


def finish(
    results: Results,
    wanted: Mapping[str, Any],
    prepare: Prepare,
    setup: Any,
    compute: Compute,
    *,
    workers: int = 1,
    say: Callable[[str, dict], str] = lambda key, cell: key,
) -> None:
    """Compute the wanted cells that are not there yet.

    Parameters
    ----------
    wanted : key → argument of ``compute``, in the order in which they are begun.
    prepare : function of a module, called once in each worker with ``setup``; gives its state.
    compute : function of a module, called with that state and a cell's argument.
    say : the line to print about a finished cell.

    Raises
    ------
    RuntimeError
        If a cell fails, with its traceback; cells finished before are kept.
    """
    todo = [(key, argument) for key, argument in wanted.items() if key not in results.cells]
    context = multiprocessing.get_context("spawn")
    queue, running = iter(todo), {}
    with _one_thread_each():
        for _ in range(min(workers, len(todo))):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, prepare, setup, compute), daemon=True)
            process.start()
            there.close()
            running[here] = process
    processes = list(running.values())
    try:
        for pipe in running:
            pipe.send(next(queue))
        while running:
            for pipe in wait(list(running)):
                try:
                    key, cell, failure = pipe.recv()
                except EOFError as exc:
                    raise RuntimeError("A worker died; there may be too little memory.") from exc
                if failure:
                    raise RuntimeError(f"{key} failed:\n{failure}")
                results.keep(key, cell)
                sys.stdout.write(say(key, cell) + "\n")
                sys.stdout.flush()
                following = next(queue, None)
                if following is None:
                    del running[pipe]
                    pipe.close()
                else:
                    pipe.send(following)
    finally:
        for pipe in running:
            pipe.close()
        if running:  # stopped early: what is being computed is given up
            for process in processes:
                process.terminate()
        for process in processes:
            process.join()


@contextmanager
def _one_thread_each():
    """Processes started inside read from their environment that libraries may use one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _serve(pipe: Connection, prepare: Prepare, setup: Any, compute: Compute) -> None:
    """Answer cells until the parent closes the pipe, or is gone."""
    state = None
    try:
        while True:
            key, argument = pipe.recv()
            try:
                state = state or (prepare(setup),)
                answer = (key, compute(state[0], argument), None)
            except Exception:
                answer = (key, {}, traceback.format_exc())
            pipe.send(answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
