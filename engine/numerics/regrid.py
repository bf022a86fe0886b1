"""A density map on the grid of another: its box, its voxels, the object in the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates, spline_filter

from engine.conventions import image_centre
from engine.types import FloatArray, Volume


def on_grid(volume: Volume, size: int, voxel_size_A: float) -> NDArray[np.float32]:
    """A map sampled on ``size`` voxels of ``voxel_size_A`` a side, (size, size, size).

    The voxel nearest to the centre of its density comes to voxel ``size // 2``, so that a map which has
    these voxels already is only moved, not interpolated. What is finer than the new voxels can hold is
    filtered out first; then a cubic spline is sampled, so the ratio of the voxels may be any. Outside the
    map there is its background, the median of its faces, which is subtracted.

    Parameters
    ----------
    volume : with a known voxel size; its voxels need not be cubes.

    Raises
    ------
    ValueError
        If the voxel size is not positive.
    """
    density = volume.density - background(volume.density)
    return _sampled(density, np.rint(density_centre(density)), volume, size, voxel_size_A)


def same_origin(
    volume: Volume,
    size: int,
    voxel_size_A: float,
    middle_A: tuple[float, float, float] | NDArray[np.float64] = (0.0, 0.0, 0.0),
) -> NDArray[np.float32]:
    """The same, but maps of one frame stay in it: a point of the frame comes to voxel ``size // 2``.

    Nothing is subtracted, and outside the map there is nothing.

    Parameters
    ----------
    middle_A : (3,) xyz, in the frame whose origin :func:`frame_origin` finds.
    """
    spacing = np.asarray(volume.voxel_size_A, np.float64)[::-1]
    if not (spacing > 0).all():
        raise ValueError("voxel sizes must be positive")
    centre = frame_origin(volume) + np.asarray(middle_A, np.float64)[::-1] / spacing
    return _sampled(np.asarray(volume.density, np.float32), centre, volume, size, voxel_size_A)


def frame_origin(volume: Volume) -> NDArray[np.float64]:
    """Where the origin of a map's frame is, (3,) zyx in voxels, not always whole.

    Where the file gives its first voxel a place, that counts, as long as it puts the origin inside the map.
    Otherwise it is voxel ``n // 2``: RELION and cryoSPARC leave the place at 0 and mean the middle, and a
    map cut out of a larger one may lie anywhere in the frame of an atomic model, which is not that of poses.
    """
    shape = np.array(volume.density.shape, np.float64)
    middle = np.array([image_centre(n) for n in volume.density.shape], np.float64)
    spacing = np.asarray(volume.voxel_size_A, np.float64)[::-1]
    placed = np.asarray(volume.origin_A, np.float64)[::-1]
    if not placed.any() or not (spacing > 0).all():
        return middle
    found = -placed / spacing
    return found if ((found >= 1) & (found <= shape - 2)).all() else middle


def _sampled(
    density: FloatArray, centre: NDArray[np.float64], volume: Volume, size: int, voxel_size_A: float
) -> NDArray[np.float32]:
    spacing = np.asarray(volume.voxel_size_A, np.float64)[::-1]  # zyx, as the array
    if not (spacing > 0).all() or not voxel_size_A > 0:
        raise ValueError("voxel sizes must be positive")
    density = _band_limited(density, spacing / voxel_size_A)
    coefficients = spline_filter(density, 3, output=np.float32)
    steps = (np.arange(size) - image_centre(size)) * voxel_size_A
    where = np.meshgrid(*(c + steps / s for c, s in zip(centre, spacing, strict=True)), indexing="ij")
    sampled = map_coordinates(
        coefficients, np.stack(where).astype(np.float32), order=3, prefilter=False, mode="constant"
    )
    return np.asarray(sampled, np.float32)


def background(density: FloatArray) -> float:
    """Median of the voxels on the faces of the box."""
    faces = [np.take(density, end, axis=axis).ravel() for axis in range(density.ndim) for end in (0, -1)]
    return float(np.median(np.concatenate(faces)))


def density_centre(density: FloatArray) -> NDArray[np.float64]:
    """Centre of mass (zyx, in voxels) of the density above two standard deviations from zero."""
    strong = np.clip(density - 2 * float(density.std()), 0.0, None).astype(np.float64)
    total = float(strong.sum())
    if not total > 0:
        return np.array([image_centre(n) for n in density.shape], np.float64)
    sums = [strong.sum(tuple(a for a in range(strong.ndim) if a != axis)) for axis in range(strong.ndim)]
    return np.array([float(s @ np.arange(len(s))) / total for s in sums])


def _band_limited(density: NDArray[np.float32], coarser: NDArray[np.float64]) -> NDArray[np.float32]:
    """Without frequencies beyond the Nyquist frequency of voxels that are 1 / ``coarser`` times as large."""
    if (coarser >= 1).all():
        return density
    spectrum = fft.rfftn(density)
    axes = [fft.fftfreq(n) for n in density.shape[:-1]] + [fft.rfftfreq(density.shape[-1])]
    for axis, (frequency, ratio) in enumerate(zip(axes, coarser, strict=True)):
        kept = (np.abs(frequency) <= 0.5 * min(ratio, 1.0)).astype(np.float32)
        spectrum *= kept.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(fft.irfftn(spectrum, s=density.shape), np.float32)
