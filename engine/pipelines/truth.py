"""The reference that an ensemble is judged by, from whatever the user has of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.mrc import read_volume
from engine.io.points import npz_shapes, read_points
from engine.io.streams import check_file, head
from engine.io.structure import read_structure
from engine.numerics.mixtures import density_points, kmeans_points, split_atoms
from engine.types import FloatArray, PointCloud, Structure, Volume

TruthLike = str | Path | Structure | Volume | PointCloud | FloatArray

_MAPS = (".mrc", ".map", ".ccp4", ".rec")
_POINTS = (".csv", ".txt", ".tsv", ".xyz")
_MOST_ATOMS = 20_000_000


@dataclass(frozen=True)
class Truth:
    """A reference, reduced to as many points as the members of the ensemble have.

    Attributes
    ----------
    kind : what it was made from.
    points_A : (n, 3).
    atoms_A : (N, 3) heavy atoms, or None.
    weights : (N,) atomic numbers of the atoms, or None.
    density : the map, or None.
    path : the file, or empty.
    notes : what was assumed, one sentence each.
    """

    kind: Literal["structure", "map", "points"]
    points_A: NDArray[np.float64]
    atoms_A: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    density: Volume | None = None
    path: str = ""
    notes: tuple[str, ...] = ()


def load_truth(truth: TruthLike, points: int, *, seed: int = 0) -> Truth:
    """Read a reference and reduce it.

    Parameters
    ----------
    truth : a structure (PDB, mmCIF), a map (MRC), an npz with heavy atoms (``coords`` (n, 3), optionally
        ``z``) or with one cloud (``points`` (n, 3)), a CSV of points; or one of these already in memory.
        All in Å, in the frame of the ensemble.
    points : how many points the members of the ensemble have.
    seed : of the k-means that reduces atoms or density.

    Raises
    ------
    InputError
        If the file can't be used, or holds fewer points than are needed.
    """
    path = ""
    if isinstance(truth, str | Path):
        path = str(truth)
        truth = _read(Path(truth))
    if isinstance(truth, Structure):
        return _from_atoms(truth.coords_A, truth.elements, truth.notes, path, points, seed)
    if isinstance(truth, Volume):
        spacing, origin = np.asarray(truth.voxel_size_A), np.asarray(truth.origin_A)
        if not (spacing > 0).all():
            raise InputError(
                "The map's voxel size is not known.", "Correct its header, or give a structure.", path or None
            )
        cloud = density_points(truth.density, spacing, origin, points, seed=seed)
        return Truth("map", np.asarray(cloud.points_A), density=truth, path=path, notes=truth.notes)
    coords = np.asarray(truth.points_A if isinstance(truth, PointCloud) else truth, np.float64)
    if coords.ndim != 2 or coords.shape[1] != 3 or not np.isfinite(coords).all():
        raise InputError(
            f"The reference is not one set of 3D points (shape {coords.shape}).",
            "Give a structure, a map, or one point cloud.",
            path or None,
        )
    if len(coords) == points:
        return Truth("points", coords, path=path)
    weights = truth.weights if isinstance(truth, PointCloud) else None
    reduced = kmeans_points(coords, points, weights=weights, seed=seed)
    note = f"The {len(coords)} reference points were reduced to {points}."
    return Truth("points", np.asarray(reduced.points_A), path=path, notes=(note,))


def _from_atoms(
    coords: FloatArray, elements: NDArray[np.int16], notes: tuple[str, ...], path: str, points: int, seed: int
) -> Truth:
    atoms = np.asarray(coords, np.float64)
    source = atoms
    if len(atoms) < 2 * points:
        source = split_atoms(atoms, parts=max(8, -(-4 * points // len(atoms))), seed=seed)
        notes = (
            *notes,
            f"The reference has only {len(atoms)} atoms for {points} points; each was spread over 1.9 Å.",
        )
    cloud = kmeans_points(source, points, seed=seed)
    numbers = np.asarray(elements, np.float64)
    return Truth("structure", np.asarray(cloud.points_A), atoms, numbers, path=path, notes=notes)


def _read(path: Path) -> Structure | Volume | PointCloud:
    path = check_file(path)
    if head(path, 4) == b"PK\x03\x04":
        return _read_npz(path)
    suffix = next((s for s in reversed(path.suffixes) if s.lower() != ".gz"), "").lower()
    if suffix in _MAPS:
        return read_volume(path)
    if suffix in _POINTS:
        return read_points(path)
    return read_structure(path)


def _read_npz(path: Path) -> Structure | PointCloud:
    shapes = npz_shapes(path)
    if "coords" not in shapes:
        return read_points(path)
    shape, dtype = shapes["coords"]
    z_shape, z_dtype = shapes.get("z", (shape[:1], "int16"))
    right_type = np.dtype(dtype).kind in "fiu" and np.dtype(z_dtype).kind in "iu"
    if (
        len(shape) != 2
        or shape[1] != 3
        or not 0 < shape[0] <= _MOST_ATOMS
        or z_shape != shape[:1]
        or not right_type
    ):
        raise InputError(
            "The archive's atoms can't be used.", "`coords` must be (n, 3) in Å and `z` (n,) integers.", path
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            coords = npy.member(archive, "coords").astype(np.float64)
            elements = (
                npy.member(archive, "z").astype(np.int16)
                if "z" in shapes
                else np.full(len(coords), 6, np.int16)
            )
    except npy.DAMAGE as exc:
        raise InputError("The npz archive is damaged or cut off.", "Copy or write it again.", path) from exc
    if not np.isfinite(coords).all():
        raise InputError("Some atoms have coordinates that are not finite.", "Remove them.", path)
    n = len(coords)
    return Structure(coords, elements, np.zeros(n, np.int32), ("",), np.ones(n), path.stem)
