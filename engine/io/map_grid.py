"""Projections of any size and spacing brought onto the grid of one map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq, ifft2
from scipy.ndimage import map_coordinates

from engine.conventions import image_centre
from engine.io.image_resampling import cropped, resampled, shifted

_SAME = 1e-4
"""Of a pixel, over the width of an image: less than that apart, two grids are the same."""


def images_on_grid(
    images: NDArray[np.floating],
    pixel_size_A: float,
    centres_A: NDArray[np.floating],
    size: int,
    voxel_size_A: float,
) -> NDArray[np.float32]:
    """Square images whose pixel ``size // 2`` shows what was seen at ``centres_A``.

    Where the new field of view is a whole number of old pixels and no finer, the images are moved and
    resampled in Fourier space: white noise stays white, and its standard deviation is multiplied by the ratio
    of the old spacing to the new. Otherwise what is finer than the new pixels can hold is filtered out and a
    cubic spline is sampled, which takes away a little more.

    Parameters
    ----------
    images : (n, y, x), background zero; outside of them is zero.
    centres_A : (n, 2) xy, Å from the centre of each image.

    Returns
    -------
    (n, size, size) float32. Values stay what they are, so a density per area does.

    Raises
    ------
    ValueError
        If a spacing is not positive.
    """
    if not (pixel_size_A > 0 and voxel_size_A > 0):
        raise ValueError("pixel and voxel sizes must be positive")
    centres_px = np.asarray(centres_A, np.float64) / pixel_size_A
    field = size * voxel_size_A / pixel_size_A
    side = round(field)
    if abs(field - side) < _SAME * max(1, side) and side >= size:
        # whole pixels are cut, what is left of the shift is a phase
        whole = np.rint(centres_px)
        ny, nx = images.shape[1:]
        wide = max(side, nx, ny) + 2 * int(np.abs(whole).max(initial=0))
        wide += wide % 2
        padded = cropped(np.asarray(images, np.float32), wide)
        moved = np.stack(
            [np.roll(i, (-int(y), -int(x)), (0, 1)) for i, (x, y) in zip(padded, whole, strict=True)]
        )
        rest = centres_px - whole
        if np.abs(rest).max(initial=0) > _SAME:
            moved = shifted(moved, -rest)
        return resampled(cropped(moved, side), size)
    values = np.asarray(images, np.float64)
    if voxel_size_A > pixel_size_A:
        ny, nx = values.shape[1:]
        limit = 0.5 * pixel_size_A / voxel_size_A
        kept = (np.abs(fftfreq(ny)) <= limit)[:, None] & (np.abs(fftfreq(nx)) <= limit)
        values = np.asarray(ifft2(fft2(values) * kept).real)
    steps = (np.arange(size) - image_centre(size)) * voxel_size_A / pixel_size_A
    out = np.zeros((len(values), size, size), np.float32)
    for image, (x, y), target in zip(values, centres_px, out, strict=True):
        rows = steps + y + image_centre(image.shape[0])
        columns = steps + x + image_centre(image.shape[1])
        where = np.stack(np.meshgrid(rows, columns, indexing="ij"))
        target[...] = map_coordinates(image, where, order=3, mode="constant")
    return out
