"""Prior against data, point by point: how much of a point's place the evidence leaves to the prior.

The spread of an ensemble can't tell: a prior that is sure of itself makes it small where no evidence speaks.
So the evidence is asked without the prior. A control ensemble is drawn by the same sampler from the same
evidence with a prior that knows the object's size and nothing of its shape (an isotropic Gaussian), and a
second one, *free*, from that prior without any evidence, which is plain noise of that size.

Clouds carry no names, so a point as shown, m_i, is compared with whatever point of a cloud is nearest to it::

    w_i² = mean over the control of min |c - m_i|²      how near the evidence alone puts a point
    v_i² = mean over the free clouds of min |f - m_i|²  how near chance does
    gauge_i = min(1, median of w_j / v_j over the point i and its eight neighbours j)

(A one-to-one assignment was tried first. Where half of an object is open, its points are dealt out over
the other half, too, and known points lose the partners that lie exactly on them.)

It is the inverse of the ratio of prior-only spread to posterior spread, both under the prior that knows no
shapes, and both about the point as shown: where the learned prior has moved it away from where the evidence
alone would put it, that counts as left to the prior, too. 0: the evidence alone puts a point here. 1: it does
so no better than chance; what is shown is the prior's. The finest that can be told is the distance between
points, which evidence in coarse cells does not undercut: compare within a picture, not across objects.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.assignment.exact import assign_points
from engine.types import FloatArray

NEIGHBOURS = 9  # with the point itself


def gauge(shown: FloatArray, control: FloatArray, free: FloatArray) -> NDArray[np.float64]:
    """Share of each point's freedom that the evidence leaves to the prior.

    Parameters
    ----------
    shown : (p, 3) points of the result, e.g. the mean of a matched ensemble.
    control : (n, p, 3) drawn with the evidence and a prior without shapes.
    free : (k, p, 3) drawn from that prior alone (:func:`free_clouds`).

    Returns
    -------
    (p,) in [0, 1].
    """
    ratio = distances(shown, control) / np.maximum(distances(shown, free), 1e-12)
    nearby = min(NEIGHBOURS, len(ratio))
    _, index = cKDTree(shown).query(shown, k=nearby)
    return np.asarray(np.minimum(1.0, np.median(ratio[index.reshape(-1, nearby)], axis=1)))


def distances(shown: FloatArray, clouds: FloatArray) -> NDArray[np.float64]:
    """Root mean square distance (p,) of each point (p, 3) to the nearest one in clouds (n, k, 3)."""
    nearest = [cKDTree(cloud).query(shown)[0] ** 2 for cloud in np.asarray(clouds, np.float64)]
    return np.asarray(np.sqrt(np.mean(nearest, axis=0)))


def assigned(shown: FloatArray, clouds: FloatArray) -> NDArray[np.int64]:
    """(n, p) which point of each cloud (n, p, 3) each of the points (p, 3) is assigned to."""
    array = torch.from_numpy(np.ascontiguousarray(clouds, np.float64))
    reference = torch.from_numpy(np.ascontiguousarray(shown, np.float64))
    found: NDArray[np.int64] = assign_points(reference.expand(len(array), -1, -1), array).numpy()
    return found


def free_clouds(count: int, points: int, sigma_data: float, seed: int = 0) -> NDArray[np.float64]:
    """(count, points, 3) clouds of an isotropic Gaussian, normalised: only the object's size is known.

    Parameters
    ----------
    sigma_data : standard deviation per coordinate.
    """
    return sigma_data * np.random.default_rng(seed).standard_normal((count, points, 3))
