"""Low-resolution shape in 3D: from a map, points or a structure to evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.filters import threshold_otsu

from engine.errors import InputError
from engine.io.formats import summarise
from engine.io.mrc import read_volume
from engine.io.points import read_points
from engine.io.structure import read_structure
from engine.numerics.mixtures import density_points, kmeans_points
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
    threshold = spec.threshold
    if threshold is None and float(np.ptp(volume.density)) > 0:
        threshold = float(threshold_otsu(volume.density))
        notify(f"{Path(spec.file).name}: density above {threshold:.4g} counts as the object (Otsu's threshold).")
    try:
        cloud = density_points(
            volume.density, volume.voxel_size_A, volume.origin_A, spec.points, threshold=threshold, seed=seed
        )
    except InputError as exc:
        raise InputError(exc.problem, exc.advice, spec.file) from exc
    filled = float((volume.density > threshold).sum()) if threshold is not None else 0.0
    return Evidence(
        name="map",
        projector=np.eye(3),
        offset_A=np.zeros(3),
        points_A=cloud.points_A,
        weights=cloud.weights,
        weight=spec.weight,
        volume_A3=filled * float(np.prod(volume.voxel_size_A)),
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
        raise InputError("Coarse points need x, y and z.", "Give 2D points as `projection_points`.", spec.file)
    return Evidence(
        name="coarse points",
        projector=np.eye(3),
        offset_A=np.zeros(3),
        points_A=cloud.points_A,
        weights=cloud.weights,
        weight=spec.weight,
    )
