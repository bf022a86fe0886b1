"""How far from the truth each point of an ensemble may be: an error that is calibrated, not hoped for.

The spread of an ensemble is not its error. Members share what the prior and the sampler get wrong, and the
spread of a single point, from a few members, is noisy. What does go along with the distance to the truth was
looked for among the quantities that a run knows of itself (``python -m tests.benchmarks.calibration``). Three
are enough, and a variance per coordinate is stated as a weighted sum of their squares::

    variance_i = (1 + 1/n) (own s_i² + nearby S_i² + spacing d_i²)

s_i is the spread of the point between the n members (:func:`engine.metrics.ensemble.spread_of_matched`),
S_i its root mean square over the point and its 16 nearest neighbours, and d_i the root mean square distance
to its 8 nearest neighbours in the mean cloud: where points lie far apart, a partner that is wrong lies far,
too. The factor counts that the mean of n members is itself uncertain by s²/n.

The distance e_i of the mean point to the true one is then taken to follow ``e_i² / 3 variance_i ~ F(3,
freedom)``: a Gaussian ball in three dimensions, with longer tails the smaller ``freedom`` is. The four
numbers are fitted by maximum likelihood to structures whose truth is known. They hold for evidence that is as
good as it claims to be. Errors that it has without saying so, such as wrong poses or pixel sizes, are not in
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import fdtr, fdtri

from engine.metrics.ensemble import spread_of_matched
from engine.types import FloatArray

SHARE = 0.9
"""Of the probability that a stated error holds."""
AROUND, NEAREST = 16, 8  # neighbours whose spread, and whose distance counts


@dataclass(frozen=True)
class ErrorModel:
    """The weights of the three variances, and the tails.

    Attributes
    ----------
    own, nearby, spacing : weights of s², S² and d².
    freedom : second degrees of freedom of the F distribution.
    """

    own: float
    nearby: float
    spacing: float
    freedom: float

    def variance(self, members: FloatArray) -> NDArray[np.float64]:
        """Variance per coordinate (p,) of the truth about the mean of matched members (n, p, 3)."""
        weights = np.array([self.own, self.nearby, self.spacing])
        return np.asarray((1 + 1 / len(members)) * squares(members) @ weights)

    def radii(self, members: FloatArray, share: float = SHARE) -> NDArray[np.float64]:
        """Radius (p,) about each mean point that holds the truth with probability ``share``."""
        return np.asarray(np.sqrt(self.variance(members)) * self.reach(share))

    def reach(self, share: float) -> float:
        """Radius that holds ``share``, in standard deviations per coordinate."""
        return float(np.sqrt(3 * fdtri(3, self.freedom, share)))

    def holding(self, radii: FloatArray, distance: float) -> float:
        """Share of points whose truth lies within one distance, given their radii of :data:`SHARE`."""
        scale = np.asarray(radii, np.float64) / self.reach(SHARE)
        return float(fdtr(3, self.freedom, distance**2 / (3 * np.maximum(scale, 1e-12) ** 2)).mean())

    def within(self, radii: FloatArray, share: float = SHARE) -> float:
        """The one distance within which that share of all points is to be expected."""
        low, high = 0.0, 4 * float(np.max(radii)) + 1e-12
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.holding(radii, middle) < share else (low, middle)
        return (low + high) / 2


def squares(members: FloatArray) -> NDArray[np.float64]:
    """s², S² and d² of every point, (p, 3), from matched members (n, p, 3)."""
    array = np.asarray(members, np.float64)
    own = spread_of_matched(array) ** 2
    mean = array.mean(0)
    count = len(mean)
    distance, index = cKDTree(mean).query(mean, k=min(AROUND + 1, count))
    distance, index = distance.reshape(count, -1), index.reshape(count, -1)
    near = distance[:, 1 : NEAREST + 1]
    spacing = (near**2).mean(1) if near.size else np.zeros(count)
    return np.stack([own, own[index].mean(1), spacing], axis=1)


CALIBRATED = ErrorModel(own=0.102, nearby=0.171, spacing=0.031, freedom=52.0)
"""From ``python -m tests.benchmarks.calibration`` (fit on the dev half, shipped prior, proximal sampler)."""


def stated_error(members: FloatArray, model: ErrorModel = CALIBRATED) -> NDArray[np.float64] | None:
    """Radius (p,) about each point of the mean that holds the true point with a probability of 90 %.

    Parameters
    ----------
    members : (n, p, 3) draws, matched (:func:`engine.metrics.ensemble.matched`), in the unit of the answer.

    Returns
    -------
    None for a single member, whose spread is unknown, and for members that are all the same.
    """
    beyond_rounding = 1e-9 * float(np.abs(members).max())
    if len(members) < 2 or not (spread_of_matched(members) > beyond_rounding).any():
        return None
    return model.radii(members)
