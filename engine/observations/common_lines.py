"""Poses of projections made consistent with each other and with known shapes, by their common lines.

Where poses are wrong, profiles along common lines differ (:mod:`engine.observations.profiles`). Small turns,
shifts and scales of all views are found together by Levenberg-Marquardt steps, with a Gaussian prior about
the stated poses and hard bounds. How wide that prior is, the corrections themselves say: poses that were
right stay as they are. What turns, moves or scales everything alike is not determined by views among
themselves; the prior then keeps the mean where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from engine.observations.profiles import BINS, Profiles, Solid, View

Array = NDArray[np.float64]

# Values in a profile that err independently. White noise of points or pixels makes quantiles err like a
# Brownian bridge, whose k-th mode has variance 1/k²: as many as (sum 1/k²)² / sum 1/k⁴ equal ones.
INDEPENDENT = 2.5
FLOOR = 1e-3  # of the size: error of a profile of exact points
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03)  # of the stated errors, that the corrections may speak for
FEWEST = 4  # views among which one can stand out
SUSPICIOUS, FAR = 2.5, 5.0  # times the usual disagreement, with the view in the fit and without
ROUNDS, STEPS = 12, 10


@dataclass(frozen=True)
class PoseErrors:
    """Standard deviations of what may be wrong, and the hard bounds in multiples of them.

    Attributes
    ----------
    turn : radians, of the whole angle.
    shift : of the length, in the unit of the points.
    scale : of the logarithm of the scale; 0 holds scales fixed.
    bound : multiples.
    """

    turn: float
    shift: float
    scale: float
    bound: float = 3.0


@dataclass(frozen=True)
class PoseFit:
    """What makes the views consistent.

    Attributes
    ----------
    turns : (views, 3) rotation vectors in the view's frame: ``R = exp(turn) R_stated``, radians.
    shifts : (views, 2) added to the stated ones.
    scales : (views,) factor by which a view's coordinates are too large.
    turn_error, shift_error, scale_error : (views,) standard deviations that remain; among views alone, of
        what does not move all alike.
    typical : standard deviations of turn, shift and log scale that the corrections speak for.
    disagreement : (views,) root mean square difference of a view's profiles from the others'.
    before : (views,) the same at the stated poses.
    at_bound : (views,) whether a correction met its bound.
    outlier : (views,) whether the view agrees with none of the others; it was left at its stated pose.
    """

    turns: Array
    shifts: Array
    scales: Array
    turn_error: Array
    shift_error: Array
    scale_error: Array
    typical: tuple[float, float, float]
    disagreement: Array
    before: Array
    at_bound: NDArray[np.bool_]
    outlier: NDArray[np.bool_]


def consistent_poses(
    views: Sequence[View],
    solids: Sequence[Solid],
    errors: PoseErrors,
    *,
    free: NDArray[np.bool_] | None = None,
    floor: float = FLOOR,
) -> PoseFit:
    """Turn, shift and scale of each view that make all profiles agree.

    Parameters
    ----------
    views : at least one; points about the object's centre, in units of its half-width.
    solids : shapes in 3D in the same unit and place, or none.
    errors : of the stated poses.
    free : (views,) which may change; None for all.
    floor : least error of a profile.

    Notes
    -----
    The error of the profiles is not given: it is the residual that remains, estimated anew in each round.
    Profiles that disagree by several times the usual (those of an outlier) count less (Cauchy weights).
    """
    problem, count = Profiles(views, solids), len(views)
    movable = np.ones(count, bool) if free is None else np.asarray(free, bool)
    outlier = np.zeros(count, bool)
    root = np.sqrt((problem.residuals(np.zeros((count, 6)))[0] ** 2).mean(1))
    before = problem.of_views(root, outlier)
    x, normal, deviation, root = _fit(problem, errors, movable, outlier, floor)
    while (suspect := _suspect(problem.of_views(root, outlier), outlier)) is not None:
        without = outlier.copy()
        without[suspect] = True
        trial = _fit(problem, errors, movable & ~without, without, floor)
        apart = problem.of_views(trial[3], without)
        usual = max(float(np.median(apart[~without & np.isfinite(apart)])), 3 * floor)
        if apart[suspect] < FAR * usual:
            break
        outlier, (x, normal, deviation, root) = without, trial
    disagreement = problem.of_views(root, outlier)
    remaining = np.sqrt(_relative(np.linalg.inv(normal), problem, x, bool(solids)).diagonal()).reshape(
        count, 6
    )
    limits = errors.bound * np.array([errors.turn, errors.shift, errors.scale])
    lengths = np.stack(
        [np.linalg.norm(x[:, :3], axis=1), np.linalg.norm(x[:, 3:5], axis=1), np.abs(x[:, 5])], 1
    )
    free_now = deviation[movable & ~outlier].max(0, initial=0.0)
    return PoseFit(
        turns=x[:, :3],
        shifts=x[:, 3:5],
        scales=np.exp(x[:, 5]),
        turn_error=np.linalg.norm(remaining[:, :3], axis=1),
        shift_error=np.linalg.norm(remaining[:, 3:5], axis=1),
        scale_error=remaining[:, 5],
        typical=(
            float(free_now[:3].max() * np.sqrt(3)),
            float(free_now[3:5].max() * np.sqrt(2)),
            float(free_now[5]),
        ),
        disagreement=disagreement,
        before=before,
        at_bound=((lengths > 0.99 * limits) & (limits > 0)).any(1) & movable & ~outlier,
        outlier=outlier,
    )


def _fit(
    problem: Profiles,
    errors: PoseErrors,
    movable: NDArray[np.bool_],
    outlier: NDArray[np.bool_],
    floor: float,
) -> tuple[Array, Array, Array, Array]:
    """Parameters, their precision, their prior deviations, and the blocks' root mean squares."""
    count, tight = len(problem.views), 1e-9
    deviation = np.tile(
        [errors.turn / np.sqrt(3)] * 3 + [errors.shift / np.sqrt(2)] * 2 + [max(errors.scale, tight)],
        (count, 1),
    )
    deviation[~movable] = tight
    stated = deviation.copy()
    x = np.zeros((count, 6))
    r, _ = problem.residuals(x)
    root = np.sqrt((r**2).mean(1))
    left_out = problem.concerns(outlier)
    kinds = [problem.owners[:, 1] >= 0, problem.owners[:, 1] < 0]
    normal, weight = np.diag(1 / deviation.ravel() ** 2), np.zeros(len(root))
    last = np.inf
    for _ in range(ROUNDS if (~left_out).any() else 0):
        sigma = np.ones(len(root))
        for kind in kinds:
            if (kind & ~left_out).any():
                sigma[kind] = max(floor, float(np.median(root[kind & ~left_out])))
        weight = np.where(left_out, 0.0, INDEPENDENT / sigma**2 / (1 + (root / (3 * sigma)) ** 2))
        x, r, normal = _descend(problem, x, weight, deviation, errors)
        root = np.sqrt((r**2).mean(1))
        level = float(sigma.mean())
        if abs(level - last) < 0.03 * level:
            break
        last = level
    if movable.any() and (~left_out).any():
        data = INDEPENDENT * float((~left_out).sum())
        deviation = _typical(x, normal, stated, movable, data)
        x, r, normal = _descend(problem, x, weight, deviation, errors)
        root = np.sqrt((r**2).mean(1))
    return x, normal, deviation, root


