"""How the members of an ensemble differ, point by point.

The points of a cloud carry no names, so members are first matched to the most central one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.assignment.exact import assign_points
from engine.metrics.point_clouds import chamfer
from engine.types import FloatArray

_ALL_PAIRS = 32
"""Members up to which all pairs are compared; beyond, each is compared with this many of them."""


def medoid_index(points: FloatArray) -> int:
    """The member with the least summed Chamfer distance to the others.

    Beyond 32 members each is compared with 32 of them, spread evenly over the ensemble.

    Parameters
    ----------
    points : (n, p, 3).
    """
    n = len(points)
    if n <= 2:
        return 0
    against = np.arange(n) if n <= _ALL_PAIRS else np.linspace(0, n - 1, _ALL_PAIRS).astype(np.int64)
    if n <= _ALL_PAIRS:
        i, j = np.triu_indices(n, 1)
        distance = np.zeros((n, n))
        distance[i, j] = chamfer(points[i], points[j])
        distance += distance.T
    else:
        distance = chamfer(points[:, None], points[None, against])
    return int(distance.mean(1).argmin())


def matched(points: FloatArray) -> FloatArray:
    """The ensemble with every member's points in the order of the medoid's.

    Parameters
    ----------
    points : (n, p, 3).

    Returns
    -------
    (n, p, 3), same type: point i of every member is the one assigned to point i of the medoid, by the
    exact linear assignment with the least summed squared distance. The medoid itself is unchanged.
    """
    array = np.asarray(points)
    reference = torch.from_numpy(np.ascontiguousarray(array[medoid_index(array)]))
    members = torch.from_numpy(np.ascontiguousarray(array))
    order = assign_points(reference.expand(len(array), -1, -1), members).numpy()
    return np.take_along_axis(array, order[..., None], 1)


def spread(points: FloatArray) -> NDArray[np.float64]:
    """How far each point strays between members: its standard deviation in 3D.

    ``sqrt(sum_s |x_s - mean|² / (n - 1))`` after :func:`matched`; zero for a single member.

    Parameters
    ----------
    points : (n, p, 3), any order of points within a member; Å as a rule.

    Returns
    -------
    (p,) in the unit of the points, in the medoid's order.
    """
    return spread_of_matched(matched(points))


def spread_of_matched(points: FloatArray) -> NDArray[np.float64]:
    """:func:`spread` of an ensemble (n, p, 3) that is matched already."""
    array = np.asarray(points, np.float64)
    if len(array) < 2:
        return np.zeros(array.shape[1])
    deviation = ((array - array.mean(0)) ** 2).sum(-1)
    return np.asarray(np.sqrt(deviation.sum(0) / (len(array) - 1)))
