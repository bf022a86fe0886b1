"""Easier assignment problems with the same answer: starting potentials for the exact solver.

Adding a number to a row or a column of a square cost matrix changes every complete matching alike, so the
optimum stays where it is. Subtracting good dual potentials leaves a matrix in which most rows find their
column at once, and the solver's augmenting paths become short. Exactness never depends on how good the
potentials are, only speed does.

Two kinds, one after the other. First the potentials of the affine optimal transport between the clouds
(Dowson & Landau 1982): with A the map between their covariances, ``|x - y|²`` and ``|A^½ x - A^-½ y|²``
differ by row and column terms only, so no cost is added at all. Then a few Sinkhorn iterations (Cuturi
2013) at falling temperatures give what an affine map can't.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

EASY = 0.75  # share of columns that are some row's nearest, above which Sinkhorn costs more than it saves
TEMPERATURES = (16.0, 4.0, 1.0)  # of the mean cost of a row's nearest column
ITERATIONS = 12  # at each temperature
SMALL = 128  # below this size everything is fast anyway


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    # Any positive matrix will do, so flat clouds need no care beyond a floor.
    floor = max(1e-8 * values[-1], 1e-30)
    powered: NDArray[np.float64] = (vectors * np.maximum(values, floor) ** exponent) @ vectors.T
    return powered


def affine_transport(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both clouds in coordinates where their covariances agree, halfway between them.

    Squared distances between the results have the same optimal matching as those between the inputs.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    cov_x, cov_y = x.T @ x / len(x), y.T @ y / len(y)
    root, inverse = _power(cov_x, 0.5), _power(cov_x, -0.5)
    a = inverse @ _power(root @ cov_y @ root, 0.5) @ inverse
    return x @ _power(a, 0.5), y @ _power(a, -0.5)


def _sinkhorn(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column potentials; single precision, because they only need to be good."""
    c = cost.astype(np.float32)
    rows, columns = (np.zeros(len(c), np.float32) for _ in range(2))
    unit = float(cost.min(1).mean()) + 1e-30
    for temperature in TEMPERATURES:
        t = np.float32(temperature * unit)
        kernel = np.exp(np.clip((rows[:, None] + columns - c) / t, -80, 80))
        b = np.ones(len(c), np.float32)
        for _ in range(ITERATIONS):
            a = 1 / np.maximum(kernel @ b, 1e-30)
            b = 1 / np.maximum(a @ kernel, 1e-30)
        rows += t * np.log(a)
        columns += t * np.log(b)
    return np.asarray(columns, np.float64)


def reduced_cost(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A cost matrix with the optimal matching of the squared distances between ``x`` and ``y``.

    Parameters
    ----------
    x, y : (n, d), equally many points; finite.

    Returns
    -------
    (n, n).
    """
    if len(x) < SMALL:
        return np.asarray(cdist(x, y, "sqeuclidean"))
    with np.errstate(over="ignore", invalid="ignore"):
        cost: NDArray[np.float64] = cdist(*affine_transport(x, y), "sqeuclidean")
    if not np.isfinite(cost).all():
        return np.asarray(cdist(x, y, "sqeuclidean"))
    if len(np.unique(cost.argmin(1))) < EASY * len(cost):
        potentials = _sinkhorn(cost)
        if np.isfinite(potentials).all():
            cost -= potentials
            cost -= cost.min(1, keepdims=True)
    return cost
