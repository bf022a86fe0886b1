from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engine.metrics.shape import NEAR_DUPLICATE, cluster_shapes, shape_descriptor
from engine.numerics.mixtures import kmeans_points


def ellipsoid(seed: int, axes: tuple[float, float, float], n: int = 1500) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / 3) * axes


def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(shape_descriptor(a) - shape_descriptor(b)))


def test_turned_mirrored_moved_and_shuffled_clouds_are_the_same() -> None:
    points = ellipsoid(0, (30, 20, 15), 256)
    rng = np.random.default_rng(1)
    moved = Rotation.random(random_state=2).apply(rng.permutation(points)) + [100, -50, 3]
    assert apart(points, moved) < 1e-6
    assert apart(points, points * [1, 1, -1]) < 1e-6


def test_another_seed_is_a_near_duplicate_and_other_shapes_and_sizes_are_not() -> None:
    atoms = ellipsoid(3, (30, 20, 15))
    a, b = (np.asarray(kmeans_points(atoms, 256, seed=s).points_A) for s in (0, 1))
    assert apart(a, b) < NEAR_DUPLICATE
    assert apart(a, a * 1.1) > NEAR_DUPLICATE
    longer = np.asarray(kmeans_points(ellipsoid(3, (36, 20, 15)), 256).points_A)
    assert apart(a, longer) > NEAR_DUPLICATE
    hollow = a / np.linalg.norm(a / [30, 20, 15], axis=1, keepdims=True) * 0.8
    assert apart(a, hollow) > NEAR_DUPLICATE


def test_no_two_clusters_come_closer_than_the_threshold() -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(0, 10, (700, 2))  # more than one block of rows
    labels = cluster_shapes(values, 0.25)
    distances = np.linalg.norm(values[:, None] - values[None], axis=-1)
    assert (distances[labels[:, None] != labels[None]] >= 0.25).all()
    # single linkage: every member of a cluster has a neighbour in it
    sizes = np.bincount(labels)
    np.fill_diagonal(distances, np.inf)
    assert (distances.min(1)[sizes[labels] > 1] < 0.25).all()
    assert (np.diff(np.unique(labels, return_index=True)[1]) > 0).all()  # numbered as they appear
    np.testing.assert_array_equal(cluster_shapes(values, 0), np.arange(700))
    assert cluster_shapes(values, 100).max() == 0
