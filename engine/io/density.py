"""Point clouds as smooth densities: every point becomes a Gaussian.

The width follows ChimeraX's ``molmap``: ``sigma = resolution / (pi * sqrt(2))``, the width at
which the Fourier transform of the density falls to 1/e at the wave number 1/resolution.

Values are shares of mass per voxel or pixel: an equally weighted cloud far from the edges sums to
1, so ``splat_volume(...).sum(axis=0)`` is ``splat_image`` of the same points, and
:func:`engine.forward.volume_projection.project` of the volume is comparable with it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.conventions import image_centre

FloatArray = NDArray[np.floating]

CUTOFF = 5.0
"""Sigmas beyond which a Gaussian is cut off; the mass left outside is below 1e-6."""

_TILE = 32
"""Rows of y handled in one matrix product: short enough to skip most points, long enough for BLAS."""

_CHUNK_WEIGHTS = 20_000_000
"""Weights (points times grid lines) of one axis held at once; 80 MB."""


def resolution_to_sigma_A(resolution_A: float) -> float:
    """Standard deviation (Å) of a Gaussian of the given resolution (Å).

    Raises
    ------
    ValueError
        If the resolution isn't positive.
    """
    if not resolution_A > 0:
        raise ValueError(f"resolution must be positive, not {resolution_A}")
    return float(resolution_A) / (math.pi * math.sqrt(2.0))


def splat_volume(
    points_A: FloatArray,
    *,
    voxel_size_A: float,
    shape: tuple[int, int, int],
    origin_A: tuple[float, float, float],
    resolution_A: float,
    weights: FloatArray | None = None,
) -> NDArray[np.float32]:
    """Density map of a point cloud.

    Parameters
    ----------
    points_A : (n, 3) xyz, Å.
    voxel_size_A : Å, the same along all axes.
    shape : (nz, ny, nx).
    origin_A : xyz, Å, of the centre of voxel [0, 0, 0].
    resolution_A : Å; below twice the voxel size the map can't show it and the peaks turn blocky.
    weights : (n,) mass of each point; None means 1/n each.

    Returns
    -------
    NDArray
        (nz, ny, nx) float32, mass per voxel. Mass outside the box is lost, not folded back.

    Raises
    ------
    ValueError
        If the resolution or the voxel size isn't positive, or shapes don't fit.
    """
    points, mass = _checked(points_A, weights, 3)
    sigma = _sigma_in_voxels(resolution_A, voxel_size_A)
    index = (points - np.asarray(origin_A, np.float64)) / voxel_size_A
    reach = int(np.ceil(CUTOFF * sigma)) + 1
    index, mass = _inside(index, mass, shape[::-1], reach)
    density = np.zeros(shape, np.float32)
    chunk = max(1, _CHUNK_WEIGHTS // max(shape))
    for start in range(0, len(index), chunk):
        _add_points(density, index[start : start + chunk], mass[start : start + chunk], sigma, reach)
    return density


def _add_points(
    density: NDArray[np.float32],
    index: NDArray[np.float64],
    mass: NDArray[np.float64],
    sigma: float,
    reach: int,
) -> None:
    """Add Gaussians at ``index`` (n, 3) xyz, in voxels, to the map.

    Points sorted along z: slice k only sees those within reach, and each tile of rows only the
    nearby ones of these. What is left is a dense product, which is what BLAS is good at.
    """
    order = np.argsort(index[:, 2], kind="stable")
    index = index[order]
    nz, ny, nx = density.shape
    x, y, z = (_axis_weights(index[:, axis], n, sigma, reach) for axis, n in enumerate((nx, ny, nz)))
    z *= mass[order, None].astype(np.float32)
    first = np.searchsorted(index[:, 2], np.arange(nz) - reach - 1)
    last = np.searchsorted(index[:, 2], np.arange(nz) + reach + 1)
    for k in range(nz):
        near_z = slice(first[k], last[k])
        rows = index[near_z, 1]
        for start in range(0, ny, _TILE):
            end = min(start + _TILE, ny)
            near = first[k] + np.flatnonzero((rows > start - reach - 1) & (rows < end + reach))
            if len(near):
                density[k, start:end] += (y[near, start:end] * z[near, k, None]).T @ x[near]


def splat_image(
    points_xy_A: FloatArray,
    *,
    pixel_size_A: float,
    box: int,
    resolution_A: float,
    weights: FloatArray | None = None,
) -> NDArray[np.float32]:
    """Projection image of points already in view coordinates.

    Parameters
    ----------
    points_xy_A : (n, 2) xy, Å; (0, 0) falls on pixel ``box // 2``.
    pixel_size_A : Å.
    box : pixels along each side.
    resolution_A : Å.
    weights : (n,) mass of each point; None means 1/n each.

    Returns
    -------
    NDArray
        (box, box) float32, indexed yx, mass per pixel. Mass outside the box is lost.

    Raises
    ------
    ValueError
        If the resolution or the pixel size isn't positive, or shapes don't fit.
    """
    points, mass = _checked(points_xy_A, weights, 2)
    sigma = _sigma_in_voxels(resolution_A, pixel_size_A)
    index = points / pixel_size_A + image_centre(box)
    reach = int(np.ceil(CUTOFF * sigma)) + 1
    index, mass = _inside(index, mass, (box, box), reach)
    image = np.zeros((box, box), np.float32)
    chunk = max(1, _CHUNK_WEIGHTS // max(box, 1))
    for start in range(0, len(index), chunk):
        part = index[start : start + chunk]
        rows = _axis_weights(part[:, 1], box, sigma, reach)
        columns = _axis_weights(part[:, 0], box, sigma, reach)
        image += (rows * mass[start : start + chunk, None].astype(np.float32)).T @ columns
    return image


def _checked(
    points: FloatArray, weights: FloatArray | None, dimensions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    coords: NDArray[np.float64] = np.asarray(points, np.float64)
    if coords.ndim != 2 or coords.shape[1] != dimensions:
        raise ValueError(f"points must have shape (n, {dimensions}), not {coords.shape}")
    if weights is None:
        return coords, np.full(len(coords), 1.0 / max(len(coords), 1))
    mass: NDArray[np.float64] = np.asarray(weights, np.float64)
    if mass.shape != (len(coords),):
        raise ValueError(f"weights must have shape ({len(coords)},), not {mass.shape}")
    return coords, mass


def _sigma_in_voxels(resolution_A: float, spacing_A: float) -> float:
    if not spacing_A > 0:
        raise ValueError(f"voxel or pixel size must be positive, not {spacing_A}")
    # A Gaussian much narrower than a voxel would underflow between grid points.
    return max(resolution_to_sigma_A(resolution_A) / spacing_A, 0.05)


def _inside(
    index: NDArray[np.float64], mass: NDArray[np.float64], sizes: tuple[int, ...], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Only the points whose Gaussian can touch the box."""
    keep = np.all((index > -reach - 1) & (index < np.asarray(sizes) + reach), axis=1)
    return index[keep], mass[keep]


def _axis_weights(centres: NDArray[np.float64], n: int, sigma: float, reach: int) -> NDArray[np.float32]:
    """Share (points, n) of every point's mass that falls on each grid line.

    Normalised over the whole lattice, inside the box or not, so that mass is exact at any offset;
    zero beyond ``reach`` grid lines of the nearest one.
    """
    nearest = np.rint(centres)
    offsets = np.arange(-reach, reach + 1)
    distance = (offsets[None, :] - (centres - nearest)[:, None]) / sigma
    kernel = np.exp(-0.5 * distance**2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    weights = np.zeros((len(centres), n), np.float32)
    columns = nearest.astype(np.int64)[:, None] + offsets[None, :]
    rows = np.broadcast_to(np.arange(len(centres))[:, None], columns.shape)
    inside = (columns >= 0) & (columns < n)
    weights[rows[inside], columns[inside]] = kernel[inside]
    return weights
