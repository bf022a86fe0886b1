"""What a structure file says about itself: whether it is an entry of the PDB, and its title."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gemmi

from engine.errors import InputError
from engine.io.streams import read_text
from engine.io.structure import looks_like_structure

_PDB_ID = re.compile(r"[0-9][a-z0-9]{3}|pdb_[0-9a-z]{8}")
_DATE = re.compile(r"\d\d-[A-Z]{3}-\d\d")
_LONGEST_TITLE = 300
_SERVERS = ("_coordinate_server_result.", "_model_server_result.")  # of the archives; they leave out the rest


@dataclass(frozen=True)
class StructureHeader:
    """Origin of a structure.

    Attributes
    ----------
    pdb_id : lower case, e.g. ``6fml``; empty if the header doesn't say that this is a PDB entry.
    title : one line, or empty.
    """

    pdb_id: str = ""
    title: str = ""


def read_header(path: str | Path) -> StructureHeader:
    """Identifier and title of a PDB or mmCIF file, plain or gzipped.

    A PDB file is an entry of the PDB if its HEADER has a deposition date and an identifier; an mmCIF file
    if it lists itself in the database PDB, or has an identifier and a date of deposition or was cut out by
    a server of the archives. File names prove nothing.

    Raises
    ------
    InputError
        If the file can't be read as text or is no structure.
    """
    path = Path(path)
    text = read_text(path)
    kind = looks_like_structure(text)
    if kind == "pdb":
        return _of_pdb(text)
    if kind == "mmcif":
        try:
            return _of_mmcif(gemmi.cif.read_string(text))
        except (RuntimeError, ValueError, UnicodeError) as exc:
            reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:160]
            raise InputError(f"The structure can't be read: {reason}.", "Repair it.", path) from exc
    raise InputError("The file holds no atoms.", "Give a PDB or mmCIF file.", path)


def _of_pdb(text: str) -> StructureHeader:
    pdb_id, title = "", []
    start = re.search(r"^(ATOM  |HETATM)", text, re.MULTILINE)
    for line in text[: start.start() if start else 0].splitlines():
        if line.startswith("HEADER") and _DATE.fullmatch(line[50:59]):
            found = line[62:66].strip().lower()
            pdb_id = found if _PDB_ID.fullmatch(found) else ""
        elif line.startswith("TITLE "):
            title.append(line[10:80].strip())
    return StructureHeader(pdb_id, _one_line(" ".join(title)))


def _of_mmcif(document: gemmi.cif.Document) -> StructureHeader:
    block = next((b for b in document if b.find_values("_atom_site.Cartn_x")), None)
    if block is None:
        return StructureHeader()

    def value(tag: str) -> str:
        for raw in block.find_values(tag):
            text = gemmi.cif.as_string(raw).strip()
            if text:
                return str(text)
        return ""

    listed = [
        gemmi.cif.as_string(row[1]).strip().lower()
        for row in block.find("_database_2.", ["database_id", "database_code"])
        if gemmi.cif.as_string(row[0]).strip().upper() == "PDB"
    ]
    entry = value("_entry.id").lower()
    deposited = value("_pdbx_database_status.recvd_initial_deposition_date")
    served = any(block.find_mmcif_category(name).width() for name in _SERVERS)
    candidates = listed + ([entry] if deposited or served else [])
    pdb_id = next((c for c in candidates if _PDB_ID.fullmatch(c)), "")
    return StructureHeader(pdb_id, _one_line(value("_struct.title")))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TITLE]
