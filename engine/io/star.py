"""Poses in RELION's STAR files, versions 3.0, 3.1, 4 and 5.

Old files hold one table, shifts in pixels and the pixel size as magnification; since 3.1 an optics
table holds the pixel size and shifts are in Å. Angles and shifts become Verglas's in
:mod:`engine.conventions`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError
from engine.io.atomic import atomic_path
from engine.io.limits import PIXEL_SIZE_RANGE_A
from engine.io.pixel_size import PixelSizeError, check_given
from engine.io.streams import check_file, read_text
from engine.types import Poses

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_SAVE_AGAIN = "Export the poses anew, or repair the file."
_MAX_SHIFT_A = 1e5
_BLOCK = re.compile(r"^\s*data_", re.MULTILINE)
_NUMBER = re.compile(r"\s*[0-9]{1,18}\s*")
_BLANK_LINES = re.compile(r"\n\s+\n")
_RELION_COLUMN = re.compile(r"^\s*_rln", re.MULTILINE)


def looks_like_star(text: str) -> bool:
    """Whether the text is a STAR file of RELION's kind."""
    return bool(_BLOCK.search(text)) and bool(_RELION_COLUMN.search(text))


def read_poses(path: str | Path, *, pixel_size_A: float | None = None) -> Poses:
    """Read viewing directions and shifts.

    Parameters
    ----------
    path : STAR file with ``rlnAngleRot``, ``rlnAngleTilt``, ``rlnAnglePsi``; plain or gzipped.
    pixel_size_A : replaces what the file says; needed where shifts are in pixels and it doesn't say.

    Returns
    -------
    Poses
        In the file's order; every assumption is a note.

    Raises
    ------
    InputError
        If the file is missing, damaged or not STAR, has no poses or incomplete ones, mixes pixel
        sizes, or gives shifts in pixels of unknown size.
    """
    path = check_file(path)
    check_given(pixel_size_A, path)
    tables = read_tables(path)
    name, table = _pose_table(tables, path)
    notes: list[str] = []
    if name not in ("particles", "images", ""):
        notes.append(f"The poses were taken from the table `data_{name}`.")
    sizes = pixel_sizes(table, tables, path)
    low, high = PIXEL_SIZE_RANGE_A
    absurd = np.isfinite(sizes) & ((sizes < low) | (sizes > high))
    if pixel_size_A is not None:
        if np.isfinite(sizes).all() and np.abs(sizes / pixel_size_A - 1).max() > 0.002:
            notes.append(f"The pixel size of {pixel_size_A:g} Å was given; the file says {sizes[0]:.4g} Å.")
        sizes = np.full(len(table), float(pixel_size_A))
    elif absurd.any():
        raise PixelSizeError(
            f"The file gives a pixel size of {sizes[absurd][0]:.4g} Å, which can't be right.",
            "Give the pixel size.",
            path,
        )
    known = bool(np.isfinite(sizes).all())
    if not known:
        notes.append("The file does not say the pixel size.")
    elif np.ptp(sizes) > 0.002 * sizes.max():
        raise InputError(
            f"The images have different pixel sizes ({sizes.min():.4g} to {sizes.max():.4g} Å).",
            "Split the file by optics group.",
            path,
        )
    angles = np.stack([numbers(table, column, path) for column in _ANGLES])
    files, indices = _image_names(table, notes, path)
    return Poses(
        rotations=conventions.relion_to_rotation(*angles),
        shifts_A=_shifts(table, sizes, notes, path),
        image_files=files,
        image_indices=indices,
        pixel_size_A=float(sizes[0]) if known else 0.0,
        notes=tuple(notes),
    )


