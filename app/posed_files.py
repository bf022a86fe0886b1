"""A quick look at images with known poses, and at a library for their denoiser. For background threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.averages_files import Thumbnails, thumbnails
from engine.errors import InputError, VerglasError
from engine.io.pixel_size import PixelSizeError
from engine.specs.known_poses import PosedImages

LARGEST_BOX = 64  # px, where it is left open
MOST_SHOWN = 12  # pictures in the column; more would be too small to see anything


@dataclass(frozen=True, eq=False)
class PosedLook:
    """What the files of some images with poses hold.

    Attributes
    ----------
    count : images that are used.
    side : of the images, pixels.
    pixel_size_A : of the images, Å.
    rotations : (count, 3, 3), ``x_view = R x``.
    pictures : of the first images, density bright.
    notes : what was assumed, one sentence each.
    problem : why they can't be used, in words, with the file's name; everything else is empty then.
    asks_pixel_size : whether the pixel size is all that is missing.
    """

    count: int = 0
    side: int = 0
    pixel_size_A: float = 0.0
    rotations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))
    pictures: Thumbnails = field(default_factory=Thumbnails)
    notes: tuple[str, ...] = ()
    problem: str = ""
    asks_pixel_size: bool = False

    def working_box(self, wanted: int) -> int:
        """The box that a run computes in, pixels; ``wanted`` is 0 where the user leaves it open."""
        return wanted or min(self.side, LARGEST_BOX)

    @property
    def sentence(self) -> str:
        """Number and size in words."""
        if self.problem or not self.count:
            return ""
        count = "1 image" if self.count == 1 else f"{self.count:,} images"
        return f"{count} of {self.side} × {self.side} pixels, {self.pixel_size_A:.4g} Å each"


@dataclass(frozen=True)
class LibraryLook:
    """What a library of class averages holds.

    Attributes
    ----------
    width_A : of its images, Å; 0 while their pixel size is not known.
    problem : why it can't be used, in words.
    """

    count: int = 0
    sentence: str = ""
    needs_pixel_size: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""
    width_A: float = 0.0


def look_at_images(spec: PosedImages) -> PosedLook:
    """Read images and poses as a run will; problems are part of the answer."""
    from engine.io.posed_images import read_posed

    notes: list[str] = []
    try:
        found = read_posed(spec, notes.append)
    except PixelSizeError as exc:
        return PosedLook(problem=in_words(exc, spec.poses), asks_pixel_size=True)
    except (VerglasError, OSError) as exc:
        return PosedLook(problem=in_words(exc, spec.poses))
    images = found.images
    return PosedLook(
        len(images),
        int(images.shape[-1]),
        float(found.pixel_size_A),
        np.asarray(found.rotations, np.float64),
        thumbnails(images[:MOST_SHOWN]),
        tuple(dict.fromkeys(notes if found.prepared else [*notes, found.contrast])),
    )


def look_at_library(path: Path, pixel_size_A: float | None = None) -> LibraryLook:
    """What the file says about itself; problems are part of the answer."""
    from engine.io.formats import summarise

    try:
        found = summarise(path, pixel_size_A=pixel_size_A)
        if found.kind not in ("images", "class_averages", "poses"):
            return LibraryLook(problem=f"{path.name} holds no class averages ({found.title.lower()}).")
        count, side, size = _measures(path, found.kind)
    except (VerglasError, OSError) as exc:
        return LibraryLook(problem=in_words(exc, str(path)))
    width = side * (pixel_size_A or size)
    return LibraryLook(count, ". ".join(found.lines[:2]), found.needs_pixel_size, found.notes, width_A=width)


def _measures(path: Path, kind: str) -> tuple[int, int, float]:
    """Number of a library's images, their side in pixels and their pixel size, Å; 0 for what isn't known."""
    from engine.io.class_averages import describe
    from engine.io.mrc import read_header
    from engine.io.star import read_poses

    if kind == "images":
        header = read_header(path)
        return int(header.shape[0]), int(header.shape[-1]), float(header.spacing_A[0])
    if kind == "class_averages":
        found = describe(path)
        return found.count, found.shape[1] if found.shape else 0, found.pixel_size_A
    return len(read_poses(path).rotations), 0, 0.0


def has_poses(folder: Path) -> bool:
    """Whether a run has left images with poses. Looks at names of files only."""
    results = folder / "results"
    return all((results / name).is_file() for name in ("poses.csv", "prepared.mrcs"))


def kind_of(path: Path) -> str:
    """What a file is, for a mode of images; ``volume unscaled`` for a map without voxel size.

    Raises
    ------
    VerglasError
        If it is nothing that Verglas reads.
    """
    from engine.io.formats import summarise

    summary = summarise(path)
    if summary.kind == "volume" and summary.needs_pixel_size:
        return "volume unscaled"
    return str(summary.kind)


def kind_at_known_poses(path: Path) -> str:
    """The same where poses are known: a run, and a cryoSPARC dataset of a 3D refinement, are ``poses``.

    Raises
    ------
    VerglasError
        As :func:`kind_of`.
    """
    from engine.io.cryosparc import NPY_MAGIC, read_dataset
    from engine.io.streams import head

    if path.is_dir():
        return "poses" if has_poses(path) else kind_of(path)
    if path.is_file() and head(path, 8).startswith(NPY_MAGIC):
        fields = read_dataset(path).dtype.names or ()
        return "poses" if {"alignments3D/pose", "alignments_class_0/pose"} & set(fields) else "class_averages"
    return kind_of(path)


def in_words(error: Exception, file: str) -> str:
    """What went wrong, beginning with the file that it is about."""
    if isinstance(error, InputError | VerglasError):
        name = Path(error.path).name if error.path else Path(file).name
        text = " ".join(filter(None, (error.problem, error.advice)))
        return text if name and name in text else f"{name}: {text}"
    return f"{Path(file).name}: {getattr(error, 'strerror', None) or error}"