def _suspect(disagreement: Array, known: NDArray[np.bool_]) -> int | None:
    """The view that disagrees most, if it stands out and there are enough of them."""
    rest = np.where(known | np.isnan(disagreement), -np.inf, disagreement)
    if np.isfinite(rest).sum() < FEWEST:
        return None
    worst = int(np.argmax(rest))
    others = np.delete(rest, worst)
    return worst if rest[worst] > SUSPICIOUS * float(np.median(others[np.isfinite(others)])) else None


def _relative(covariance: NDArray[np.floating], problem: Profiles, x: Array, fixed: bool) -> Array:
    """Covariance without what turns, moves or scales all views alike, unless shapes in 3D fix that."""
    if fixed:
        return np.asarray(covariance, np.float64)
    rotations, count = problem.rotations(x), len(x)
    common = np.zeros((count, 6, 7))
    common[:, :3, :3] = rotations
    common[:, 3:5, 3:6] = rotations[:, :2]
    common[:, 5, 6] = 1
    basis = np.linalg.qr(common.reshape(count * 6, 7))[0]
    keep = np.eye(count * 6) - basis @ basis.T
    return np.asarray(keep @ covariance @ keep, np.float64)


def _typical(x: Array, normal: Array, stated: Array, movable: NDArray[np.bool_], data: float) -> Array:
    """Standard deviations that the corrections themselves speak for, never above the stated ones.

    About its optimum the misfit is a quadratic in the parameters, so that the probability of profiles under
    any prior is known (MacKay 1992, doi:10.1162/neco.1992.4.3.415); the prior with the largest is taken, from
    a grid for turns, shifts and scales. Poses that were right are so left alone, though profiles are noisy.

    Parameters
    ----------
    normal : precision of the parameters at ``x``, where the prior is ``stated``.
    data : independent values that ``x`` was fitted to.
    """
    size = x.size
    likelihood = normal - np.diag(1 / stated.ravel() ** 2)
    # The optimum lies where the misfit's gradient balances the prior's pull.
    pull = normal @ x.ravel()
    used = size - float((np.linalg.inv(normal).diagonal() / stated.ravel() ** 2).sum())
    # The error of profiles was read off their residuals: fitting has made these smaller than they were.
    shrink = max(1 - used / data, 0.2)
    likelihood, pull = likelihood * shrink, pull * shrink
    best, chosen = -np.inf, stated
    columns = [np.arange(3), np.arange(3, 5), np.arange(5, 6)]
    for shares in product(SHARES, repeat=3):
        deviation = stated.copy()
        for part, share in zip(columns, shares, strict=True):
            deviation[np.ix_(movable, part)] *= share
        inverse = 1 / deviation.ravel() ** 2
        precision = likelihood + np.diag(inverse)
        value = pull @ np.linalg.solve(precision, pull) + np.log(inverse).sum()
        value -= np.linalg.slogdet(precision)[1]
        if value > best + 1e-9:
            best, chosen = value, deviation
    return chosen


