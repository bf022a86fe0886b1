"""Density maps and image stacks: MRC, MAP, CCP4 and MRCS files, plain or gzipped.

Origin of a map: a non-zero ORIGIN (words 50 to 52) wins; otherwise nstart times the voxel size, as
in ChimeraX. Voxel size: the cell divided by the header's grid (mx, my, mz), which need not equal the
number of voxels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import mrcfile
import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError
from engine.io.atomic import atomic_path
from engine.io.contrast import choose_contrast
from engine.io.mrc_header import HEADER_BYTES, MrcHeader, kind_of, parse_header
from engine.io.pixel_size import PixelSizeError, check_given
from engine.io.streams import fill, is_gzipped, open_bytes
from engine.types import ImageStack, Volume

_COPY_AGAIN = "Copy or download it again."


def read_header(path: str | Path) -> MrcHeader:
    """The interpreted header alone: cheap for files of any size.

    Raises
    ------
    InputError
        If the file can't be read or is not an MRC file with real numbers.
    """
    path = Path(path)
    with open_bytes(path) as stream:
        block = stream.read(HEADER_BYTES)
    return parse_header(block, path)


def read_volume(path: str | Path, *, voxel_size_A: float | None = None) -> Volume:
    """Read a density map.

    Parameters
    ----------
    path : MRC, MAP or CCP4 file, plain or gzipped.
    voxel_size_A : replaces what the header says.

    Returns
    -------
    Volume
        (nz, ny, nx) float32, axes in xyz order whatever the file's; every assumption is a note.

    Raises
    ------
    InputError
        If the file is missing, damaged, too large, not a map, skewed, constant, or holds values
        that are not finite; or if its voxel size is impossible and none was given.
    """
    path = Path(path)
    check_given(voxel_size_A, path)
    header = read_header(path)
    refuse_unusable_map(header, path)
    notes = list(header.notes)
    kind, why = kind_of(header, path)
    if kind == "images":
        notes.append(f"This may be a stack of images rather than a map: {why}.")
    elif header.ispg not in (conventions.ISPG_VOLUME, conventions.ISPG_VOLUME_STACK):
        notes.append(f"The header calls itself a stack (ISPG {header.ispg}); read as a map because {why}.")
    spacing = _spacing(header, voxel_size_A, notes, path, "voxel size")
    density = _read_data(path, header, notes)
    density = np.ascontiguousarray(np.transpose(density, [2 - header.axes.index(a) for a in (2, 1, 0)]))
    origin, source = conventions.mrc_origin_A(header.nstart, header.origin_field_A, spacing)
    if source == "origin" and any(header.nstart):
        notes.append("The header gives both ORIGIN and nxstart...; ORIGIN was used.")
    elif source == "nstart":
        notes.append(
            "The origin was taken from nxstart, nystart, nzstart ("
            + ", ".join(f"{s:g}" for s in header.nstart)
            + (")." if all(spacing) else "), which needs a voxel size.")
        )
    return Volume(density, spacing, origin, tuple(notes))


def refuse_unusable_map(header: MrcHeader, path: Path) -> None:
    """Raise InputError for a header that can't be a density map's: several maps, one image, skewed."""
    if header.ispg == conventions.ISPG_VOLUME_STACK and 0 < header.sections_per_volume < header.shape[0]:
        raise InputError("The file holds several maps.", "Save them one by one.", path)
    if header.shape[0] == 1:
        raise InputError("The file holds a single image, not a map.", "Open it as an image.", path)
    if header.skewed:
        raise InputError(
            "The map's cell is not orthogonal.",
            "Resample it, for example with `volume resample` of ChimeraX.",
            path,
        )


def read_images(
    path: str | Path,
    *,
    pixel_size_A: float | None = None,
    contrast: Literal["auto", "white", "black"] = "auto",
) -> ImageStack:
    """Read a stack of projections, particles or class averages.

    Parameters
    ----------
    path : MRCS or MRC file, plain or gzipped.
    pixel_size_A : replaces what the header says.
    contrast : whether the object is ``white`` or ``black`` in the file; ``auto`` compares the
        centre of the images with their border.

    Returns
    -------
    ImageStack
        (n, ny, nx) float32, density positive; every assumption is a note.

    Raises
    ------
    InputError
        As :func:`read_volume`.
    """
    path = Path(path)
    check_given(pixel_size_A, path)
    if contrast not in ("auto", "white", "black"):
        raise InputError(f"Unknown contrast {contrast!r}.", "Use auto, white or black.", path)
    header = read_header(path)
    notes = list(header.notes)
    kind, why = kind_of(header, path)
    if kind == "volume":
        notes.append(f"This may be a map rather than a stack of images: {why}.")
    spacing = _spacing(header, pixel_size_A, notes, path, "pixel size")
    if spacing[0] and abs(spacing[1] / spacing[0] - 1) > 0.01:
        raise InputError(
            f"The pixels are not square ({spacing[0]:.4g} by {spacing[1]:.4g} Å).",
            "Give the pixel size, or resample the images.",
            path,
        )
    if header.axes[2] != 2:
        raise InputError(
            "The images do not lie along the z axis of the file.", "Export the stack anew.", path
        )
    images = _read_data(path, header, notes)
    if header.axes[0] == 1:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    flat = [i + 1 for i, image in enumerate(images) if image.min() == image.max()]
    if flat:
        shown = ", ".join(str(i) for i in flat[:8]) + (" and more" if len(flat) > 8 else "")
        notes.append(f"{len(flat)} of {len(images)} images are empty (constant): {shown}.")
    sign, sentence = choose_contrast(images, contrast)
    notes.append(sentence)
    if sign < 0:
        np.negative(images, out=images)
    return ImageStack(images, spacing[0], tuple(notes))


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a map atomically: float32, little-endian, ISPG 1, ORIGIN set, nstart 0; gz by the suffix.

    Raises
    ------
    VerglasError
        If the file can't be written.
    """
    _write(Path(path), volume.density, volume.voxel_size_A, volume.origin_A, stack=False)


