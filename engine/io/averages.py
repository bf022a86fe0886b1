"""Class averages made ready for reconstruction: chosen, centred, masked, normalised, resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from engine.errors import InputError
from engine.io.atomic import atomic_path
from engine.io.average_quality import AverageQuality, rank
from engine.io.contrast import choose_contrast
from engine.io.image_resampling import cropped, resampled, shifted
from engine.io.mrc import write_images
from engine.io.particle_extent import Extent, Images, extents, masked_radius, radii, soft_disc
from engine.io.pixel_size import PixelSizeError, check_given
from engine.specs.sds import ClassAveragesInput
from engine.types import ClassAverages, ImageStack

__all__ = [
    "AverageQuality",
    "PreparedAverages",
    "averages_record",
    "export_selection",
    "prepare",
    "rank",
    "soft_disc",
]

DEFAULT_BOX = 64
MASK_EDGE_PX = 3.0
"""Full width of the mask's soft edge, in pixels of the working box."""

_MAX_SHIFT = 0.25
_SHIFT_ROUNDS = 4
_SETTLED_PX = 0.05
MARGIN = 1.08
MARGIN_PX = 2.0
_MANY = 20


@dataclass(frozen=True)
class PreparedAverages:
    """Class averages as reconstruction wants them.

    Attributes
    ----------
    stack : (n, box, box), density positive, zero outside the circular mask (soft edge of 3 pixels); mean 0
        and variance 1 over the pixels within ``mask_radius_px`` of the whole stack.
    used : (n,) 0-based rows of the file.
    shifts_px : (n, 2) xy, by how much each image's content was moved, in pixels of the file.
    sign : 1, or -1 where the images were inverted.
    contrast : a sentence that says how the sign was found.
    mask_radius_px : in pixels of the working box; the mask is 0.5 there.
    background : the value that empty surroundings have inside the mask: below zero, since the mean is 0.
        ``stack.images - background`` within the mask is density that vanishes where nothing is.
    field_of_view_px : side of the square of the original image that the box shows, in its pixels.
    notes : what was done and assumed, one sentence each.
    """

    stack: ImageStack
    used: NDArray[np.int64]
    shifts_px: NDArray[np.float64]
    sign: float
    contrast: str
    mask_radius_px: float
    background: float
    field_of_view_px: int
    notes: tuple[str, ...]


def prepare(averages: ClassAverages, spec: ClassAveragesInput) -> PreparedAverages:
    """Choose, centre, mask, normalise and resample class averages.

    In this order: the sign is chosen; each particle is moved so that its centre of mass lies at pixel
    n//2 (projections of one volume share that point); the background (mean outside of the particle)
    is subtracted; the images are cut to what the mask needs, if that is less than the image, and
    resampled in Fourier space; each is given the same variance within the mask; the common mean and
    variance become 0 and 1.

    Parameters
    ----------
    averages : as read.
    spec : the user's choices. ``box`` 0: the image's own, made even, and at most 64. Where the box is
        smaller than the image, empty surroundings are cut off before anything is resampled.

    Returns
    -------
    PreparedAverages
        Preparing what was prepared changes next to nothing.

    Raises
    ------
    PixelSizeError
        If the pixel size is known neither from the files nor from ``spec``.
    InputError
        If the selection doesn't fit the file, no image has content, or the mask doesn't fit into the image.
    """
    path = Path(spec.file)
    check_given(spec.pixel_size_A, path)
    pixel = spec.pixel_size_A or averages.pixel_size_A
    if not pixel > 0:
        raise PixelSizeError("The files do not say the pixel size.", "Give the pixel size.", path)
    notes: list[str] = []
    used = _selected(averages.images, spec.select, notes, path)
    images = _square(averages.images[used])
    side = images.shape[-1]
    sign, sentence = choose_contrast(images, spec.contrast)
    images = np.asarray(sign * images, np.float32)
    limit = masked_radius(images)
    shifts, found = _centring(images, limit, spec.centre, used, notes)
    images = shifted(images, shifts) if shifts.any() else images
    radius = _mask_radius(found, limit, spec.mask_diameter_A, pixel, side, notes, path)
    images = images - levels(images, found, radius, limit)[:, None, None]
    box = spec.box or min(DEFAULT_BOX, side - side % 2)
    view = min(side, max(box, 2 * int(np.ceil(radius + MASK_EDGE_PX / 2)) + 2))
    if view < side:
        images = cropped(images, view)
        notes.append(f"Surroundings were cut off: {side} to {view} pixels.")
    images = resampled(images, box)
    if view != box:
        notes.append(f"The images were resampled from {view} to {box} pixels.")
    radius = min(radius * box / view, box / 2 - 1.0)
    images, background = normalised(images, radius, equal=True)
    images = np.asarray(images * soft_disc(box, radius, MASK_EDGE_PX), np.float32)
    notes.append(f"The mask has a diameter of {2 * radius * pixel * view / box:.4g} Å.")
    return PreparedAverages(
        ImageStack(images, float(pixel * view / box), tuple(notes)),
        used,
        shifts,
        sign,
        sentence,
        float(radius),
        background,
        view,
        tuple(notes),
    )


