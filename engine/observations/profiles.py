"""One-dimensional profiles of views and shapes, and how they change with the views' poses.

Two projections of one object share its density along the line in which their planes intersect: summed
across that line, both show the same profile (Crowther et al. 1970, doi:10.1098/rspb.1970.0097; van Heel
1987, doi:10.1016/0304-3991(87)90078-7). A shape in 3D gives one along any direction of a view. Profiles are
compared as mass distributions: the mean position in bins of equal mass, so that the squared difference is
the squared Wasserstein distance, and sorting takes the place of correspondences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

BINS = 48
PARALLEL_DEG = 10.0  # planes closer than this have no well-defined common line
DIRECTIONS = 6  # in which a view is compared with a shape in 3D


@dataclass(frozen=True)
class View:
    """A projection: ``points`` (m, 2), ``weights`` (m,), and the stated ``rotation`` (3, 3)."""

    points: Array
    weights: Array
    rotation: Array


@dataclass(frozen=True)
class Solid:
    """A shape in 3D at a known place: ``points`` (m, 3), ``weights`` (m,)."""

    points: Array
    weights: Array


def profile(points: Array, weights: Array, directions: Array, bins: int = BINS) -> Array:
    """Mean position of the mass in bins of equal mass along each direction.

    Parameters
    ----------
    points : (m, d).
    weights : (m,) not negative.
    directions : (l, d) unit vectors.

    Returns
    -------
    (l, bins, d): its product with a direction is that profile's quantile function.
    """
    order = np.argsort(points @ directions.T, axis=0, kind="stable")
    edges = np.linspace(0, 1, bins + 1)
    out = np.empty((len(directions), bins, points.shape[1]))
    for i in range(len(directions)):
        w = weights[order[:, i]]
        mass = np.concatenate([[0.0], np.cumsum(w)])
        for d in range(points.shape[1]):
            moment = np.concatenate([[0.0], np.cumsum(w * points[order[:, i], d])])
            out[i, :, d] = np.diff(np.interp(edges * mass[-1], mass, moment)) * bins / mass[-1]
    return out


class Profiles:
    """Residuals of all profiles and their derivatives; parameters are (views, 6): turn, shift, log scale."""

    def __init__(self, views: Sequence[View], solids: Sequence[Solid]) -> None:
        self.views, self.solids = views, solids
        self.stated = np.stack([v.rotation for v in views])
        far = np.cos(np.radians(PARALLEL_DEG))
        axis = self.stated[:, 2]
        self.pairs = np.array(
            [(j, k) for j in range(len(views)) for k in range(j) if abs(axis[j] @ axis[k]) < far], np.int64
        ).reshape(-1, 2)
        angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
        self.across = np.stack([np.cos(angles), np.sin(angles)], -1)
        # Which views a block of profiles speaks of; -1 where the other side is a solid.
        blocks = [(j, k) for j, k in self.pairs]
        blocks += [(k, -1) for k in range(len(views)) for _ in solids for _ in range(DIRECTIONS)]
        self.owners = np.array(blocks, np.int64).reshape(-1, 2)

    def rotations(self, x: Array) -> Array:
        """Present rotations (views, 3, 3)."""
        return np.asarray(Rotation.from_rotvec(x[:, :3]).as_matrix() @ self.stated)

    def _lines(self, rotations: Array) -> tuple[Array, Array]:
        first, second = rotations[self.pairs[:, 0]], rotations[self.pairs[:, 1]]
        line = np.cross(first[:, 2], second[:, 2])
        line /= np.linalg.norm(line, axis=1, keepdims=True)
        return np.einsum("pij,pj->pi", first[:, :2], line), np.einsum("pij,pj->pi", second[:, :2], line)

    def residuals(self, x: Array) -> tuple[Array, Array]:
        """Differences of profiles (blocks, bins), and their derivatives (blocks, bins, views, 6)."""
        rotations, views = self.rotations(x), len(self.views)
        shrink = np.exp(-x[:, 5])
        points = [(v.points - x[k, 3:5]) * shrink[k] for k, v in enumerate(self.views)]
        r = np.zeros((len(self.owners), BINS))
        jacobian = np.zeros((len(self.owners), BINS, views, 6))
        lines = self._lines(rotations)
        means = [np.empty((len(self.pairs), BINS, 2)) for _ in range(2)]
        for side, sign in ((0, 1.0), (1, -1.0)):
            for k in range(views):
                mine = np.flatnonzero(self.pairs[:, side] == k)
                if not len(mine):
                    continue
                u = lines[side][mine]
                means[side][mine] = profile(points[k], self.views[k].weights, u)
                value = np.einsum("pqd,pd->pq", means[side][mine], u)
                r[mine] += sign * value
                jacobian[mine, :, k, 3:5] = -sign * shrink[k] * u[:, None]
                jacobian[mine, :, k, 5] = -sign * value
        step, count = 1e-6, len(self.pairs)
        for k in range(views) if count else ():
            for i in range(3):
                turned = rotations.copy()
                turned[k] = Rotation.from_rotvec(step * np.eye(3)[i]).as_matrix() @ rotations[k]
                ahead = self._lines(turned)
                change = [(a - b) / step for a, b in zip(ahead, lines, strict=True)]
                jacobian[:count, :, k, i] = np.einsum("pqd,pd->pq", means[0], change[0])
                jacobian[:count, :, k, i] -= np.einsum("pqd,pd->pq", means[1], change[1])
        at = count
        for k in range(views):
            rows = self.across @ rotations[k, :2]
            # d(exp(w)ᵀ u) = u x w: how the direction in space changes with a turn of the view
            u3 = np.concatenate([self.across, np.zeros((DIRECTIONS, 1))], 1)
            moved = np.stack([np.cross(u3, np.eye(3)[i]) @ rotations[k] for i in range(3)])
            seen = profile(points[k], self.views[k].weights, self.across) if self.solids else None
            for solid in self.solids:
                assert seen is not None
                here = slice(at, at + DIRECTIONS)
                inside = profile(solid.points, solid.weights, rows)
                value = np.einsum("pqd,pd->pq", seen, self.across)
                r[here] = value - np.einsum("pqd,pd->pq", inside, rows)
                jacobian[here, :, k, :3] = -np.einsum("pqd,ipd->pqi", inside, moved)
                jacobian[here, :, k, 3:5] = -shrink[k] * self.across[:, None]
                jacobian[here, :, k, 5] = -value
                at += DIRECTIONS
        return r, jacobian

    def added(self, x: Array, step: Array) -> Array:
        """Parameters after a step; turns compose."""
        out = x + step
        turn = Rotation.from_rotvec(step[:, :3]) * Rotation.from_rotvec(x[:, :3])
        out[:, :3] = turn.as_rotvec()
        return out

    def concerns(self, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which blocks speak of one of ``some`` (views,)."""
        inside = np.isin(self.owners, np.flatnonzero(some))
        return np.asarray(inside[:, 0] | inside[:, 1])

    def of_views(self, block: Array, but: NDArray[np.bool_]) -> Array:
        """Median of the blocks (b,) in which each view meets others, less ``but`` (views,); else NaN."""
        out = np.full(len(self.views), np.nan)
        for k in range(len(self.views)):
            others = but.copy()
            others[k] = False
            mine = (self.owners == k).any(1) & ~self.concerns(others)
            if mine.any():
                # The middle one: an outlier spoils a profile of each view that is compared with it.
                out[k] = np.median(block[mine])
        return out
