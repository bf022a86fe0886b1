"""Atomic models: PDB, mmCIF and biological assemblies, plain or gzipped, through gemmi.

What counts is density: waters, hydrogens and all but one alternative location are dropped. Several
models are one assembly (kept) or several answers to the same question (the first is kept); the
notes say which was decided and why.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.errors import InputError
from engine.io.limits import MAX_COORDINATE_A
from engine.io.streams import check_file, read_text, stem
from engine.types import Structure

_WATERS = {"HOH", "DOD", "WAT", "H2O", "TIP", "TIP3", "TIP4", "OH2"}
_HYDROGENS = ("H", "D")
_CARBON_MASS_DA = float(gemmi.Element("C").weight)
_ATOM_RECORD = re.compile(r"^(ATOM  |HETATM)", re.MULTILINE)
_ATOM_SITE = re.compile(r"^\s*_atom_site\.", re.MULTILINE | re.IGNORECASE)
_DATA_BLOCK = re.compile(r"^data_", re.MULTILINE | re.IGNORECASE)
_ASSEMBLY_NAME = re.compile(r"\.pdb\d+(\.gz)?$|[-_]assembly[-_]?\d*\.", re.IGNORECASE)
_OVERLAP_A = 1.5


def looks_like_structure(text: str) -> str:
    """``mmcif``, ``pdb``, or an empty string, by content."""
    if _DATA_BLOCK.search(text) and _ATOM_SITE.search(text):
        return "mmcif"
    return "pdb" if _ATOM_RECORD.search(text) else ""


def read_structure(path: str | Path, *, chains: Sequence[str] = ()) -> Structure:
    """Read the heavy atoms of a model.

    Parameters
    ----------
    path : PDB (``.pdb``, ``.ent``, ``.pdb1``...) or mmCIF, plain or gzipped; recognised by content.
    chains : the author's chain names to keep; empty keeps all. In an assembly of several models
        ``A`` means chain A of every model, ``2:A`` that of model 2.

    Returns
    -------
    Structure
        Coordinates in Å, float64; every assumption is a note.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds no heavy atoms, has coordinates that are not finite
        or absurd, or lacks a chain.
    """
    path = check_file(path)
    parsed = _parse(read_text(path), path)
    notes: list[str] = []
    try:
        atoms = _Atoms(parsed)
    except RuntimeError as exc:
        raise InputError(f"The structure can't be used: {exc}.", "Shorten those names.", path) from exc
    if len(atoms.coords) == 0:
        raise InputError("The file holds no atoms.", "Download it again.", path)
    if not (np.abs(atoms.coords) <= MAX_COORDINATE_A).all():
        wrong = ~(np.abs(atoms.coords) <= MAX_COORDINATE_A).all(axis=1)
        raise InputError(
            f"{int(wrong.sum())} of {len(atoms.coords)} atoms lack usable coordinates (not finite, or beyond "
            f"{MAX_COORDINATE_A:g} Å).",
            "Repair the file, or download it again.",
            path,
        )
    atoms.keep(~np.isin(atoms.residue_names, list(_waters(atoms.residue_names))), "water atoms", notes)
    atoms.keep(~np.isin(atoms.symbols, _HYDROGENS), "hydrogen atoms", notes)
    if len(atoms.coords) == 0:
        raise InputError(
            "The file holds no heavy atoms besides water.", "Check that it holds the whole model.", path
        )
    atoms.keep(_chosen_locations(atoms), "atoms in alternative locations", notes)
    names = _merge_models(atoms, bool(_ASSEMBLY_NAME.search(path.name)), notes)
    unique = tuple(dict.fromkeys(names.tolist()))
    index = {name: i for i, name in enumerate(unique)}
    if (atoms.elements == 0).any():
        notes.append(f"{int((atoms.elements == 0).sum())} atoms of unknown element were given carbon's mass.")
    structure = Structure(
        coords_A=atoms.coords,
        elements=atoms.elements,
        chains=np.array([index[n] for n in names.tolist()], np.int32),
        chain_names=unique,
        masses_Da=np.where(atoms.elements == 0, _CARBON_MASS_DA, atoms.weights),
        name=_entry_name(parsed.name) or stem(path),
        notes=tuple(notes),
    )
    return _select(structure, tuple(chains), path) if chains else structure


def _parse(text: str, path: Path) -> gemmi.Structure:
    kind = looks_like_structure(text)
    try:
        if kind == "mmcif":
            document = gemmi.cif.read_string(text)
            block = next((b for b in document if b.find_values("_atom_site.Cartn_x")), None)
            if block is None:
                raise InputError(
                    "The mmCIF file has no atom coordinates (_atom_site.Cartn_x).", "Download it again.", path
                )
            _check_coordinate_values(block, path)
            return gemmi.make_structure_from_block(block)
        if kind == "pdb":
            _check_coordinate_columns(text, path)
            # PDB columns are bytes: a letter of two bytes would shift what follows it.
            parsed = gemmi.read_pdb_string(text.encode("ascii", "replace").decode("ascii"))
            parsed.name = str(parsed.info["_entry.id"]) if "_entry.id" in parsed.info else ""
            return parsed
    except (RuntimeError, ValueError, IndexError, UnicodeError) as exc:
        reason = str(exc).strip().splitlines()[0][:160] if str(exc).strip() else type(exc).__name__
        raise InputError(
            f"The structure can't be read: {reason}.", "Repair the file or download it again.", path
        ) from exc
    if _DATA_BLOCK.search(text):
        raise InputError(
            "The file has no atom coordinates (_atom_site).",
            "It may hold structure factors, restraints or a table: give the model's mmCIF or PDB file.",
            path,
        )
    raise InputError("The file holds no atoms.", "Give a PDB or mmCIF file with ATOM records.", path)


def _entry_name(name: str) -> str:
    """The entry's name, unless a program put a placeholder there."""
    name = name.strip()
    return "" if name.upper() in ("XXXX", "CELL", "MODEL", "NULL", "?", ".") else name