def _selected(images: Images, select: tuple[int, ...], notes: list[str], path: Path) -> NDArray[np.int64]:
    """0-based rows that are wanted and have content."""
    count = len(images)
    rows = np.array(list(dict.fromkeys(select)), np.int64) - 1 if select else np.arange(count, dtype=np.int64)
    if (rows < 0).any() or (rows >= count).any():
        wrong = next(int(r) + 1 for r in rows if not 0 <= r < count)
        raise InputError(
            f"Image {wrong} was chosen, but the file has {count}.", "Correct the selection.", path
        )
    low, high = images[rows].min(axis=(1, 2)), images[rows].max(axis=(1, 2))
    empty = high - low <= 1e-6 * np.maximum(np.abs(low), np.abs(high))
    if empty.all():
        raise InputError("All chosen images are empty.", "Choose others.", path)
    if empty.any():
        notes.append(f"{_named(rows[empty])} left out: empty.")
    return np.asarray(rows[~empty], np.int64)


def _named(rows: NDArray[np.int64]) -> str:
    shown = ", ".join(str(r + 1) for r in rows[:8]) + (" and more" if len(rows) > 8 else "")
    return f"Image {shown} was" if len(rows) == 1 else f"{len(rows)} images ({shown}) were"


def _square(images: Images) -> Images:
    """Square images as they are, others cut to the shorter side."""
    _, rows, columns = images.shape
    return images if rows == columns else cropped(images, min(rows, columns))


def _centring(
    images: Images, limit: float, wanted: bool, used: NDArray[np.int64], notes: list[str]
) -> tuple[NDArray[np.float64], list[Extent]]:
    """Shifts that bring the centres of mass to pixel n//2, and the extents after shifting."""
    shifts = np.zeros((len(images), 2))
    found = extents(images, limit)
    if not wanted:
        return shifts, found
    moving = np.arange(len(images))
    lost: list[int] = []
    for _ in range(_SHIFT_ROUNDS):
        # What the circle and the border hide changes with the shift, so once is not enough.
        step = np.array([-found[i].centre_px for i in moving]).reshape(-1, 2)
        moving = moving[np.hypot(*step.T) > _SETTLED_PX]
        if not len(moving):
            break
        for i in moving:
            shifts[i] -= found[i].centre_px
        far = [int(i) for i in moving if np.hypot(*shifts[i]) > _MAX_SHIFT * images.shape[-1]]
        lost += far
        shifts[far] = 0.0
        again = extents(shifted(images[moving], shifts[moving]), limit)
        for i, each in zip(moving, again, strict=True):
            found[i] = each
        moving = np.setdiff1d(moving, far)
    if lost:
        notes.append(f"{_named(used[lost])} not centred: the particle lies too far out.")
    largest = float(np.hypot(*shifts.T).max())
    if largest >= 0.5:
        notes.append(f"The particles were moved to the middle, by at most {largest:.1f} pixels.")
    return shifts, found


def _mask_radius(
    found: list[Extent],
    limit: float,
    diameter_A: float | None,
    pixel_A: float,
    side: int,
    notes: list[str],
    path: Path,
) -> float:
    """In pixels of the file: as given, or so that it covers the particles with a margin."""
    most = side / 2 - 1.0
    if diameter_A is not None:
        radius = given_radius(diameter_A, pixel_A, path)
        if radius > most:
            notes.append(f"The mask of {diameter_A:g} Å does not fit; {2 * most * pixel_A:.4g} Å were taken.")
        return min(radius, most)
    measured = [e.radius_px for e in found if e.radius_px > 0]
    if not measured:
        return min(limit, most)
    # A few of many may be junk that reaches to the border.
    largest = float(np.percentile(measured, 95)) if len(measured) >= _MANY else max(measured)
    return float(np.clip(MARGIN * largest + MARGIN_PX, 4.0, min(limit, most)))


def given_radius(diameter_A: float, pixel_A: float, path: str | Path) -> float:
    """Of a mask whose diameter the user gives, in pixels; InputError if that is next to nothing."""
    radius = diameter_A / 2 / pixel_A
    if radius < 4:
        raise InputError(
            f"A mask of {diameter_A:g} Å is only {2 * radius:.2g} pixels wide.",
            f"Give at least {8 * pixel_A:.3g} Å, or leave it empty.",
            path,
        )
    return radius


