"""What a table says about each image besides its pixels: every column of numbers, and poses.

For sorting and choosing, so nothing here is converted: names and units are the file's. Reconstruction reads
what it needs through :mod:`engine.io.class_averages` and :mod:`engine.io.star`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine import conventions
from engine.io import cryosparc
from engine.io.star import looks_like_star, read_tables
from engine.io.streams import check_file, head, read_text

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_POSES = ("alignments3D/pose", "alignments_class_0/pose")
_MOST_COLUMNS = 60
_HEAD = 4096


@dataclass(frozen=True)
class ImageColumns:
    """Columns of a table of images.

    Attributes
    ----------
    values : by the file's name of the column, (n,) float64 in the order of the table; NaN where a row
        has no number. Columns with one value throughout are left out.
    rotations : (n, 3, 3), ``x_view = R @ x``; None where the table has no poses.
    """

    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rotations: NDArray[np.float64] | None = None


def read_columns(path: str | Path) -> ImageColumns:
    """The columns of a STAR file or a cryoSPARC dataset that names images; nothing for other files.

    Raises
    ------
    InputError
        If it is such a file and can't be read.
    """
    path = Path(path)
    if path.is_dir():
        return ImageColumns()
    path = check_file(path)
    start = head(path, _HEAD)
    if start.startswith(cryosparc.NPY_MAGIC):
        return _of_dataset(cryosparc.read_dataset(path))
    if b"\x00" in start or not looks_like_star(read_text(path)):
        return ImageColumns()
    return _of_star(read_tables(path))


def _of_dataset(table: NDArray[Any]) -> ImageColumns:
    found = {}
    for name in table.dtype.names or ():
        column = table[name]
        if column.ndim == 1 and column.dtype.kind in "fiu" and not name.endswith(("uid", "sig")):
            found[name] = column.astype(np.float64)
    rotations = None
    for name in _POSES:
        poses = table[name] if name in (table.dtype.names or ()) else None
        if poses is None or poses.shape[1:] != (3,) or poses.dtype.kind not in "fiu":
            continue
        if np.isfinite(poses).all():
            rotations = np.asarray(conventions.cryosparc_to_rotation(poses.astype(np.float64)))
            break
    return ImageColumns(_telling(found), rotations)


def _of_star(tables: dict[str, Any]) -> ImageColumns:
    frames = [pd.DataFrame([t]) if isinstance(t, dict) else t for t in tables.values()]
    for key in ("rlnReferenceImage", "rlnImageName"):
        table = next((t for t in frames if isinstance(t, pd.DataFrame) and key in t.columns), None)
        if table is not None and not table.columns.duplicated().any():
            break
    else:
        return ImageColumns()
    found = {}
    for name in table.columns:
        numbers = np.asarray(pd.to_numeric(table[name], errors="coerce"), np.float64)
        found[str(name)] = np.where(np.isfinite(numbers), numbers, np.nan)
    rotations = None
    if all(name in found and np.isfinite(found[name]).all() for name in _ANGLES):
        rotations = np.asarray(conventions.relion_to_rotation(*(found[name] for name in _ANGLES)))
    return ImageColumns(_telling(found), rotations)


def _telling(columns: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Those by which images differ."""
    telling = {}
    for name, values in columns.items():
        known = values[np.isfinite(values)]
        if len(known) and (len(known) < len(values) or np.ptp(known) > 0):
            telling[name] = values
        if len(telling) == _MOST_COLUMNS:
            break
    return telling
