"""From atoms or density to a given number of weighted points.

Two reductions of atoms: Lloyd k-means, which made the training clouds, and the paper's Gaussian mixture
with one covariance shared by all components, of which k-means is the hard limit. Density is reduced by
k-means over its voxels, weighted by the density.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from skimage.filters import threshold_otsu
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from engine.errors import InputError
from engine.types import FloatArray, PointCloud

MAX_POINTS = 30_000
"""More points than this are sampled down first: 1024 centroids do not notice the rest."""

MANY_CENTROIDS = 2048
"""Above this many, :func:`kmeans_points` starts from a balanced division and finds neighbours by a tree: 4096
centroids of an image take 0.3 s instead of 6 s."""

PSEUDO_ATOM_SPREAD_A = 1.9
"""Spread of an amino acid's heavy atoms about its alpha carbon, per coordinate, Å."""


def kmeans_points(
    coords: FloatArray, k: int, *, weights: FloatArray | None = None, seed: int = 0
) -> PointCloud:
    """Centroids of a Lloyd k-means, started by k-means++, or from equal parts above 2048 centroids.

    More than 30,000 points are sampled down, without replacement. Same seed, same result.

    Parameters
    ----------
    coords : (n, d), any unit.
    k : number of centroids.
    weights : (n,) non-negative masses, or None for equal ones.

    Returns
    -------
    PointCloud
        ``points_A`` (k, d) in the unit of ``coords``; ``weights`` (k,) each cluster's share of the mass.

    Raises
    ------
    InputError
        If there are fewer than ``k`` different points, or a coordinate or weight is not usable. Split
        coarse models with :func:`split_atoms` first; nothing is duplicated silently.
    """
    points, mass = _sample(coords, k, weights, seed)
    if k > MANY_CENTROIDS:
        return _lloyd(points, mass, k)
    # float64: sklearn's k-means++ converts float32 back and forth and is slower in it
    model = KMeans(k, n_init=1, algorithm="lloyd", max_iter=100, random_state=seed)
    model.fit(points, sample_weight=mass)
    share = np.bincount(model.labels_, weights=mass, minlength=k)
    # the centroids of the final labels, so that the mass-weighted mean is exactly that of the input
    sums = np.stack([np.bincount(model.labels_, weights=mass * x, minlength=k) for x in points.T], -1)
    filled = share > 0
    centroids = np.array(model.cluster_centers_, np.float64)
    centroids[filled] = sums[filled] / share[filled, None]
    return PointCloud(centroids, share / share.sum())


