"""``fetched.csv``: what was downloaded into a folder, from where, when, and how to know it again."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engine.errors import InputError
from engine.io.atomic import write_text
from engine.io.streams import read_text

NAME = "fetched.csv"
LICENCE = "CC0-1.0"
"""Of all coordinates in the PDB and all maps in EMDB."""

_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Row:
    """One downloaded file.

    Attributes
    ----------
    id, kind : of the entry.
    url : the address that was asked; the server may have redirected to another.
    file : name in the folder.
    bytes, sha256 : of the file as it lies there (compressed).
    date : of the download, UTC, ISO 8601.
    licence : SPDX identifier.
    """

    id: str
    kind: str
    url: str
    file: str
    bytes: int
    sha256: str
    date: str
    licence: str = LICENCE


_COLUMNS = tuple(f.name for f in fields(Row))


def read_table(path: str | Path) -> dict[str, Row]:
    """The rows by entry, empty where there is no such file.

    Raises
    ------
    InputError
        If the file is not such a table.
    """
    path = Path(path)
    if not path.exists():
        return {}
    # Short lines, all alike: no cause for the suspicion that compressed text deserves.
    reader = csv.DictReader(io.StringIO(read_text(path, limit=_MAX_BYTES)))
    rows: dict[str, Row] = {}
    try:
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError("its columns are not " + ", ".join(_COLUMNS))
        for line in reader:
            if None in line or None in line.values():
                raise ValueError(f"line {reader.line_num} has not {len(_COLUMNS)} columns")
            row = Row(**{**line, "bytes": int(line["bytes"])})  # type: ignore[arg-type]
            if not re.fullmatch(r"[0-9a-f]{64}", row.sha256):
                raise ValueError(f"line {reader.line_num} has no sha256")
            rows[row.id] = row
    except (ValueError, csv.Error) as exc:
        raise InputError(
            f"This is no table of downloads, or a damaged one ({exc}).",
            "Move it away or delete it; files that are there are then downloaded again and compared.",
            path,
        ) from exc
    return rows


def write_table(path: str | Path, rows: dict[str, Row]) -> None:
    """Write the rows atomically, in the order in which they came."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows.values())
    write_text(path, text.getvalue())