def _descend(
    problem: Profiles, x: Array, weight: Array, deviation: Array, errors: PoseErrors
) -> tuple[Array, Array, Array]:
    """Levenberg-Marquardt at fixed weights (blocks,) of the profiles."""
    size, inverse = x.size, 1 / deviation.ravel() ** 2

    def cost(x: Array, r: Array) -> float:
        return float((weight * (r**2).mean(1)).sum() + (inverse * x.ravel() ** 2).sum())

    r, jacobian = problem.residuals(x)
    now, damping = cost(x, r), 1e-2
    normal = np.diag(inverse)
    for _ in range(STEPS):
        flat = jacobian.reshape(len(r), BINS, size)
        weighted = flat * (weight / BINS)[:, None, None]
        normal = np.einsum("bqi,bqj->ij", weighted, flat) + np.diag(inverse)
        gradient = np.einsum("bqi,bq->i", weighted, r) + inverse * x.ravel()
        gained = 0.0
        for _ in range(6):
            step = -np.linalg.solve(normal + damping * np.diag(normal.diagonal()), gradient)
            ahead = _bounded(problem.added(x, step.reshape(x.shape)), errors)
            r_ahead, jacobian_ahead = problem.residuals(ahead)
            then = cost(ahead, r_ahead)
            if then < now:
                gained, x, r, jacobian, now = now - then, ahead, r_ahead, jacobian_ahead, then
                damping = max(damping / 5, 1e-6)
                break
            damping *= 5
        if gained < 1e-4 * now:
            break
    return x, r, normal


def _bounded(x: Array, errors: PoseErrors) -> Array:
    out = x.copy()
    for part, most in ((slice(0, 3), errors.turn), (slice(3, 5), errors.shift)):
        length = np.linalg.norm(out[:, part], axis=1, keepdims=True)
        out[:, part] *= np.minimum(1, errors.bound * most / np.maximum(length, 1e-12))
    out[:, 5] = np.clip(out[:, 5], -errors.bound * errors.scale, errors.bound * errors.scale)
    return out