def tied_mixture(coords: FloatArray, k: int, *, seed: int = 0, max_iter: int = 20) -> PointCloud:
    """Means of a Gaussian mixture whose components share one covariance, as in the DPS paper.

    Expectation maximisation started from :func:`kmeans_points`; it stops when the log likelihood per
    point gains less than 1e-3 or after ``max_iter`` rounds, whichever comes first. Slow: every round
    compares every point with every component (about 4 s at 30,000 points and 1024 components).

    Parameters
    ----------
    coords : (n, d), any unit; more than 30,000 are sampled down.
    k : number of components.

    Returns
    -------
    PointCloud
        ``points_A`` (k, d); ``weights`` (k,) the mixing proportions.

    Raises
    ------
    InputError
        As :func:`kmeans_points`.
    """
    points, _ = _sample(coords, k, None, seed)
    start = kmeans_points(points, k, seed=seed)
    assert start.weights is not None
    residual = points - start.points_A[_nearest(points, start.points_A)]
    covariance = residual.T @ residual / len(points) + 1e-9 * np.eye(points.shape[1])
    model = GaussianMixture(
        k,
        covariance_type="tied",
        means_init=start.points_A,
        weights_init=start.weights,
        precisions_init=np.linalg.inv(covariance),
        init_params="random_from_data",
        max_iter=max_iter,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # the round limit is a choice: the means move by hundredths of an ångström after it
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    return PointCloud(model.means_, model.weights_ / model.weights_.sum())


def density_points(
    density: FloatArray,
    spacing_A: FloatArray,
    origin_A: FloatArray,
    k: int,
    *,
    threshold: float | None = None,
    seed: int = 0,
) -> PointCloud:
    """Weighted points that stand for an image or a map.

    k-means over the pixels above a threshold, each weighing its whole density. Where fewer than four
    pixels per point are above it, pixels are divided and the density is interpolated linearly, so that
    small images carry as many points as large ones.

    Parameters
    ----------
    density : (y, x) or (z, y, x), positive where there is matter.
    spacing_A : (d,) xyz, Å per pixel.
    origin_A : (d,) xyz, Å, of the centre of the pixel at index 0.
    k : number of points.
    threshold : in units of the density; None takes Otsu's.

    Returns
    -------
    PointCloud
        ``points_A`` (k, d) xyz, Å; ``weights`` (k,) each point's share of the mass above the threshold.

    Raises
    ------
    InputError
        If the density is constant or not finite, or nothing is above the threshold.
    """
    values = np.asarray(density, np.float64)
    spacing, origin = np.asarray(spacing_A, np.float64), np.asarray(origin_A, np.float64)
    if values.ndim not in (2, 3) or spacing.shape != (values.ndim,) or origin.shape != (values.ndim,):
        raise ValueError("density must be 2D or 3D, with spacing and origin for each axis")
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("The density holds values that are not finite numbers.", "Repair or re-export it.")
    if values.min() == values.max():
        raise InputError("The density is the same everywhere.", "Check that this is the right file.")
    level = float(threshold_otsu(values)) if threshold is None else float(threshold)
    index, mass = _above(values, level, k)
    if not len(index):
        raise InputError(
            f"No density is above the threshold {level:.4g}; the largest value is {values.max():.4g}.",
            "Lower the threshold or leave it empty; check that matter is positive (contrast).",
        )
    xyz = index[:, ::-1] * spacing + origin
    return kmeans_points(xyz, k, weights=mass, seed=seed)


def split_atoms(
    coords_A: FloatArray, *, parts: int = 8, spread_A: float = PSEUDO_ATOM_SPREAD_A, seed: int = 0
) -> NDArray[np.float64]:
    """Replace each pseudo-atom of a coarse model (one per residue) by several drawn about it.

    This is how the training clouds of models with alpha carbons only were made.

    Returns
    -------
    (n * parts, d), Å; the parts of one pseudo-atom are consecutive.
    """
    coords = np.repeat(np.asarray(coords_A, np.float64), parts, axis=0)
    return coords + np.random.default_rng(seed).normal(scale=spread_A, size=coords.shape)


def _lloyd(points: NDArray[np.float64], mass: NDArray[np.float64], k: int, rounds: int = 30) -> PointCloud:
    """k-means for many centroids (k, d): k parts of about equal mass to begin with, then Lloyd's rounds."""
    label = _equal_parts(points, mass, k)
    centroids: NDArray[np.float64] = np.zeros((k, points.shape[1]))
    share: NDArray[np.float64] = np.zeros(k)
    for _ in range(rounds):
        share = np.asarray(np.bincount(label, mass, k), np.float64)
        filled = share > 0
        for axis, column in enumerate(points.T):
            centroids[filled, axis] = np.bincount(label, mass * column, k)[filled] / share[filled]
        nearest = _nearest(points, centroids)
        if (nearest == label).all():
            break
        label = nearest
    return PointCloud(centroids, share / share.sum())


def _equal_parts(points: NDArray[np.float64], mass: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Part (n,) of each point: boxes halved along their longest side, as many as each is to hold."""
    label = np.zeros(len(points), np.int64)
    waiting = [(np.arange(len(points)), 0, k)]
    while waiting:
        members, first, parts = waiting.pop()
        if parts == 1:
            label[members] = first
            continue
        axis = int(np.ptp(points[members], axis=0).argmax())
        members = members[np.argsort(points[members, axis], kind="stable")]
        half = parts // 2
        reached = np.cumsum(mass[members])
        cut = int(np.searchsorted(reached, reached[-1] * half / parts))
        # each side keeps at least as many points as it is to have parts
        cut = min(max(cut, half), len(members) - (parts - half))
        waiting += [(members[:cut], first, half), (members[cut:], first + half, parts - half)]
    return label


def _above(values: FloatArray, level: float, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractional pixel indices (n, d) above ``level`` and their density, finer where there are few."""
    index = np.argwhere(values > level).astype(np.float64)
    # a negative threshold lets in negative density, which has no mass
    mass = np.maximum(values[values > level], 0)
    index, mass = index[mass > 0], mass[mass > 0]
    if not 0 < len(index) < 4 * k:
        return index, mass
    d = values.ndim
    parts = int(np.ceil((4 * k / len(index)) ** (1 / d)))
    steps = (np.arange(parts) + 0.5) / parts - 0.5
    offsets = np.stack(np.meshgrid(*[steps] * d, indexing="ij"), -1).reshape(-1, d)
    fine = (index[:, None] + offsets).reshape(-1, d)
    # parts that dip below the threshold stay, so that every pixel keeps its place in the outline
    share = np.maximum(map_coordinates(values, fine.T, order=1, mode="nearest"), 1e-12 * mass.max())
    return fine, share


def _sample(
    coords: FloatArray, k: int, weights: FloatArray | None, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.asarray(coords, np.float64)
    if points.ndim != 2:
        raise ValueError("points must be (n, d)")
    mass = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    if mass.shape != (len(points),):
        raise ValueError("there must be one weight per point")
    if k < 1:
        raise InputError(f"{k} points were asked for.", "Ask for at least one.")
    if not (np.isfinite(points).all() and np.isfinite(mass).all() and (mass >= 0).all()):
        raise InputError("Coordinates or weights are not finite numbers, or a weight is negative.")
    points, mass = points[mass > 0], mass[mass > 0]
    if len(points) > MAX_POINTS:
        keep = np.sort(np.random.default_rng(seed).choice(len(points), MAX_POINTS, replace=False))
        points, mass = points[keep], mass[keep]
    distinct = len(points) if len(points) < k else len(np.unique(points, axis=0))
    if distinct < k:
        raise InputError(
            f"{k} points were asked for, but there are only {distinct} different ones to choose from.",
            f"Ask for at most {distinct}, or give a more detailed model.",
        )
    return points, mass


def _nearest(points: FloatArray, centroids: FloatArray) -> NDArray[np.int64]:
    return np.asarray(cKDTree(centroids).query(points)[1], np.int64)
