"""How far from the truth each point of an ensemble may be: an error that is calibrated, not hoped for.

The spread of an ensemble is not its error: members share what the prior and the sampler get wrong. What goes
along with the distance to the truth was looked for among the quantities that a run knows of itself
(``python -m tests.benchmarks.calibration``). Two are enough, and a variance per coordinate is stated as a
weighted sum::

    variance_i = (1 + 1/n) (own s_i² + left_open g_i²)

s_i is the spread of the point between the n members (:func:`engine.metrics.ensemble.spread_of_matched`): it
follows wrong correspondences. g_i² is the variance that the evidence leaves open about the point along the
least determined direction if one of the projections is mistaken about it
(:func:`engine.observations.misfit.left_open`): next to nothing where several views of single points cross,
the width of a cell where nothing but a coarse point confirms a view, much of the object's size where nothing
does. There the prior decides, and the members may all be wrong in the same way.
The factor counts that the mean of n members is itself uncertain.

The distance e_i of the mean point to the true one is taken to follow ``e_i² / 3 variance_i ~ F(3,
freedom_i)``: a Gaussian ball with longer tails the smaller the freedom is. The part that the spread tells has
long tails, since most correspondences are right and some are not, and since n members tell a spread with
3 (n - 1) degrees of freedom only; the part left open has short ones. So ``freedom_i`` lies between two
numbers, by the shares of the two parts. The four numbers are fitted by maximum likelihood to structures whose
truth is known, and then scaled (a temperature near 1) so that all kinds of evidence lie evenly about 90 %.
They hold for evidence that is as good as it claims to be. Errors that it has without saying so, such as wrong
poses or pixel sizes, are not in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtr, fdtri

from engine.metrics.ensemble import spread_of_matched
from engine.types import FloatArray

SHARE = 0.9
"""Of the probability that a stated error holds."""


@dataclass(frozen=True)
class StatedError:
    """What is stated about the distance of each point of a mean to the truth.

    Attributes
    ----------
    radius : (p,) holds the true point with probability :data:`SHARE`.
    freedom : (p,) second degrees of freedom of the F distribution; the first is 3.
    """

    radius: NDArray[np.float64]
    freedom: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation per coordinate (p,), for which the law is F."""
        return np.asarray(self.radius / np.sqrt(3 * fdtri(3, self.freedom, SHARE)))

    @property
    def expected(self) -> NDArray[np.float64]:
        """Root mean square distance (p,) to be expected; of long tails, that of four degrees of freedom."""
        tail = np.maximum(self.freedom, 4.0)
        return np.asarray(self.deviation * np.sqrt(3 * tail / (tail - 2)))

    def probability(self, distance: FloatArray | float) -> NDArray[np.float64]:
        """Probability (p,) that the truth is nearer than a distance, one for all or one for each."""
        scale = np.maximum(3 * self.deviation**2, 1e-300)
        return np.asarray(fdtr(3, self.freedom, np.square(distance) / scale))

    def within(self, share: float = SHARE) -> float:
        """The one distance within which that share of all points is to be expected."""
        low, high = 0.0, 4 * float(np.max(self.radius)) + 1e-12
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.probability(middle).mean() < share else (low, middle)
        return (low + high) / 2


@dataclass(frozen=True)
class ErrorModel:
    """The weights of the two variances, and their tails.

    Attributes
    ----------
    own, left_open : weights of s² and g².
    own_freedom : degrees of freedom of the part that the spread tells, with very many members.
    open_freedom : of the part that the evidence leaves open.
    """

    own: float
    left_open: float
    own_freedom: float
    open_freedom: float

    def law(
        self, spread: FloatArray, left_open: FloatArray, members: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance per coordinate and degrees of freedom, (p,) each.

        Parameters
        ----------
        spread : (p,) between the members.
        left_open : (p,) variance that the evidence leaves open, in the square of its unit.
        """
        told, open_ = self.own * np.square(spread), self.left_open * np.asarray(left_open, np.float64)
        total = np.maximum(told + open_, 1e-300)
        few = 1 / (1 / self.own_freedom + 1 / (3 * (members - 1)))
        return (1 + 1 / members) * total, (few * told + self.open_freedom * open_) / total

    def stated(self, members: FloatArray, left_open: FloatArray) -> StatedError:
        """For matched members (n, p, 3), n >= 2."""
        variance, freedom = self.law(spread_of_matched(members), left_open, len(members))
        return StatedError(np.sqrt(variance * 3 * fdtri(3, freedom, SHARE)), freedom)


CALIBRATED = ErrorModel(own=0.192, left_open=0.071, own_freedom=9.3, open_freedom=16.5)
"""Shipped prior, proximal sampler; ``python -m tests.benchmarks.calibration --half dev --limit 4 --tasks
3x1024,1x1024+cg40,5x1024,2x900+cg30 --fit DIR``."""


def stated_error(
    members: FloatArray, left_open: FloatArray, model: ErrorModel = CALIBRATED
) -> StatedError | None:
    """Radius about each point of the mean that holds the true point with a probability of 90 %.

    Parameters
    ----------
    members : (n, p, 3) draws, matched (:func:`engine.metrics.ensemble.matched`).
    left_open : (p,) variance that the evidence leaves open, in the square of their unit.

    Returns
    -------
    None for a single member, whose spread is unknown, and for members that are all the same.
    """
    beyond_rounding = 1e-9 * float(np.abs(members).max())
    if len(members) < 2 or not (spread_of_matched(members) > beyond_rounding).any():
        return None
    return model.stated(members, left_open)
