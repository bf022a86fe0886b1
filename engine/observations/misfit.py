"""How well points fit the evidence, in units where 1 means "to the stated error", and what that error is.

An energy in Å² says little on its own: what is a good one depends on the stated error of the evidence and on
how coarse it is. The misfit here is chi-square per coordinate: squared residuals, each over its own expected
variance. At the truth its mean is 1. Above it the evidence contradicts the points or is worse than stated;
far below it the error was stated too large, or points were laid onto the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.observations.matched import MatchedPoints
from engine.protocols import Match, Points

SUSPICIOUS = 4.0
"""Chi-square per coordinate above which evidence is flagged: residuals twice as long as stated."""
_SMALLEST, _LARGEST = 1e-4, 1.0  # of a fitted error, normalised units


def residuals(
    observation: MatchedPoints, x0: Points, match: Match
) -> tuple[Float[Tensor, "n cells d"], Float[Tensor, "n cells"], Float[Tensor, " cells"]]:
    """What each measured point says against the points it stands for.

    A measured point that stands for several object points is compared with their mean, as
    :meth:`~engine.observations.matched.MatchedPoints.normal_equations` does.

    Returns
    -------
    residual : (n, cells, d) measured point less mean of the points matched with it.
    used : (n, cells) 1 where a measured point was matched, else 0.
    variance : (cells,) expected variance per coordinate of such a mean, without the evidence's own error.
    """
    cells = len(observation.share)
    seen = observation.seen(x0)
    chosen = (match >= 0).to(x0.dtype)
    row = match.clamp_min(0)
    cell = observation.cell[row]
    count = torch.zeros(len(x0), cells, dtype=x0.dtype, device=x0.device).scatter_add(1, cell, chosen)
    index = cell[..., None].expand_as(seen)
    off = (observation.targets[row] - seen) * chosen[..., None]
    sums = seen.new_zeros(len(x0), cells, seen.shape[-1]).scatter_add(1, index, off)
    variance = observation.variance.new_zeros(cells).scatter(0, observation.cell, observation.variance)
    return sums / count.clamp_min(1)[..., None], (count > 0).to(x0.dtype), variance


def chi_square(observation: MatchedPoints, x0: Points, match: Match, sigma: float) -> Float[Tensor, " n"]:
    """Mean squared residual per coordinate over what is expected: ``sigma²`` plus the variance of cell means.

    Parameters
    ----------
    sigma : stated error per coordinate, normalised units.

    Returns
    -------
    (n,) per sample; 1 where the points fit to the stated error.
    """
    residual, used, variance = residuals(observation, x0, match)
    ratio = residual.square().sum(-1) / (sigma**2 + variance)
    total: Tensor = (ratio * used).sum(1) / (used.sum(1).clamp_min(1) * residual.shape[-1])
    return total


def fitted_sigma(
    observation: MatchedPoints, x0: Points, match: Match, uncertainty: Float[Tensor, ""] | float = 0.0
) -> float:
    """The error of an observation that makes its residuals most likely, normalised units.

    Maximises ``sum_c -d/2 ln(sigma² + v_c) - (r_c² + d u) / 2 (sigma² + v_c)`` over ``sigma``: the M step of
    expectation-maximisation, where u is the variance per coordinate of the points about ``x0`` as the
    measurement sees them. Draws carry it already; an estimate does not. With equal cell variances v the
    maximum is ``sigma² = mean(r²)/d + u - v``; with different ones it is found by Fisher scoring.

    Points that were fitted to the evidence have shorter residuals than the truth. Where a measurement can be
    met exactly, as a single projection can, its error can't be told: the answer then is only a lower bound.

    Returns
    -------
    float
        Between 1e-4 and 1.
    """
    residual, used, variance = residuals(observation, x0, match)
    squared = (residual.square().mean(-1) + uncertainty)[used > 0].double()
    v = variance.expand_as(used)[used > 0].double()
    if not len(squared):
        return _SMALLEST
    estimate = float((squared - v).mean().clamp_min(_SMALLEST**2))
    for _ in range(50):
        weight = (estimate + v).square().reciprocal()
        update = float(((squared - v) * weight).sum() / weight.sum())
        update = min(max(update, _SMALLEST**2), _LARGEST**2)
        if abs(update - estimate) < 1e-6 * estimate:
            break
        estimate = update
    return math.sqrt(estimate)


def expected_energy(observation: MatchedPoints, sigma: float) -> float:
    """The energy at which an observation is met to its stated error, normalised units².

    Points that share a measured point lie about it as wide as its cell, ``a²/12`` per coordinate
    (:func:`~engine.observations.matched.cell_variance`); those alone only as far as the error.
    """
    return float(observation.targets.shape[-1] * (sigma**2 + observation.spread).mean())


def left_open(
    observations: Sequence[MatchedPoints],
    x0: Float[Tensor, "points 3"],
    sigma: float,
    prior_sigma: float,
) -> Float[Tensor, " points"]:
    """Variance that evidence leaves open about each point if one projection is mistaken, normalised units².

    With the precision ``A = sum_k H_k' H_k / (sigma² + w_k) + I / prior_sigma²`` at the points' best
    correspondences, where w_k is the variance of a single point about the measured one that stands for its
    cell: the largest eigenvalue of ``(A - A_k)^-1``, the variance along the direction that is least
    determined without projection k, averaged over the projections. A correspondence that no other evidence
    confirms settles nothing: two views alone always find partners along their common line. Without
    projections nothing is left out.

    Parameters
    ----------
    x0 : points as shown.
    sigma : stated error per coordinate.
    prior_sigma : standard deviation per coordinate that the prior leaves where nothing was measured.
    """
    x, terms, views = x0[None], [], []
    eye = torch.eye(3, dtype=torch.float64, device=x0.device)
    for o in observations:
        match = o.match(x)[0]
        row = match.clamp_min(0)
        weight = ((match >= 0) * o.weight / (sigma**2 + o.spread[row])).double()
        terms.append(weight[:, None, None] * (o.projector.T @ o.projector).double())
        if o.targets.shape[-1] == 2:
            views.append(terms[-1])
    total = torch.stack([*terms, (eye / prior_sigma**2).expand(len(x0), 3, 3)]).sum(0)
    without = [total - view for view in views] or [total]
    variance = torch.stack([torch.linalg.eigvalsh(a)[:, 0].reciprocal() for a in without]).mean(0)
    found: Tensor = variance.to(x0.dtype)
    return found
