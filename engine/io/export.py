"""Ensembles for other programs: multi-model mmCIF and PDB, MRC, CSV, ChimeraX command files.

Every point becomes a pseudo-atom of its own residue: atom ``CA``, element C, residue ``UNL``
(unknown ligand), HETATM. Not a polymer, because the order of the points is no chain and viewers
would draw one. Sample i is model i. The B-factor of a point is its spread s across the ensemble,
``8 pi^2 / 3 s^2`` with s the RMS deviation in Å, or its stated error in Å, or the prior's share in
per cent (:mod:`engine.io.point_values`). The caller passes points in matching order: point j of every
sample is the same part of the object, otherwise a value per point means nothing.

PDB's limits: chains of at most 9999 residues, hybrid-36 serial numbers beyond 99,999 atoms (gemmi),
B-factors cut at 999.99 (a spread of 6.16 Å) with a remark; coordinates that don't fit are refused.
mmCIF has none of these limits.
"""

from __future__ import annotations

import gzip
import itertools
import string
import textwrap
from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.errors import InputError
from engine.io.atomic import atomic_path
from engine.io.chimerax import command_file
from engine.io.density import splat_volume
from engine.io.mrc import write_volume
from engine.io.point_values import MEANINGS, PointValues
from engine.types import Ensemble, Volume

FORMATS: dict[str, tuple[str, str]] = {
    "mmcif": (".cif", "All samples as models of one mmCIF file, with B-factors."),
    "pdb": (".pdb", "All samples as models of one PDB file; B-factors are cut at 999.99."),
    "mrc": (".mrc", "The mean density map of the ensemble."),
    "csv": (".csv", "A table of sample, point, x, y, z, spread and what else is known of it."),
    "cxc": (".cxc", "A ChimeraX command file, with the mmCIF file and the map that it shows."),
}
"""Name -> (suffix, one-line description)."""

ATOM_NAME, ELEMENT, RESIDUE_NAME = "CA", "C", "UNL"
RESIDUES_PER_CHAIN = 9999
LARGEST_PDB_B = 999.99
PDB_COORDINATES_A = (-999.999, 9999.999)
LARGEST_BOX = 512
"""Voxels along a side beyond which a map is refused (0.5 GiB)."""

ENCLOSED_MASS = 0.8
"""Share of the map's mass inside the contour that the command file draws."""


def export_ensemble(
    ensemble: Ensemble,
    path: str | Path,
    format: str,  # noqa: A002 - the word of the command line
    *,
    resolution_A: float | None = None,
    voxel_size_A: float | None = None,
    values: PointValues | None = None,
    b_factors: str = "spread",
) -> list[Path]:
    """Write an ensemble for another program.

    Parameters
    ----------
    ensemble : samples with matching order of points.
    path : the file to write; its suffix is kept as given (``.gz`` compresses, but not cxc).
    format : a key of :data:`FORMATS`.
    resolution_A : of the map, as ChimeraX's molmap counts it; None takes twice the typical distance
        between neighbouring points.
    voxel_size_A : of the map; None takes a quarter of the resolution.
    values : of every point; without a spread B-factors are zero.
    b_factors : what they hold, a key of :data:`engine.io.point_values.MEANINGS`.

    Returns
    -------
    list[Path]
        The files written, the one at ``path`` last.

    Raises
    ------
    InputError
        If the format is unknown, the ensemble holds numbers that are not finite, the run lacks what the
        B-factors shall hold, the coordinates don't fit into a PDB file, or the map would be too fine or
        too large.
    VerglasError
        If a file can't be written.
    ValueError
        If ``values`` aren't one per point.
    """
    path = Path(path)
    points = np.asarray(ensemble.points_A, np.float64)
    if points.ndim != 3 or points.shape[2] != 3 or not points.size:
        raise InputError("The ensemble holds no points.", "Choose another run.", path)
    if not np.isfinite(points).all():
        raise InputError(
            "The ensemble holds points that are not finite numbers.", "Choose another run.", path
        )
    known = (values or PointValues()).checked(points.shape[1], path)
    if format in ("mrc", "cxc"):
        volume = mean_map(points, resolution_A=resolution_A, voxel_size_A=voxel_size_A, path=path)
        if format == "mrc":
            write_volume(path, volume)
            return [path]
        return _write_chimerax(ensemble, points, known, b_factors, volume, path)
    writers: dict[str, Callable[[Ensemble, NDArray[np.float64], PointValues, str, Path], str]] = {
        "mmcif": _mmcif,
        "pdb": _pdb,
        "csv": _csv,
    }
    if format not in writers:
        raise InputError(f"Unknown export format {format!r}.", f"Use one of {', '.join(FORMATS)}.", path)
    write_or_compress(path, writers[format](ensemble, points, known, b_factors, path))
    return [path]


