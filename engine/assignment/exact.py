"""Exact linear assignment, batched, on all cores.

The solver is scipy's shortest augmenting path (Crouse 2016, doi:10.1109/TAES.2016.140952). It leaves
the GIL while it works, so a pool of threads is enough: no processes, no copies, nothing to clean up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from engine.assignment.potentials import reduced_cost
from engine.errors import SamplingError

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

    As :func:`assign`, but each cost matrix lives only while it is being solved, so memory grows with
    the number of workers and not with the batch.

    Parameters
    ----------
    a, b : points in the same unit; ``d`` is 2 or 3 as a rule.

    Returns
    -------
    Index into ``b`` for each point of ``a``, or -1; on the device of ``a``.

    Raises
    ------
    SamplingError
        If a coordinate is NaN or infinite.
    """
    left, right = a.detach().cpu().double().numpy(), b.detach().cpu().double().numpy()

    # Potentials of unmatched rows or columns would count too: only square problems can be reduced.
    square = left.shape[1] == right.shape[1]

    def solve(i: int) -> NDArray[np.int64]:
        if square and np.isfinite(left[i]).all() and np.isfinite(right[i]).all():
            return _solve(reduced_cost(left[i], right[i]))
        return _solve(cdist(left[i], right[i], "sqeuclidean"))

    return _run(solve, left.shape[0], left.shape[1]).to(a.device)


def _solve(cost: NDArray[np.floating]) -> NDArray[np.int64]:
    if not np.isfinite(cost).all():
        raise SamplingError(
            "Points can't be matched: a distance is not a finite number.",
            "The sampler has diverged or the evidence holds NaN; lower the guidance or check the inputs.",
        )
    match = np.full(cost.shape[0], -1, np.int64)
    rows, cols = linear_sum_assignment(cost)
    match[rows] = cols
    return match


def _run(solve: Callable[[int], NDArray[np.int64]], batch: int, rows: int) -> Int64[Tensor, "batch rows"]:
    out = np.empty((batch, rows), np.int64)
    if min(batch, workers()) > 1:
        # submitted under the lock, because a pool that set_workers() shuts down takes no more work
        with _lock:
            futures = [_executor().submit(solve, i) for i in range(batch)]
        try:
            for i, future in enumerate(futures):
                out[i] = future.result()
        finally:
            for future in futures:
                future.cancel()
    else:
        for i in range(batch):
            out[i] = solve(i)
    return torch.from_numpy(out)


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(workers(), thread_name_prefix="assignment")
    return _pool
