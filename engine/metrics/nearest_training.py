"""Whether generated clouds are copies of training clouds, whatever way they are turned.

For each cloud the nearest training cloud is looked for in three steps: by a descriptor that rotations
don't change, by a rough alignment of principal axes, and by an exact alignment of the two best. The same
search is done for clouds that the prior has never seen: they say how near honest clouds come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from engine.metrics.point_clouds import chamfer
from engine.metrics.prior_quality import farthest_points
from engine.numerics.alignment import align_kernel_correlation
from engine.types import FloatArray

Array = NDArray[np.float64]

BINS = 64
"""Bins of each of the descriptor's two distributions."""
CANDIDATES, ALIGNED = 8, 2
"""Training clouds that pass the descriptor, and those that are aligned exactly."""
_ROUGH_POINTS = 128
_LARGEST_PAIR, _LARGEST_RADIUS = 6.0, 4.0


def unit_size(cloud: FloatArray) -> Array:
    """(n, 3) points about their centroid, in radii of gyration; points that coincide stay at 0."""
    centred = np.asarray(cloud, np.float64) - np.mean(cloud, axis=0, dtype=np.float64)
    size = float(np.sqrt((centred**2).sum(-1).mean()))
    return np.asarray(centred / size if size > 0 else centred)


def shape_descriptor(cloud: FloatArray) -> Array:
    """Cumulative distributions of a cloud's pair distances and of its distances from the centroid.

    Neither rotations, mirror images, shifts nor sizes change it. The summed absolute difference of two
    descriptors is the sum of two Wasserstein distances, in radii of gyration.

    Parameters
    ----------
    cloud : (n, 3), at least two points.

    Returns
    -------
    (128,): 64 values for pairs, up to 6 radii of gyration, and 64 for radii, up to 4; each times its
    bin's width.
    """
    points = unit_size(cloud)
    radii = np.sqrt((points**2).sum(-1))
    parts = []
    for lengths, largest in ((pdist(points), _LARGEST_PAIR), (radii, _LARGEST_RADIUS)):
        bins = np.minimum((lengths * (BINS / largest)).astype(np.int64), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        parts.append(np.cumsum(counts) / len(lengths) * (largest / BINS))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Neighbour:
    """The nearest training cloud of a cloud.

    Attributes
    ----------
    index : of the training cloud.
    distance : Chamfer distance after alignment, both at a radius of gyration of 1.
    rotation, shift : (3, 3), (3,): ``unit_size(training) @ rotation.T + shift`` lies on ``unit_size(cloud)``.
    """

    index: int
    distance: float
    rotation: Array
    shift: Array


class TrainingClouds:
    """Training clouds to be searched by shape.

    Parameters
    ----------
    clouds : (n, points, 3).
    descriptors : (n, 128), of :func:`shape_descriptor`; None computes them (5 ms each).
    """

    def __init__(self, clouds: FloatArray, descriptors: Array | None = None) -> None:
        self.clouds = clouds
        self.descriptors = (
            np.stack([shape_descriptor(c) for c in clouds]) if descriptors is None else descriptors
        )
        self._cube = np.asarray(Rotation.create_group("O").as_matrix(), np.float64)

    def nearest(self, cloud: FloatArray) -> Neighbour:
        """The training cloud nearest to a cloud (points, 3) after alignment without mirroring.

        The eight most similar by descriptor are laid on it by their principal axes in all 24 ways; the
        two that fit best are aligned (:func:`engine.numerics.alignment.align_kernel_correlation`). Another
        training cloud can be nearer still, but a copy can't be missed. About 0.7 s at 1024 points.
        """
        target = unit_size(cloud)
        apart = np.abs(self.descriptors - shape_descriptor(cloud)).sum(1)
        candidates = np.argsort(apart, kind="stable")[:CANDIDATES]
        rough = [self._rough(unit_size(self.clouds[i]), target) for i in candidates]
        best: Neighbour | None = None
        for i in candidates[np.argsort(rough, kind="stable")[:ALIGNED]]:
            mobile = unit_size(self.clouds[i])
            rotation, shift = align_kernel_correlation(mobile, target)
            distance = float(chamfer(mobile @ rotation.T + shift, target))
            if best is None or distance < best.distance:
                best = Neighbour(int(i), distance, rotation, shift)
        assert best is not None
        return best

    def _rough(self, mobile: Array, target: Array) -> float:
        """Mean distance to the nearest point of the target, in the best of 24 poses."""
        few = farthest_points(mobile[None], _ROUGH_POINTS)[0]
        turns = _axes(target) @ self._cube @ _axes(mobile).T
        distance = cKDTree(target).query((few @ np.swapaxes(turns, 1, 2)).reshape(-1, 3))[0]
        return float(distance.reshape(len(turns), -1).mean(1).min())


def _axes(points: Array) -> Array:
    """Principal axes as the columns of a proper rotation."""
    axes = np.linalg.eigh(points.T @ points)[1]
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    return np.asarray(axes, np.float64)


@dataclass(frozen=True)
class Memorisation:
    """How near samples come to the training set, beside clouds that were never trained on.

    Attributes
    ----------
    threshold : 5th percentile of the unseen clouds' distances.
    closer : share of samples below it; 0.05 is what honest samples give.
    standard_error : of that share, with both sets' sizes.
    copies : share of samples nearer than the nearest unseen cloud.
    """

    threshold: float
    closer: float
    standard_error: float
    copies: float


def memorisation(samples: Array, unseen: Array, *, percentile: float = 5.0, seed: int = 0) -> Memorisation:
    """Compare nearest-training distances of samples (n,) and of unseen clouds (m,).

    The standard error is a bootstrap over both sets.
    """
    threshold = float(np.percentile(unseen, percentile))
    rng = np.random.default_rng(seed)
    drawn = [
        np.mean(
            rng.choice(samples, len(samples)) < np.percentile(rng.choice(unseen, len(unseen)), percentile)
        )
        for _ in range(500)
    ]
    return Memorisation(
        threshold,
        float(np.mean(samples < threshold)),
        float(np.std(drawn)),
        float(np.mean(samples < unseen.min())),
    )
