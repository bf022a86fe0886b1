"""How alike two clouds are in shape and size, however they are turned, and which are near-duplicates.

The descriptor holds distributions of distances, which don't change with rotation, mirroring or the order
of points: between all pairs of points and from their centroid (shape distributions, Osada et al. 2002).
They are in units of the radius of gyration, whose logarithm is one more number: size counts like shape.
Everything is divided by what changes when the same atoms are reduced to 1024 points once more with
another seed, so that distances are in units of that noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist, pdist

from engine.types import FloatArray

NEAR_DUPLICATE = 5.0
"""Distance of descriptors below which two clouds count as near-duplicates.

Clouds of the same atoms with another seed differ by 1.4 (at most 3.5), with 3 % of the atoms cut off at one
side by 4.0 (at most 5.7). Superposed, most pairs of the shipped prior's training clouds below 5 cover each
other as well as two clouds of the same atoms do; of those between 5 and 6, one in eight. Beyond 6 clusters
run together.
"""

_QUANTILES = (np.arange(32) + 0.5) / 32
_NOISE_OF_PAIRS = 0.0018
_NOISE_OF_RADII = 0.011  # twice what was measured: radii tell shapes apart less well
_NOISE_OF_AXES = 0.0033
_NOISE_OF_SIZE = 0.0046
_MORE_WITH_FEWER_POINTS = 0.4  # measured from 64 to 1024: noise goes as this power of their ratio
_ROWS = 256


def shape_descriptor(points_A: FloatArray) -> NDArray[np.float64]:
    """Numbers that describe the shape and size of a cloud, the same for every rotation and mirror image.

    Their Euclidean distance tells how alike two clouds of equally many points are, see
    :data:`NEAR_DUPLICATE`.

    Parameters
    ----------
    points_A : (n, 3), Å, not all in one place.

    Returns
    -------
    (68,) 32 quantiles each of the distances between pairs and from the centroid; the ellipsoid's three
    axes; ln of the radius of gyration in Å.
    """
    x = np.asarray(points_A, np.float64)
    x = x - x.mean(axis=0)
    rg = np.sqrt((x**2).sum(axis=1).mean())
    x = x / rg
    parts = [
        np.quantile(pdist(x), _QUANTILES) / _NOISE_OF_PAIRS,
        np.quantile(np.linalg.norm(x, axis=1), _QUANTILES) / _NOISE_OF_RADII,
        np.sqrt(np.maximum(np.linalg.eigvalsh(x.T @ x / len(x)), 0)) / _NOISE_OF_AXES,
        np.log([rg]) / _NOISE_OF_SIZE,
    ]
    noise = (1024 / len(x)) ** _MORE_WITH_FEWER_POINTS
    return np.concatenate([part / (noise * np.sqrt(len(part))) for part in parts])


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