def _check_coordinate_columns(text: str, path: Path) -> None:
    """Refuse what gemmi would silently read as 0: words, stars and blanks in the coordinate columns."""
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.startswith(("ATOM  ", "HETATM")):
            continue
        try:
            float(line[30:38]), float(line[38:46]), float(line[46:54])
        except ValueError as exc:
            raise InputError(
                f"Line {number} has no usable coordinates: {line[30:54]!r}.",
                "Repair the file (columns 31 to 54 hold x, y, z), or use mmCIF.",
                path,
            ) from exc


def _check_coordinate_values(block: gemmi.cif.Block, path: Path) -> None:
    """Refuse coordinates that gemmi would leave out or read as something else."""
    for axis in "xyz":
        for row, value in enumerate(block.find_values(f"_atom_site.Cartn_{axis}"), 1):
            if not np.isfinite(gemmi.cif.as_number(value)):
                raise InputError(
                    f"Atom {row} has no usable coordinates: {value!r} for {axis}.",
                    "Repair the file, or download it again.",
                    path,
                )


class _Atoms:
    """The atom table while it is being thinned: parallel arrays."""

    def __init__(self, parsed: gemmi.Structure) -> None:
        # FlatStructure refuses names of eight characters and more, which assemblies have, so the
        # chains' names come from the hierarchy.
        counts = [(chain.name, sum(len(residue) for residue in chain)) for model in parsed for chain in model]
        self.chains: NDArray[Any] = np.repeat(
            np.array([c[0] for c in counts], object), [c[1] for c in counts]
        )
        for number, chain in enumerate(chain for model in parsed for chain in model):
            chain.name = str(number % 10_000)
            for residue in chain:
                residue.subchain = residue.entity_id = ""
        flat = gemmi.FlatStructure(parsed)
        self.coords: NDArray[np.float64] = np.array(flat.pos, np.float64).reshape(-1, 3)
        self.symbols = np.char.decode(np.array(flat.element_names), "latin-1")
        numbers = {symbol: gemmi.Element(symbol).atomic_number for symbol in np.unique(self.symbols).tolist()}
        self.elements = np.array([numbers[s] for s in self.symbols.tolist()], np.int16)
        self.weights = np.array(flat.element_weights, np.float64)
        self.occupancy = np.array(flat.occ, np.float32)
        self.locations = np.array(flat.altlocs, np.int8)
        self.numbers = np.array(flat.resnums, np.int32)
        self.insertions = np.array(flat.icodes, np.int8)
        self.models = np.array(flat.model_num, np.int32)
        flat.strings_as_numbers = False
        self.residue_names = np.char.decode(np.array(flat.residue_names), "latin-1")
        self.atom_names = np.char.decode(np.array(flat.atom_names), "latin-1")

    def keep(self, mask: NDArray[np.bool_], what: str, notes: list[str]) -> None:
        dropped = int(mask.size - np.count_nonzero(mask))
        if not dropped:
            return
        for name, column in vars(self).items():
            setattr(self, name, column[mask])
        if what:
            notes.append(f"{dropped:,} {what} were dropped.")


