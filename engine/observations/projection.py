"""2D projections at known poses: from images or from 2D points to evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.conventions import image_centre
from engine.errors import InputError, SpecError
from engine.io.mrc import read_header, read_images
from engine.io.points import read_points
from engine.io.star import read_poses
from engine.numerics.mixtures import density_points
from engine.numerics.rotations import quaternion_to_matrix
from engine.observations.background import particle_density
from engine.observations.denoising import denoise
from engine.observations.evidence import Evidence, Notify
from engine.specs.components import ProjectionImages, ProjectionPoints
from engine.types import ImageStack, Poses

NOISY = 2.0  # signal over noise below which it is told that images were filtered


def _rows(spec: ProjectionImages, poses: Poses, images: ImageStack) -> list[tuple[int, int]]:
    """(row of the pose file, index in the stack) of every image to use."""
    count = len(poses.rotations)
    indices = poses.image_indices if len(poses.image_indices) == count else np.arange(count)
    wanted = [i - 1 for i in spec.select] or list(range(count))
    outside = [i + 1 for i in wanted if not 0 <= i < count]
    if outside:
        raise SpecError(
            f"`select` names row {outside[0]}, but {spec.poses} has {count} rows (counted from 1)."
        )
    missing = [i + 1 for i in wanted if not 0 <= indices[i] < len(images.images)]
    if missing:
        raise InputError(
            f"Row {missing[0]} refers to image {indices[missing[0] - 1] + 1}, "
            f"but {Path(spec.images).name} has {len(images.images)}.",
            "Check that stack and pose file belong together.",
            spec.poses,
        )
    return [(i, int(indices[i])) for i in wanted]


@dataclass(frozen=True)
class PosedImages:
    """Projections as read, with their poses.

    Attributes
    ----------
    images : (n, y, x) float32, density positive.
    rows, indices : (n,) rows of the pose file, and places in the stack, from 0.
    rotations : (n, 3, 3), ``x_view = R @ x``.
    shifts_A : (n, 2) xy: where the object's origin appears, from the image's centre.
    pixel_size_A : Å.
    """

    images: NDArray[np.float32]
    rows: tuple[int, ...]
    indices: tuple[int, ...]
    rotations: NDArray[np.floating]
    shifts_A: NDArray[np.floating]
    pixel_size_A: float


def read_posed_images(spec: ProjectionImages, notify: Notify) -> PosedImages:
    """The images that a piece of evidence names, and their poses.

    Raises
    ------
    InputError, SpecError
        If the files can't be used, don't fit together, or don't say the pixel size.
    """
    poses = read_poses(spec.poses, pixel_size_A=spec.pixel_size_A)
    stated = read_header(spec.images).spacing_A[0]
    # What the pose file says goes before the stack's header, which programs often leave at 0 or 1.
    known = spec.pixel_size_A or poses.pixel_size_A or None
    images = read_images(spec.images, pixel_size_A=known, contrast=spec.contrast)
    for note in (*images.notes, *poses.notes):
        notify(note)
    pixel = images.pixel_size_A
    if not pixel > 0:
        raise InputError(
            "Neither the stack nor the pose file says the pixel size.",
            "Give it as `pixel_size_A`.",
            spec.images,
        )
    if poses.pixel_size_A and stated and abs(poses.pixel_size_A / stated - 1) > 0.01:
        notify(
            f"The pose file says {poses.pixel_size_A:.4g} Å per pixel, the stack {stated:.4g}; "
            f"{pixel:.4g} is used."
        )
    used = _rows(spec, poses, images)
    rows, indices = [row for row, _ in used], [index for _, index in used]
    return PosedImages(
        images.images[indices],
        tuple(rows),
        tuple(indices),
        poses.rotations[rows],
        poses.shifts_A[rows],
        pixel,
    )


def from_images(
    spec: ProjectionImages, notify: Notify, *, most_points: int | None = None, seed: int = 0
) -> list[Evidence]:
    """Each image becomes weighted 2D points (k-means over its density above the noise, or a threshold).

    Parameters
    ----------
    most_points : the object's number of points; more 2D points than that could not all be matched.

    Raises
    ------
    InputError, SpecError
        If the files can't be used, don't fit together, or don't say the pixel size.
    """
    posed = read_posed_images(spec, notify)
    pixel, count = posed.pixel_size_A, min(spec.points, most_points or spec.points)
    evidence: list[Evidence] = []
    ratios: list[float] = []
    for image, row, index, rotation, shift in zip(
        posed.images, posed.rows, posed.indices, posed.rotations, posed.shifts_A, strict=True
    ):
        ny, nx = image.shape
        origin = -pixel * np.array([image_centre(nx), image_centre(ny)], np.float64)
        found = denoise(image) if spec.threshold is None else None
        if found is not None:
            density = found.density
            ratios.append(found.snr)
        else:
            density = particle_density(
                image, None if spec.threshold is None else spec.threshold * float(image.max())
            )
        try:
            cloud = density_points(density, np.array([pixel, pixel]), origin, count, threshold=0.0, seed=seed)
        except InputError as exc:
            raise InputError(f"Image {index + 1}: {exc.problem}", exc.advice, spec.images) from exc
        evidence.append(
            Evidence(
                name=f"view {row + 1}",
                projector=rotation[:2],
                offset_A=shift,
                points_A=cloud.points_A,
                weights=cloud.weights,
                weight=spec.weight,
            )
        )
    if ratios and np.median(ratios) < NOISY:
        notify(
            f"{Path(spec.images).name}: signal over noise in the particle is {np.median(ratios):.2g} "
            "(variances, the middle image); images were filtered by their spectra and cut to the particle."
        )
    return evidence


def from_points(spec: ProjectionPoints, notify: Notify) -> Evidence:
    """A projection that already is a set of 2D points.

    Raises
    ------
    InputError
        If the file holds no 2D points.
    SpecError
        If the quaternion is zero.
    """
    cloud = read_points(spec.file)
    if cloud.points_A.shape[1] != 2:
        raise InputError(
            "A projection needs 2D points (x, y).", "Give 3D points as `coarse_points`.", spec.file
        )
    quaternion = np.asarray(spec.rotation)
    length = float(np.linalg.norm(quaternion))
    if length < 1e-6:
        raise SpecError("The rotation's quaternion is zero.", "Give w, x, y, z; 1, 0, 0, 0 is no rotation.")
    if abs(length - 1) > 1e-3:
        notify(f"The quaternion of {Path(spec.file).name} had length {length:.4g} and was normalised.")
    return Evidence(
        name=Path(spec.file).stem,
        projector=quaternion_to_matrix(quaternion / length)[:2],
        offset_A=np.asarray(spec.shift_A),
        points_A=cloud.points_A,
        weights=cloud.weights,
        weight=spec.weight,
    )
