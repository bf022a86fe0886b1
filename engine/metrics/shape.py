"""How alike two clouds are in shape and size, however they are turned, and which are near-duplicates.

The descriptor holds distributions of distances, which don't change with rotation, mirroring or the order
of points: of the points from their centroid, and from each point to all others (shape distributions,
Osada et al. 2002; the distribution of local ones tells more shapes apart, Mémoli 2011). All are in units
of the radius of gyration, whose logarithm is one more number: size counts like shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from engine.types import FloatArray

_LEVELS = (np.arange(8) + 0.5) / 8
_QUANTILES = (np.arange(16) + 0.5) / 16
_ROWS = 256


def shape_descriptor(points_A: FloatArray) -> NDArray[np.float64]:
    """Numbers that describe the shape and size of a cloud, the same for every rotation and mirror image.

    The Euclidean distance between two descriptors is about the root-mean-square difference of distances
    in the two clouds, as a share of the size: 0.01 is one per cent.

    Parameters
    ----------
    points_A : (n, 3), Å, not all in one place.

    Returns
    -------
    (148,) quantiles over points (16) of the quantiles (8) of the distances from each to all; quantiles
    (16) of the distances from the centroid; the ellipsoid's three axes; ln of the radius of gyration in Å.
    """
    x = np.asarray(points_A, np.float64)
    x = x - x.mean(axis=0)
    rg = np.sqrt((x**2).sum(axis=1).mean())
    x = x / rg
    n = len(x)
    levels = (_LEVELS * n).astype(int)
    local = np.partition(cdist(x, x), levels, axis=1)[:, levels]
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(x.T @ x / n), 0))
    parts = [
        np.quantile(local, _QUANTILES, axis=0).ravel(),
        np.quantile(np.linalg.norm(x, axis=1), _QUANTILES),
        axes,
        np.log([rg]),
    ]
    return np.concatenate([part / np.sqrt(len(part)) for part in parts])


def cluster_shapes(descriptors: FloatArray, threshold: float) -> NDArray[np.int64]:
    """Clusters of near-duplicates by single linkage: no two clusters come closer than the threshold.

    Parameters
    ----------
    descriptors : (n, d), see :func:`shape_descriptor`.
    threshold : two clouds whose descriptors are closer than this are in the same cluster; with 0 each
        cloud is one of its own.

    Returns
    -------
    (n,) numbers from 0, in the order in which clusters first appear.
    """
    values = np.asarray(descriptors, np.float64)
    labels = np.arange(len(values))
    for begin in range(0, len(values) if threshold > 0 else 0, _ROWS):
        rows = values[begin : begin + _ROWS]
        a, b = np.nonzero(cdist(rows, values[begin:]) < threshold)
        graph = coo_array(
            (np.ones(len(a), np.int8), (labels[begin + a], labels[begin + b])), shape=(len(values),) * 2
        )
        labels = connected_components(graph, directed=False)[1][labels]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], np.int64)