def write_images(path: str | Path, stack: ImageStack) -> None:
    """Write a stack atomically: float32, little-endian, ISPG 0, particles white; gz by the suffix.

    Raises
    ------
    VerglasError
        If the file can't be written.
    """
    size = float(stack.pixel_size_A)
    _write(Path(path), stack.images, (size, size, size), (0.0, 0.0, 0.0), stack=True)


def _write(
    path: Path,
    values: NDArray[np.float32],
    spacing_A: tuple[float, float, float],
    origin_A: tuple[float, float, float],
    *,
    stack: bool,
) -> None:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.ndim != 3 or values.size == 0:
        raise InputError(
            f"An array of shape {values.shape} is not a map or a stack.", "Give a 3D array.", path
        )
    compression = "gzip" if path.suffix.lower() == ".gz" else None
    with (
        atomic_path(path) as temporary,
        mrcfile.new(temporary, compression=compression, overwrite=True) as mrc,
    ):
        mrc.set_data(values)
        if stack:
            mrc.set_image_stack()
        else:
            mrc.set_volume()
        mrc.voxel_size = spacing_A
        mrc.header.origin = origin_A
        mrc.header.nxstart = mrc.header.nystart = mrc.header.nzstart = 0
        mrc.header.label[0] = b"Verglas: density positive, origin of voxel 0 in ORIGIN"
        mrc.update_header_stats()


def _spacing(
    header: MrcHeader, given_A: float | None, notes: list[str], path: Path, what: str
) -> tuple[float, float, float]:
    """The given size, else the header's, else zeros; with a note unless the header was simply right."""
    stated = header.spacing_A
    if given_A is not None:
        if stated[0] and any(abs(s / given_A - 1) > 0.002 for s in stated):
            notes.append(f"The {what} of {given_A:g} Å was given; the header says {stated[0]:.4g} Å.")
        elif not stated[0]:
            notes.append(f"The {what} of {given_A:g} Å was given; the header doesn't say.")
        return (given_A, given_A, given_A)
    if header.spacing_problem:
        raise PixelSizeError(header.spacing_problem, f"Give the {what}.", path)
    if not stated[0]:
        notes.append(f"The header does not say the {what}: give it.")
        return stated
    if stated == (1.0, 1.0, 1.0):
        notes.append(
            f"The header says exactly 1 Å, which many programs write when they don't know the {what}: "
            "check it."
        )
    counts = tuple(header.shape[2 - header.axes.index(a)] for a in range(3))
    if max(stated) / min(stated) > 1.01 and kind_of(header, path)[0] == "volume":
        notes.append("The voxels are not cubes: " + " × ".join(f"{s:.4g}" for s in stated) + f" Å, {counts}.")
    return stated


def _read_data(path: Path, header: MrcHeader, notes: list[str]) -> NDArray[np.float32]:
    """The data block as finite float32, sections first, in the file's axis order."""
    raw, excess = _read_block(path, header, header.extended_bytes)
    missing = header.data_bytes - len(raw)
    if missing and missing == header.extended_bytes:
        # Some EMDB entries declare symmetry records that aren't there.
        notes.append("The header declares an extended header that is not there.")
        raw, excess = _read_block(path, header, 0)
        missing = header.data_bytes - len(raw)
    if missing:
        raise InputError(
            f"The file ends early: {len(raw):,} of {header.data_bytes:,} bytes of data are there.",
            _COPY_AGAIN,
            path,
        )
    section = header.shape[1] * header.shape[2] * header.dtype.itemsize
    if excess >= section:
        raise InputError(
            "The file holds more data than its header declares.",
            "The header is damaged, or of another format: export the file anew.",
            path,
        )
    if excess:
        notes.append(f"{excess} bytes after the data were ignored.")
    try:
        values = raw.view(header.dtype).reshape(header.shape).astype(np.float32, copy=False)
    except MemoryError as exc:
        raise InputError("The data do not fit into memory.", "Bin or crop them first.", path) from exc
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(values.size - np.count_nonzero(np.isfinite(values)))
        raise InputError(
            f"{bad:,} of {values.size:,} values are not finite numbers (NaN or infinite).",
            "Export the file anew, or replace them by 0 in the program that made it.",
            path,
        )
    if low == high:
        raise InputError(
            f"All values are the same ({low:g}): there is nothing to see.",
            "Check that it is the right file.",
            path,
        )
    if max(abs(low), abs(high)) > 1e30:
        raise InputError(
            "The values are absurdly large: the byte order or the header is wrong.", _COPY_AGAIN, path
        )
    return values


def _read_block(path: Path, header: MrcHeader, skip: int) -> tuple[NDArray[np.uint8], int]:
    """The bytes of the data block (shorter if the file ends early) and how many follow, up to a section."""
    # A header may promise gigabytes that the file can't hold: deflate expands at most 1032 times.
    bound = path.stat().st_size * (1032 if is_gzipped(path) else 1)
    with open_bytes(path) as stream:
        stream.read(HEADER_BYTES)
        if skip:
            stream.read(skip)
        block = np.empty(min(header.data_bytes, bound), np.uint8)
        done = fill(stream, block)
        section = header.shape[1] * header.shape[2] * header.dtype.itemsize
        excess = len(stream.read(section)) if done == header.data_bytes else 0
    return block[:done], excess
