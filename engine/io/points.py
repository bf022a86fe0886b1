"""Point sets in Å: CSV text or npz archives.

CSV: columns x, y[, z][, weight], separated by comma, semicolon, tab or blanks; ``#`` starts a
comment. With a header the columns are found by name. Without one, two columns are x, y; three are
x, y, z; four are x, y, z, weight: weighted 2D points need a header.

npz: array ``points`` (n, 2) or (n, 3), optionally ``weights`` (n,). Nothing is unpickled.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, VerglasError
from engine.io import npy
from engine.io.atomic import atomic_path, write_text
from engine.io.limits import MAX_COORDINATE_A, MAX_POINT_TEXT_BYTES, MAX_POINTS
from engine.io.streams import check_file, head, read_text
from engine.types import PointCloud

_CSV_ADVICE = "A point file has one point per line: x,y or x,y,z, optionally a weight, in Å."
_NPZ_ADVICE = (
    "A point file holds an array `points` of shape (n, 2) or (n, 3) in Å, and optionally `weights` (n,)."
)
_NAMES = {
    "x": "x",
    "y": "y",
    "z": "z",
    "weight": "weight",
    "weights": "weight",
    "w": "weight",
    "mass": "weight",
}
_NPY_HEADER_BYTES = 16_384
_ROWS_PER_BLOCK = 65_536
_UNIT = re.compile(r"[\s_]*[\[(]?\s*(å|a|angstroms?|angst)\s*[\])]?$", re.IGNORECASE)


def read_points(path: str | Path) -> PointCloud:
    """Read a set of points.

    Parameters
    ----------
    path : CSV or npz (recognised by content), CSV also gzipped.

    Returns
    -------
    PointCloud
        (n, 2) or (n, 3) float64, Å; weights, if there are any, normalised to sum 1.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a point set, has rows of different length, or holds
        values that are not finite, absurd, or negative weights.
    """
    path = check_file(path)
    if head(path, 4) == b"PK\x03\x04":
        points, weights = _read_npz(path)
    else:
        points, weights = _read_csv(read_text(path, limit=MAX_POINT_TEXT_BYTES), path)
    return _checked(points, weights, path)


def write_points(path: str | Path, cloud: PointCloud) -> None:
    """Write points atomically, as CSV with a header or as npz, by the suffix.

    Raises
    ------
    VerglasError
        If the suffix is neither ``.csv`` nor ``.npz``, or the file can't be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    points = np.asarray(cloud.points_A, np.float64)
    if suffix == ".npz":
        arrays = {"points": points}
        if cloud.weights is not None:
            arrays["weights"] = np.asarray(cloud.weights, np.float64)
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
        return
    if suffix != ".csv":
        raise VerglasError(
            f"Points are not written as {suffix or 'a file without suffix'}.", "Use .csv or .npz.", path
        )
    names = list("xyz"[: points.shape[1]])
    columns = points
    if cloud.weights is not None:
        names.append("weight")
        columns = np.column_stack([points, cloud.weights])
    text = io.StringIO()
    np.savetxt(text, columns, fmt="%.9g", delimiter=",", header=",".join(names), comments="")
    write_text(path, text.getvalue())


def looks_like_points(text: str) -> bool:
    """Whether the first line with content is a row of numbers, or a header of coordinates."""
    for line in io.StringIO(text):
        fields = _split(line, _separator(line))
        if not fields:
            continue
        try:
            return len([float(f) for f in fields]) >= 2
        except ValueError:
            names = [_column(f) for f in fields]
            return "x" in names and "y" in names
    return False


def _separator(line: str) -> str:
    return next((s for s in (";", "\t", ",") if s in line), "")


def _split(line: str, separator: str) -> list[str]:
    line = line.partition("#")[0].strip()
    if not line:
        return []
    return [f.strip().strip('"') for f in line.split(separator)] if separator else line.split()


def _column(name: str) -> str:
    return _NAMES.get(_UNIT.sub("", name.strip().lower()) or name.strip().lower(), name)