def write_poses(
    path: str | Path, poses: Poses, *, box: int, columns: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write poses atomically as a RELION 3.1 STAR file (read by 3.1, 4 and 5).

    Parameters
    ----------
    path : the STAR file.
    poses : with a known pixel size.
    box : width of the images, pixels.
    columns : further columns of the particles' table by RELION's name, (n,) each.

    Raises
    ------
    InputError
        If the pixel size is unknown, or names and poses differ in number.
    VerglasError
        If the file can't be written.
    """
    path = Path(path)
    count = len(poses.rotations)
    if not poses.pixel_size_A > 0:
        raise InputError("The poses have no pixel size.", "Give it before writing a STAR file.", path)
    if poses.image_files and not count == len(poses.image_files) == len(poses.image_indices):
        raise InputError("Image names and poses differ in number.", "Give one name per pose, or none.", path)
    rot, tilt, psi = np.moveaxis(conventions.rotation_to_relion(poses.rotations), -1, 0)
    origin = conventions.shift_A_to_relion_origin(poses.shifts_A)
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnImagePixelSize": [float(poses.pixel_size_A)],
            "rlnImageSize": [int(box)],
            "rlnImageDimensionality": [2],
        }
    )
    table: dict[str, Any] = {
        "rlnAngleRot": rot,
        "rlnAngleTilt": tilt,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": origin[:, 0],
        "rlnOriginYAngst": origin[:, 1],
        "rlnOpticsGroup": np.ones(count, int),
    }
    if any(poses.image_files):
        table["rlnImageName"] = [
            f"{index + 1:06d}@{name}"
            for index, name in zip(poses.image_indices, poses.image_files, strict=True)
        ]
    table |= columns or {}
    with atomic_path(path) as temporary:
        starfile.write({"optics": optics, "particles": pd.DataFrame(table)}, temporary)


def read_tables(path: Path) -> dict[str, Any]:
    """Every block of a STAR file: data frames for tables, dictionaries for single values.

    Raises
    ------
    InputError
        If the file can't be read, is not STAR, or is damaged.
    """
    text = read_text(path)
    if not looks_like_star(text):
        raise InputError(
            "This is not a RELION STAR file.", "Give a STAR file with a table of particles.", path
        )
    try:
        # starfile reads paths only, as UTF-8 and through a cache of lines keyed by file name: a fresh
        # copy serves gzip, Latin-1 and files that have changed since they were last read. It is
        # slow line by line, so long runs of blank lines go first.
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "poses.star"
            plain.write_text(_BLANK_LINES.sub("\n\n", text), encoding="utf-8")
            return dict(starfile.read(plain, always_dict=True))
    except Exception as exc:  # starfile and pandas raise whatever a broken table makes them stumble on
        raise InputError(f"The STAR file is damaged: {_reason(exc)}.", _SAVE_AGAIN, path) from exc


def _reason(exc: Exception) -> str:
    """What pandas or starfile stumbled on, in words that mean something in a STAR file."""
    text = " ".join(str(exc).split())
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        return f"a table has {found[3]} values in row {found[2]}, where {found[1]} are expected"
    if found := re.search(r"Expected axis has (\d+) elements, new values have (\d+)", text):
        return f"the rows of a table have {found[1]} values, but its header names {found[2]} columns"
    return text.rstrip(".")[:160] or type(exc).__name__


def _pose_table(tables: dict[str, Any], path: Path) -> tuple[str, pd.DataFrame]:
    """The table that holds the poses: the particles', else the only one with all three angles."""
    frames = {
        name: pd.DataFrame([table]) if isinstance(table, dict) else table
        for name, table in tables.items()
        if isinstance(table, dict | pd.DataFrame)
    }
    complete = {name: t for name, t in frames.items() if set(_ANGLES) <= set(t.columns)}
    for name in ("particles", "images", ""):
        if name in complete:
            return name, _checked_table(complete[name], path)
    if len(complete) > 1:
        raise InputError(
            "Several tables hold poses: " + ", ".join(f"data_{n}" for n in complete) + ".",
            "Keep one of them.",
            path,
        )
    if complete:
        name = next(iter(complete))
        return name, _checked_table(complete[name], path)
    present = {c for t in frames.values() for c in t.columns} & set(_ANGLES)
    if present:
        missing = ", ".join(a for a in _ANGLES if a not in present)
        raise InputError(
            f"The poses are incomplete: {missing} is missing.",
            "Two-dimensional classification gives only psi; use the STAR file of a 3D refinement.",
            path,
        )
    raise InputError(
        "The STAR file holds no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi).",
        "Use the particles' STAR file of a 3D refinement or classification.",
        path,
    )


def _checked_table(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if len(table) == 0:
        raise InputError("The table of poses is empty.", _SAVE_AGAIN, path)
    if table.columns.duplicated().any():
        raise InputError("The table of poses names a column twice.", _SAVE_AGAIN, path)
    last = table.iloc[:, -1]
    short = np.flatnonzero(last.isna() | (last.astype(str) == ""))
    if len(short):
        # A row that lacks a field is shifted from there on, so none of its values can be trusted.
        raise InputError(f"Row {short[0] + 1} of the poses has too few values.", _SAVE_AGAIN, path)
    return table.reset_index(drop=True)


def numbers(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """A column as (n,) finite numbers; anything else is an InputError that names the row."""
    if table[column].ndim != 1:
        raise InputError(f"A table names the column {column} twice.", _SAVE_AGAIN, path)
    values = np.asarray(pd.to_numeric(table[column], errors="coerce"), np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{column} is not a number in row {bad[0] + 1} ({table[column].iloc[bad[0]]})"
            + (f" and in {len(bad) - 1} more." if len(bad) > 1 else "."),
            "The row may be too short or damaged. " + _SAVE_AGAIN,
            path,
        )
    return values


def pixel_sizes(table: pd.DataFrame, tables: dict[str, Any], path: Path) -> NDArray[np.float64]:
    """Å per row, NaN where the file doesn't say: the optics group's, the row's, or by magnification."""
    sizes = np.full(len(table), np.nan)
    optics = tables.get("optics")
    if isinstance(optics, dict):
        optics = pd.DataFrame([optics])
    if isinstance(optics, pd.DataFrame) and optics.columns.duplicated().any():
        raise InputError("The optics table names a column twice.", _SAVE_AGAIN, path)
    if isinstance(optics, pd.DataFrame) and "rlnImagePixelSize" in optics.columns:
        if "rlnOpticsGroup" in table.columns and "rlnOpticsGroup" in optics.columns:
            by_group = dict(
                zip(optics["rlnOpticsGroup"], numbers(optics, "rlnImagePixelSize", path), strict=True)
            )
            unknown = sorted({str(g) for g in table["rlnOpticsGroup"] if g not in by_group})
            if unknown:
                raise InputError(f"The optics table lacks group {', '.join(unknown[:5])}.", _SAVE_AGAIN, path)
            sizes = np.array([by_group[g] for g in table["rlnOpticsGroup"]], np.float64)
        elif len(optics) == 1:
            sizes[:] = numbers(optics, "rlnImagePixelSize", path)[0]
    elif "rlnImagePixelSize" in table.columns:
        sizes = numbers(table, "rlnImagePixelSize", path)
    elif "rlnPixelSize" in table.columns:
        sizes = numbers(table, "rlnPixelSize", path)
    elif {"rlnDetectorPixelSize", "rlnMagnification"} <= set(table.columns):
        magnification = numbers(table, "rlnMagnification", path)
        if (magnification <= 0).any():
            raise InputError("The magnification (rlnMagnification) is not positive.", _SAVE_AGAIN, path)
        # The detector's pixel is in micrometres.
        sizes = 1e4 * numbers(table, "rlnDetectorPixelSize", path) / magnification
    return sizes


def _shifts(
    table: pd.DataFrame, sizes: NDArray[np.float64], notes: list[str], path: Path
) -> NDArray[np.float64]:
    if {"rlnOriginXAngst", "rlnOriginYAngst"} <= set(table.columns):
        origin = np.stack([numbers(table, f"rlnOrigin{axis}Angst", path) for axis in "XY"], axis=1)
    elif {"rlnOriginX", "rlnOriginY"} <= set(table.columns):
        origin = np.stack([numbers(table, f"rlnOrigin{axis}", path) for axis in "XY"], axis=1)
        if origin.any() and not np.isfinite(sizes).all():
            raise PixelSizeError("The shifts are in pixels of unknown size.", "Give the pixel size.", path)
        if origin.any():
            origin = origin * sizes[:, None]
            notes.append(f"The shifts were in pixels of {sizes[0]:.4g} Å.")
    else:
        notes.append("The file has no shifts (rlnOriginXAngst); they were taken as 0.")
        origin = np.zeros((len(table), 2))
    if np.abs(origin).max() > _MAX_SHIFT_A:
        raise InputError("Some shifts are absurdly large.", _SAVE_AGAIN, path)
    return conventions.relion_origin_to_shift_A(origin)


def _image_names(
    table: pd.DataFrame, notes: list[str], path: Path
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    if "rlnImageName" not in table.columns:
        notes.append("The file names no images; row k was taken to belong to image k.")
        return ("",) * len(table), np.arange(len(table), dtype=np.int32)
    return image_names(table["rlnImageName"], path)


def image_names(names: pd.Series, path: Path) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Names of the form ``000001@stack.mrcs`` as files and 0-based indices; a name alone is image 1."""
    files: list[str] = []
    indices: list[int] = []
    for row, entry in enumerate(names, 1):
        name = entry if isinstance(entry, str) else ""
        number, at, stack = name.partition("@")
        if not at:
            number, stack = "1", name
        if not _NUMBER.fullmatch(number) or not 1 <= int(number) <= 2**31 - 1 or not stack:
            raise InputError(
                f"The image name in row {row} is not of the form 000001@stack.mrcs: {name[:80]!r}.",
                _SAVE_AGAIN,
                path,
            )
        files.append(stack)
        indices.append(int(number) - 1)
    return tuple(files), np.array(indices, np.int32)
