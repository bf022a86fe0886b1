"""Class averages of any program, recognised by content: one reader for all.

MRC stacks, STAR files of 2D classes or of particles, cryoSPARC datasets, EMAN2's HDF5 and lists,
SPIDER images, stacks and folders of images, and npz archives of 2D points.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import class_star, cryosparc, eman, mrc, spider
from engine.io.image_references import ImageReferences, find_beside
from engine.io.limits import MAX_VOXELS
from engine.io.mrc_header import HEADER_BYTES, looks_like_mrc
from engine.io.pixel_size import PixelSizeError, check_given
from engine.io.point_images import natural, point_sets, render
from engine.io.points import npz_shapes
from engine.io.star import looks_like_star
from engine.io.streams import check_file, head, read_text, refuse_foreign
from engine.types import ClassAverages

READABLE = "MRC stacks, STAR, cryoSPARC .cs, EMAN .hdf and .lst, SPIDER, and npz archives of 2D points"
_MAX_FILES = 100_000
_HEAD = 4096


@dataclass(frozen=True)
class AveragesSummary:
    """What a file of class averages says, without its pixels.

    Attributes
    ----------
    title : e.g. ``Class averages (EMAN2)``.
    count : images.
    shape : rows and columns, or None where only other files know.
    pixel_size_A : Å; 0 where it is not known yet.
    lines, notes : facts and assumptions, one sentence each.
    """

    title: str
    count: int
    shape: tuple[int, int] | None
    pixel_size_A: float
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_class_averages(path: str | Path, *, pixel_size_A: float | None = None) -> ClassAverages:
    """Read class averages.

    Parameters
    ----------
    path : a file of any kind named above, or a folder of SPIDER or MRC images.
    pixel_size_A : replaces what the files say.

    Returns
    -------
    ClassAverages
        Contrast as stored; pixel size 0 where neither the files nor the caller say it. Images of
        particles are read as well: nothing here knows the difference.

    Raises
    ------
    InputError
        If a file is missing, damaged, too large or of a kind that isn't read; if images differ in size.
    """
    path = Path(path)
    check_given(pixel_size_A, path)
    found = _folder(path) if os.path.isdir(path) else _file(path)
    if pixel_size_A is None:
        return found
    notes = tuple(n for n in found.notes if "pixel size" not in n)
    if found.pixel_size_A and abs(found.pixel_size_A / pixel_size_A - 1) > 0.002:
        notes += (
            f"The pixel size of {pixel_size_A:g} Å was given; the file says {found.pixel_size_A:.4g} Å.",
        )
    return replace(found, pixel_size_A=float(pixel_size_A), notes=notes)


def _file(path: Path) -> ClassAverages:
    path = check_file(path)
    start = head(path, _HEAD)
    if start.startswith((cryosparc.NPY_MAGIC, b"\x95CSDAT")):
        return _gather(cryosparc.read_references(path), path)
    if start.startswith(b"PK\x03\x04"):
        return render(path)
    if start.startswith(eman.HDF_MAGIC):
        return eman.read_images(path)
    if eman.is_list(start):
        return _gather(eman.read_list(path), path)
    if spider.looks_like_spider(start) or looks_like_mrc(start[:HEADER_BYTES]):
        images, size, notes = _stack(path)
        if len(images) == 1 and spider.looks_like_spider(start):
            notes += ("This is one image; open its folder to read all images in it.",)
        return ClassAverages(
            images, size, (str(path),) * len(images), np.arange(len(images), dtype=np.int32), notes=notes
        )
    refuse_foreign(start, path)
    if b"\x00" not in start and looks_like_star(read_text(path)):
        return _gather(class_star.read_references(path), path)
    raise InputError("This is no file of class averages.", f"Verglas reads {READABLE}.", path)


def _stack(path: Path) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    """All images of one file that holds pixels, the pixel size (0 if unknown) and notes."""
    start = head(path, _HEAD)
    if start.startswith(eman.HDF_MAGIC):
        found = eman.read_images(path)
        return found.images, found.pixel_size_A, found.notes
    if spider.looks_like_spider(start):
        return spider.read_images(path)
    try:
        stack, known = mrc.read_images(path, contrast="white"), True
    except PixelSizeError:
        stack, known = mrc.read_images(path, pixel_size_A=1.0, contrast="white"), False
    notes = tuple(n for n in stack.notes if not n.startswith("The contrast was given"))
    if not known:
        notes = tuple(n for n in notes if "pixel size" not in n)
        notes += ("The header's pixel size can't be right: give it.",)
    return stack.images, stack.pixel_size_A if known else 0.0, notes


def _gather(references: ImageReferences, path: Path) -> ClassAverages:
    """The named images, read stack by stack."""
    count = len(references.names)
    names = np.array(references.names, dtype=object)
    images: NDArray[np.float32] | None = None
    files = [""] * count
    notes = list(references.notes)
    sizes: set[float] = set()
    for name in dict.fromkeys(references.names):
        place = find_beside(name, path)
        stack, size, more = _stack(place)
        if images is None:
            if count * stack[0].size > MAX_VOXELS:
                raise InputError(
                    f"The file names {count:,} images of {stack.shape[2]} × {stack.shape[1]} pixels: "
                    "too many to hold in memory.",
                    "Give class averages, or fewer particles.",
                    path,
                )
            images = np.empty((count, *stack.shape[1:]), np.float32)
        if stack.shape[1:] != images.shape[1:]:
            raise InputError("The images differ in size.", "Bring them to one size first.", path)
        rows = np.flatnonzero(names == name)
        last = int(references.indices[rows].max()) + 1
        if last > len(stack):
            raise InputError(
                f"It asks for image {last} of {place.name}, which has {len(stack)}.",
                "Check that the two files belong together.",
                path,
            )
        images[rows] = stack[references.indices[rows]]
        for row in rows:
            files[row] = str(place)
        sizes.add(size)
        notes += [n for n in more if n not in notes]
    assert images is not None  # references name at least one image
    size = references.pixel_size_A
    if not size and len(sizes) == 1:
        size = sizes.pop()
    elif size:
        notes = [n for n in notes if "pixel size" not in n and "1 Å" not in n]
    return ClassAverages(
        images,
        size,
        tuple(files),
        references.indices,
        references.counts,
        references.resolutions_A,
        tuple(notes),
    )


def _members(path: Path) -> list[Path]:
    """The images in a folder, in natural order."""
    try:
        entries = sorted(path.iterdir(), key=lambda p: natural(p.name))
    except OSError as exc:
        raise InputError("The folder can't be read.", "Ask its owner for permission.", path) from exc
    members = []
    for entry in entries[:_MAX_FILES]:
        try:
            start = head(entry, _HEAD) if entry.is_file() else b""
        except (InputError, OSError):
            continue
        if spider.looks_like_spider(start) or looks_like_mrc(start[:HEADER_BYTES]):
            members.append(entry)
    if not members:
        raise InputError("This is a folder, not a file.", "Choose a file inside it.", path)
    return members


def _folder(path: Path) -> ClassAverages:
    stacks: list[NDArray[np.float32]] = []
    files: list[str] = []
    indices: list[int] = []
    sizes: set[float] = set()
    notes: list[str] = []
    total = 0
    for member in _members(path):
        stack, size, more = _stack(member)
        total += stack.size
        if total > MAX_VOXELS:
            raise InputError("The folder holds more images than fit into memory.", "Thin it first.", path)
        if stacks and stack.shape[1:] != stacks[0].shape[1:]:
            raise InputError(
                f"The images in the folder differ in size ({member.name}).", "Open them one by one.", path
            )
        stacks.append(stack)
        files += [str(member)] * len(stack)
        indices += range(len(stack))
        sizes.add(size)
        notes += [n for n in more if n not in notes]
    if len(sizes) > 1:
        raise InputError("The images in the folder have different pixel sizes.", "Split the folder.", path)
    return ClassAverages(
        np.concatenate(stacks), sizes.pop(), tuple(files), np.array(indices, np.int32), notes=tuple(notes)
    )


def describe(path: str | Path) -> AveragesSummary:
    """Say what a file of class averages is, from its headers or tables.

    Parameters
    ----------
    path : a file that :func:`read_class_averages` reads, other than an MRC stack; or a folder.

    Raises
    ------
    InputError
        If it can't be read or is something else.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _describe_folder(path)
    path = check_file(path)
    start = head(path, _HEAD)
    if start.startswith((cryosparc.NPY_MAGIC, b"\x95CSDAT")):
        return _describe_references(cryosparc.read_references(path), path, "cryoSPARC dataset")
    if start.startswith(b"PK\x03\x04"):
        names = point_sets(path)
        count = npz_shapes(path)["points"][0][0] if names == ("points",) else len(names)
        return AveragesSummary("Class averages as 2D points", count, None, 0.0, ("To be drawn as images",))
    if start.startswith(eman.HDF_MAGIC):
        count, shape, size = eman.describe(path)
        return AveragesSummary("Class averages (EMAN2)", count, shape, size)
    if eman.is_list(start):
        return _describe_references(eman.read_list(path), path, "EMAN2 list")
    if spider.looks_like_spider(start):
        header = spider.read_header(path)
        if not path.name.lower().endswith(".gz") and path.stat().st_size < header.file_bytes:
            raise InputError("The file ends early.", "Copy or download it again.", path)
        count, rows, columns = header.shape
        title = "SPIDER image" if count == 1 else "SPIDER stack"
        return AveragesSummary(title, count, (rows, columns), header.pixel_size_A)
    return _describe_references(class_star.read_references(path), path, "STAR")


def _describe_folder(path: Path) -> AveragesSummary:
    members = _members(path)
    first = members[0]
    if spider.looks_like_spider(head(first, _HEAD)):
        header = spider.read_header(first)
        shape, size = header.shape[1:], header.pixel_size_A
    else:
        found = mrc.read_header(first)
        shape, size = found.shape[1:], found.spacing_A[0]
    return AveragesSummary("Folder of images", len(members), (shape[0], shape[1]), size)


def _describe_references(references: ImageReferences, path: Path, kind: str) -> AveragesSummary:
    lines = [f"Images in {references.files}"]
    notes = list(references.notes)
    if references.counts is not None and references.counts.sum() > 1.5:
        lines.append(f"{references.counts.sum():,.0f} particles in these classes")
    size, shape = references.pixel_size_A, None
    try:
        place = find_beside(references.names[0], path)
        if looks_like_mrc(head(place, HEADER_BYTES)):
            header = mrc.read_header(place)
            shape = (header.shape[1], header.shape[2])
            size = size or header.spacing_A[0]
    except InputError as exc:
        notes.append(f"{exc.problem} {exc.advice}")
    return AveragesSummary(
        f"Class averages ({kind})", len(references.names), shape, size, tuple(lines), tuple(notes)
    )
