"""Walks through what a run found: along a path in the landscape, or from sample to sample. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.io.landscape_file import along_polyline

FRAMES = 80
STOPS = 7  # corners of a walk through a landscape in which no path was drawn


def landscape_walk(
    coordinates: NDArray[np.floating], path: Sequence[int] = (), frames: int = FRAMES
) -> NDArray[np.float64] | None:
    """Places (frames, k) along a path through volumes, counted from 0.

    Without a path it goes along the first component: through the means of neighbours, so that it doesn't
    jump to and fro in the others. None if there is nowhere to go.
    """
    chosen = np.asarray(coordinates, float)
    if len(path) >= 2:
        corners = chosen[list(path)]
    elif len(chosen) >= 2:
        order = np.argsort(chosen[:, 0], kind="stable")
        corners = np.stack([chosen[part].mean(0) for part in np.array_split(order, min(STOPS, len(chosen)))])
    else:
        return None
    try:
        return along_polyline(corners, frames)
    except ValueError:
        return None  # a path that stays where it is


def sample_order(points_A: NDArray[np.floating]) -> NDArray[np.intp]:
    """Samples (n, points, 3), whose points correspond, in the order of their main difference."""
    flat = np.asarray(points_A, float).reshape(len(points_A), -1)
    flat = np.nan_to_num(flat - np.nanmean(flat, 0))
    # The largest eigenvector of the (n, n) products: the samples are few, their points many.
    values, vectors = np.linalg.eigh(flat @ flat.T)
    first = vectors[:, -1] * np.sqrt(max(0.0, values[-1]))
    return np.argsort(first, kind="stable")


def sample_walk(points_A: NDArray[np.float32], frames: int = FRAMES) -> NDArray[np.float32] | None:
    """Clouds (frames, points, 3) from the first to the last sample of :func:`sample_order`.

    Between two samples each point moves straight from the one to the other, slower near them. None for a
    single sample.
    """
    if len(points_A) < 2:
        return None
    ordered = np.asarray(points_A, np.float32)[sample_order(points_A)]
    places = np.linspace(0, len(ordered) - 1, frames)
    before = np.minimum(places.astype(int), len(ordered) - 2)
    share = places - before
    share = (share**2 * (3 - 2 * share)).astype(np.float32)[:, None, None]
    return np.asarray(ordered[before] * (1 - share) + ordered[before + 1] * share, np.float32)
