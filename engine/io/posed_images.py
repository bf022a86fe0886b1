"""Images whose poses are known: from RELION, from cryoSPARC, or from a run that found them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError, SpecError
from engine.io import cryosparc
from engine.io.contrast import choose_contrast
from engine.io.image_references import find_beside
from engine.io.limits import MAX_VOXELS
from engine.io.mrc import read_header, read_images
from engine.io.pixel_size import PixelSizeError
from engine.io.star import read_poses
from engine.io.streams import check_file, head
from engine.io.volumes import PREPARED, SdsResults
from engine.specs.known_poses import PosedImages
from engine.types import Poses

_POSES = ("alignments3D", "alignments_class_0")
_MOST = 20_000


@dataclass(frozen=True)
class PosedStack:
    """Images in the order of the poses.

    Attributes
    ----------
    images : (n, y, x) float32, density positive.
    rotations : (n, 3, 3), ``x_view = R @ x``.
    shifts_A : (n, 2) xy, Å: where the object's origin appears, from the image's centre ``n // 2``.
    pixel_size_A : Å.
    rows : (n,) 0-based rows of the file of poses.
    files, indices : (n,) where each image came from, index 0-based.
    contrast : a sentence that says how the sign was found.
    sign : 1, or -1 where the images were inverted.
    prepared : whether a run of Verglas prepared them: one contrast each, centred, masked.
    """

    images: NDArray[np.float32]
    rotations: NDArray[np.float64]
    shifts_A: NDArray[np.float64]
    pixel_size_A: float
    rows: NDArray[np.int64]
    files: tuple[str, ...]
    indices: NDArray[np.int64]
    contrast: str
    sign: float
    prepared: bool


def read_posed_poses(path: str | Path, *, pixel_size_A: float | None = None) -> Poses:
    """Poses alone, of whatever :class:`~engine.specs.known_poses.PosedImages` takes.

    Parameters
    ----------
    path : RELION STAR file, cryoSPARC .cs file, or the folder of a run that found poses.
    pixel_size_A : replaces what the file says.

    Raises
    ------
    InputError, RunError
        If there are no poses, or the file can't be used.
    """
    path = Path(path)
    if path.is_dir():
        return SdsResults(path, in_hand=True).poses().poses
    if head(check_file(path), 8).startswith(cryosparc.NPY_MAGIC):
        return _of_dataset(path, pixel_size_A)
    return read_poses(path, pixel_size_A=pixel_size_A)


def read_posed(spec: PosedImages, notify: Callable[[str], None]) -> PosedStack:
    """Read images and poses.

    Parameters
    ----------
    notify : told every assumption.

    Raises
    ------
    InputError, PixelSizeError, RunError, SpecError
        Naming the file that can't be used, and why.
    """
    path = Path(spec.poses)
    of_run = path.is_dir()
    poses = read_posed_poses(path, pixel_size_A=spec.pixel_size_A)
    for note in poses.notes:
        notify(note)
    rows = _rows(spec, len(poses.rotations))
    files, indices = _places(spec, poses, rows, of_run)
    images, stated = _pixels(files, indices, spec)
    pixel = spec.pixel_size_A or poses.pixel_size_A or stated
    if not pixel > 0:
        raise PixelSizeError("Neither the poses nor the images say the pixel size.", "Give it.", files[0])
    if stated and abs(pixel / stated - 1) > 0.01:
        notify(f"The images' header says {stated:.4g} Å per pixel; {pixel:.4g} is used.")
    sign, sentence = choose_contrast(images, "white" if of_run and spec.contrast == "auto" else spec.contrast)
    return PosedStack(
        np.asarray(sign * images, np.float32), np.asarray(poses.rotations, np.float64)[rows],
        np.asarray(poses.shifts_A, np.float64)[rows], float(pixel), rows,
        tuple(str(file) for file in files), indices, sentence, sign, of_run,
    )  # fmt: skip


def _rows(spec: PosedImages, count: int) -> NDArray[np.int64]:
    wanted = np.array([i - 1 for i in spec.select] or range(count), np.int64)
    outside = wanted[(wanted < 0) | (wanted >= count)]
    if len(outside):
        raise SpecError(
            f"`select` names row {outside[0] + 1}, but {Path(spec.poses).name} has {count} (counted from 1)."
        )
    if len(wanted) > _MOST:
        raise InputError(
            f"{Path(spec.poses).name} holds {len(wanted):,} images; this is a method for a few.",
            "Select up to a few hundred of them, e.g. `select = [1, 2, 3]`, or use class averages.",
            spec.poses,
        )
    return wanted


def _places(
    spec: PosedImages, poses: Poses, rows: NDArray[np.int64], of_run: bool
) -> tuple[list[Path], NDArray[np.int64]]:
    """File and 0-based index of each image."""
    count = len(poses.rotations)
    known = len(poses.image_indices) == count
    indices = np.asarray(poses.image_indices if known else np.arange(count), np.int64)[rows]
    if spec.images is not None:
        return [Path(spec.images)] * len(rows), indices
    if of_run:
        folder = Path(spec.poses)
        results = folder / "results" if (folder / "results").is_dir() else folder
        return [results / PREPARED] * len(rows), rows.copy()
    names = poses.image_files if len(poses.image_files) == count else ()
    if not names or not all(names[row] for row in rows):
        raise InputError(
            "The poses don't say which images they belong to.",
            "Give the image stack as `images`.",
            spec.poses,
        )
    found = {name: find_beside(name, Path(spec.poses)) for name in dict.fromkeys(names[row] for row in rows)}
    return [found[names[row]] for row in rows], indices


def _pixels(
    files: list[Path], indices: NDArray[np.int64], spec: PosedImages
) -> tuple[NDArray[np.float32], float]:
    """The images, square and of one size, and the pixel size that their headers agree on (0 for none)."""
    images: NDArray[np.float32] | None = None
    sizes: set[float] = set()
    names = np.array([str(file) for file in files])
    for file in dict.fromkeys(files):
        sizes.add(round(float(read_header(file).spacing_A[0]), 6))
        stack = read_images(file, pixel_size_A=spec.pixel_size_A or 1.0, contrast="white").images
        here = np.flatnonzero(names == str(file))
        last = int(indices[here].max()) + 1
        if last > len(stack):
            raise InputError(
                f"{Path(spec.poses).name} asks for image {last} of {file.name}, which has {len(stack)}.",
                "Check that stack and poses belong together.",
                file,
            )
        if images is None:
            if stack.shape[1] != stack.shape[2]:
                raise InputError(
                    f"The images have {stack.shape[2]} × {stack.shape[1]} pixels.", "Cut them square.", file
                )
            if len(files) * stack[0].size > MAX_VOXELS:
                raise InputError("There are too many images to hold in memory.", "Select fewer.", spec.poses)
            images = np.empty((len(files), *stack.shape[1:]), np.float32)
        if stack.shape[1:] != images.shape[1:]:
            raise InputError("The images differ in size.", "Bring them to one size first.", file)
        images[here] = stack[indices[here]]
    if images is None:
        raise InputError("There is no image.", "Select at least one row.", spec.poses)
    if not np.isfinite(images).all():
        raise InputError("The images hold NaN or infinite values.", "Leave the damaged ones out.", files[0])
    return images, sizes.pop() if len(sizes) == 1 else 0.0


def _of_dataset(path: Path, pixel_size_A: float | None) -> Poses:
    """Poses of a cryoSPARC dataset: of a refinement, or of the first class of an ab-initio run."""
    table = cryosparc.read_dataset(path)
    fields = set(table.dtype.names or ())
    group = next((g for g in _POSES if f"{g}/pose" in fields and f"{g}/shift" in fields), None)
    if group is None:
        shown = ", ".join(sorted({name.partition("/")[0] for name in fields})[:8])
        raise InputError(
            f"The dataset holds no 3D poses (it holds {shown}).",
            "Give the particles of a refinement; their poses may be in its passthrough file.",
            path,
        )
    if any(table[f"{group}/{name}"].dtype.kind not in "fiu" for name in ("pose", "shift")):
        raise InputError("The dataset's poses are no numbers.", "Copy or export it again.", path)
    pose, shift = (np.asarray(table[f"{group}/{name}"], np.float64) for name in ("pose", "shift"))
    if pose.shape != (len(table), 3) or shift.shape != (len(table), 2):
        raise InputError("The dataset's poses are of the wrong kind.", "Copy or export it again.", path)
    if not (np.isfinite(pose).all() and np.isfinite(shift).all()):
        raise InputError("Some of the dataset's poses are not numbers.", "Export it again.", path)
    # shifts are in pixels of the alignment, which may have used smaller boxes than the images have
    unit = _one(table, f"{group}/psize_A") or pixel_size_A or _one(table, "blob/psize_A")
    if not unit:
        if np.abs(shift).max(initial=0) > 0:
            raise PixelSizeError("The dataset does not say the pixel size.", "Give it.", path)
        unit = 1.0
    names: tuple[str, ...] = ()
    indices = np.arange(len(table), dtype=np.int32)
    if {"blob/path", "blob/idx"} <= fields:
        references = cryosparc.read_references(path)
        names, indices = references.names, references.indices
    return Poses(
        rotations=conventions.cryosparc_to_rotation(pose),
        shifts_A=conventions.relion_origin_to_shift_A(shift, unit),
        image_files=names,
        image_indices=indices,
        pixel_size_A=float(pixel_size_A or _one(table, "blob/psize_A") or 0.0),
    )


def _one(table: NDArray[Any], name: str) -> float:
    """A column's one value; 0 where it is missing, has several, or makes no sense."""
    if name not in (table.dtype.names or ()):
        return 0.0
    if table[name].dtype.kind not in "fiu":
        return 0.0
    values = np.asarray(table[name], np.float64).ravel()
    same = bool(len(values)) and bool(np.isfinite(values).all()) and float(np.ptp(values)) < 0.002 * values[0]
    return float(f"{values[0]:.6g}") if same else 0.0
