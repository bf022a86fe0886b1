"""STAR files that name images: 2D classes of RELION, or particles with or without poses.

2D classes are a table with ``rlnReferenceImage`` (``data_model_classes`` of ``run_…_model.star``, or the
only table of ``class_averages.star``), with ``rlnClassDistribution`` (shares of the particles) and
``rlnEstimatedResolution`` (Å).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.image_references import ImageReferences
from engine.io.limits import PIXEL_SIZE_RANGE_A
from engine.io.star import image_names, numbers, pixel_sizes, read_tables
from engine.io.streams import check_file

_ADVICE = "Give the STAR file of a 2D classification (run_…_model.star or class_averages.star)."
_SAVE_AGAIN = "Export it anew, or repair the file."
_NAMES_IMAGES = re.compile(r"^\s*_rln(ReferenceImage|ImageName)\b", re.MULTILINE)
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_WORST_RESOLUTION_A = 500.0


def names_images_without_poses(text: str) -> bool:
    """Whether a STAR file's text names images or class averages and does not hold three angles."""
    complete = all(re.search(rf"^\s*_{angle}\b", text, re.MULTILINE) for angle in _ANGLES)
    classes = re.search(r"^\s*_rlnReferenceImage\b", text, re.MULTILINE)
    return bool(classes) or (bool(_NAMES_IMAGES.search(text)) and not complete)


def read_references(path: str | Path) -> ImageReferences:
    """The images that a STAR file names.

    Parameters
    ----------
    path : STAR file, plain or gzipped.

    Returns
    -------
    ImageReferences
        Counts are particles where the file says how many there are, and shares (sum 1) where it gives
        only ``rlnClassDistribution``; a note says which.

    Raises
    ------
    InputError
        If the file is missing, damaged, not STAR, names no images, or names 3D references.
    """
    path = check_file(path)
    tables = read_tables(path)
    frames = {name: _frame(table) for name, table in tables.items() if isinstance(table, dict | pd.DataFrame)}
    classes = _find(frames, "rlnReferenceImage", ("model_classes", ""))
    if classes is not None:
        return _classes(_checked(classes, path), tables, path)
    particles = _find(frames, "rlnImageName", ("particles", "images", ""))
    if particles is None:
        raise InputError("The STAR file names no images.", _ADVICE, path)
    table = _checked(particles, path)
    names, indices = image_names(table["rlnImageName"], path)
    notes: list[str] = []
    size = _one_size(pixel_sizes(table, tables, path), notes, path)
    return ImageReferences(names, indices, size, notes=tuple(notes))


def _frame(table: dict[str, Any] | pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame([table]) if isinstance(table, dict) else table


def _find(frames: dict[str, pd.DataFrame], column: str, preferred: tuple[str, ...]) -> pd.DataFrame | None:
    having = {name: frame for name, frame in frames.items() if column in frame.columns}
    for name in preferred:
        if name in having:
            return having[name]
    return next(iter(having.values()), None)


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if len(table) == 0:
        raise InputError("The table of images is empty.", _SAVE_AGAIN, path)
    if table.columns.duplicated().any():
        raise InputError("The table of images names a column twice.", _SAVE_AGAIN, path)
    last = table.iloc[:, -1]
    short = np.flatnonzero(last.isna() | (last.astype(str) == ""))
    if len(short):
        raise InputError(f"Row {short[0] + 1} of the images has too few values.", _SAVE_AGAIN, path)
    return table.reset_index(drop=True)


def _classes(table: pd.DataFrame, tables: dict[str, Any], path: Path) -> ImageReferences:
    general = tables.get("model_general")
    general = general if isinstance(general, dict) else {}
    plain = ~table["rlnReferenceImage"].astype(str).str.contains("@", regex=False)
    if str(general.get("rlnReferenceDimensionality", 2)) == "3" or (plain.all() and len(table) > 1):
        raise InputError("The file is of a 3D classification: its classes are maps.", _ADVICE, path)
    names, indices = image_names(table["rlnReferenceImage"], path)
    notes: list[str] = []
    sizes = pixel_sizes(table, tables, path)
    if not np.isfinite(sizes).all() and "rlnPixelSize" in general:
        sizes = numbers(pd.DataFrame([general]), "rlnPixelSize", path)
    return ImageReferences(
        names,
        indices,
        _one_size(sizes, notes, path),
        _counts(table, tables, notes, path),
        _resolutions(table),
        tuple(notes),
    )


def _counts(
    table: pd.DataFrame, tables: dict[str, Any], notes: list[str], path: Path
) -> NDArray[np.float64] | None:
    if "rlnParticleNr" in table.columns:
        return np.maximum(numbers(table, "rlnParticleNr", path), 0.0)
    if "rlnClassDistribution" not in table.columns:
        return None
    shares = np.maximum(numbers(table, "rlnClassDistribution", path), 0.0)
    groups = tables.get("model_groups")
    if isinstance(groups, dict | pd.DataFrame):
        frame = _frame(groups)
        if "rlnGroupNrParticles" in frame.columns and len(frame):
            return shares * float(numbers(frame, "rlnGroupNrParticles", path).sum())
    notes.append("The file gives each class's share of the particles, not their number.")
    return shares


def _resolutions(table: pd.DataFrame) -> NDArray[np.float64] | None:
    """Å; empty classes have infinity or 999 there."""
    if "rlnEstimatedResolution" not in table.columns:
        return None
    values = np.asarray(pd.to_numeric(table["rlnEstimatedResolution"], errors="coerce"), np.float64)
    known = np.isfinite(values) & (values > 0) & (values < _WORST_RESOLUTION_A)
    return np.where(known, values, np.nan) if known.any() else None


def _one_size(sizes: NDArray[np.float64], notes: list[str], path: Path) -> float:
    low, high = PIXEL_SIZE_RANGE_A
    if not np.isfinite(sizes).all() or (sizes < low).any() or (sizes > high).any():
        return 0.0
    if np.ptp(sizes) > 0.002 * sizes.max():
        raise InputError(
            f"The images have different pixel sizes ({sizes.min():.4g} to {sizes.max():.4g} Å).",
            "Split the file by optics group.",
            path,
        )
    return float(sizes[0])