def _read_csv(text: str, path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    separator = ""
    names: list[str] | None = None
    rows: list[list[float]] = []
    blocks: list[NDArray[np.float64]] = []
    width = 0
    for number, line in enumerate(io.StringIO(text), 1):
        if not width:
            separator = _separator(line.partition("#")[0])
        fields = _split(line, separator)
        if not fields:
            continue
        try:
            row = [float(f) for f in fields]
        except ValueError as exc:
            if width:
                raise InputError(
                    f"Line {number} is not a row of numbers: {line.strip()[:60]!r}.", _CSV_ADVICE, path
                ) from exc
            names = _header(fields, number, path)
            width = len(fields)
            continue
        if width and len(row) != width:
            raise InputError(
                f"Line {number} has {len(row)} columns; the lines before have {width}.", _CSV_ADVICE, path
            )
        width = len(row)
        rows.append(row)
        if len(rows) == _ROWS_PER_BLOCK:
            blocks.append(np.array(rows, np.float64))
            rows.clear()
        if _ROWS_PER_BLOCK * len(blocks) + len(rows) > MAX_POINTS:
            raise InputError(f"The file holds more than {MAX_POINTS:,} points.", "Thin it first.", path)
    if rows:
        blocks.append(np.array(rows, np.float64))
    if not blocks:
        raise InputError("The file holds no points.", _CSV_ADVICE, path)
    table = np.concatenate(blocks)
    if names is None:
        if width not in (2, 3, 4):
            raise InputError(f"Without a header, rows of {width} can't be understood.", _CSV_ADVICE, path)
        names = ["x", "y", "z", "weight"][:width]
    axes = [a for a in "xyz" if a in names]
    points = table[:, [names.index(a) for a in axes]]
    return points, table[:, names.index("weight")] if "weight" in names else None


def _header(fields: Sequence[str], number: int, path: Path) -> list[str]:
    names = [_column(f) for f in fields]
    if "x" not in names or "y" not in names:
        raise InputError(
            f"Line {number} is neither numbers nor a header with x and y: {fields[:6]}.", _CSV_ADVICE, path
        )
    if len(set(names)) != len(names):
        raise InputError("The header names a column twice.", _CSV_ADVICE, path)
    if {"sample", "model"} & {n.lower() for n in names}:
        raise InputError(
            "The file holds several samples.", "Keep the rows of one, without the sample column.", path
        )
    return names


def npz_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of every array of an npz, read from the headers alone.

    Raises
    ------
    InputError
        If the archive is damaged, an array is not of numbers or text, or an array is larger than
        its header's shape allows.
    """
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".npy"):
                    continue
                # Headers are short; reading no more keeps one that claims gigabytes from having them.
                with archive.open(entry) as entry_stream:
                    shape, _, dtype = npy.read_header(io.BytesIO(entry_stream.read(_NPY_HEADER_BYTES)))
                found[entry.filename.removesuffix(".npy")] = (
                    shape,
                    dtype.str if dtype.kind == "V" else str(dtype),
                )
    except npy.DAMAGE as exc:
        raise InputError("The npz archive is damaged or cut off.", "Copy or write it again.", path) from exc
    return found


def _read_npz(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    shapes = npz_shapes(path)
    if "points" not in shapes:
        shown = ", ".join(list(shapes)[:8]) or "nothing"
        raise InputError(f"The archive has no array `points` (it holds {shown}).", _NPZ_ADVICE, path)
    shape, dtype = shapes["points"]
    for name in ("points", "weights"):
        if name in shapes and np.dtype(shapes[name][1]).kind not in "fiu":
            raise InputError(f"`{name}` holds {dtype} instead of numbers.", _NPZ_ADVICE, path)
    if len(shape) != 2 or shape[1] not in (2, 3):
        what = "a set of clouds" if len(shape) == 3 else "not a point set"
        raise InputError(f"`points` has shape {shape}: {what}.", _NPZ_ADVICE, path)
    if shape[0] > MAX_POINTS:
        raise InputError(
            f"The file holds {shape[0]:,} points; {MAX_POINTS:,} are the most.", "Thin it first.", path
        )
    if "weights" in shapes and shapes["weights"][0] != shape[:1]:
        raise InputError(f"`weights` has shape {shapes['weights'][0]}, not {shape[:1]}.", _NPZ_ADVICE, path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            points = npy.member(archive, "points").astype(np.float64)
            weights = npy.member(archive, "weights").astype(np.float64) if "weights" in shapes else None
        if points.shape != shape or (weights is not None and weights.shape != shape[:1]):
            raise ValueError("another array of the same name")
    except npy.DAMAGE as exc:
        raise InputError("The npz archive is damaged or cut off.", "Copy or write it again.", path) from exc
    return points, weights


def _checked(points: NDArray[np.float64], weights: NDArray[np.float64] | None, path: Path) -> PointCloud:
    if len(points) == 0:
        raise InputError("The file holds no points.", _CSV_ADVICE, path)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise InputError(
            f"Point {bad[0] + 1} is not finite (of {len(bad)} such).", "Remove those points.", path
        )
    if np.abs(points).max() > MAX_COORDINATE_A:
        raise InputError(
            f"Some coordinates are beyond {MAX_COORDINATE_A:g} Å.", "Give coordinates in Å.", path
        )
    if weights is None:
        return PointCloud(points)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise InputError(
            "The weights are not finite, negative, or all zero.", "Give non-negative weights.", path
        )
    return PointCloud(points, weights / weights.sum())
