"""Maps made of Gaussians: exactly turned, mirrored and moved by turning, mirroring and moving points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.conventions import volume_origin_A
from engine.forward.gaussians import splat_volume


def asymmetric_points(size: int, seed: int, count: int = 30, reach: float = 0.3) -> NDArray[np.float64]:
    """Points (count, 3) xyz, in voxels, within ``reach`` box sides of the origin."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points * (size * reach * rng.uniform(0.2, 1, (count, 1)))


def blob_map(points: NDArray[np.floating], size: int, width: float = 4.0) -> NDArray[np.float32]:
    """Density (size, size, size) of points in voxels, as Gaussians of the given resolution in voxels.

    Weights go 1, 2, 3, 1, 2, ...: copies of a set of points are alike if it holds a multiple of three.
    """
    weights = 1.0 + np.arange(len(points)) % 3
    return splat_volume(
        np.asarray(points, np.float64),
        voxel_size_A=1.0,
        shape=(size,) * 3,
        origin_A=volume_origin_A((size,) * 3, 1.0),
        resolution_A=width,
        weights=weights / weights.sum(),
    )


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's, over all voxels."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
