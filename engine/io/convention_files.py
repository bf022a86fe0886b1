"""Reads what :mod:`engine.io.convention_check` compares, and writes images and poses put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.convention_check import MOST_IMAGES, Findings, check
from engine.io.limits import MAX_COORDINATE_A, MAX_POINTS
from engine.io.mrc import read_images, read_volume, write_images
from engine.io.pose_readings import Convention, Floats, Posed, corrected, flipped
from engine.io.reprojection import LARGEST, MapTransform, points_as_map, transform_of
from engine.io.streams import check_file
from engine.types import ImageStack, Poses

_BOX = 64
_MARGIN = 1.25
_OFF_CENTRE_A = 1.0  # of a model: from there on it is tried centred, too
_MOST_ATOMS = 50_000


@dataclass(frozen=True)
class Reference:
    """A map or a model to compare images with.

    Attributes
    ----------
    transform : of the map, or of the model as a map.
    notes : what was assumed, one sentence each.
    centred : the same model moved to its centre of mass, where that is somewhere else.
    """

    transform: MapTransform
    name: str
    notes: tuple[str, ...] = ()
    centred: Reference | None = None


def check_reference(posed: Posed, reference: Reference, most: int = 0) -> tuple[Findings, Reference]:
    """Try all conventions; of a model also where it lies, in its own frame or centred.

    Parameters
    ----------
    most : images to look at; 0 takes the usual number.

    Returns
    -------
    What was found, and the reference as it fits best.

    Raises
    ------
    InputError
        If there is only one image.
    """
    if len(posed.images) < 2:
        raise InputError("One image can't tell conventions apart.", "Use at least two, better ten.")
    found = check(posed, reference.transform, most=most or MOST_IMAGES)
    if reference.centred is not None:
        other = check(posed, reference.centred.transform, most=most or MOST_IMAGES)
        if other.best.mean > found.best.mean:
            return other, reference.centred
    return found, reference


def read_posed(
    images: str | Path,
    poses: str | Path,
    *,
    pixel_size_A: float | None = None,
    contrast: Literal["auto", "white", "black"] = "auto",
    select: Sequence[int] = (),
) -> tuple[Posed, tuple[str, ...]]:
    """Images with their poses as Verglas takes them; and what was assumed.

    Parameters
    ----------
    images, poses : stack and RELION STAR file.
    pixel_size_A : replaces what the files say.
    select : rows of the STAR file, counted from 1; empty takes all.

    Raises
    ------
    InputError
        If a file can't be used, they don't fit together, or don't say the pixel size.
    """
    from engine.io.star import read_poses

    found = read_poses(poses, pixel_size_A=pixel_size_A)
    known = pixel_size_A or found.pixel_size_A or None
    stack = read_images(images, pixel_size_A=known, contrast=contrast)
    if not stack.pixel_size_A > 0:
        raise InputError(
            "Neither the stack nor the pose file says the pixel size.", "Give the pixel size.", images
        )
    count = len(found.rotations)
    rows = np.asarray(select, np.intp) - 1 if len(select) else np.arange(count)
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        raise InputError(
            f"Row {int(rows.max()) + 1} was asked for, but the file has {count}.", "Choose others.", poses
        )
    indices = np.asarray(found.image_indices, np.intp)
    indices = (indices if len(indices) == count else np.arange(count))[rows]
    if len(indices) and (indices.min() < 0 or indices.max() >= len(stack.images)):
        raise InputError(
            f"The pose file asks for image {int(indices.max()) + 1}, but the stack has {len(stack.images)}.",
            "Check that the two files belong together.",
            poses,
        )
    posed = Posed(
        stack.images[indices], found.rotations[rows], found.shifts_A[rows], float(stack.pixel_size_A)
    )
    return posed, tuple(dict.fromkeys((*stack.notes, *found.notes)))


def read_reference(path: str | Path, *, voxel_size_A: float | None = None) -> Reference:
    """A map, a model, a cloud or an ensemble (its first sample), in the frame of the poses.

    A map's origin is taken to be in the middle of its box, where programs that make projections put it.

    Parameters
    ----------
    voxel_size_A : replaces what a map's header says.

    Raises
    ------
    InputError
        If the file can't be used, or a map doesn't say its voxel size and none was given.
    """
    from engine.io.formats import summarise

    path = Path(path)
    if path.suffix.lower() == ".npz" and (atoms := _atoms(path)) is not None:
        return points_reference(atoms, path.name)
    kind = summarise(path, pixel_size_A=voxel_size_A).kind
    if kind in ("volume", "images"):
        volume = read_volume(path, voxel_size_A=voxel_size_A)
        sizes = volume.voxel_size_A
        if not min(sizes) > 0:
            raise InputError("The map does not say its voxel size.", "Give it.", path)
        if max(sizes) / min(sizes) > 1.01:
            raise InputError("The map's voxels are not cubes.", "Resample it first.", path)
        return Reference(transform_of(volume.density, float(sizes[0])), path.name)
    if kind == "structure":
        from engine.io.structure import read_structure

        return points_reference(read_structure(path).coords_A, path.name)
    if kind == "ensemble":
        from engine.io.ensemble import read_ensemble

        return points_reference(read_ensemble(path).points_A[0], path.name)
    if kind == "points3d":
        from engine.io.points import read_points

        return points_reference(read_points(path).points_A, path.name)
    raise InputError("This is no map and no model.", "Give a map, a PDB or mmCIF file, or a cloud.", path)


def points_reference(points_A: Floats, name: str = "") -> Reference:
    """A cloud or a model as a reference; moved to its centre of mass if it lies in a frame of its own.

    Raises
    ------
    InputError
        If there are no points with an extent.
    """
    points = np.asarray(points_A, np.float64).reshape(-1, 3)
    if len(points) > _MOST_ATOMS:
        points = points[:: -(-len(points) // _MOST_ATOMS)]
    if len(points) < 2 or not np.ptp(points, axis=0).max() > 0:
        raise InputError("The reference has no extent.", "Give another one.")
    centre = points.mean(axis=0)
    gyration = float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))
    off = float(np.linalg.norm(centre))
    moved = _model(
        points - centre,
        gyration,
        name,
        (f"The reference lay {off:.0f} Å off the origin and was moved to its centre of mass.",),
    )
    if off > gyration:
        return moved  # it lies in a frame of its own
    found = _model(points, gyration, name, ())
    return replace(found, centred=moved) if off > _OFF_CENTRE_A else found


def _model(points: Floats, gyration: float, name: str, notes: tuple[str, ...]) -> Reference:
    reach = float(np.abs(points).max())
    voxel = 2 * _MARGIN * reach / _BOX
    # As wide as the points' distance, so that they become one body.
    spacing = (4.2 * gyration**3 / len(points)) ** (1 / 3) * 1.3
    density = points_as_map(points, min(_BOX, LARGEST), voxel, max(0.6 * spacing, 0.8 * voxel))
    return Reference(transform_of(density, voxel), name, notes)


def _atoms(path: Path) -> NDArray[np.float64] | None:
    """Atoms ``coords`` (n, 3) of an npz; None if it holds something else."""
    from engine.io.points import npz_shapes

    shape, kind = npz_shapes(check_file(path)).get("coords", ((), "f4"))
    if len(shape) != 2 or shape[1] != 3 or np.dtype(kind).kind != "f" or shape[0] > MAX_POINTS:
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = np.asarray(npy.member(archive, "coords"), np.float64)
        if found.shape != shape:
            raise ValueError("another array of the same name")
    except npy.DAMAGE as exc:
        raise InputError("The npz archive is damaged or cut off.", "Copy it again.", path) from exc
    if not np.isfinite(found).all() or np.abs(found).max(initial=0.0) > MAX_COORDINATE_A:
        raise InputError("Some coordinates are not finite or absurdly large.", "Write it again.", path)
    return found


def write_corrected(folder: str | Path, name: str, posed: Posed, convention: Convention) -> tuple[Path, Path]:
    """Write images and poses that need no correction any more: a stack and a RELION STAR file.

    The images come in the order of the poses, with density positive.

    Parameters
    ----------
    folder : is made.
    name : of the two files, without ending; a number is added where they exist.

    Returns
    -------
    Paths of the stack and of the STAR file.

    Raises
    ------
    VerglasError
        If a file can't be written.
    """
    from engine.io.star import write_poses

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"This folder can't be made ({exc.strerror or exc}).", "Choose another one.", folder
        ) from exc
    stem, number = name, 1
    while any((folder / f"{stem}{end}").exists() for end in (".mrcs", ".star")):
        number += 1
        stem = f"{name}-{number}"
    images: NDArray[np.float32] = np.ascontiguousarray(flipped(posed.images, convention.flip))
    pixel = posed.pixel_A * convention.scale
    rotations, shifts_A = corrected(convention, posed)
    stack, star = folder / f"{stem}.mrcs", folder / f"{stem}.star"
    write_images(stack, ImageStack(-images if convention.inverted else images, pixel))
    count = len(images)
    poses = Poses(rotations, shifts_A, (stack.name,) * count, np.arange(count, dtype=np.int32), pixel)
    write_poses(star, poses, box=images.shape[-1])
    return stack, star
