"""Which files in a folder are structures, by name: what is inside is found out when they are read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError

# .pdb1 and higher are biological assemblies; archives that can't be read are found, so that they are named
_STRUCTURE = re.compile(r"\.(pdb\d*|ent|cif|mmcif|mcif|pdbx)(\.(gz|bz2|xz|zip|zst|Z|7z))?$", re.IGNORECASE)


@dataclass(frozen=True)
class StructureFolder:
    """What a folder holds.

    Attributes
    ----------
    files : (name, path) sorted by name: the path from the folder with slashes, on every system.
    closed : sub-folders that can't be read, and why.
    others : how many files have another kind of name.
    """

    files: tuple[tuple[str, Path], ...]
    closed: tuple[tuple[str, str], ...]
    others: int


def find_structures(folder: str | Path) -> StructureFolder:
    """Search a folder and the folders in it; hidden ones and links to folders are left out.

    Raises
    ------
    InputError
        If there is no such folder, or it can't be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            "This is no folder." if folder.exists() else "There is no such folder.",
            "Give the folder that holds the structures.",
            folder,
        )
    closed: dict[str, str] = {}

    def refused(exc: OSError) -> None:
        where = Path(exc.filename or folder)
        if where == folder:
            raise InputError(f"The folder can't be read ({exc.strerror}).", "Check its permissions.", folder)
        closed[where.relative_to(folder).as_posix()] = f"The folder can't be read ({exc.strerror})."

    found: dict[str, Path] = {}
    others = 0
    for where, folders, names in os.walk(folder, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if name.startswith(".") or not _STRUCTURE.search(name):
                others += not name.startswith(".")
            else:
                found[path.relative_to(folder).as_posix()] = path
    return StructureFolder(tuple(sorted(found.items())), tuple(sorted(closed.items())), others)
