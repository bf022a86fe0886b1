"""Exact transport between points and weighted targets, without cost matrices.

The cost is the squared distance. Targets that stand for several points are columns with a capacity rather
than copies. A problem with places for exactly all points is first made easy: in the coordinates of
:func:`engine.assignment.potentials.affine_transport` both clouds have one covariance. Duals of the last
problem with the same targets, and an auction, bring what an affine map can't; shortest augmenting paths make
it exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.assignment.auction import auction
from engine.assignment.candidates import BLOCK, NEVER, prepare
from engine.assignment.paths import augment, settle
from engine.assignment.potentials import affine_transport
from engine.numerics.compiled import compiled

STEPS = (1.0, 0.3)  # of the auctions, in units of the mean cost of a point's nearest target
SAMPLED = 64  # points that this unit is measured at


@compiled
def _unit(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Mean squared distance from some of the points to the nearest target."""
    total, count, size = 0.0, 0, 0.0
    for i in range(0, len(x), max(1, len(x) // SAMPLED)):
        least = NEVER
        for j in range(len(y)):
            distance = 0.0
            for k in range(x.shape[1]):
                distance += (x[i, k] - y[j, k]) ** 2
                size = max(size, abs(y[j, k]))
            least = min(least, distance)
        total += least
        count += 1
    return max(total / count, 1e-12 * size**2, 1e-200)


@compiled
def _solve(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    capacity: NDArray[np.int32],
    v: NDArray[np.float64],
    owner: NDArray[np.int32],
) -> None:
    n, (m, d) = len(x), y.shape
    whole = capacity.sum() == n
    padded = (m + BLOCK - 1) // BLOCK * BLOCK
    columns, room, duals = np.zeros((d, padded)), np.zeros(padded, np.int32), np.zeros(padded)
    for j in range(m):
        for k in range(d):
            columns[k, j] = y[j, k]
        room[j], duals[j] = capacity[j], v[j]
    problem = prepare(x, columns, room, duals)
    unit = _unit(x, y)
    problem.width[0] = unit
    place = np.empty(n, np.int32)
    owner[:] = -1
    if whole:
        for step in STEPS:
            auction(problem, step * unit, owner)
    settle(problem, owner, place)
    augment(problem, owner, place)
    # Only their differences count; without this they would fall from problem to problem.
    v[:] = duals[:m] - duals[:m].max()


def solve(
    x: NDArray[np.float64], y: NDArray[np.float64], capacity: NDArray[np.int32], v: NDArray[np.float64]
) -> NDArray[np.int32]:
    """The optimal plan of one problem.

    Parameters
    ----------
    x : (n, d) finite points, d 2 or 3.
    y : (m, d) finite targets, neighbours near each other in the order (:func:`morton_order`).
    capacity : (m,) at least 1 each, together at least n.
    v : (m,) duals to start from, replaced by the optimum's. They decide about speed only, and are not used
        where some capacity is left over: there the solver has to begin with none.

    Returns
    -------
    (n,) each point's target.
    """
    owner = np.empty(len(x), np.int32)
    if int(capacity.sum()) == len(x):
        x, y = affine_transport(x, y, capacity)
    else:
        v[:] = 0.0
    _solve(np.ascontiguousarray(x), np.ascontiguousarray(y), capacity, v, owner)
    return owner


def compile_now() -> None:
    """Compile before the first use: about half a minute, unless the user's cache folder holds it already."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    solve(corners, corners, np.ones(3, np.int32), np.zeros(3))


def morton_order(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order (m,) of points (m, d) in which neighbours in the order are near each other in space.

    Morton 1966: the bits of the coordinates on a grid of 1024 along the longest side, interleaved.
    """
    extent = max(float(np.ptp(points, axis=0).max()), 1e-300)
    grid = np.clip((points - points.min(0)) / extent * 1023, 0, 1023).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        for k in range(points.shape[1]):
            code |= ((grid[:, k] >> bit) & 1) << (bit * points.shape[1] + k)
    return np.argsort(code, kind="stable")
