"""The course of a model's chains: its C-alpha and phosphorus atoms in order, to be drawn as lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.streams import check_file, read_text
from engine.io.structure import looks_like_structure

_LONGEST_A = {"CA": 4.6, "P": 8.5}  # between neighbours in a chain; beyond, residues are missing


@dataclass(frozen=True)
class Trace:
    """Straight pieces between neighbouring residues.

    Attributes
    ----------
    ends_A : (n, 2, 3) float32, Å, xyz.
    chains : (n,) index into ``chain_names``.
    chain_names : as the author calls them.
    """

    ends_A: NDArray[np.float32]
    chains: NDArray[np.int32]
    chain_names: tuple[str, ...]


def read_trace(path: str | Path, *, all_models: bool = False) -> Trace:
    """The trace of a PDB or mmCIF file, plain or gzipped; empty where no residue has such atoms.

    Parameters
    ----------
    all_models : whether the file's models are parts of one assembly.

    Raises
    ------
    InputError
        If the file can't be read as a model.
    """
    path = check_file(path)
    text = read_text(path)
    try:
        if looks_like_structure(text) == "mmcif":
            block = next(b for b in gemmi.cif.read_string(text) if b.find_values("_atom_site.Cartn_x"))
            parsed = gemmi.make_structure_from_block(block)
        else:
            parsed = gemmi.read_pdb_string(text.encode("ascii", "replace").decode("ascii"))
    except (RuntimeError, ValueError, IndexError, StopIteration) as exc:
        raise InputError(
            "The structure can't be read.", "Repair the file or download it again.", path
        ) from exc
    pieces: list[NDArray[np.float64]] = []
    owners: list[NDArray[np.int32]] = []
    names: dict[str, int] = {}
    models = list(parsed)
    for number, model in enumerate(models if all_models else models[:1], 1):
        for chain in model:
            name = f"{number}:{chain.name}" if all_models and len(models) > 1 else chain.name
            for atom, longest in _LONGEST_A.items():
                ends = _pieces(chain, atom, longest)
                if len(ends):
                    pieces.append(ends)
                    owners.append(np.full(len(ends), names.setdefault(name, len(names)), np.int32))
    if not pieces:
        return Trace(np.zeros((0, 2, 3), np.float32), np.zeros(0, np.int32), ())
    return Trace(np.concatenate(pieces).astype(np.float32), np.concatenate(owners), tuple(names))


def _pieces(chain: gemmi.Chain, name: str, longest_A: float) -> NDArray[np.float64]:
    places = []
    for residue in chain:
        atom = next((a for a in residue if a.name == name and a.element.name == name[0]), None)
        if atom is not None:
            places.append(atom.pos.tolist())
    line = np.array(places, float).reshape(-1, 3)
    ends = np.stack([line[:-1], line[1:]], 1) if len(line) > 1 else np.zeros((0, 2, 3))
    near = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) <= longest_A
    kept: NDArray[np.float64] = ends[near & np.isfinite(ends).all((1, 2))]
    return kept
