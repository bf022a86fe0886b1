"""EMAN2's HDF5 files of images, and its .lst files that point into them.

Images are ``MDF/images/N/image``; their attributes begin with ``EMAN.``: ``apix_x`` the pixel size in
Å (1 where EMAN2 doesn't know it), ``ptcl_repr`` the particles in a class average. Links out of the
file are never followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.image_references import ImageReferences
from engine.io.limits import MAX_EDGE, MAX_VOXELS, PIXEL_SIZE_RANGE_A
from engine.io.streams import check_file, head, read_text
from engine.types import ClassAverages

HDF_MAGIC = b"\x89HDF\r\n\x1a\n"
LST_MAGIC = ("#LSX", "#LST")
_COPY_AGAIN = "Copy it again, or export it anew from EMAN2."
_MAX_IMAGES = 1_000_000
_DEFLATE = 1032
_LST_LINE = re.compile(r"\s*(\d{1,10})\s+(\S.*?)\s*(?:\t.*|\{.*)?$", re.ASCII)


@contextmanager
def _images(path: Path) -> Iterator[tuple[h5py.Group, list[str]]]:
    """The group of images and its members in order; damage inside the block becomes an InputError."""
    try:
        with h5py.File(path, "r") as file:
            group = file.get("MDF/images") if "MDF" in file else None
            if not isinstance(group, h5py.Group):
                raise InputError(
                    "This HDF5 file holds no images of EMAN2 (MDF/images).",
                    "Convert it to MRC in the program that made it.",
                    path,
                )
            names = [name for name in group if re.fullmatch(r"[0-9]{1,9}", name)]
            if not names:
                raise InputError("The file holds no images.", _COPY_AGAIN, path)
            if len(names) > _MAX_IMAGES:
                raise InputError(f"The file claims {len(names):,} images.", _COPY_AGAIN, path)
            yield group, sorted(names, key=int)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, SystemError) as exc:
        words = " ".join(str(exc).split())[:120].rstrip(".")
        raise InputError(f"The HDF5 file is damaged ({words}).", _COPY_AGAIN, path) from exc


def describe(path: str | Path) -> tuple[int, tuple[int, int], float]:
    """Number of images, rows and columns of the first, and the pixel size (Å; 0 if not known); cheap.

    Raises
    ------
    InputError
        If the file can't be read or holds no images of EMAN2.
    """
    path = check_file(path)
    with _images(path) as (group, names):
        data = _dataset(group, names[0], path)
        return len(names), _size(data, path), _pixel_size(group[names[0]].attrs)


def read_images(path: str | Path) -> ClassAverages:
    """Read all images of a file.

    Parameters
    ----------
    path : EMAN2 .hdf file.

    Returns
    -------
    ClassAverages
        As stored; reduced bit depths are expanded as the file says. Pixel size 0 where EMAN2 wrote 1.

    Raises
    ------
    InputError
        If the file is missing, damaged, not of EMAN2, holds volumes or images of different sizes, or
        values that are not finite.
    """
    path = check_file(path)
    with _images(path) as (group, names):
        first = _size(_dataset(group, names[0], path), path)
        if len(names) * first[0] * first[1] > MAX_VOXELS:
            raise InputError(
                f"The file claims {len(names):,} images of {first[1]} × {first[0]} pixels.",
                "Thin or bin them in EMAN2.",
                path,
            )
        images: list[NDArray[np.float32]] = []
        sizes, counts = set(), []
        for name in names:
            data = _dataset(group, name, path)
            if _size(data, path) != first:
                raise InputError(
                    f"Image {int(name) + 1} has another size than the first.", "Bring them to one size.", path
                )
            attributes = group[name].attrs
            image = _expanded(data[()].astype(np.float32).reshape(first), attributes)
            if not np.isfinite(image).all():
                raise InputError(
                    f"Image {int(name) + 1} holds values that are not finite.", "Export it anew.", path
                )
            images.append(image)
            sizes.add(_pixel_size(attributes))
            counts.append(_number(attributes, "ptcl_repr"))
    if len(sizes) > 1:
        raise InputError("The images have different pixel sizes.", "Split the file.", path)
    size = sizes.pop()
    known = np.array(counts, np.float64)
    notes = () if size else ("The file does not say the pixel size (EMAN2 writes 1 then): give it.",)
    return ClassAverages(
        np.stack(images),
        size,
        (str(path),) * len(names),
        np.array([int(name) for name in names], np.int32),
        known if np.isfinite(known).all() and (known >= 0).all() and known.any() else None,
        None,
        notes,
    )


def _dataset(group: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """The pixels of one image, if they lie in this file and it can hold so many."""
    links = [group.get(name, getlink=True)]
    member = group[name] if isinstance(links[0], h5py.HardLink) else None
    if isinstance(member, h5py.Group) and "image" in member:
        links.append(member.get("image", getlink=True))
        data = member["image"] if isinstance(links[1], h5py.HardLink) else None
        if isinstance(data, h5py.Dataset):
            if data.external or data.is_virtual:
                raise InputError("The images lie in other files.", "Copy them into one file in EMAN2.", path)
            if data.dtype.kind not in "fiu":
                raise InputError("The file holds no real numbers.", _COPY_AGAIN, path)
            if data.id.get_storage_size() * _DEFLATE < data.size * data.dtype.itemsize:
                raise InputError(
                    f"Image {int(name) + 1} claims more pixels than the file holds.", _COPY_AGAIN, path
                )
            return data
    raise InputError(f"Image {int(name) + 1} is missing.", _COPY_AGAIN, path)


def _size(data: h5py.Dataset, path: Path) -> tuple[int, int]:
    shape = tuple(int(n) for n in data.shape)
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 3:
        raise InputError("The file holds volumes, not images.", "Convert them to MRC in EMAN2.", path)
    if len(shape) != 2 or not 0 < min(shape) <= max(shape) <= MAX_EDGE or shape[0] * shape[1] > MAX_VOXELS:
        raise InputError(f"An image of shape {shape} can't be.", _COPY_AGAIN, path)
    return shape[0], shape[1]


def _number(attributes: Any, name: str) -> float:
    """An attribute of EMAN2 as one number; NaN where it is missing or something else."""
    key = f"EMAN.{name}"
    if key not in attributes:
        return float("nan")
    value = np.asarray(attributes[key])
    return float(value.ravel()[0]) if value.size == 1 and value.dtype.kind in "fiub" else float("nan")


def _pixel_size(attributes: Any) -> float:
    size = _number(attributes, "apix_x")
    low, high = PIXEL_SIZE_RANGE_A
    return float(f"{size:.6g}") if low <= size <= high and size != 1.0 else 0.0


def _expanded(image: NDArray[np.float32], attributes: Any) -> NDArray[np.float32]:
    """EMAN2 may store few bits: whole numbers that stand for the range between two values."""
    bits, low, high = (_number(attributes, f"stored_render{name}") for name in ("bits", "min", "max"))
    if not (1 <= bits <= 24 and high > low):
        return image
    return (low + image * ((high - low) / (2**bits - 1))).astype(np.float32)


def is_list(start: bytes) -> bool:
    """Whether the first bytes are of an EMAN2 .lst file."""
    return start.startswith(tuple(m.encode() for m in LST_MAGIC))


def read_list(path: str | Path) -> ImageReferences:
    """The images that a .lst file names, line by line.

    Raises
    ------
    InputError
        If the file is missing, not a list, or a line is not an index and a name.
    """
    path = check_file(path)
    if not is_list(head(path, 8)):
        raise InputError("This is not a list of EMAN2.", "Its first line should be #LSX.", path)
    names: list[str] = []
    indices: list[int] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LST_LINE.match(line)
        if not found or int(found[1]) > 2**31 - 1:
            raise InputError(f"Line {number} is not an index and a file: {line[:60]!r}.", _COPY_AGAIN, path)
        indices.append(int(found[1]))
        names.append(found[2].split("\t")[0])
        if len(names) > _MAX_IMAGES:
            raise InputError(f"The list names more than {_MAX_IMAGES:,} images.", "Thin it first.", path)
    if not names:
        raise InputError("The list names no images.", _COPY_AGAIN, path)
    return ImageReferences(tuple(names), np.array(indices, np.int32))