def _waters(names: NDArray[Any]) -> set[str]:
    found = set(np.unique(names).tolist())
    return {n for n in found if n in _WATERS or gemmi.find_tabulated_residue(n).is_water()}


def _chosen_locations(atoms: _Atoms) -> NDArray[np.bool_]:
    """Keep, per residue, the location with the highest mean occupancy (the first of equals).

    An atom that lacks that location keeps its own best one. Where residues of different types share
    a position, only the type of the chosen location stays.
    """
    keep = np.ones(len(atoms.coords), bool)
    residues: dict[tuple[int, str, int, int], list[int]] = {}
    for i in np.flatnonzero(atoms.locations != 0).tolist():
        key = (int(atoms.models[i]), str(atoms.chains[i]), int(atoms.numbers[i]), int(atoms.insertions[i]))
        residues.setdefault(key, []).append(i)
    for members in residues.values():
        letters: dict[int, list[float]] = {}
        for i in members:
            letters.setdefault(int(atoms.locations[i]), []).append(float(atoms.occupancy[i]))
        best = max(letters, key=lambda letter: float(np.mean(letters[letter])))
        kind = next(str(atoms.residue_names[i]) for i in members if atoms.locations[i] == best)
        winners: dict[str, int] = {}
        for i in members:
            if atoms.residue_names[i] != kind:
                continue
            name = str(atoms.atom_names[i])
            held = winners.get(name)
            if held is None or _better(atoms, i, held, best):
                winners[name] = i
        keep[members] = False
        keep[list(winners.values())] = True
    return keep


def _better(atoms: _Atoms, new: int, held: int, best: int) -> bool:
    if atoms.locations[held] == best:
        return False
    return bool(atoms.locations[new] == best or atoms.occupancy[new] > atoms.occupancy[held])


def _merge_models(atoms: _Atoms, assembly_name: bool, notes: list[str]) -> NDArray[np.object_]:
    """Chain names after several models became one: ``model:chain`` for assemblies, else model 1's."""
    models = list(dict.fromkeys(atoms.models.tolist()))
    if len(models) == 1:
        return atoms.chains
    if not assembly_name:
        why = _same_object(atoms, models)
        if why:
            atoms.keep(atoms.models == models[0], "", notes)
            notes.append(
                f"The file holds {len(models)} models of the same object ({why}), as from NMR "
                "or of an ensemble; only the first was used."
            )
            return atoms.chains
    reason = "the name says so" if assembly_name else "they lie in different places"
    notes.append(f"The {len(models)} models were joined into one assembly ({reason}).")
    return np.array(
        [f"{m}:{c}" for m, c in zip(atoms.models.tolist(), atoms.chains.tolist(), strict=True)], object
    )


def _same_object(atoms: _Atoms, models: list[int]) -> str:
    """Why the first two models are alternatives rather than parts, or an empty string.

    Parts of an assembly never overlap. Alternatives have the same composition about the same
    centroid (to a tenth of the radius of gyration), or put atoms on top of each other.
    """
    first, second = (atoms.models == m for m in models[:2])
    a, b = atoms.coords[first], atoms.coords[second]
    same = len(a) == len(b) and bool((atoms.chains[first] == atoms.chains[second]).all())
    radius = float(np.sqrt(((a - a.mean(axis=0)) ** 2).sum(axis=1).mean()))
    apart = float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))
    if same and apart < max(2.0, 0.1 * radius):
        return "same atoms, same centre"
    distances, _ = cKDTree(a).query(b, distance_upper_bound=_OVERLAP_A)
    return "their atoms overlap" if np.isfinite(distances).mean() > 0.2 else ""


def _select(structure: Structure, chains: tuple[str, ...], path: Path) -> Structure:
    wanted: list[str] = []
    for name in chains:
        found = [n for n in structure.chain_names if n == name or n.partition(":")[2] == name]
        if not found:
            shown = ", ".join(structure.chain_names[:40]) + (
                " ..." if len(structure.chain_names) > 40 else ""
            )
            raise InputError(f"There is no chain {name!r}.", f"The chains are: {shown}.", path)
        wanted.extend(found)
    return structure.select_chains(tuple(dict.fromkeys(wanted)))
