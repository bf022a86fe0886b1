"""Bring one point cloud onto another: size, matched points, and rigid motion without correspondences.

All functions return ``(R, t)`` such that ``mobile @ R.T + t`` lies on the target; R is always a proper
rotation, because a mirror image of a molecule is another molecule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from engine.numerics.rotations import angle_between, rotation_grid
from engine.types import FloatArray

Array = NDArray[np.float64]

_POINTS = 1024
"""Points per cloud in the final refinement; larger clouds are sampled down."""
_COARSE_POINTS = 256
"""Points per cloud while many starts are compared."""
_GRID = 1152
"""Rotations tried: no rotation is further than about 20 degrees from one of them."""
_STARTS, _CONTENDERS, _FINALISTS = 32, 16, 2
_WIDE = 0.2
"""First kernel width h, in radii of gyration."""


def radius_of_gyration(points: FloatArray) -> float:
    """Root mean square distance of (n, 3) points from their centroid."""
    centred = np.asarray(points, np.float64) - np.mean(points, axis=0)
    return float(np.sqrt((centred**2).sum(-1).mean()))


def match_radius_of_gyration(mobile: FloatArray, target: FloatArray) -> Array:
    """``mobile`` (n, 3) scaled about its centroid to the radius of gyration of ``target`` (m, 3).

    A cloud whose points all coincide has no size to scale and is returned unchanged.
    """
    points = np.asarray(mobile, np.float64)
    centre, size = points.mean(0), radius_of_gyration(points)
    if size == 0:
        return points.copy()
    return np.asarray(centre + (points - centre) * (radius_of_gyration(target) / size))


def superpose(
    mobile: FloatArray, target: FloatArray, weights: FloatArray | None = None
) -> tuple[Array, Array]:
    """Rigid motion with the least squared distance between points matched one to one.

    Kabsch 1976, doi:10.1107/S0567739476001873.

    Parameters
    ----------
    mobile, target : (..., n, 3).
    weights : (..., n) non-negative, or None for equal ones.

    Returns
    -------
    R (..., 3, 3), t (..., 3).
    """
    a, b = np.asarray(mobile, np.float64), np.asarray(target, np.float64)
    w = np.ones(a.shape[:-1]) if weights is None else np.asarray(weights, np.float64)
    w = (w / w.sum(-1, keepdims=True))[..., None]
    centre_a, centre_b = (w * a).sum(-2, keepdims=True), (w * b).sum(-2, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(w * (b - centre_b), -1, -2) @ (a - centre_a))
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]  # never a mirror image
    rotation = u @ vt
    return rotation, (centre_b - centre_a @ np.swapaxes(rotation, -1, -2))[..., 0, :]


def kernel_correlation(mobile: FloatArray, target: FloatArray, h: float) -> float:
    """Mean over both clouds of ``exp(-|a_i - b_j|² / 4h²)`` (Tsin & Kanade 2004).

    Parameters
    ----------
    mobile, target : (n, 3), (m, 3).
    h : kernel width, in the unit of the points.
    """
    a, b = np.asarray(mobile, np.float64), np.asarray(target, np.float64)
    return float(_kernel(a[None], b, h).mean())


def align_kernel_correlation(mobile: FloatArray, target: FloatArray) -> tuple[Array, Array]:
    """Rigid motion that maximises the kernel correlation of two clouds without correspondences.

    Maximises ``sum_ij exp(-|R a_i + t - b_j|² / 4h²)`` (Tsin & Kanade 2004, A correlation-based
    approach to robust point set registration; h as theirs, so the kernel is a Gaussian of standard
    deviation ``h sqrt(2)``). Starts are the identity, 1152 rotations spread over SO(3) and the 24 ways
    of laying principal axes on each other, all with centroids together. The best 32 climb at h = 0.2 and
    0.1 radii of gyration with a quarter of the points, up to 16 different ones go on with all points at
    the final width, where ``h sqrt(2)`` is the target's mean distance between neighbours, and the best
    two are taken to the end. Deterministic.

    Parameters
    ----------
    mobile, target : (n, 3), (m, 3), same unit, at least 3 points each. More than 1024 are sampled down.
        Nothing is scaled: see :func:`match_radius_of_gyration`.

    Returns
    -------
    R (3, 3), t (3,).

    Raises
    ------
    ValueError
        If there are fewer than 3 points or the target's points coincide.
    """
    a, b = np.asarray(mobile, np.float64), np.asarray(target, np.float64)
    if min(len(a), len(b)) < 3 or not radius_of_gyration(b) > 0:
        raise ValueError("alignment needs at least three points that do not coincide")
    centre_a, centre_b, unit = a.mean(0), b.mean(0), radius_of_gyration(b)
    rng = np.random.default_rng(0)
    a, b = rng.permutation((a - centre_a) / unit)[:_POINTS], rng.permutation((b - centre_b) / unit)[:_POINTS]
    few_a, few_b = a[:_COARSE_POINTS], b[:_COARSE_POINTS]

    rotations = _promising(a, b)
    shifts = np.zeros((len(rotations), 3))
    for h, rounds in ((_WIDE, 8), (_WIDE / 2, 12)):
        rotations, shifts = _climb(few_a, few_b, rotations, shifts, h, rounds)
    moved = few_a @ np.swapaxes(rotations, 1, 2) + shifts[:, None]
    order = _distinct(
        rotations, _kernel(moved, few_b, _WIDE / 2).sum((1, 2), dtype=np.float64), np.radians(8), _CONTENDERS
    )

    # pseudo-symmetric complexes differ only in detail between their poses: compare with all points
    spacing = float(cKDTree(b).query(b, k=2)[0][:, 1].mean())
    narrow = float(np.clip(spacing / np.sqrt(2), 0.01, _WIDE / 2))
    contenders = [_climb(a, b, rotations[[i]], shifts[[i]], narrow, 3) for i in order]
    scores = [float(_kernel(a @ r[0].T + t, b, narrow).mean(dtype=np.float64)) for r, t in contenders]
    best: tuple[float, Array, Array] | None = None
    for i in np.argsort(scores)[::-1][:_FINALISTS]:
        found = _refine(a, b, contenders[i][0][0], contenders[i][1][0], narrow)
        if best is None or found[0] > best[0]:
            best = found
    assert best is not None
    _, rotation, shift = best
    return rotation, shift * unit + centre_b - rotation @ centre_a


def _promising(a: Array, b: Array) -> Array:
    """The most promising rotations of centred clouds with unit radius of gyration."""
    cube = np.stack([r for r in Rotation.create_group("O").as_matrix()])
    axes_a, axes_b = _principal_axes(a), _principal_axes(b)
    rotations = np.concatenate([np.eye(3)[None], axes_b @ cube @ axes_a.T, rotation_grid(_GRID)])
    # the target's kernel density on a grid, looked up at the rotated points: thousands of starts cost little
    step, reach = 0.1, float(np.abs(np.concatenate([a, b])).max()) * np.sqrt(3) + 4 * _WIDE
    step = max(step, reach / 40)
    edges = np.arange(-reach - step / 2, reach + step, step)
    counts, _ = np.histogramdd(b, bins=(edges, edges, edges))
    field = gaussian_filter(counts, _WIDE * np.sqrt(2) / step, mode="constant")
    index = (a[:_COARSE_POINTS] @ np.swapaxes(rotations, 1, 2) + reach) / step
    score = map_coordinates(field, index.reshape(-1, 3).T, order=1).reshape(len(rotations), -1).sum(1)
    chosen = _distinct(rotations, score, np.radians(15), _STARTS - 1)
    return rotations[[0, *[i for i in chosen if i != 0]]]


def _principal_axes(points: Array) -> Array:
    """Principal axes as the columns of a proper rotation."""
    axes = np.linalg.eigh(points.T @ points)[1]
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    return np.asarray(axes, np.float64)


def _distinct(rotations: Array, score: Array, apart: float, most: int) -> list[int]:
    """Indices of the best-scoring rotations that are at least ``apart`` radians from each other."""
    chosen: list[int] = []
    for i in np.argsort(-score, kind="stable"):
        if not chosen or angle_between(rotations[chosen], rotations[i]).min() >= apart:
            chosen.append(int(i))
        if len(chosen) == most:
            break
    return chosen


def _kernel(a: Array, b: Array, h: float) -> NDArray[np.float32]:
    """``exp(-|a_i - b_j|² / 4h²)`` for a (c, n, 3), b (m, 3): (c, n, m). float32: it is the hot loop."""
    scale = 1 / (2 * h)
    x, y = (a * scale).astype(np.float32), (b * scale).astype(np.float32)
    out = np.asarray(x @ y.T)
    out *= 2
    out -= (x * x).sum(-1)[..., None]
    out -= (y * y).sum(-1)
    np.minimum(out, 0, out=out)
    return np.exp(out, out=out)


def _climb(a: Array, b: Array, rotations: Array, shifts: Array, h: float, rounds: int) -> tuple[Array, Array]:
    """Ascend from many starts at once.

    The exponential is convex in the squared distance, so weighting all pairs by the kernel and solving
    the weighted Procrustes problem never lowers the correlation.
    """
    target = b.astype(np.float32)
    for _ in range(rounds):
        k = _kernel(a @ np.swapaxes(rotations, 1, 2) + shifts[:, None], b, h)
        weight = k.sum(-1).astype(np.float64) + 1e-12
        pulled = (k @ target).astype(np.float64) / weight[..., None]
        rotations, shifts = superpose(np.broadcast_to(a, pulled.shape), pulled, weight)
    return rotations, shifts


def _refine(a: Array, b: Array, rotation: Array, shift: Array, h: float) -> tuple[float, Array, Array]:
    """Ascend from one start with BFGS over a rotation vector and a shift: correlation, R, t."""
    start, target = a @ rotation.T, b.astype(np.float32)
    # relative to its start, so that the tolerance on the gradient means the same for every cloud
    unit = float(_kernel((start + shift)[None], b, h).mean(dtype=np.float64)) + 1e-300

    def negative(parameters: Array) -> tuple[float, Array]:
        w = parameters[:3]
        turned = Rotation.from_rotvec(w).apply(start)
        x = turned + parameters[3:]
        k = _kernel(x[None], b, h)[0]
        pull = ((k @ target) - k.sum(-1)[:, None] * x) / (2 * h * h * len(b) * len(a) * unit)
        gradient_w = _left_jacobian(w).T @ np.cross(turned, pull).sum(0)
        return -float(k.mean(dtype=np.float64)) / unit, -np.concatenate([gradient_w, pull.sum(0)])

    found = minimize(
        negative,
        np.append(np.zeros(3), shift),
        jac=True,
        method="BFGS",
        options={"maxiter": 40, "gtol": 1e-3},
    )
    turn = Rotation.from_rotvec(found.x[:3]).as_matrix()
    return -float(found.fun) * unit, turn @ rotation, np.asarray(found.x[3:], np.float64)


def _left_jacobian(w: Array) -> Array:
    """Change of the rotation exp(w), as a rotation vector on its left, per change of w."""
    angle = float(np.linalg.norm(w))
    cross = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    if angle < 1e-4:
        return np.eye(3) + cross / 2
    return np.asarray(
        np.eye(3)
        + (1 - np.cos(angle)) / angle**2 * cross
        + (angle - np.sin(angle)) / angle**3 * cross @ cross
    )