def typical_distance_A(points_A: NDArray[np.floating]) -> float:
    """Median distance (Å) from a point to its nearest neighbour in one cloud (points, 3)."""
    if len(points_A) < 2:
        return 4.0  # a single point has no neighbours; about a residue
    distances, _ = cKDTree(points_A).query(points_A, k=2)
    return max(float(np.median(distances[:, 1])), 0.1)


def mean_map(
    points_A: NDArray[np.floating],
    *,
    resolution_A: float | None = None,
    voxel_size_A: float | None = None,
    path: Path | None = None,
) -> Volume:
    """Mean density of an ensemble (samples, points, 3): points per Å³, averaged over the samples.

    The map is a cube with an even number of voxels around all points, large enough that no density
    is cut off; its origin places it over the points.

    Raises
    ------
    InputError
        If resolution or voxel size isn't positive, the voxels are too coarse for the resolution,
        or the map would have more than :data:`LARGEST_BOX` voxels along a side.
    """
    resolution = 2.0 * typical_distance_A(points_A[0]) if resolution_A is None else float(resolution_A)
    voxel = resolution / 4.0 if voxel_size_A is None else float(voxel_size_A)
    if not (np.isfinite([resolution, voxel]).all() and resolution > 0 and voxel > 0):
        raise InputError("Resolution and voxel size must be positive.", "Give them in Å.", path)
    if voxel > resolution / 2 * 1.001:
        raise InputError(
            f"Voxels of {voxel:g} Å can't show a resolution of {resolution:g} Å.",
            f"Use voxels of {resolution / 3:.3g} Å or less, or a coarser resolution.",
            path,
        )
    flat = points_A.reshape(-1, 3)
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = float((high - low).max()) + 2 * (1.25 * resolution + voxel)
    n = 2 * int(np.ceil(extent / voxel / 2))
    if n > LARGEST_BOX:
        raise InputError(
            f"The map would have {n} voxels along a side.",
            f"Use voxels of {extent / LARGEST_BOX:.2g} Å or more, or a coarser resolution.",
            path,
        )
    x, y, z = (float(v) for v in (low + high) / 2 - voxel * (n // 2))
    share = splat_volume(
        flat, voxel_size_A=voxel, shape=(n, n, n), origin_A=(x, y, z), resolution_A=resolution
    )
    density = share * np.float32(points_A.shape[1] / voxel**3)
    return Volume(density, (voxel, voxel, voxel), (x, y, z))


def pseudo_atoms(points: NDArray[np.float64], b: NDArray[np.float64], title: str) -> gemmi.Structure:
    """A model per sample of points (samples, points, 3), Å, with the same B-factors (points,) in each."""
    structure = gemmi.Structure()
    structure.name = "verglas"
    structure.info["_struct.title"] = title
    chains = list(itertools.islice(_chain_names(), -(-points.shape[1] // RESIDUES_PER_CHAIN)))
    entity = gemmi.Entity("1")
    entity.entity_type = gemmi.EntityType.NonPolymer
    entity.subchains = chains
    structure.entities.append(entity)
    element = gemmi.Element(ELEMENT)
    # Three decimals are what PDB holds and far below any spread; they halve the mmCIF file.
    rounded, b_values = points.round(3).tolist(), b.round(2).tolist()
    for number, sample in enumerate(rounded, start=1):
        model = gemmi.Model(number)
        for c, name in enumerate(chains):
            chain = gemmi.Chain(name)
            start = c * RESIDUES_PER_CHAIN
            for i, (x, y, z) in enumerate(sample[start : start + RESIDUES_PER_CHAIN]):
                residue = gemmi.Residue()
                residue.name = RESIDUE_NAME
                residue.seqid = gemmi.SeqId(i + 1, " ")
                residue.subchain = name
                residue.het_flag = "H"
                residue.entity_type = gemmi.EntityType.NonPolymer
                residue.entity_id = "1"
                atom = gemmi.Atom()
                atom.name = ATOM_NAME
                atom.element = element
                atom.pos = gemmi.Position(x, y, z)
                atom.b_iso = b_values[start + i]
                residue.add_atom(atom)
                chain.add_residue(residue)
            model.add_chain(chain)
        structure.add_model(model)
    return structure


def _chain_names() -> itertools.chain[str]:
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits
    pairs = ("".join(pair) for pair in itertools.product(string.ascii_uppercase, letters))
    return itertools.chain(letters, pairs)


def _title(ensemble: Ensemble) -> str:
    what = "posterior samples" if ensemble.kind == "posterior" else "optimised point clouds, not samples"
    return f"Verglas: {len(ensemble.points_A)} {what}"


def _mmcif(
    ensemble: Ensemble, points: NDArray[np.float64], values: PointValues, kind: str, path: Path
) -> str:
    b = values.b_factors(kind, points.shape[1])
    groups = gemmi.MmcifOutputGroups(False)
    for group in ("block_name", "entry", "entity", "chem_comp", "struct_asym", "title_keywords", "atoms"):
        setattr(groups, group, True)
    groups.group_pdb = True
    block = pseudo_atoms(points, b, _title(ensemble)).make_mmcif_block(groups)
    block.set_pair("_verglas_ensemble.kind", ensemble.kind)
    block.set_pair("_verglas_ensemble.b_factor", gemmi.cif.quote(MEANINGS[kind].formula))
    seeds = block.init_loop("_verglas_sample.", ["pdbx_PDB_model_num", "seed"])
    for number, seed in enumerate(ensemble.seeds, start=1):
        seeds.add_row([str(number), str(int(seed))])
    return str(block.as_string())


def _pdb(ensemble: Ensemble, points: NDArray[np.float64], values: PointValues, kind: str, path: Path) -> str:
    check_pdb_holds(points, path)
    if len(points) > 9999:
        raise InputError("A PDB file numbers at most 9999 models.", "Export mmCIF instead.", path)
    b = values.b_factors(kind, points.shape[1])
    remarks = [
        f"TITLE     {_title(ensemble).upper()}"[:80],
        "REMARK   3 PSEUDO-ATOMS: ONE PER POINT OF THE CLOUD, NOT ATOMS.",
        *_remark(f"B-FACTOR: {MEANINGS[kind].formula.upper()}"),
    ]
    if (b > LARGEST_PDB_B).any():
        cut = int((b > LARGEST_PDB_B).sum())
        remarks.append(f"REMARK   3 {cut} OF {len(b)} B-FACTORS EXCEED {LARGEST_PDB_B}, CUT HERE.")
    structure = pseudo_atoms(points, np.minimum(b, LARGEST_PDB_B), "")
    body = structure.make_pdb_string(
        gemmi.PdbWriteOptions(minimal=True, ter_records=False, cryst1_record=False)
    )
    return "".join(f"{line:<80}\n" for line in remarks) + str(body)


def check_pdb_holds(points: NDArray[np.float64], path: Path) -> None:
    """Raise InputError, naming ``path``, if coordinates (..., 3) don't fit into the columns of a PDB file."""
    low, high = PDB_COORDINATES_A
    if points.min() < low or points.max() > high:
        raise InputError(
            f"The coordinates reach from {points.min():.0f} to {points.max():.0f} Å; "
            f"a PDB file holds {low:.0f} to {high:.0f}.",
            "Export mmCIF instead.",
            path,
        )


def _remark(text: str) -> list[str]:
    return [f"REMARK   3 {line}" for line in textwrap.wrap(text, 69)]


def _csv(ensemble: Ensemble, points: NDArray[np.float64], values: PointValues, kind: str, path: Path) -> str:
    columns = {"spread": values.spread if values.spread is not None else np.zeros(points.shape[1])}
    columns |= {name: np.asarray(values.of(name)) for name in values.kinds}
    told = [",".join(f"{v:.3f}" for v in row) for row in zip(*columns.values(), strict=True)]
    rows = (
        f"{i},{j},{x:.3f},{y:.3f},{z:.3f},{told[j - 1]}\n"
        for i, sample in enumerate(points.tolist(), start=1)
        for j, (x, y, z) in enumerate(sample, start=1)
    )
    return f"sample,point,x,y,z,{','.join(columns)}\n" + "".join(rows)


def _write_chimerax(
    ensemble: Ensemble,
    points: NDArray[np.float64],
    values: PointValues,
    kind: str,
    volume: Volume,
    path: Path,
) -> list[Path]:
    model_path, map_path = path.with_suffix(".cif"), path.with_suffix(".mrc")
    if path in (model_path, map_path):
        raise InputError("A command file needs a name of its own.", "Let it end in .cxc.", path)
    write_or_compress(model_path, _mmcif(ensemble, points, values, kind, model_path))
    write_volume(map_path, volume)
    text = command_file(
        model_path.name,
        map_path.name,
        models=len(points),
        largest_b=float(np.percentile(values.b_factors(kind, points.shape[1]), 95)),
        meaning=MEANINGS[kind],
        level=_contour_level(volume.density),
        point_distance_A=typical_distance_A(points[0]),
    )
    write_or_compress(path, text)
    return [model_path, map_path, path]


def _contour_level(density: NDArray[np.float32]) -> float:
    """The level whose contour encloses :data:`ENCLOSED_MASS` of the map's mass."""
    values = np.sort(density[density > 0].astype(np.float64))[::-1]
    return float(values[np.searchsorted(np.cumsum(values), ENCLOSED_MASS * values.sum())])


def write_or_compress(path: Path, text: str) -> None:
    """Write a text file atomically, compressed if its name ends in ``.gz``."""
    content = text.encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)
