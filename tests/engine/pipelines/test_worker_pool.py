"""Tasks over processes: everything comes once, errors keep their words, nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import partial

import pytest

from engine.errors import InputError, RunError
from engine.pipelines.worker_pool import Workers


def _add(a: int) -> Callable[[int], tuple[int, int]]:
    return lambda task: (task + a, os.getpid())


def _refuse(problem: str) -> Callable[[int], int]:
    def task(number: int) -> int:
        if number == 2:
            raise InputError(problem, "Do that.", "there")
        return number

    return task


def _fault() -> Callable[[int], float]:
    return lambda task: 1 / task


def _die() -> Callable[[int], None]:
    return lambda task: os._exit(9)


def test_processes_do_what_this_process_does_and_end() -> None:
    with Workers(1) as one:
        alone = {task: found[0] for task, found in one.compute(partial(_add, 5), range(7))}
    with Workers(2) as two:
        shared = dict(two.compute(partial(_add, 5), range(7)))
        again = dict(two.compute(partial(_add, 1), range(3)))  # the same processes, another question
        assert {pid for _, pid in again.values()} <= {pid for _, pid in shared.values()}
        assert os.getpid() not in {pid for _, pid in shared.values()}
        assert [again[i][0] for i in range(3)] == [1, 2, 3]
        assert list(two.compute(partial(_add, 1), [])) == []

        # who stops listening half-way gets no stale answers later
        for _task, _found in two.compute(partial(_add, 100), range(7)):
            break
        assert {found for found, _ in dict(two.compute(partial(_add, 0), [1, 2])).values()} == {1, 2}

        with pytest.raises(InputError) as error:
            list(two.compute(partial(_refuse, "That is wrong."), range(4)))
        assert (error.value.problem, error.value.advice, str(error.value.path)) == (
            "That is wrong.",
            "Do that.",
            "there",
        )
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            list(two.compute(_fault, [0]))
        with pytest.raises(RunError, match=r"exit status 9.*fewer workers"):
            list(two.compute(_die, [0]))
    assert {found for found, _ in shared.values()} == set(alone.values())
    assert not multiprocessing.active_children()
