"""Maps made of 3D Gaussians: as arrays of a run's results, and as pseudo-atoms for other programs.

``results/gaussians.npz`` holds, in Å and in the frame of the poses (the origin is voxel ``n // 2`` of the
run's maps): ``positions_A`` (gaussians, 3) xyz, ``weights`` (gaussians,) masses, and ``covariances_A2``
(gaussians, 3, 3).

As pseudo-atoms, each Gaussian is an atom of its own residue, as in :mod:`.export`. Its covariance is what
crystallographers call the anisotropic displacement tensor U (Trueblood et al. 1996, Acta Cryst. A52, 770),
its B-factor ``8 pi^2`` times the mean variance, and its occupancy its mass as a share of the largest. PDB
files round occupancies to hundredths and hold B-factors up to 999.99 (a standard deviation of 3.56 Å):
larger ones are cut, with a remark, and tensors that don't fit are made smaller. mmCIF files have no such
limits, and say the mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.export import LARGEST_PDB_B, check_pdb_holds, pseudo_atoms, write_or_compress
from engine.io.npz_results import ADVICE, read_arrays, write_arrays

FILE_NAME = "gaussians.npz"
LARGEST_PDB_U, LOWEST_PDB_U = 999.9999, -99.9999
"""Å²; ANISOU has seven columns for ten-thousandths, and the sign is one of them."""

_ARRAYS = ("positions_A", "weights", "covariances_A2")


@dataclass(frozen=True)
class GaussianCloud:
    """A density ``sum_g w_g N(x; mu_g, C_g)`` in Å.

    Attributes
    ----------
    positions_A : (gaussians, 3) xyz, Å, relative to the origin of the poses.
    weights : (gaussians,) masses.
    covariances_A2 : (gaussians, 3, 3) xyz, Å².
    """

    positions_A: NDArray[np.float64]
    weights: NDArray[np.float64]
    covariances_A2: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.positions_A)
        shapes = (self.positions_A.shape, self.weights.shape, self.covariances_A2.shape)
        if shapes != ((n, 3), (n,), (n, 3, 3)):
            raise ValueError(f"positions, weights and covariances don't fit together: {shapes}")


def write_gaussians(path: str | Path, cloud: GaussianCloud) -> Path:
    """Write an npz file atomically; its path."""
    return write_arrays(Path(path), {name: getattr(cloud, name).astype(np.float32) for name in _ARRAYS})


def read_gaussians(path: str | Path) -> GaussianCloud:
    """Read what :func:`write_gaussians` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged, or what it holds are not Gaussians.
    """
    path = Path(path)
    arrays = read_arrays(path, "set of Gaussians", _ARRAYS)
    try:
        cloud = GaussianCloud(*(np.asarray(arrays[name], np.float64) for name in _ARRAYS))
    except ValueError as exc:
        raise InputError("The arrays of Gaussians don't fit together.", ADVICE, path) from exc
    if not len(cloud.weights):
        raise InputError("The file holds no Gaussians.", ADVICE, path)
    if not all(np.isfinite(getattr(cloud, name)).all() for name in _ARRAYS):
        raise InputError("The Gaussians hold values that are not finite numbers.", ADVICE, path)
    across = cloud.covariances_A2
    largest = np.abs(across).max((1, 2), initial=0)
    skew = np.abs(across - across.transpose(0, 2, 1)).max((1, 2), initial=0) > 1e-4 * largest
    if skew.any() or (np.linalg.eigvalsh(across)[:, 0] < -1e-4 * largest).any() or (largest <= 0).any():
        raise InputError("The Gaussians' covariances are not those of Gaussians.", ADVICE, path)
    if (cloud.weights < 0).any() or not cloud.weights.any():
        raise InputError("The Gaussians' weights must be positive.", ADVICE, path)
    return cloud


def export_pseudo_atoms(npz_path: str | Path, out_path: str | Path) -> Path:
    """Write a run's Gaussians as pseudo-atoms for ChimeraX, PyMOL and others.

    Parameters
    ----------
    npz_path : ``results/gaussians.npz`` of a run.
    out_path : the file to write: ``.cif``, ``.mmcif`` or ``.pdb``, optionally with ``.gz``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the Gaussians can't be read, the suffix is another one, or the coordinates don't fit a PDB file.
    VerglasError
        If the file can't be written.
    """
    path = Path(out_path)
    suffix = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in (".cif", ".mmcif", ".pdb"):
        raise InputError(
            f"Pseudo-atoms can't be written as {suffix or 'a file without suffix'}.",
            "Let the name end in .cif or .pdb.",
            path,
        )
    cloud = read_gaussians(npz_path)
    write_or_compress(path, _pdb(cloud, path) if suffix == ".pdb" else _mmcif(cloud))
    return path


def b_factors(cloud: GaussianCloud) -> NDArray[np.float64]:
    """(gaussians,) Å²: ``8 pi^2`` times the mean variance along the three axes."""
    return np.asarray(8 * np.pi**2 * np.trace(cloud.covariances_A2, axis1=1, axis2=2) / 3)


def occupancies(cloud: GaussianCloud) -> NDArray[np.float64]:
    """(gaussians,) masses as shares of the largest."""
    return np.asarray(cloud.weights / cloud.weights.max())


def _structure(
    cloud: GaussianCloud, b: NDArray[np.float64], tensors: NDArray[np.float64], title: str
) -> gemmi.Structure:
    structure = pseudo_atoms(cloud.positions_A[None], b, title)
    rows = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    elements = np.stack([tensors[:, i, j] for i, j in rows], 1).tolist()
    atoms = (found.atom for found in structure[0].all())
    for atom, share, tensor in zip(atoms, occupancies(cloud).tolist(), elements, strict=True):
        atom.occ = share
        atom.aniso = gemmi.SMat33f(*tensor)
    return structure


def _title(cloud: GaussianCloud) -> str:
    return f"Verglas: a map as {len(cloud.weights)} Gaussians"


def _mmcif(cloud: GaussianCloud) -> str:
    groups = gemmi.MmcifOutputGroups(False)
    for group in ("block_name", "entry", "entity", "chem_comp", "struct_asym", "title_keywords", "atoms"):
        setattr(groups, group, True)
    groups.group_pdb = True
    structure = _structure(cloud, b_factors(cloud), cloud.covariances_A2, _title(cloud))
    block = structure.make_mmcif_block(groups)
    block.set_pair("_verglas_gaussian.b_factor", gemmi.cif.quote("8 pi^2 * mean variance in Angstrom^2"))
    block.set_pair("_verglas_gaussian.occupancy", gemmi.cif.quote("mass / largest mass"))
    block.set_pair("_verglas_gaussian.largest_mass", f"{cloud.weights.max():.6g}")
    return str(block.as_string())


def _pdb(cloud: GaussianCloud, path: Path) -> str:
    check_pdb_holds(cloud.positions_A, path)
    b = b_factors(cloud)
    remarks = [
        f"TITLE     {_title(cloud).upper()}",
        "REMARK   3 PSEUDO-ATOMS: ONE PER GAUSSIAN OF THE MAP, NOT ATOMS.",
        "REMARK   3 B-FACTOR: 8 PI^2 * MEAN VARIANCE IN ANGSTROM^2.",
        "REMARK   3 OCCUPANCY: MASS / LARGEST MASS. ANISOU: COVARIANCE.",
    ]
    if cut := int((b > LARGEST_PDB_B).sum()):
        remarks.append(f"REMARK   3 {cut} OF {len(b)} B-FACTORS EXCEED {LARGEST_PDB_B}, CUT HERE.")
    u = cloud.covariances_A2
    # made smaller as a whole: a tensor cut element by element may be none
    fits = 1 / np.maximum(u.max((1, 2)) / LARGEST_PDB_U, u.min((1, 2)) / LOWEST_PDB_U).clip(1)
    if cut := int((fits < 1).sum()):
        remarks.append(f"REMARK   3 {cut} OF {len(b)} TENSORS DO NOT FIT AND ARE MADE SMALLER.")
    structure = _structure(cloud, np.minimum(b, LARGEST_PDB_B), u * fits[:, None, None], "")
    body = structure.make_pdb_string(
        gemmi.PdbWriteOptions(minimal=True, ter_records=False, cryst1_record=False)
    )
    return "".join(f"{line:<80}\n" for line in remarks) + str(body)
