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

_CHUNK = 20_000
"""Points whose dense row weights are held at once while an image is made."""


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
    order = np.argsort(index[:, 2], kind="stable")
    index, mass = index[order], mass[order]
    nz, ny, nx = shape
    density = np.zeros(shape, np.float32)
    # Points sorted along z: slice k only sees those within reach, and each tile of rows only the
    # nearby ones of these. What is left is a dense product, which is what BLAS is good at.
    first = np.searchsorted(index[:, 2], np.arange(nz) - reach - 1)
    last = np.searchsorted(index[:, 2], np.arange(nz) + reach + 1)
    along_x = _axis_weights(index[:, 0], nx, sigma, reach) if len(index) * nx < 50_000_000 else None
    norms = [_lattice_sum(index[:, axis], sigma, reach) for axis in range(3)]
    for k in range(nz):
        near_z = np.arange(first[k], last[k])
        if not len(near_z):
            continue
        offset = k - index[near_z, 2]
        scale = mass[near_z] * np.exp(-0.5 * (offset / sigma) ** 2) / norms[2][near_z]
        scale[np.abs(k - np.rint(index[near_z, 2])) > reach] = 0.0
        for start in range(0, ny, _TILE):
            rows = np.arange(start, min(start + _TILE, ny))
            y = index[near_z, 1]
            near = np.flatnonzero((y > rows[0] - reach - 1) & (y < rows[-1] + reach + 1) & (scale != 0))
            if not len(near):
                continue
            chosen = near_z[near]
            wy = _kernel(index[chosen, 1], rows, sigma, reach) / norms[1][chosen, None]
            wx = along_x[chosen] if along_x is not None else _axis_weights(index[chosen, 0], nx, sigma, reach)
            density[k, rows] = (wy * scale[near, None]).astype(np.float32).T @ wx
    return density


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
    for start in range(0, len(index), _CHUNK):
        part = index[start : start + _CHUNK]
        rows = _axis_weights(part[:, 1], box, sigma, reach)
        columns = _axis_weights(part[:, 0], box, sigma, reach)
        image += (rows * mass[start : start + _CHUNK, None].astype(np.float32)).T @ columns
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


def _kernel(
    centres: NDArray[np.float64], grid: NDArray[np.int64], sigma: float, reach: int
) -> NDArray[np.float64]:
    """Unnormalised Gaussians (n, len(grid)), zero beyond ``reach`` voxels of the nearest one."""
    weights: NDArray[np.float64] = np.exp(-0.5 * ((grid[None, :] - centres[:, None]) / sigma) ** 2)
    weights[np.abs(grid[None, :] - np.rint(centres)[:, None]) > reach] = 0.0
    return weights


def _lattice_sum(centres: NDArray[np.float64], sigma: float, reach: int) -> NDArray[np.float64]:
    """Sum of the sampled Gaussian over the whole lattice, so that mass is exact at any offset."""
    offsets = np.arange(-reach, reach + 1)
    distance = offsets[None, :] - (centres - np.rint(centres))[:, None]
    total: NDArray[np.float64] = np.exp(-0.5 * (distance / sigma) ** 2).sum(axis=1)
    return total


def _axis_weights(centres: NDArray[np.float64], n: int, sigma: float, reach: int) -> NDArray[np.float32]:
    """Share (points, n) of every point's mass that falls on each grid line."""
    weights = _kernel(centres, np.arange(n), sigma, reach)
    weights /= _lattice_sum(centres, sigma, reach)[:, None]
    return weights.astype(np.float32)
