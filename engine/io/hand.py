"""The hand in which a run's results are looked at and exported.

Projections alone never tell a structure from its mirror image. So a run's files stay in the hand in which
they were computed, and ``hand.json`` beside them says whether they are to be read as their mirror image,
z to -z through the origin. Everything mirrors together:

======== =======================================================
maps     voxel ``n // 2 + k`` along z goes to ``n // 2 - k``
poses    ``R`` goes to ``M R M`` with ``M = diag(1, 1, -1)``
shifts   stay, as do images
points   z goes to -z, and so does the frame's centre
======== =======================================================

A mirrored map seen from its mirrored pose is the same image: ``V(M (M R M)^T u) = V(R^T M u)``, and the sum
along the viewing direction doesn't mind ``M u`` (``tests/engine/io/test_hand.py``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.json_files import read_json, write_json
from engine.io.landscape_file import Landscape
from engine.io.mrc import read_volume
from engine.io.pose_table import PoseTable
from engine.types import Ensemble, FloatArray, Frame, Poses, Volume

NAME = "hand.json"

_SIGNS = np.array([1.0, 1.0, -1.0])


def flipped(folder: str | Path) -> bool:
    """Whether a run's results (its folder, or ``results``) are to be read as their mirror image.

    A missing file means no, and so does a damaged one: the files are then read as they are.
    """
    folder = Path(folder)
    for path in (folder / "results" / NAME, folder / NAME):
        if path.is_file():
            try:
                return read_json(path).get("flipped") is True
            except InputError:
                return False
    return False


def set_flipped(folder: str | Path, on: bool) -> Path:
    """Say in which hand a run's results are to be read; the path of the file, written atomically.

    Raises
    ------
    VerglasError
        If it can't be written.
    """
    folder = Path(folder)
    results = folder / "results" if (folder / "results").is_dir() else folder
    write_json(results / NAME, {"flipped": bool(on), "mirror": "z to -z through the origin"})
    return results / NAME


def mirrored_density(density: NDArray[np.floating]) -> NDArray[np.floating]:
    """A map (..., z, y, x) mirrored in z through voxel ``n // 2``; twice is the map itself.

    With an even number of voxels the plane at ``-n / 2`` has no partner and stays.
    """
    turned = density[..., ::-1, :, :]
    if density.shape[-3] % 2 == 0:
        turned = np.roll(turned, 1, axis=-3)
    return np.ascontiguousarray(turned)


def mirrored_volume(volume: Volume) -> Volume:
    """A map mirrored in z through the origin in Å, wherever its box lies."""
    x, y, z = volume.origin_A
    depth = volume.voxel_size_A[2] * (len(volume.density) // 2)
    return replace(
        volume,
        density=np.asarray(mirrored_density(volume.density), np.float32),
        origin_A=(x, y, -z - 2 * depth),
    )


def mirrored_rotations(rotations: FloatArray) -> FloatArray:
    """Rotations (..., 3, 3) of the mirror image that show the same projections: ``M R M``."""
    turned: FloatArray = rotations * _SIGNS[:, None] * _SIGNS
    return turned


def read_in_hand(path: str | Path, results: str | Path) -> Volume:
    """Read a map of a run in the hand in which the run is to be read.

    Raises
    ------
    InputError
        If it can't be read.
    """
    volume = read_volume(path)
    return mirrored_volume(volume) if flipped(results) else volume


def mirrored_points(points_A: FloatArray) -> FloatArray:
    """Points (..., 3) xyz with z to -z; the type of their numbers stays."""
    turned: FloatArray = points_A * _SIGNS.astype(points_A.dtype)
    return turned


def mirrored_frame(frame: Frame) -> Frame:
    """The frame whose normalised coordinates are those of the mirrored points."""
    x, y, z = frame.centre_A
    return Frame((x, y, -z), frame.scale_A)


def mirrored_ensemble(ensemble: Ensemble) -> Ensemble:
    """An ensemble and its frame, mirrored. Energies stay: mirrored evidence fits it as well."""
    points = np.asarray(mirrored_points(ensemble.points_A), np.float32)
    return replace(ensemble, points_A=points, frame=mirrored_frame(ensemble.frame))


def mirrored_poses(poses: Poses) -> Poses:
    """Poses under which the mirrored map shows the same images."""
    return replace(poses, rotations=mirrored_rotations(poses.rotations))


def mirrored_table(table: PoseTable) -> PoseTable:
    """The same for a table of poses with their confidences."""
    return replace(table, poses=mirrored_poses(table.poses))


def mirrored_landscape(landscape: Landscape) -> Landscape:
    """A landscape whose volumes are mirrored: the same coordinates, mirrored maps."""
    mean, components, motion = (
        np.asarray(mirrored_density(part), np.float32)
        for part in (landscape.mean, landscape.components, landscape.motion)
    )
    return replace(landscape, mean=mean, components=components, motion=motion)
