"""Exact linear assignment, batched, on all cores.

Points are matched by :mod:`engine.assignment.transport`, finished costs by scipy's shortest augmenting path
(Crouse 2016, doi:10.1109/TAES.2016.140952). Both leave the GIL while they work, so a pool of threads is
enough: no processes, no copies, nothing to clean up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from engine.assignment.transport import morton_order, solve
from engine.errors import SamplingError

Result = TypeVar("Result")
LARGEST = 1e100  # coordinate whose square is far from overflowing

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_workers: int | None = None


def set_workers(n: int | None) -> None:
    """Choose how many assignments are solved at the same time.

    Parameters
    ----------
    n : threads, at least 1; None uses every core that this process may use.
    """
    global _pool, _workers
    if n is not None and n < 1:
        raise ValueError(f"at least one worker is needed, not {n}")
    with _lock:
        old, _pool, _workers = _pool, None, n
    if old is not None:
        old.shutdown(wait=True)


def workers() -> int:
    """How many assignments are solved at the same time."""
    if _workers is not None:
        return _workers
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def assign(cost: Float[Tensor, "batch rows cols"]) -> Int64[Tensor, "batch rows"]:
    """Match rows to columns one to one so that the summed cost is minimal.

    Where there are more columns than rows every row is matched and some columns are left over; where
    there are more rows than columns every column is matched and the rows left over get -1. The result
    does not depend on the other members of the batch or on the number of workers.

    Parameters
    ----------
    cost : any device, any float type; not differentiated through.

    Returns
    -------
    Index of each row's column, or -1; on the device of ``cost``.

    Raises
    ------
    SamplingError
        If a cost is NaN or infinite.
    """
    matrices = cost.detach().to("cpu")
    if matrices.dtype not in (torch.float32, torch.float64):
        matrices = matrices.float()
    array = matrices.numpy()
    return _run(lambda i: _solve(array[i]), array.shape[0], array.shape[1]).to(cost.device)


def assign_points(
    a: Float[Tensor, "batch rows d"], b: Float[Tensor, "batch cols d"]
) -> Int64[Tensor, "batch rows"]:
    """Match the points of ``a`` to those of ``b`` with the least summed squared distance.

    As :func:`assign`, but in 2D and 3D without a cost matrix, and many times faster.

    Parameters
    ----------
    a, b : points in the same unit.

    Returns
    -------
    Index into ``b`` for each point of ``a``, or -1; on the device of ``a``.

    Raises
    ------
    SamplingError
        If a coordinate is NaN or infinite.
    """
    left, right = _finite(a), _finite(b)
    if not 2 <= left.shape[2] <= 3 or 0 in (*left.shape, *right.shape):
        return assign(torch.cdist(a.double(), b.double()).square())
    # The solver wants a place for every row.
    swapped = left.shape[1] > right.shape[1]
    rows, columns = (right, left) if swapped else (left, right)
    capacity = np.ones(columns.shape[1], np.int32)

    def solve_one(i: int) -> NDArray[np.int64]:
        order = morton_order(columns[i])
        chosen = solve(rows[i], columns[i][order], capacity, np.zeros(len(order)))
        if not swapped:
            return order[chosen]
        match = np.full(columns.shape[1], -1, np.int64)
        match[order[chosen]] = np.arange(len(chosen))
        return match

    return _run(solve_one, left.shape[0], left.shape[1]).to(a.device)


class Correspondence:
    """Matches clouds to the same targets again and again, exactly, each time from the duals of the last.

    The plan does not depend on what was matched before: only the time does.

    Parameters
    ----------
    targets : (m, d) finite; d is 2 or 3.
    counts : (m,) how many points each target stands for; those with 0 get none. Their sum is the number of
        points of each cloud.
    """

    def __init__(self, targets: NDArray[np.floating], counts: NDArray[np.integer]) -> None:
        used = np.flatnonzero(counts)
        order = used[morton_order(np.asarray(targets, np.float64)[used])] if len(used) else used
        self.points = int(np.sum(counts))
        self._targets = np.ascontiguousarray(targets, np.float64)[order]
        self._capacity = np.asarray(counts, np.int32)[order]
        begins = np.cumsum(counts) - counts
        self._places = np.concatenate([np.arange(begins[j], begins[j] + counts[j]) for j in order])
        self._duals: list[NDArray[np.float64]] = []

    def __call__(self, points: Float[Tensor, "batch rows d"]) -> Int64[Tensor, "batch rows"]:
        """Match clouds (batch, n, d).

        Returns
        -------
        Index of each point's target in the list in which every target is repeated as often as it counts; on
        the device of ``points``.

        Raises
        ------
        SamplingError
            If a coordinate is NaN or infinite.
        ValueError
            If a cloud has another number of points.
        """
        clouds = _finite(points)
        if clouds.shape[1] != self.points:
            raise ValueError(
                f"{clouds.shape[1]} points can't be matched to targets that stand for {self.points}"
            )
        fresh = np.zeros(len(self._targets))
        known = self._duals[: len(clouds)]
        duals = [d.copy() for d in known] + [fresh.copy() for _ in range(len(clouds) - len(known))]

        def solve_one(i: int) -> NDArray[np.int64]:
            chosen = solve(clouds[i], self._targets, self._capacity, duals[i])
            match = np.empty(self.points, np.int64)
            match[np.argsort(chosen, kind="stable")] = self._places
            return match

        match = _run(solve_one, len(clouds), self.points).to(points.device)
        self._duals = duals
        return match


def _finite(points: Float[Tensor, "batch rows d"]) -> NDArray[np.float64]:
    array: NDArray[np.float64] = np.ascontiguousarray(points.detach().cpu().double().numpy())
    if not (np.abs(array) < LARGEST).all():  # nor where it is NaN
        raise _not_finite()
    return array


def _not_finite() -> SamplingError:
    return SamplingError(
        "Points can't be matched: a distance is not a finite number.",
        "The sampler has diverged or the evidence holds NaN; lower the guidance or check the inputs.",
    )


def _solve(cost: NDArray[np.floating]) -> NDArray[np.int64]:
    if not np.isfinite(cost).all():
        raise _not_finite()
    match = np.full(cost.shape[0], -1, np.int64)
    rows, cols = linear_sum_assignment(cost)
    match[rows] = cols
    return match


def side_by_side(work: Callable[[int], Result], count: int) -> list[Result]:
    """``[work(0), ..., work(count - 1)]``, as many at a time as :func:`workers` says.

    Worth it for work that leaves the GIL most of the time. ``work`` must not call this again with more than
    one item.
    """
    if min(count, workers()) < 2:
        return [work(i) for i in range(count)]
    # submitted under the lock, because a pool that set_workers() shuts down takes no more work
    with _lock:
        futures = [_executor().submit(work, i) for i in range(count)]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _run(solve: Callable[[int], NDArray[np.int64]], batch: int, rows: int) -> Int64[Tensor, "batch rows"]:
    out = np.empty((batch, rows), np.int64)
    for i, match in enumerate(side_by_side(solve, batch)):
        out[i] = match
    return torch.from_numpy(out)


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(workers(), thread_name_prefix="assignment")
    return _pool
