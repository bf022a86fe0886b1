"""Class averages of the three-lobed object: as a bare stack, or with counts and resolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.io.averages import export_selection
from engine.io.mrc import write_images
from engine.types import ClassAverages, ImageStack
from tests.app import phantom


def images(count: int, *, junk: int = 0, twins: int = 0, seed: int = 0) -> np.ndarray:
    """(count, BOX, BOX): views, then the first ones turned by a right angle, then mere noise."""
    rng = np.random.default_rng(seed)
    points = phantom.cloud(1500)
    views = [phantom.project(points, r) for r in phantom.rotations(count - junk - twins)]
    views += [np.roll(np.rot90(views[i]), (1, 1), (0, 1)) for i in range(twins)]
    views += [rng.normal(size=(phantom.BOX,) * 2) * 3 for _ in range(junk)]
    clean = np.stack(views)
    return (clean + rng.normal(size=clean.shape) * 0.02 * clean.max()).astype(np.float32)


def write_stack(folder: Path, count: int = 6, *, pixel_size_A: float = phantom.PIXEL_A, **more: int) -> Path:
    """``averages.mrcs``; pixel size 0 leaves it out of the header."""
    path = folder / "averages.mrcs"
    write_images(path, ImageStack(images(count, **more), pixel_size_A))
    return path


def write_classes(folder: Path, count: int = 6, **more: int) -> Path:
    """``classes.star`` with its stack: image i holds 100 (i + 1) particles at 20 - i Å."""
    found = images(count, **more)
    number = np.arange(count)
    averages = ClassAverages(
        found, phantom.PIXEL_A, ("averages.mrcs",) * count, number.astype(np.int32),
        100.0 * (number + 1), 20.0 - number,
    )  # fmt: skip
    return export_selection(averages, list(range(count)), folder / "classes.star")[0]
