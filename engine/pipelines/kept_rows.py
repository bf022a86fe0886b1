"""Long computations that are kept while they go on: arrays whose rows are finished one after another."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.events import Event, Progress
from engine.io.atomic import write_npy
from engine.pipelines.worker_pool import Workers

Rows = NDArray[np.floating[Any]]
Block = tuple[int, ...]
FLUSH_S = 10.0
"""At most so much computing is lost when the process is killed, unless told otherwise."""


def key_of(*parts: Any) -> str:
    """16 hexadecimal digits that stand for arrays and plain values, for names of files."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def kept_rows(
    path: Path,
    shape: tuple[int, ...],
    make: Callable[[], Callable[[Block], Rows]],
    *,
    workers: Workers,
    stage: str,
    emit: Callable[[Event], None],
    batch: int = 1,
    dtype: type[np.floating[Any]] = np.float64,
    cost: Sequence[float] | None = None,
    flush_s: float = FLUSH_S,
) -> Rows:
    """An array of ``shape``; rows that ``path`` holds already are not computed again.

    Rows that hold NaN are not finished. A file with fewer rows of the same kind is gone on with; one that
    is damaged, or of another shape, is begun anew.

    Parameters
    ----------
    path : npy file, written whole at least every ``flush_s`` seconds and when anything stops the work.
    make : gives, in each process, the function from row numbers to these rows, (rows, *shape[1:]).
    stage : what is computed, in words.
    batch : rows that are computed together.
    cost : (rows,) relative work of each, for the time that is left.
    """
    array = _found(path, shape, dtype)
    missing = np.flatnonzero(np.isnan(array[: shape[0]].reshape(shape[0], -1)).any(1))
    blocks = [tuple(int(i) for i in missing[k : k + batch]) for k in range(0, len(missing), batch)]
    weight = np.ones(shape[0]) if cost is None else np.asarray(cost, np.float64)
    left = float(weight[missing].sum())
    done, spent, unsaved = shape[0] - len(missing), 0.0, False
    begin = flushed = time.monotonic()
    emit(Progress(stage, done, shape[0]))
    try:
        for block, rows in workers.compute(make, blocks):
            array[list(block)] = rows
            unsaved = True
            done += len(block)
            spent += float(weight[list(block)].sum())
            now = time.monotonic()
            if now - flushed >= flush_s:
                write_npy(path, array)
                unsaved, flushed = False, time.monotonic()
            eta = (now - begin) * (left - spent) / spent if spent > 0 else None
            emit(Progress(stage, done, shape[0], eta))
    finally:
        if unsaved:
            write_npy(path, array)
    return array[: shape[0]]


def _found(path: Path, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> Rows:
    """What is kept, filled up with NaN; more rows than asked for stay, for whoever asks for them again."""
    array = np.full(shape, np.nan, dtype)
    try:
        # mapped: nothing is read before shape and type are known to fit
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return array
    if kept.dtype == array.dtype and kept.ndim == len(shape) and kept.shape[1:] == shape[1:]:
        array = np.full((max(len(kept), shape[0]), *shape[1:]), np.nan, dtype)
        array[: len(kept)] = kept
    return array
