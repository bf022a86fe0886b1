"""What a file is, found out away from the GUI thread. Plain functions and plain answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, VerglasError

THUMBNAILS = 12
THUMBNAIL_PX = 56
PREVIEW_BYTES = 400_000_000


@dataclass(frozen=True)
class Checked:
    """A file, or a matched pair of files, after checking.

    Attributes
    ----------
    kind : as :func:`engine.io.formats.summarise` says, or ``projections`` for images with poses.
    needs_pixel_size : the files don't say it and the user must.
    image_files : for poses: the stacks that the STAR file names.
    thumbnails : (n, THUMBNAIL_PX, THUMBNAIL_PX) uint8 previews.
    chains : for structures: the chain names.
    """

    paths: tuple[Path, ...]
    kind: str
    title: str
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    needs_pixel_size: bool = False
    image_files: tuple[str, ...] = ()
    thumbnails: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))
    chains: tuple[str, ...] = ()


def check_row(paths: tuple[Path, ...], pixel_size_A: float | None, select: tuple[int, ...]) -> Checked:
    """Say what a row of the evidence is: one file, or images and their poses.

    Raises
    ------
    VerglasError
        As :func:`check_file` and :func:`check_projections`.
    """
    if len(paths) == 2:
        return check_projections(*paths, pixel_size_A, select)
    return check_file(paths[0], pixel_size_A)


def check_file(path: Path, pixel_size_A: float | None = None) -> Checked:
    """Say what one file is.

    Raises
    ------
    VerglasError
        If it can't be used, in words for the user.
    """
    from engine.io.formats import summarise

    summary = summarise(path, pixel_size_A=pixel_size_A)
    image_files: tuple[str, ...] = ()
    thumbnails = np.zeros((0, 1, 1), np.uint8)
    chains: tuple[str, ...] = ()
    if summary.kind == "poses":
        from engine.io.star import read_poses

        image_files = tuple(dict.fromkeys(read_poses(path).image_files))
    elif summary.kind == "images":
        thumbnails = _thumbnails(path, None, pixel_size_A or 1.0 if summary.needs_pixel_size else None)
    elif summary.kind == "structure":
        from engine.io.structure import read_structure

        chains = read_structure(path).chain_names
    return Checked(
        (path,), summary.kind, summary.title, tuple(summary.lines), tuple(summary.notes),
        summary.needs_pixel_size, image_files, thumbnails, chains,
    )  # fmt: skip


def check_projections(
    images: Path, poses: Path, pixel_size_A: float | None, select: tuple[int, ...]
) -> Checked:
    """Say what an image stack and its poses are together.

    Raises
    ------
    VerglasError
        If one of them can't be used or they don't belong together.
    """
    from engine.io.formats import summarise
    from engine.io.mrc import read_header
    from engine.io.star import read_poses

    stack = summarise(images, pixel_size_A=pixel_size_A)
    found = read_poses(poses, pixel_size_A=pixel_size_A)
    rows = len(found.rotations)
    if select and max(select) > rows:
        raise InputError(
            f"Image {max(select)} was asked for, but the STAR file has {rows}.",
            "Correct `Images used`.",
            poses,
        )
    count = read_header(images).shape[0]
    last = int(np.max(found.image_indices, initial=-1)) + 1 if len(found.image_indices) else rows
    if last > count:
        raise InputError(
            f"The STAR file asks for image {last}, but the stack has {count}.",
            "Check that the two files belong together.",
            poses,
        )
    needs = stack.needs_pixel_size and not found.pixel_size_A and pixel_size_A is None
    size = pixel_size_A or found.pixel_size_A or None
    indices = np.asarray(found.image_indices)
    chosen = np.asarray(select, int) - 1 if select else np.arange(rows)
    if len(indices) == rows:
        chosen = indices[chosen]
    used = len(select) or rows
    notes = tuple(dict.fromkeys((*stack.notes, *found.notes)))
    if not needs:
        notes = tuple(note for note in notes if "pixel size" not in note.lower() or size is None)
    return Checked(
        (images, poses),
        "projections",
        f"{used} projection{'s' if used != 1 else ''} with poses",
        _lines(stack.lines, size if stack.needs_pixel_size else None),
        notes,
        needs,
        (),
        _thumbnails(images, chosen, size or (1.0 if needs else None)),
    )


def _lines(lines: tuple[str, ...], pixel_size_A: float | None) -> tuple[str, ...]:
    """The stack's lines, with the pixel size that another file or the user gave."""
    if not pixel_size_A:
        return lines
    return tuple(
        f"Pixel size {pixel_size_A:g} Å" if line.startswith("Pixel size") else line for line in lines
    )


def _thumbnails(path: Path, chosen: NDArray[np.intp] | None, pixel_size_A: float | None) -> NDArray[np.uint8]:
    """Small grey pictures of the first few images; none if the stack is too large to preview quickly."""
    from engine.io.mrc import read_images

    empty = np.zeros((0, 1, 1), np.uint8)
    if path.stat().st_size > PREVIEW_BYTES:
        return empty
    try:
        images = read_images(path, pixel_size_A=pixel_size_A).images
    except VerglasError:
        return empty
    wanted = np.arange(len(images)) if chosen is None else chosen[(chosen >= 0) & (chosen < len(images))]
    return np.stack([shrink(images[i]) for i in wanted[:THUMBNAILS]]) if len(wanted) else empty


def shrink(image: NDArray[np.floating], size: int = THUMBNAIL_PX) -> NDArray[np.uint8]:
    """A square grey thumbnail with the contrast stretched between the 1st and 99.5th percentile."""
    from skimage.transform import resize

    small = resize(np.asarray(image, np.float32), (size, size), anti_aliasing=True)
    low, high = np.percentile(small, (1, 99.5))
    scaled = (small - low) / (high - low) if high > low else np.zeros_like(small)
    return np.asarray(np.clip(scaled, 0, 1) * 255, np.uint8)
