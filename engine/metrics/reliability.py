"""Whether an ensemble's spread says how wrong it is: stated against observed, over the points of a truth.

If the members and the truth were draws from one distribution, the truth would lie within the region that
holds a share q of the probability in a share q of the cases. For each point i with the ensemble's mean m_i
and variance s_i² per axis, the statistic ``|t_i - m_i|² / (3 s_i² (1 + 1/n))`` follows Fisher's F with 3 and
3 (n - 1) degrees of freedom (the estimate of s_i² from n members is part of it), so few members are no excuse
and no error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.assignment.exact import assign_points
from engine.errors import InputError
from engine.metrics.ensemble import spread_of_matched
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
    spread_A, error_A : (b,) root mean squares in groups of points of rising spread: of the spread, and of the
        distance of the mean to the truth.
    points : how many points were judged; those that all members agree on exactly are left out.
    """

    stated: NDArray[np.float64]
    observed: NDArray[np.float64]
    factor: float
    spread_A: NDArray[np.float64]
    error_A: NDArray[np.float64]
    points: int


def reliability(members: FloatArray, truth: FloatArray) -> Reliability:
    """Compare an ensemble's spread with its errors.

    Parameters
    ----------
    members : (n, p, 3) draws, matched (:func:`engine.metrics.ensemble.matched`), n >= 2; Å.
    truth : (p, 3) in the same frame, any order: each point is assigned to one of the ensemble's mean, by the
        exact assignment with the least summed squared distance. This flatters the ensemble a little, since
        the true correspondence can't have smaller distances.

    Raises
    ------
    InputError
        If there are fewer than two members, the numbers of points differ, or the members are all the same.
    """
    from scipy.stats import f as fisher

    array, target = np.asarray(members, np.float64), np.asarray(truth, np.float64)
    if len(array) < 2 or array.shape[1:] != target.shape:
        raise InputError("Spread and error can't be compared: this needs two samples of as many points.")
    mean = array.mean(0)
    order = assign_points(
        torch.from_numpy(mean)[None], torch.from_numpy(np.ascontiguousarray(target))[None]
    ).numpy()[0]
    error = np.linalg.norm(target[order] - mean, axis=1)
    spread = spread_of_matched(array)
    varied = spread > 1e-9 * np.abs(array).max()  # beyond rounding
    if not varied.any():
        raise InputError("All samples are the same, so their spread says nothing.")
    n = len(array)
    # spread² = 3 s²: the variance summed over the axes
    ratio = error[varied] ** 2 / (spread[varied] ** 2 * (1 + 1 / n))
    degrees = (3, 3 * (n - 1))
    quantiles = fisher.ppf(LEVELS, *degrees)
    groups = np.array_split(np.argsort(spread[varied]), min(BINS, int(varied.sum())))
    return Reliability(
        stated=np.array(LEVELS),
        observed=(ratio[:, None] <= quantiles).mean(0),
        factor=float(np.sqrt(np.median(ratio) / fisher.ppf(0.5, *degrees))),
        spread_A=np.array([_rms(spread[varied][g]) for g in groups]),
        error_A=np.array([_rms(error[varied][g]) for g in groups]),
        points=int(varied.sum()),
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))
