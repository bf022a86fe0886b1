"""Names of entries in the public archives: what people write, what is meant, what the files are called.

PDB ids have four characters (``6fml``) or, since the archive runs out of these, a prefix and eight
(``pdb_00006fml``, the same entry). EMDB ids are ``EMD-`` and four or more digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import InputError, SpecError
from engine.io.streams import read_text

Kind = Literal["structure", "map"]

_CLASSIC = re.compile(r"[1-9][0-9a-z]{3}")
_EXTENDED = re.compile(r"pdb_[0-9a-z]{8}")
_EMDB = re.compile(r"(?:emd[-_]?)?([0-9]{1,6})")
_MAX_LIST_BYTES = 16 << 20
_NAMED = 5  # bad ids of a list that are named; there may be thousands
_ADVICE = "PDB ids look like 6fml or pdb_00006fml, those of EMDB like EMD-1080."


@dataclass(frozen=True)
class Entry:
    """One entry of an archive.

    Attributes
    ----------
    id : as the archive's servers name it: ``6fml``, ``pdb_1000abcd``, ``EMD-1080``.
    kind : ``structure`` (PDB) or ``map`` (EMDB).
    """

    id: str
    kind: Kind

    @property
    def file_name(self) -> str:
        """The archive's name of the file: ``6fml.cif.gz``, ``emd_1080.map.gz``."""
        if self.kind == "map":
            return f"emd_{self.number}.map.gz"
        return f"{self.id}.cif.gz"

    @property
    def number(self) -> str:
        """Digits of a map's id, at least four."""
        return self.id.removeprefix("EMD-")

    @property
    def middle(self) -> str:
        """The two characters by which the archive divides structures into folders: ``fm`` of 6fml."""
        return self.id[-3:-1]


def parse_pdb(text: str) -> Entry:
    """The PDB entry that ``text`` names.

    Raises
    ------
    SpecError
        If it is no PDB id.
    """
    word = text.strip().lower()
    if word.startswith("pdb_0000") and _CLASSIC.fullmatch(word[8:]):
        word = word[8:]
    if _CLASSIC.fullmatch(word) or _EXTENDED.fullmatch(word):
        return Entry(word, "structure")
    raise SpecError(f"{text.strip()[:40]!r} is no PDB id.", _ADVICE)


def parse_emdb(text: str) -> Entry:
    """The EMDB entry that ``text`` names, with or without ``EMD-``.

    Raises
    ------
    SpecError
        If it is no EMDB id.
    """
    found = _EMDB.fullmatch(text.strip().lower())
    if found is None or int(found[1]) == 0:
        raise SpecError(f"{text.strip()[:40]!r} is no EMDB id.", _ADVICE)
    return Entry(f"EMD-{int(found[1]):04d}", "map")


def parse_id(text: str) -> Entry:
    """The entry that ``text`` names, of either archive.

    Raises
    ------
    SpecError
        If it is no id, or four digits without a prefix, which might be one of either archive.
    """
    word = text.strip().lower()
    if re.fullmatch(r"[1-9][0-9]{3}", word):
        raise SpecError(
            f"{word!r} could be an id of either archive.",
            f"Write EMD-{word} or pdb_0000{word}, as you mean it.",
        )
    if word.startswith("emd"):
        return parse_emdb(word)
    try:
        return parse_pdb(word)
    except SpecError:
        raise SpecError(f"{text.strip()[:40]!r} is neither a PDB id nor an EMDB id.", _ADVICE) from None


def split(text: str) -> Iterator[str]:
    """The ids of one line or option: separated by commas, semicolons or blanks."""
    return filter(None, re.split(r"[\s,;]+", text))


def read_ids(path: str | Path) -> tuple[Entry, ...]:
    """The entries that a text file lists, each once, in the file's order.

    Parameters
    ----------
    path : one or several ids a line, separated by commas or blanks; ``#`` begins a comment.

    Raises
    ------
    InputError
        If the file can't be read, names no entry, or holds something else than ids: these are
        named with the numbers of their lines.
    """
    path = Path(path)
    found: list[Entry] = []
    bad: list[tuple[int, SpecError]] = []
    for number, line in enumerate(read_text(path, limit=_MAX_LIST_BYTES).splitlines(), 1):
        for word in split(line.partition("#")[0]):
            try:
                found.append(parse_id(word))
            except SpecError as exc:
                bad.append((number, exc))
    if bad:
        named = " ".join(f"Line {number}: {exc.problem}" for number, exc in bad[:_NAMED])
        more = f" And {len(bad) - _NAMED} more." if len(bad) > _NAMED else ""
        raise InputError(named + more, bad[0][1].advice, path)
    if not found:
        raise InputError("The list names no entry.", "Write one id a line.", path)
    return tuple(dict.fromkeys(found))
