"""Class averages read, ranked and prepared for showing, away from the GUI thread. Plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.averages_columns import Column, of_averages
from engine.errors import InputError, VerglasError
from engine.specs.sds import ClassAveragesInput
from engine.types import ClassAverages

THUMBNAIL_PX = 128  # thumbnails are no larger; smaller images are kept as they are
_BATCH = 256


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures of images, as bytes.

    Attributes
    ----------
    pixels : (n, y, x) uint8, each over the range of its image, or all over one range.
    levels : (n, 2) float32, the byte values that are shown as black and white unless the user says
        otherwise.
    ranges : (n, 2) float32, the values of the image that became bytes 0 and 255; empty if all have the
        same.
    """

    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))
    levels: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    ranges: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def common_levels(self) -> NDArray[np.float32]:
        """(n, 2) byte values of one black and one white for all: the median of their own ones."""
        if len(self.ranges) != len(self.pixels):
            return self.levels
        low, span = self.ranges[:, :1], np.diff(self.ranges, axis=1)
        black, white = np.median(low + self.levels / 255 * span, axis=0)
        found = (np.array([[black, max(white, black + 1e-12)]], np.float32) - low) / span * 255
        found[:, 1] = np.maximum(found[:, 1], found[:, 0] + 1e-3)
        return np.asarray(found, np.float32)


@dataclass(frozen=True)
class LoadedAverages:
    """What the window keeps of a set of class averages.

    Attributes
    ----------
    columns : numbers about each image.
    rotations : (n, 3, 3) where the file gives poses.
    """

    averages: ClassAverages
    thumbnails: Thumbnails
    names: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    rotations: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class PreparedForShow:
    """Prepared images as the window shows them.

    Attributes
    ----------
    prepared : :class:`engine.io.averages.PreparedAverages`.
    thumbnails : in the order of ``prepared.used``.
    """

    prepared: Any
    thumbnails: Thumbnails


def load(path: Path) -> LoadedAverages:
    """Read class averages of any format.

    Raises
    ------
    VerglasError
        If they can't be used, in words for the user.
    """
    from engine.io.class_averages import read_class_averages

    averages = read_class_averages(path)
    names = image_names(averages.files, averages.indices)
    table = _table(path, len(names))
    columns = of_averages(averages.counts, averages.resolutions_A, table.values)
    return LoadedAverages(averages, thumbnails(averages.images), names, columns, table.rotations)


def _table(path: Path, count: int) -> Any:
    """All that the file's table says about the images; nothing where it doesn't fit them."""
    from engine.io.image_columns import ImageColumns, read_columns

    try:
        found = read_columns(path)
    except VerglasError:
        return ImageColumns()  # the images could be read, so this is about no more than a caption
    fits = all(len(values) == count for values in found.values.values())
    fits = fits and (found.rotations is None or len(found.rotations) == count)
    return found if fits else ImageColumns()


def ranked(averages: ClassAverages) -> Any:
    """Quality, junk and duplicates: an :class:`engine.io.averages.AverageQuality`."""
    from engine.io.averages import rank

    return rank(averages.images)


def prepared(averages: ClassAverages, spec: ClassAveragesInput) -> PreparedForShow:
    """The images as a run will use them.

    Raises
    ------
    VerglasError
        If they can't be prepared this way, in words for the user.
    """
    from engine.io.averages import prepare

    found = prepare(averages, spec)
    return PreparedForShow(found, thumbnails(found.stack.images, together=True))


def export(
    averages: ClassAverages, rows: NDArray[np.intp], path: Path, pixel_size_A: float = 0.0
) -> tuple[int, float | None]:
    """Write the chosen images as STAR and MRCS, with the pixel size that the user gave, if any.

    Returns
    -------
    How many images, and how many particles, the written files hold, found out by reading them back;
    None for particles where no file says it.

    Raises
    ------
    VerglasError
        If they can't be written.
    """
    from engine.io.averages import export_selection
    from engine.io.class_star import read_references
    from engine.io.mrc import read_header

    if pixel_size_A:
        averages = replace(averages, pixel_size_A=pixel_size_A)
    star, stack = export_selection(averages, [int(row) for row in rows], path)
    written, images = read_references(star), int(read_header(stack).shape[0])
    if images != len(written.names):
        raise InputError(
            f"{star.name} names {len(written.names):,} images, but {stack.name} holds {images:,}.",
            "Export again.",
            star,
        )
    known = written.counts is not None and bool(written.counts.sum() > 1.5)
    return images, float(written.counts.sum()) if known and written.counts is not None else None


def image_names(files: Sequence[str], indices: NDArray[np.integer]) -> tuple[str, ...]:
    """A short name per image: its number, with its file's name where there are several files."""
    several = len(set(files)) > 1
    single = several and len(set(files)) == len(files)
    stems = [Path(name).stem for name in files]
    if single:
        return tuple(stems)
    return tuple(
        f"{stem} {index + 1}" if several else str(index + 1)
        for stem, index in zip(stems, indices, strict=True)
    )


def thumbnails(images: NDArray[np.floating], *, together: bool = False) -> Thumbnails:
    """Small pictures with the contrast between the 1st and 99.5th percentile.

    Parameters
    ----------
    images : (n, y, x).
    together : use one range for all, for images that have been put on one scale.
    """
    if not len(images):
        return Thumbnails()
    factor = max(1, -(-max(images.shape[1:]) // THUMBNAIL_PX))
    step = len(images) if together else _BATCH  # a batch at a time needs little memory besides the result
    parts = [_bytes(_binned(images[i : i + step], factor), together) for i in range(0, len(images), step)]
    pixels, levels, ranges = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Thumbnails(pixels, levels, ranges)


def _bytes(
    small: NDArray[np.float32], together: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Pixels, levels and ranges as in :class:`Thumbnails`."""
    flat = small.reshape(1, -1) if together else small.reshape(len(small), -1)
    low, high, black, white = np.percentile(flat, (0.02, 99.98, 1, 99.5), axis=1)
    span = np.where(high > low, high - low, 1)
    scaled = (flat - low[:, None]) / span[:, None]
    pixels = np.asarray(np.clip(scaled, 0, 1) * 255, np.uint8).reshape(small.shape)
    levels = np.stack([black - low, white - low], 1) / span[:, None] * 255
    levels[:, 1] = np.maximum(levels[:, 1], levels[:, 0] + 1)
    shape = (len(small), 2)
    ranges = np.broadcast_to(np.stack([low, low + span], 1), shape)
    return pixels, np.asarray(np.broadcast_to(levels, shape), np.float32), np.asarray(ranges, np.float32)


def _binned(images: NDArray[np.floating], factor: int) -> NDArray[np.float32]:
    """Means over squares of ``factor`` pixels; what remains at the far edges is left out."""
    finite = np.nan_to_num(np.asarray(images, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if factor == 1:
        return finite
    count, height, width = finite.shape
    rows, columns = height // factor, width // factor
    kept = finite[:, : rows * factor, : columns * factor]
    return np.asarray(kept.reshape(count, rows, factor, columns, factor).mean((2, 4)), np.float32)
