"""Fourier shell correlation of an ensemble's mean map with a reference map or structure.

Both come from models, or from a model and a map that is not independent of it, so the threshold is 0.5
and the figure is a *model-map* resolution: never the gold-standard 0.143 between independent half-maps.
Nothing is masked and nothing is aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.errors import InputError
from engine.forward.gaussians import splat_volume
from engine.numerics.fourier import fsc, resolution_at
from engine.types import FloatArray, Volume

_MOST_VOXELS = 256
"""Longest side of a box; larger objects get larger voxels."""


@dataclass(frozen=True)
class FscCurve:
    """A model-map Fourier shell correlation.

    Attributes
    ----------
    frequency_per_A : (shells,) 1/Å, centres of the shells.
    correlation : (shells,).
    resolution_0p5_A : Å, where the curve first falls below 0.5; None if it stays above up to Nyquist.
    nyquist_A : finest detail that the voxels can show, Å.
    splat_resolution_A : width of the Gaussians that stand for the points, as a resolution, Å. Both maps
        of a comparison with a structure have it, so it cancels in the correlation.
    """

    frequency_per_A: NDArray[np.float64]
    correlation: NDArray[np.float64]
    resolution_0p5_A: float | None
    nyquist_A: float
    splat_resolution_A: float


def ensemble_fsc(
    points_A: FloatArray,
    reference: Volume | FloatArray,
    *,
    weights: FloatArray | None = None,
    resolution_A: float | None = None,
) -> FscCurve:
    """Compare the mean of the members' maps with a reference in the same frame.

    Parameters
    ----------
    points_A : (n, p, 3), Å.
    reference : a map, or (m, 3) atoms or points, Å.
    weights : (m,) mass of each atom of a reference structure; None for equal ones.
    resolution_A : width of the Gaussians; None takes 2.2 times the mean distance between neighbouring
        points, below which a cloud is grains rather than density.

    Raises
    ------
    InputError
        If a reference map has no voxel size, or different ones along its axes.
    """
    members = np.asarray(points_A, np.float64)
    if resolution_A is None:
        resolution_A = max(2.2 * float(np.mean([_spacing(m) for m in members])), 1.0)
    if isinstance(reference, Volume):
        density, voxel, origin = _binned(reference, resolution_A / 4)
        resolution_A = max(resolution_A, 2 * voxel)
        other: FloatArray = density
        shape = (density.shape[0], density.shape[1], density.shape[2])
    else:
        atoms = np.asarray(reference, np.float64)
        voxel, shape, origin = _box(np.concatenate([members.reshape(-1, 3), atoms]), resolution_A)
        resolution_A = max(resolution_A, 2 * voxel)
        other = splat_volume(
            atoms,
            voxel_size_A=voxel,
            shape=shape,
            origin_A=origin,
            resolution_A=resolution_A,
            weights=weights,
        )
    # the mean of the members' maps is the map of all their points together
    mean = splat_volume(
        members.reshape(-1, 3), voxel_size_A=voxel, shape=shape, origin_A=origin, resolution_A=resolution_A
    )
    frequency, correlation = fsc(mean, other)
    return FscCurve(
        frequency_per_A=frequency / voxel,
        correlation=correlation,
        resolution_0p5_A=resolution_at(frequency, correlation, 0.5, voxel),
        nyquist_A=2 * voxel,
        splat_resolution_A=resolution_A,
    )


def _spacing(points: FloatArray) -> float:
    """Mean distance between nearest neighbours."""
    return float(cKDTree(points).query(points, k=2)[0][:, 1].mean()) if len(points) > 1 else 0.0


def _box(
    points: NDArray[np.float64], resolution_A: float
) -> tuple[float, tuple[int, int, int], tuple[float, float, float]]:
    """Voxel size, shape and origin of a cube that holds the points with two resolutions to spare."""
    low, high = points.min(0) - 2 * resolution_A, points.max(0) + 2 * resolution_A
    side = float((high - low).max())
    voxel = max(resolution_A / 4, side / _MOST_VOXELS)
    n = int(np.ceil(side / voxel))
    n += n % 2
    corner = (low + high) / 2 - voxel * (n - 1) / 2
    return voxel, (n, n, n), (float(corner[0]), float(corner[1]), float(corner[2]))


def _binned(volume: Volume, finest_A: float) -> tuple[NDArray[np.float64], float, tuple[float, float, float]]:
    """The reference with voxels no finer than needed: density, voxel size, origin."""
    sizes = np.asarray(volume.voxel_size_A, np.float64)
    if not (sizes > 0).all():
        raise InputError("The reference map's voxel size is not known.", "Give it, or repair its header.")
    if sizes.max() > 1.02 * sizes.min():
        raise InputError(
            "The reference map's voxels are not cubes.", "Resample it, e.g. `volume resample` in ChimeraX."
        )
    voxel = float(sizes.mean())
    longest = max(volume.density.shape)
    factor = max(int(finest_A / voxel), int(np.ceil(longest / _MOST_VOXELS)), 1)
    factor = min(factor, max(min(volume.density.shape) // 8, 1))
    kept = [n // factor for n in volume.density.shape]
    nz, ny, nx = (k * factor for k in kept)
    blocks = volume.density[:nz, :ny, :nx].astype(np.float64)
    blocks = blocks.reshape(kept[0], factor, kept[1], factor, kept[2], factor).mean((1, 3, 5))
    x, y, z = (o + s * (factor - 1) / 2 for o, s in zip(volume.origin_A, sizes, strict=True))
    return blocks, voxel * factor, (float(x), float(y), float(z))
