"""Low-resolution shape in 3D: from a map, points or a structure to evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.formats import summarise
from engine.io.mrc import read_volume
from engine.io.points import read_points
from engine.io.structure import read_structure
from engine.numerics.mixtures import density_points, kmeans_points
from engine.observations.background import particle_density
from engine.observations.evidence import Evidence, Notify
from engine.specs.components import CoarseMap, CoarsePoints


def from_map(spec: CoarseMap, notify: Notify, seed: int = 0) -> Evidence:
    """A density map as a few weighted points above a threshold.

    Raises
    ------
    InputError
        If the map can't be used, has no voxel size, or nothing lies above the threshold.
    """
    volume = read_volume(spec.file, voxel_size_A=spec.voxel_size_A)
    for note in volume.notes:
        notify(note)
    if not min(volume.voxel_size_A) > 0:
        raise InputError("The map does not say its voxel size.", "Give it as `voxel_size_A`.", spec.file)
    density = particle_density(volume.density, spec.threshold)
    filled = float((density > 0).sum()) * float(np.prod(volume.voxel_size_A))
    if spec.threshold is None and filled:
        notify(
            f"{Path(spec.file).name}: the object fills {filled / 1000:.0f} nm³ above the map's background."
        )
    try:
        cloud = density_points(
            density,
            np.asarray(volume.voxel_size_A),
            np.asarray(volume.origin_A),
            spec.points,
            threshold=0.0,
            seed=seed,
        )
    except InputError as exc:
        raise InputError(exc.problem, exc.advice, spec.file) from exc
    return Evidence(
        name="map",
        projector=np.eye(3),
        offset_A=np.zeros(3),
        points_A=cloud.points_A,
        weights=cloud.weights,
        weight=spec.weight,
        volume_A3=filled,
    )


def from_points(spec: CoarsePoints, notify: Notify, seed: int = 0) -> Evidence:
    """3D points from a file, or a structure reduced to ``spec.points`` points.

    Raises
    ------
    InputError
        If the file holds neither 3D points nor a structure.
    """
    if summarise(spec.file).kind == "structure":
        structure = read_structure(spec.file)
        for note in structure.notes:
            notify(note)
        cloud = kmeans_points(structure.coords_A, spec.points, seed=seed)
    else:
        cloud = read_points(spec.file)
    if cloud.points_A.shape[1] != 3:
        raise InputError(
            "Coarse points need x, y and z.", "Give 2D points as `projection_points`.", spec.file
        )
    return Evidence(
        name="coarse points",
        projector=np.eye(3),
        offset_A=np.zeros(3),
        points_A=cloud.points_A,
        weights=cloud.weights,
        weight=spec.weight,
    )
