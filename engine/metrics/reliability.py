"""Whether spread, or a stated error, says how wrong an ensemble is, judged by the points of a truth.

If the members and the truth were draws from one distribution, the truth would lie within the region that
holds a share q of the probability in a share q of the cases. For each point i with the ensemble's mean m_i
and variance s_i² per axis, the statistic ``|t_i - m_i|² / (3 s_i² (1 + 1/n))`` follows Fisher's F with 3 and
3 (n - 1) degrees of freedom (the estimate of s_i² from n members is part of it), so few members are no excuse
and no error. A stated error (:mod:`engine.metrics.stated_error`) is judged in the same way by its own law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import fdtr, fdtri

from engine.assignment.exact import assign_points
from engine.errors import InputError
from engine.metrics.ensemble import spread_of_matched
from engine.metrics.stated_error import StatedError
from engine.types import FloatArray

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BINS = 10


@dataclass(frozen=True)
class Reliability:
    """How an ensemble's spread compares with its errors.

    Attributes
    ----------
    stated : (k,) shares of the probability.
    observed : (k,) shares of the points whose truth lies within the region of that share. Above ``stated``:
        the spread is too wide; below: too narrow.
    factor : what the spread has to be multiplied by so that half of the points lie within the region that
        should hold half of them.
    spread_A, error_A : (b,) root mean squares in groups of points of rising spread: of the spread (or of the
        distance that a stated error lets expect), and of the distance of the mean to the truth.
    points : how many points were judged; those that all members agree on exactly are left out.
    rank : Spearman's correlation of what was stated with the distance to the truth, over the points.
    """

    stated: NDArray[np.float64]
    observed: NDArray[np.float64]
    factor: float
    spread_A: NDArray[np.float64]
    error_A: NDArray[np.float64]
    points: int
    rank: float


def reliability(members: FloatArray, truth: FloatArray, stated: StatedError | None = None) -> Reliability:
    """Compare an ensemble's spread, or the stated error of its points, with its errors.

    Parameters
    ----------
    members : (n, p, 3) draws, matched (:func:`engine.metrics.ensemble.matched`), n >= 2; Å.
    truth : (p, 3) in the same frame, any order: each point is assigned to one of the ensemble's mean, by the
        exact assignment with the least summed squared distance. This flatters the ensemble a little, since
        the true correspondence can't have smaller distances.
    stated : error of each point, Å; None judges the spread.

    Raises
    ------
    InputError
        If there are fewer than two members, the numbers of points differ, or the members are all the same.
    """
    array, target = np.asarray(members, np.float64), np.asarray(truth, np.float64)
    if len(array) < 2 or array.shape[1:] != target.shape:
        raise InputError("Spread and error can't be compared: this needs two samples of as many points.")
    if stated is not None and stated.radius.shape != (len(target),):
        raise InputError("The stated error is of another number of points.", "Compute it again.")
    error = distances_to(array.mean(0), target)
    n = len(array)
    if stated is None:
        # spread² = 3 s²: the variance summed over the axes
        expected = spread_of_matched(array)
        scale, freedom = expected * np.sqrt((1 + 1 / n) / 3), np.full(len(target), 3.0 * (n - 1))
    else:
        scale, freedom, expected = stated.deviation, stated.freedom, stated.expected
    varied = scale > 1e-9 * np.abs(array).max()  # beyond rounding
    if not varied.any():
        raise InputError("All samples are the same, so their spread says nothing.")
    error, scale, expected, freedom = error[varied], scale[varied], expected[varied], freedom[varied]
    ratio = error**2 / (3 * scale**2)
    probability = fdtr(3, freedom, ratio)
    groups = np.array_split(np.argsort(expected), min(BINS, len(scale)))
    return Reliability(
        stated=np.array(LEVELS),
        observed=(probability[:, None] <= np.array(LEVELS)).mean(0),
        factor=float(np.sqrt(np.median(ratio / fdtri(3, freedom, 0.5)))),
        spread_A=np.array([_rms(expected[g]) for g in groups]),
        error_A=np.array([_rms(error[g]) for g in groups]),
        points=len(error),
        rank=_rank_correlation(expected, error),
    )


def distances_to(points: FloatArray, truth: FloatArray) -> NDArray[np.float64]:
    """Distance (p,) of each point (p, 3) to the point of the truth (p, 3) that it is assigned to."""
    order = assign_points(
        torch.from_numpy(np.ascontiguousarray(points, np.float64))[None],
        torch.from_numpy(np.ascontiguousarray(truth, np.float64))[None],
    ).numpy()[0]
    return np.asarray(np.linalg.norm(np.asarray(truth)[order] - points, axis=1))


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    x, y = (np.argsort(np.argsort(v, kind="stable")) - (len(v) - 1) / 2 for v in (a, b))
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
