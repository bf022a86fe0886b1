"""Easier transport problems with the same answer.

Adding a number to a row or a column of the costs changes every complete plan alike, so the optimum stays
where it is. With A the affine optimal transport between two clouds (Dowson & Landau 1982), ``|x - y|²`` and
``|A^½ x - A^-½ y|²`` differ by row and column terms only; but between the latter no common shift, scale or
shear is left to be found by a solver.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLAT = 1e-8  # variance along an axis, in units of the largest, below which it counts as this
ALIKE = 1e12  # ratio of variances beyond which one of the clouds is a single spot


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    # Any positive matrix will do, so flat clouds need no care beyond a floor.
    powered: NDArray[np.float64] = (vectors * np.maximum(values, FLAT * values[-1]) ** exponent) @ vectors.T
    return powered


def affine_transport(
    x: NDArray[np.float64], y: NDArray[np.float64], mass: NDArray[np.number] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both clouds in coordinates where their centres and covariances agree, halfway between them.

    Squared distances between the results have the same optimal plan as those between the inputs, if it uses
    all of the mass.

    Parameters
    ----------
    x, y : (n, d), (m, d) finite.
    mass : (m,) of the points of ``y``; None for equal masses.
    """
    weight = np.full(len(y), 1 / len(y)) if mass is None else np.asarray(mass, np.float64) / np.sum(mass)
    x, y = x - x.mean(0), y - weight @ y
    cov_x, cov_y = x.T @ x / len(x), (y * weight[:, None]).T @ y
    size_x, size_y = np.trace(cov_x), np.trace(cov_y)
    if not (0 < size_x < ALIKE * size_y and size_y < ALIKE * size_x):
        return x, y
    root, inverse = _power(cov_x, 0.5), _power(cov_x, -0.5)
    a = inverse @ _power(root @ cov_y @ root, 0.5) @ inverse
    return x @ _power(a, 0.5), y @ _power(a, -0.5)
