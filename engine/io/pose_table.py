"""Poses of a run's class averages: ``poses.star`` for other programs, ``poses.csv`` with everything.

The STAR file holds Euler angles with six decimals and RELION's names; the table holds unit quaternions
``w, x, y, z`` of ``x_view = R @ x``, shifts in Å, and how sure each pose is.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.atomic import write_text
from engine.io.streams import read_text
from engine.types import FloatArray, Poses

STAR_NAME, CSV_NAME, STACK_NAME = "poses.star", "poses.csv", "prepared.mrcs"
COLUMNS = ("image", "w", "x", "y", "z", "shift_x_A", "shift_y_A", "confidence", "correlation")
LARGEST_BYTES = 64 << 20

_ADVICE = "Use the poses.csv of a finished run, or run again."


@dataclass(frozen=True)
class PoseTable:
    """Poses of the prepared images, in their order.

    Attributes
    ----------
    poses : rotations, shifts, and the stack's name and rows.
    confidence : (n,) in [0, 1]; NaN where it is not known.
    correlation : (n,) of each image with the map's projection at its pose; NaN where it is not known.
    """

    poses: Poses
    confidence: NDArray[np.float64]
    correlation: NDArray[np.float64]


def make_table(
    rotations: FloatArray,
    shifts_A: FloatArray,
    pixel_size_A: float,
    *,
    confidence: FloatArray | None = None,
    correlation: FloatArray | None = None,
    stack: str = STACK_NAME,
) -> PoseTable:
    """A table of poses of all images of a stack, in order.

    Parameters
    ----------
    rotations : (n, 3, 3), ``x_view = R @ x``.
    shifts_A : (n, 2) xy, Å: where the particle's origin appears relative to the image centre.
    confidence, correlation : (n,), or None where unknown.
    """
    count = len(rotations)
    poses = Poses(
        rotations=np.asarray(rotations, np.float64),
        shifts_A=np.asarray(shifts_A, np.float64),
        image_files=(stack,) * count,
        image_indices=np.arange(count, dtype=np.int32),
        pixel_size_A=float(pixel_size_A),
    )
    unknown = np.full(count, np.nan)
    return PoseTable(
        poses,
        unknown if confidence is None else np.asarray(confidence, np.float64),
        unknown if correlation is None else np.asarray(correlation, np.float64),
    )


def write_poses(
    results: str | Path, table: PoseTable, *, box: int, counts: FloatArray | None = None
) -> tuple[Path, Path]:
    """Write ``poses.star`` and ``poses.csv``, each atomically.

    The STAR file names the images as rows of ``prepared.mrcs`` beside it. The confidence goes into
    ``rlnMaxValueProbDistribution``, which RELION uses for the same thing; counts are in
    ``rlnGroupNrParticles``.

    Parameters
    ----------
    results : the run's ``results`` folder.
    box : width of the images, pixels.
    counts : (n,) particles in each class average; None where unknown.

    Returns
    -------
    Paths of the STAR file and of the table.

    Raises
    ------
    InputError
        If the parts of the table differ in length, or there is no pixel size.
    VerglasError
        If a file can't be written.
    """
    from scipy.spatial.transform import Rotation  # heavy, as is pandas: the window starts without them

    from engine.io import star

    folder = Path(results)
    star_path, csv_path = folder / STAR_NAME, folder / CSV_NAME
    poses, count = table.poses, len(table.poses.rotations)
    parts = [poses.shifts_A, table.confidence, table.correlation, *([] if counts is None else [counts])]
    if any(len(part) != count for part in parts):
        raise InputError("The parts of the table of poses differ in length.", "", csv_path)
    quaternions = Rotation.from_matrix(poses.rotations.reshape(-1, 3, 3)).as_quat(canonical=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for k in range(count):
        x, y, z, w = quaternions[k]
        values = [w, x, y, z, *poses.shifts_A[k], table.confidence[k], table.correlation[k]]
        writer.writerow([int(poses.image_indices[k]) + 1, *(_field(float(v)) for v in values)])
    columns: dict[str, FloatArray] = {}
    if np.isfinite(table.confidence).all():
        columns["rlnMaxValueProbDistribution"] = table.confidence
    if counts is not None and np.isfinite(counts).all():
        columns["rlnGroupNrParticles"] = np.rint(np.asarray(counts, np.float64)).astype(np.int64)
    star.write_poses(star_path, poses, box=box, columns=columns)
    write_text(csv_path, text.getvalue())
    return star_path, csv_path


def read_poses(results: str | Path, *, pixel_size_A: float = 0.0) -> PoseTable:
    """Read ``poses.csv`` of a run's ``results`` folder (or a file of that form).

    Parameters
    ----------
    pixel_size_A : goes into the poses; the table itself is in Å.

    Raises
    ------
    InputError
        If the file is missing, damaged, or lacks columns.
    """
    from scipy.spatial.transform import Rotation

    path = Path(results)
    path = path / CSV_NAME if path.is_dir() else path
    try:
        rows = list(csv.reader(io.StringIO(read_text(path, limit=LARGEST_BYTES))))
    except csv.Error as exc:
        raise InputError(f"The table of poses is damaged ({exc}).", _ADVICE, path) from exc
    header, body = (rows[0], [row for row in rows[1:] if row]) if rows else ([], [])
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InputError(f"The table of poses lacks {', '.join(missing)}.", _ADVICE, path)
    places = [header.index(name) for name in COLUMNS]
    values = np.full((len(body), len(COLUMNS)), np.nan)
    for number, row in enumerate(body):
        try:
            values[number] = [float(row[place]) if row[place] else np.nan for place in places]
        except (ValueError, IndexError) as exc:
            raise InputError(f"Row {number + 1} of the poses is damaged.", _ADVICE, path) from exc
    quaternions = values[:, [2, 3, 4, 1]]
    lengths = np.linalg.norm(quaternions, axis=1)
    images = values[:, 0]
    fine = np.isfinite(values[:, :7]).all() and bool(np.all(np.abs(lengths - 1) < 1e-3))
    if not len(body) or not fine or (images != np.rint(images)).any() or (images < 1).any():
        raise InputError("The table of poses is empty or holds impossible values.", _ADVICE, path)
    table = make_table(
        Rotation.from_quat(quaternions).as_matrix(),
        values[:, 5:7],
        pixel_size_A,
        confidence=values[:, 7],
        correlation=values[:, 8],
    )
    indices = (images - 1).astype(np.int32)
    return PoseTable(
        Poses(
            table.poses.rotations, table.poses.shifts_A, table.poses.image_files, indices, float(pixel_size_A)
        ),
        table.confidence,
        table.correlation,
    )


def _field(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""
