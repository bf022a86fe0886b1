"""One structure file to one cloud, or to the reason why not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.errors import InputError, VerglasError
from engine.io import npy
from engine.io.npz_results import write_arrays
from engine.io.streams import stem
from engine.io.structure import read_structure
from engine.io.structure_header import read_header
from engine.metrics.shape import shape_descriptor
from engine.numerics.fragments import fragments
from engine.numerics.mixtures import kmeans_points, split_atoms, tied_mixture
from engine.specs.clouds import CloudSettings
from engine.types import Structure

FORMAT = 1
"""Of the results of single files; another number computes them anew."""

_COARSE_SPACING_A = 2.5
_COARSE_ELEMENTS = (0, 6, 15, 20)  # unknown, C, P, and calcium: what a misplaced CA reads as
_LARGEST_RECORD = 64 << 20

Kind = Literal["unreadable", "unsuitable", "crashed", "timed out"]


@dataclass(frozen=True)
class Rejection:
    """Why a file gave no cloud.

    Attributes
    ----------
    kind : ``unreadable``, ``unsuitable`` (read, but the filters leave it out), ``crashed`` (the process
        that read it died), ``timed out``.
    problem, advice : a sentence each; advice may be empty.
    """

    kind: Kind
    problem: str
    advice: str = ""


@dataclass(frozen=True)
class BuiltCloud:
    """A normalised cloud and what it was made from.

    Attributes
    ----------
    name : the PDB id, or the file's name without suffixes.
    source : ``pdb`` (an entry of the PDB, all atoms), ``ca`` (one atom per residue, of whatever origin),
        ``model`` (anything else).
    deposited : whether it is an entry of the PDB.
    title : of the entry, or empty.
    atoms : heavy atoms that were reduced; of coarse chains, those drawn about each residue's one atom.
    chains : how many.
    scale_A, rg_A : largest absolute coordinate and radius of gyration of the points, Å.
    sha256 : of the file as it lies there.
    points : (n, 3) float16, centred, largest absolute coordinate 1.
    descriptor : of the shape, see :func:`~engine.metrics.shape.shape_descriptor`.
    """

    name: str
    source: Literal["pdb", "ca", "model"]
    deposited: bool
    title: str
    atoms: int
    chains: int
    scale_A: float
    rg_A: float
    sha256: str
    points: NDArray[np.float16]
    descriptor: NDArray[np.float64]


def settings_key(settings: CloudSettings) -> dict[str, Any]:
    """What the cloud of a single file depends on."""
    chosen = {"points", "method", "max_atoms", "min_chains", "max_chains", "fragments", "contact_A"}
    values = settings.model_dump(include=chosen | {"fragment_share", "seed"})
    return values | {"fewest_atoms": settings.fewest_atoms, "format": FORMAT}


def build_one(path: Path, settings: CloudSettings) -> BuiltCloud | Rejection:
    """Read a structure, filter it, and reduce it to a cloud; no error of the file escapes."""
    try:
        return _build(path, settings)
    except _UnsuitableError as exc:
        return Rejection("unsuitable", exc.problem, exc.advice)
    except VerglasError as exc:
        return Rejection("unreadable", exc.problem, exc.advice)
    except MemoryError:
        return Rejection(
            "unreadable", "The structure does not fit into memory.", "Give fewer workers, or leave it out."
        )
    except OSError as exc:
        return Rejection("unreadable", f"The file can't be read ({exc.strerror or exc}).", "Copy it again.")
    except Exception as exc:  # one file must not cost the others theirs
        return Rejection(
            "unreadable",
            f"An unexpected error ({type(exc).__name__}: {str(exc)[:200]}).",
            "This is a bug in Verglas: please report it with the file.",
        )


class _UnsuitableError(InputError):
    """A structure that the filters leave out."""


def _build(path: Path, settings: CloudSettings) -> BuiltCloud:
    structure, header = read_structure(path), read_header(path)
    coords, chains, coarse = dense_atoms(structure, settings.seed)
    keep = _kept_fragments(coords, settings)
    coords, chains, coarse = coords[keep], chains[keep], coarse[keep]
    count = len(np.unique(chains))
    _check_count("heavy atoms", len(coords), settings.fewest_atoms, settings.max_atoms)
    _check_count("chains", count, settings.min_chains or 1, settings.max_chains)
    reduce = kmeans_points if settings.method == "kmeans" else tied_mixture
    cloud = np.asarray(reduce(coords, settings.points, seed=settings.seed).points_A, np.float64)
    cloud = cloud - cloud.mean(axis=0)
    scale = float(np.abs(cloud).max())
    points = (cloud / scale).astype(np.float16)
    return BuiltCloud(
        name=header.pdb_id or stem(path),
        source="ca" if coarse.mean() > 0.5 else "pdb" if header.pdb_id else "model",
        deposited=bool(header.pdb_id),
        title=header.title,
        atoms=len(coords),
        chains=count,
        scale_A=scale,
        rg_A=float(np.sqrt((cloud**2).sum(axis=1).mean())),
        sha256=_sha256(path),
        points=points,
        descriptor=shape_descriptor(points.astype(np.float64) * scale),
    )


def dense_atoms(
    structure: Structure, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.bool_]]:
    """Atoms as dense as in a full model: coarse chains go through ``split_atoms``.

    A chain is coarse if it holds nothing but carbon or phosphorus whose nearest neighbours are, in the
    middle, farther apart than bonds reach: one alpha carbon or phosphorus per residue.

    Returns
    -------
    coords, chains, coarse
        (n, 3) Å; (n,) the chain of each atom; (n,) whether it stands for a residue's one atom.
    """
    coords = np.asarray(structure.coords_A, np.float64)
    coarse = np.zeros(len(coords), bool)
    for chain in np.unique(structure.chains):
        own = np.flatnonzero(structure.chains == chain)
        if len(own) > 3 and np.isin(structure.elements[own], _COARSE_ELEMENTS).mean() > 0.9:
            nearest = cKDTree(coords[own]).query(coords[own], k=2)[0][:, 1]
            coarse[own] = np.median(nearest) > _COARSE_SPACING_A
    if not coarse.any():
        return coords, structure.chains, coarse
    drawn = split_atoms(coords[coarse], seed=seed)
    parts = len(drawn) // int(coarse.sum())
    return (
        np.concatenate([coords[~coarse], drawn]),
        np.concatenate([structure.chains[~coarse], np.repeat(structure.chains[coarse], parts)]),
        np.concatenate([coarse[~coarse], np.ones(len(drawn), bool)]),
    )


def _kept_fragments(coords: NDArray[np.float64], settings: CloudSettings) -> NDArray[np.bool_]:
    if settings.fragments == "keep":
        return np.ones(len(coords), bool)
    labels = fragments(coords, settings.contact_A)
    largest: NDArray[np.bool_] = labels == 0
    loose = 1 - float(largest.mean())
    if settings.fragments == "reject" and loose > settings.fragment_share:
        raise _UnsuitableError(
            f"It falls into {int(labels.max()) + 1} parts that come no closer than {settings.contact_A:g} Å; "
            f"{loose:.0%} of the atoms are not in the largest.",
            "Take the largest part or keep all, with `fragments`.",
        )
    return largest


def _check_count(what: str, count: int, least: int, most: int | None) -> None:
    if count < least:
        raise _UnsuitableError(f"It has {count} {what}, fewer than the {least} asked for.")
    if most is not None and count > most:
        raise _UnsuitableError(f"It has {count} {what}, more than the {most} asked for.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# ---- the result of one file, kept -----------------------------------------------------------------


def write_result(path: Path, result: BuiltCloud | Rejection) -> None:
    """Keep a result, atomically."""
    values = asdict(result)
    arrays = {name: values.pop(name) for name in ("points", "descriptor") if name in values}
    text = json.dumps({"result": type(result).__name__} | values)
    write_arrays(path, arrays | {"about": np.frombuffer(text.encode(), np.uint8)})


def read_result(path: Path, settings: CloudSettings) -> BuiltCloud | Rejection | None:
    """A kept result; None if there is none, or none that can be used."""
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            return None
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: npy.member(archive, name) for name in archive.files}
        values = json.loads(arrays.pop("about").tobytes())
        if values.pop("result") == "Rejection":
            return Rejection(**values)
        found = BuiltCloud(**values, **arrays)
    except npy.DAMAGE:
        return None
    fits = found.points.shape == (settings.points, 3) and found.points.dtype == np.float16
    return found if fits and np.isfinite(found.points).all() else None
