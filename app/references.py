"""Reading what can be laid over a result: a model, a map or points, from any file. For threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.surfaces import Density, profile_of
from engine.errors import InputError
from engine.io import npy
from engine.io.mrc_header import HEADER_BYTES, looks_like_mrc
from engine.io.points import npz_shapes, read_points
from engine.io.reduced_map import read_reduced
from engine.io.streams import check_file, open_bytes
from engine.io.structure import read_structure
from engine.io.trace import read_trace

_POINTS = (".csv", ".txt", ".tsv", ".xyz")
_MOST_ATOMS = 20_000_000
FAR_A = 15.0  # a point further than this from every atom comes from no chain


@dataclass(frozen=True)
class Reference:
    """A shape in Å, xyz, as its file places it.

    Attributes
    ----------
    path, name : the file, and what to call it.
    atoms_A : (n, 3) heavy atoms or points; empty for a map.
    chains : (n,) index into ``chain_names``, which is empty where the file names no chains.
    ends_A, end_chains : pieces (k, 2, 3) between neighbouring residues, and their chains.
    density : the map, or None.
    notes : what was assumed, one sentence each.
    """

    path: Path
    name: str
    atoms_A: NDArray[np.float32]
    chains: NDArray[np.int32]
    chain_names: tuple[str, ...] = ()
    ends_A: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2, 3), np.float32))
    end_chains: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    density: Density | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> Density | NDArray[np.float32]:
        """What is brought onto another shape."""
        return self.density if self.density is not None else self.atoms_A

    @property
    def centre_A(self) -> NDArray[np.float64]:
        """The middle of its atoms or of its box."""
        if self.density is not None or not len(self.atoms_A):
            return np.asarray(self.density.offset_A if self.density else (0.0, 0.0, 0.0), float)
        return np.asarray(self.atoms_A.mean(0), float)


def load_reference(path: Path, chains: tuple[str, ...] = ()) -> Reference:
    """Read a file, recognised by its content.

    Parameters
    ----------
    chains : of a model to keep; empty keeps all.

    Raises
    ------
    InputError
        If it is no model, map or set of points, or is damaged.
    """
    path = check_file(path)
    with open_bytes(path) as stream:
        start = stream.read(HEADER_BYTES)
    if start[:4] == b"PK\x03\x04":
        return _archive(path)
    if looks_like_mrc(start):
        return _map(path)
    suffix = next((s for s in reversed(path.suffixes) if s.lower() != ".gz"), "").lower()
    if suffix in _POINTS:
        return _points(path, np.asarray(read_points(path).points_A))
    return _model(path, chains)


def chain_of_each(reference: Reference, points_A: NDArray[np.floating]) -> NDArray[np.int32]:
    """For points (..., 3) the chain of the nearest atom; -1 beyond :data:`FAR_A`."""
    from scipy.spatial import cKDTree

    flat = points_A.reshape(-1, 3)
    good = np.isfinite(flat).all(1)
    found = np.full(len(flat), -1, np.int32)
    distance, nearest = cKDTree(reference.atoms_A).query(flat[good], distance_upper_bound=FAR_A)
    near = np.isfinite(distance)
    found[np.flatnonzero(good)[near]] = reference.chains[nearest[near]]
    return found.reshape(points_A.shape[:-1])


def _model(path: Path, chains: tuple[str, ...]) -> Reference:
    structure = read_structure(path, chains=chains)
    assembly = any(":" in name for name in structure.chain_names)
    trace = read_trace(path, all_models=assembly)
    known = {name: i for i, name in enumerate(structure.chain_names)}
    owner = np.array([known.get(name, -1) for name in trace.chain_names], np.int32)
    ends, end_chains = trace.ends_A, owner[trace.chains] if len(owner) else trace.chains
    if chains:
        wanted = np.isin(end_chains, np.unique(structure.chains))
        ends, end_chains = ends[wanted], end_chains[wanted]
    return Reference(
        path, path.name, structure.coords_A.astype(np.float32), structure.chains, structure.chain_names,
        ends, end_chains, notes=structure.notes,
    )  # fmt: skip


def _map(path: Path) -> Reference:
    volume, factor = read_reduced(path)
    voxel = float(volume.voxel_size_A[0])
    notes = list(volume.notes[-1:] if factor > 1 else ())
    if voxel <= 0:
        voxel = float(factor)
        notes.append("The map doesn't say its voxel size; 1 Å was assumed.")
    size_zyx = np.array(volume.density.shape)
    offset = np.asarray(volume.origin_A) + (size_zyx // 2)[::-1] * voxel
    density = Density(volume.density, voxel, path.name, tuple(float(o) for o in offset))  # type: ignore[arg-type]
    none = np.zeros((0, 3), np.float32)
    return Reference(path, path.name, none, np.zeros(0, np.int32), density=density, notes=tuple(notes))


def _archive(path: Path) -> Reference:
    shapes = npz_shapes(path)
    if "coords" not in shapes:
        return _points(path, np.asarray(read_points(path).points_A))
    shape, kind = shapes["coords"]
    if (
        len(shape) != 2
        or shape[1] != 3
        or not 0 < shape[0] <= _MOST_ATOMS
        or np.dtype(kind).kind not in "fiu"
    ):
        raise InputError("The archive's atoms can't be used.", "`coords` must be (n, 3) in Å.", path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            coords = npy.member(archive, "coords").astype(np.float32)
    except npy.DAMAGE as exc:
        raise InputError("The archive is damaged or cut off.", "Copy or write it again.", path) from exc
    return _points(path, coords)


def _points(path: Path, points: NDArray[np.floating]) -> Reference:
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError("The file holds no 3D points.", "Give a model, a map, or points x, y, z.", path)
    return Reference(path, path.name, points.astype(np.float32), np.zeros(len(points), np.int32))


def first_level_share(density: Density) -> float:
    """A share of the box that a first surface of a map encloses: what is clearly above the rest."""
    return profile_of(density).first_share()
