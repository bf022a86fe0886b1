"""Sets of 2D points, one per class average, as images: each point becomes a Gaussian."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from engine.conventions import image_centre
from engine.errors import InputError
from engine.io import npy
from engine.io.limits import MAX_POINTS
from engine.io.points import npz_shapes
from engine.types import ClassAverages

_ADVICE = "Give one array (n, 2) per image, in pixels, or one array `points` (images, n, 2)."
_EXTENT_PX = (8.0, 500.0)
_MARGIN = 1.35
_NEIGHBOUR = 3
_MAX_SETS = 5000


def point_sets(path: Path) -> tuple[str, ...]:
    """Names of the arrays of an npz that are sets of 2D points, in natural order; empty if it has others.

    Raises
    ------
    InputError
        If the archive is damaged.
    """
    shapes = npz_shapes(path)
    if set(shapes) == {"points"} and len(shapes["points"][0]) == 3 and shapes["points"][0][2] == 2:
        return ("points",)
    flat = all(len(s) == 2 and s[1] == 2 and np.dtype(d).kind in "fiu" for s, d in shapes.values())
    if not flat or len(shapes) < 2:
        return ()
    return tuple(sorted(shapes, key=natural))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key by which ``10`` comes after ``9``."""
    parts = re.split(r"(\d{1,18})", name)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in parts if p)


def render(path: str | Path) -> ClassAverages:
    """Read point sets and draw them, all in the same frame.

    Coordinates are taken as pixels, x first. The Gaussians are as wide as the typical distance of a
    point's third neighbour, so that a filled outline becomes a smooth density.

    Returns
    -------
    ClassAverages
        Pixel size 0.

    Raises
    ------
    InputError
        If the file is damaged, holds no sets of 2D points, too many, or coordinates that can't be pixels.
    """
    path = Path(path)
    names = point_sets(path)
    shapes = npz_shapes(path)
    total = sum(int(np.prod(shapes[n][0][:-1], dtype=object)) for n in names)
    count = shapes["points"][0][0] if names == ("points",) else len(names)
    if not names or total == 0:
        raise InputError("The archive holds no sets of 2D points.", _ADVICE, path)
    if total > MAX_POINTS or count > _MAX_SETS:
        raise InputError(
            f"The archive holds {count:,} sets, {total:,} points in all.", "Thin it first.", path
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [np.asarray(npy.member(archive, n), np.float64) for n in names]
        if [a.shape for a in arrays] != [shapes[n][0] for n in names]:
            raise ValueError("another array of the same name")
    except npy.DAMAGE as exc:
        raise InputError("The npz archive is damaged or cut off.", "Copy or write it again.", path) from exc
    sets = list(arrays[0]) if names == ("points",) else arrays
    everything = np.concatenate(sets)
    if not np.isfinite(everything).all() or min(map(len, sets)) <= _NEIGHBOUR:
        raise InputError("Some sets are too small or not finite.", _ADVICE, path)
    low, high = everything.min(axis=0), everything.max(axis=0)
    extent = float((high - low).max())
    if not _EXTENT_PX[0] <= extent <= _EXTENT_PX[1]:
        raise InputError(
            f"The points extend over {extent:.4g}, which can't be pixels.",
            f"Scale them to between {_EXTENT_PX[0]:g} and {_EXTENT_PX[1]:g} pixels.",
            path,
        )
    box = 2 * int(np.ceil(_MARGIN * extent / 2))
    distances = [float(np.median(cKDTree(s).query(s, _NEIGHBOUR + 1)[0][:, -1])) for s in sets]
    width = float(np.clip(np.median(distances), 0.7, box / 20))
    images = np.stack([_draw(s - (low + high) / 2, box, width) for s in sets])
    return ClassAverages(
        images,
        0.0,
        (str(path),) * len(sets),
        np.arange(len(sets), dtype=np.int32),
        notes=(
            f"Drawn from 2D points as Gaussians of σ = {width:.2g} pixels; coordinates were taken as pixels.",
        ),
    )


def _draw(points: NDArray[np.float64], box: int, width: float) -> NDArray[np.float32]:
    """(box, box); each point is shared out over its four pixels, then everything is blurred."""
    place = points + image_centre(box)
    whole = np.floor(place).astype(np.intp)
    part = place - whole
    image = np.zeros((box + 1, box + 1))
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(image, (whole[:, 1] + dy, whole[:, 0] + dx), share)
    return np.asarray(gaussian_filter(image[:box, :box], width, mode="constant"), np.float32)