def levels(images: Images, found: list[Extent], radius: float, limit: float) -> NDArray[np.float32]:
    """(n,) mean of each image outside of the particle but within the mask, or the ring around it."""
    distance = radii(*images.shape[1:])
    wide = distance <= min(limit, 1.15 * radius)
    ring = wide & (distance > 0.9 * min(limit, radius))
    levels = np.zeros(len(images), np.float32)
    for i, (image, each) in enumerate(zip(images, found, strict=True)):
        outside = wide & ~binary_dilation(each.support, iterations=2)
        levels[i] = image[outside if outside.sum() > 30 else ring].mean()
    return levels


def normalised(images: Images, radius: float, *, equal: bool) -> tuple[Images, float]:
    """Mean 0 (under the soft mask) and variance 1 within the mask, of all images together.

    Parameters
    ----------
    images : (n, box, box), background 0; not yet masked.
    equal : give each image the same variance first.

    Returns
    -------
    images : normalised, not masked.
    background : what zero became.

    Raises
    ------
    InputError
        If the images have no contrast.
    """
    box = images.shape[-1]
    mask = soft_disc(box, radius, MASK_EDGE_PX).astype(np.float64)
    within = radii(box, box) <= radius
    values = images.astype(np.float64)
    if equal:
        spread = values[:, within].std(axis=1)
        values = values / np.where(spread > 0, spread, 1.0)[:, None, None]
    mean = float((values * mask)[:, within].sum() / (mask[within].sum() * len(values)))
    scale = float(((values - mean) * mask)[:, within].std())
    if not scale > 0:
        raise InputError("The images have no contrast.", "Check that they are the right file.")
    return np.asarray((values - mean) / scale, np.float32), -mean / scale


def averages_record(
    averages: ClassAverages, prepared: PreparedAverages, quality: AverageQuality
) -> dict[str, Any]:
    """What ``averages.json`` holds: one entry per prepared image, counted from 1.

    Parameters
    ----------
    averages : as read.
    prepared : from :func:`prepare`.
    quality : from :func:`rank` of all images of the file, or of the used ones only.
    """
    everything = len(quality.score) == len(averages.images)
    images = []
    for k, row in enumerate(prepared.used):
        i = int(row) if everything else k
        twin = int(quality.duplicate_of[i])
        count = None if averages.counts is None else float(averages.counts[row])
        images.append(
            {
                "row": int(row) + 1,
                "file": averages.files[row],
                "count": count,
                "shift_px": [round(float(s), 3) for s in prepared.shifts_px[k]],
                "score": round(float(quality.score[i]), 4),
                "junk": bool(quality.junk[i]),
                "duplicate_of": None if twin < 0 else (twin if everything else int(prepared.used[twin])) + 1,
            }
        )
    return {
        "pixel_size_A": prepared.stack.pixel_size_A,
        "box": int(prepared.stack.images.shape[-1]),
        "mask_radius_px": prepared.mask_radius_px,
        "background": prepared.background,
        "field_of_view_px": prepared.field_of_view_px,
        "contrast": prepared.contrast,
        "sign": prepared.sign,
        "notes": list(prepared.notes),
        "images": images,
    }


def export_selection(
    averages: ClassAverages, rows: Sequence[int], path_star: str | Path
) -> tuple[Path, Path]:
    """Write chosen class averages as a STAR file and the stack that it names, beside it.

    Parameters
    ----------
    averages : as read; written as stored, without inversion or masking.
    rows : 0-based, in the order in which they are written.
    path_star : the STAR file; the stack has its name with ``.mrcs``.

    Returns
    -------
    The STAR file and the stack. :func:`engine.io.class_averages.read_class_averages` reads them back
    with counts and resolutions.

    Raises
    ------
    InputError
        If no or impossible rows are chosen.
    VerglasError
        If a file can't be written.
    """
    path = Path(path_star)
    chosen = np.asarray(rows, np.int64)
    if chosen.size == 0 or (chosen < 0).any() or (chosen >= len(averages.images)).any():
        raise InputError("No images, or images that don't exist, are chosen.", "Choose some images.", path)
    stack = path.with_suffix(".mrcs")
    write_images(stack, ImageStack(averages.images[chosen], averages.pixel_size_A))
    count = len(chosen)
    columns: dict[str, Any] = {"rlnReferenceImage": [f"{i + 1:06d}@{stack.name}" for i in range(count)]}
    if averages.counts is not None:
        counts = averages.counts[chosen]
        columns["rlnClassDistribution"] = counts / averages.counts.sum() if averages.counts.sum() else counts
        if averages.counts.sum() > 1.5:  # otherwise these are shares already
            columns["rlnParticleNr"] = counts
    if averages.resolutions_A is not None:
        values = averages.resolutions_A[chosen]
        columns["rlnEstimatedResolution"] = np.where(np.isfinite(values), values, 999.0)
    if averages.pixel_size_A > 0:
        columns["rlnPixelSize"] = np.full(count, averages.pixel_size_A)
    with atomic_path(path) as temporary:
        # A table of one row would be written as single values; RELION wants a loop.
        starfile.write({"": pd.DataFrame(columns)}, temporary)
    return path, stack
