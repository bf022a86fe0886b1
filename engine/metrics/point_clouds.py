"""Distances between point clouds, as the DPS paper reports them.

The paper does not print its formulas; its figures decide between the usual forms. Its Chamfer distance
exceeds its Earth Mover's distance, which only the *sum* of both directions can do (each direction is at
most the Earth Mover's distance), and both have the size of distances, not of squared distances.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from engine.assignment.exact import assign
from engine.types import FloatArray


def chamfer(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """Chamfer distance: ``mean_a min_b |a - b| + mean_b min_a |a - b|``.

    Distances, not squared; both directions summed, not halved. Symmetric; 0 only for clouds that cover
    each other.

    Parameters
    ----------
    a, b : (..., n, 3) and (..., m, 3) in the same unit; leading dimensions broadcast.

    Returns
    -------
    (...) in the unit of the points.
    """
    lead, pairs = _pairs(a, b)
    values = [cKDTree(y).query(x)[0].mean() + cKDTree(x).query(y)[0].mean() for x, y in pairs]
    return np.asarray(values, np.float64).reshape(lead)


def earth_movers(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """Earth Mover's distance: mean distance (not squared) under the best one-to-one matching.

    The matching is exact and minimises this same mean distance.

    Parameters
    ----------
    a, b : (..., n, 3) with the same number of points, in the same unit; leading dimensions broadcast.

    Returns
    -------
    (...) in the unit of the points.

    Raises
    ------
    ValueError
        If the clouds differ in size.
    """
    if np.shape(a)[-2] != np.shape(b)[-2]:
        raise ValueError("the Earth Mover's distance compares clouds with the same number of points")
    lead, pairs = _pairs(a, b)
    values = []
    # a few at a time: their costs are kept to read the matched distances off them
    for start in range(0, len(pairs), 16):
        costs = np.stack([cdist(x, y) for x, y in pairs[start : start + 16]])
        match = assign(torch.from_numpy(costs)).numpy()
        values.extend(np.take_along_axis(costs, match[..., None], -1).mean((1, 2)))
    return np.asarray(values, np.float64).reshape(lead)


def _pairs(
    a: FloatArray, b: FloatArray
) -> tuple[tuple[int, ...], list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lead = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    x = np.broadcast_to(first, lead + first.shape[-2:]).reshape(-1, *first.shape[-2:])
    y = np.broadcast_to(second, lead + second.shape[-2:]).reshape(-1, *second.shape[-2:])
    return lead, list(zip(x, y, strict=True))
