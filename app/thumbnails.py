"""Small pictures of results: plain arrays, computed away from the GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.snapshots import read_npy

SIZE = 96  # pixels; drawn at half of it, for screens of twice the density
_LARGEST_BYTES = 300 << 20
_MAPS, _STACKS = (".mrc", ".map", ".ccp4"), (".mrcs", ".st")


@dataclass(frozen=True)
class Thumbnail:
    """A picture.

    Attributes
    ----------
    pixels : (SIZE, SIZE) uint8.
    mask : whether the pixels say how much of a theme's colour to put (points), or are grey values.
    """

    pixels: NDArray[np.uint8]
    mask: bool = False


def thumbnail(path: Path) -> Thumbnail | None:
    """The picture of a file; None for what has none. Raises what reading it raises.

    Maps are projected along z, of stacks the first image is shown, clouds are seen along z.
    """
    name = path.name.lower().removesuffix(".gz")
    if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
        return None
    if name.endswith(".npy"):
        return _of_array(read_npy(path))
    if name == "ensemble.npz":
        from engine.io.ensemble import read_ensemble

        return _of_points(read_ensemble(path).points_A)
    if name.endswith(_STACKS):
        from engine.io.mrc import read_images

        return _of_array(read_images(path).images)
    if name.endswith(_MAPS):
        from engine.io.mrc import read_header, read_volume
        from engine.io.mrc_header import kind_of

        if kind_of(read_header(path), path)[0] == "images":
            from engine.io.mrc import read_images

            return _of_array(read_images(path).images)
        return Thumbnail(_grey(read_volume(path).density.mean(0)))
    return None


def _of_array(values: NDArray[np.floating]) -> Thumbnail | None:
    """A snapshot: a map (z, y, x), images (n, y, x), or points (n, points, 3)."""
    if values.ndim != 3 or not values.size or values.dtype.kind != "f":
        return None
    if values.shape[2] == 3:
        return _of_points(values)
    cube = values.shape[0] == values.shape[1] == values.shape[2]
    return Thumbnail(_grey(values.mean(0) if cube else values[0]))


def _of_points(points: NDArray[np.floating]) -> Thumbnail:
    """All samples seen along z; nearer points are stronger."""
    flat = points.reshape(-1, 3)
    flat = flat[np.isfinite(flat).all(1)]
    if not len(flat):
        return Thumbnail(np.zeros((SIZE, SIZE), np.uint8), mask=True)
    centre = np.median(flat, 0)
    radius = max(1e-6, float(np.percentile(np.abs(flat - centre)[:, :2].max(1), 99.5)))
    place = ((flat - centre)[:, :2] / radius * 0.46 + 0.5) * (SIZE - 1)
    column, row = np.rint(place).astype(int).clip(1, SIZE - 2).T
    depth = flat[:, 2]
    nearness = (depth - depth.min()) / max(1e-6, float(np.ptp(depth)))
    canvas = np.zeros((SIZE, SIZE))
    for dy in (0, 1):
        for dx in (0, 1):
            # y points upwards in space and downwards in pictures
            np.maximum.at(canvas, (SIZE - 1 - row + dy, column + dx), 0.3 + 0.7 * nearness)
    return Thumbnail(np.rint(255 * canvas).astype(np.uint8), mask=True)


def _grey(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image as a square of grey values between its percentiles 1 and 99.5."""
    image = np.nan_to_num(np.asarray(image, np.float32))
    low, high = (float(v) for v in np.percentile(image, (1, 99.5)))
    image = (np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.float32)
    height, width = image.shape
    step = max(1, max(height, width) // SIZE)
    if step > 1:  # means, so that nothing flickers
        image = image[: height // step * step, : width // step * step]
        image = image.reshape(height // step, step, width // step, step).mean((1, 3))
    height, width = image.shape
    longest = max(height, width)
    rows = ((np.arange(SIZE) + 0.5) * longest / SIZE - (longest - height) / 2).astype(int)
    columns = ((np.arange(SIZE) + 0.5) * longest / SIZE - (longest - width) / 2).astype(int)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    square = image[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    return np.where(inside, square, 0).astype(np.uint8)
