"""Bringing one shape rigidly onto another, without knowing which parts correspond. numpy and scipy only.

Both shapes are weighted points. What is compared is their overlap as clouds of Gaussians, first wide
and then narrow: many rotations about the centroids are tried, and the best are refined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.surfaces import Density, profile_of

Array = NDArray[np.float64]

MOST_POINTS = 700
MOST_TARGET = 20_000
ROTATIONS = 600
WIDTHS = (0.30, 0.16, 0.08)  # of the Gaussians, in radii of gyration of the target
KEPT = (10, 4, 2)  # of each hand, refined at each width
GRID = 56
SHARE = 0.02  # of a map's voxels that stand for its object
ALIKE = 0.01  # hands whose overlaps differ by less are not told apart


@dataclass(frozen=True)
class Motion:
    """``x -> matrix @ x + shift_A``.

    Attributes
    ----------
    matrix : (3, 3) orthogonal; its determinant is -1 if the shape is mirrored.
    shift_A : (3,).
    overlap : with the target, 0 to 1.
    other_hand : the best overlap of the other hand; NaN if it wasn't tried.
    """

    matrix: Array
    shift_A: Array
    overlap: float = float("nan")
    other_hand: float = float("nan")

    @property
    def mirrored(self) -> bool:
        """Whether the shape is turned into its mirror image."""
        return bool(np.linalg.det(self.matrix) < 0)

    def __call__(self, points_A: NDArray[np.floating]) -> Array:
        """Moved points (..., 3)."""
        return np.asarray(points_A @ self.matrix.T + self.shift_A)

    def words(self, centre_A: NDArray[np.floating]) -> str:
        """What it does to a shape with this centre."""
        proper = self.matrix * (-1 if self.mirrored else 1)
        angle = np.degrees(np.arccos(np.clip((np.trace(proper) - 1) / 2, -1, 1)))
        moved = float(np.linalg.norm(self(centre_A) - centre_A))
        text = f"turned by {angle:.0f}°, moved by {moved:.1f} Å, overlap {self.overlap:.2f}"
        if not np.isfinite(self.other_hand):
            return text
        if abs(self.overlap - self.other_hand) < ALIKE:
            return f"{text}; the mirror image fits as well"
        return f"{text}; mirrored" if self.mirrored else text


STAY = Motion(np.eye(3), np.zeros(3))


def shape_of(what: Density | NDArray[np.floating], most: int = MOST_TARGET) -> tuple[Array, Array]:
    """Points (n, 3), Å, and weights (n,) that sum to 1, of a map or of points."""
    rng = np.random.default_rng(0)
    if isinstance(what, Density):
        level = profile_of(what).level(SHARE)
        index = np.argwhere(what.values > level)
        weights = what.values[tuple(index.T)].astype(float) - level
        middle = np.array([n // 2 for n in what.values.shape])
        points = (index - middle)[:, ::-1] * what.voxel_A + np.asarray(what.offset_A)
    else:
        points = np.asarray(what, float).reshape(-1, 3)
        points = points[np.isfinite(points).all(1)]
        weights = np.ones(len(points))
    if len(points) > most:
        chosen = rng.choice(len(points), most, replace=False)
        points, weights = points[chosen], weights[chosen]
    return points, weights / max(float(weights.sum()), 1e-30)


def superpose(
    mobile: Density | NDArray[np.floating],
    target: Density | NDArray[np.floating],
    *,
    either_hand: bool = False,
) -> Motion:
    """The motion that brings one shape onto another of about the same size.

    Parameters
    ----------
    mobile, target : maps or points (n, 3), Å.
    either_hand : also try the mirror image, and take it if it overlaps more.

    Returns
    -------
    Motion
        :data:`STAY` if one of them is empty.
    """
    points, weights = shape_of(mobile, MOST_POINTS)
    to, to_weights = shape_of(target)
    if len(points) < 4 or len(to) < 4:
        return STAY
    from_centre, to_centre = weights @ points, to_weights @ to
    points, to = points - from_centre, to - to_centre
    radius = float(np.sqrt(to_weights @ (to**2).sum(1)))
    fields = [_Field(to, to_weights, points, weights, max(width * radius, 1e-6)) for width in WIDTHS]
    starts = _rotations(points, weights, to, to_weights)
    best: dict[float, Motion] = {}
    for hand in (1.0, -1.0) if either_hand else (1.0,):
        turned = points * np.array([1.0, 1.0, hand])
        found = [(r, np.zeros(3)) for r in starts]
        scores = [fields[0].overlap(turned @ r.T) for r, _ in found]
        for field, kept in zip(fields, KEPT, strict=True):
            order = np.argsort(scores)[::-1][:kept]
            found = [_refined(field, turned, weights, *found[i]) for i in order]
            scores = [field.overlap(turned @ r.T + s) for r, s in found]
        number = int(np.argmax(scores))
        rotation, shift = found[number]
        matrix = rotation @ np.diag([1.0, 1.0, hand])
        best[hand] = Motion(matrix, shift + to_centre - matrix @ from_centre, float(scores[number]))
    first = best[1.0]
    if not either_hand:
        return first
    other = best[-1.0]
    # Where both hands fit equally the shape stays as it is.
    winner, loser = (other, first) if other.overlap > first.overlap + ALIKE else (first, other)
    return Motion(winner.matrix, winner.shift_A, winner.overlap, loser.overlap)


class _Field:
    """The target blurred, to be looked up where the mobile points come to lie."""

    def __init__(self, to: Array, to_weights: Array, points: Array, weights: Array, width: float) -> None:
        self._weights, self.width = weights, width
        reach = float(max(np.abs(to).max(), np.abs(points).max())) + 3 * width
        self._step, self._reach = 2 * reach / (GRID - 1), reach
        self._values = self._blurred(to, to_weights)
        own = self._blurred(points, weights)
        both = float(to_weights @ self._at(to, self._values)) * float(weights @ self._at(points, own))
        self._norm = float(np.sqrt(max(both, 1e-300)))

    def overlap(self, points: Array) -> float:
        return float(self._weights @ self._at(points, self._values)) / self._norm

    def _blurred(self, points: Array, weights: Array) -> Array:
        from scipy.ndimage import gaussian_filter

        edges = [(-self._reach - self._step / 2, self._reach + self._step / 2)] * 3
        grid, _ = np.histogramdd(points, GRID, edges, weights=weights)
        blurred: Array = gaussian_filter(grid, np.sqrt(2) * self.width / self._step, mode="constant")
        return blurred

    def _at(self, points: Array, values: Array) -> Array:
        from scipy.ndimage import map_coordinates

        found: Array = map_coordinates(values, (points.T + self._reach) / self._step, order=1)
        return found


def _refined(
    field: _Field, points: Array, weights: Array, rotation: Array, shift: Array
) -> tuple[Array, Array]:
    from scipy.optimize import minimize
    from scipy.spatial.transform import Rotation

    radius = float(np.sqrt(weights @ (points**2).sum(1)))

    def moved(x: Array) -> tuple[Array, Array]:
        return Rotation.from_rotvec(x[:3] / radius).as_matrix() @ rotation, shift + x[3:]

    def loss(x: Array) -> float:
        turn, move = moved(x)
        return -field.overlap(points @ turn.T + move)

    # Steps of a tenth of the Gaussians: linear interpolation has no smooth gradient below that.
    options = {"eps": 0.1 * field.width, "maxiter": 20}
    found = minimize(loss, np.zeros(6), method="L-BFGS-B", options=options)
    return moved(found.x)


def _rotations(points: Array, weights: Array, to: Array, to_weights: Array) -> list[Array]:
    """No rotation, the four that bring principal axes together, and an even choice of others."""
    from scipy.spatial.transform import Rotation

    frames = []
    for cloud, share in ((points, weights), (to, to_weights)):
        _, axes = np.linalg.eigh((cloud * share[:, None]).T @ cloud)
        axes[:, 2] *= np.sign(np.linalg.det(axes))
        frames.append(axes)
    flips = ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])
    own = [frames[1] @ np.diag(flip) @ frames[0].T for flip in flips]
    quaternions = np.random.default_rng(0).normal(size=(ROTATIONS, 4))
    return [np.eye(3), *own, *Rotation.from_quat(quaternions).as_matrix()]
