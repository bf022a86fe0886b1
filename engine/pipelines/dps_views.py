"""What became of each projection of a reconstruction: ``views.csv``, and STAR files with corrected poses."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.io import star
from engine.io.atomic import write_text
from engine.io.mrc import read_header
from engine.numerics.rotations import matrix_to_quaternion
from engine.observations.evidence import Evidence
from engine.observations.pose_correction import ViewCorrection, whole_rotation
from engine.pipelines.context import RunContext
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.types import Poses

COLUMNS = (
    "view", "w", "x", "y", "z", "shift_x_A", "shift_y_A", "turned_deg", "turned_error_deg", "moved_A",
    "moved_error_A", "pixel_size_percent", "pixel_size_error_percent", "disagreement_before_A",
    "disagreement_A", "energy", "flag",
)  # fmt: skip
FEWEST = 3  # views among which one can stand out
FAR, TIMES = 5.0, 3.0  # robust deviations from the middle energy, and times the middle energy


def strange(energy: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which views' energies (views,) stand out: five robust deviations above the middle, and three times it.

    The deviation is 1.4826 times the median distance from the median.
    """
    values = np.asarray(energy, np.float64)
    if len(values) < FEWEST:
        return np.zeros(len(values), bool)
    middle = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.asarray((values > middle + FAR * deviation) & (values > TIMES * middle))


def write_views(
    spec: DpsSpec,
    context: RunContext,
    evidence: Sequence[Evidence],
    corrections: Sequence[ViewCorrection],
    energies: NDArray[np.floating],
) -> None:
    """One line for each projection, notices about those that stand out, and corrected STAR files.

    Parameters
    ----------
    evidence : all of the run, as it was used.
    corrections : of the projections, in their order; or none, where poses were not refined.
    energies : (samples, observations) over what is expected of each, 1 where it is met to the stated error.
    """
    places = [i for i, e in enumerate(evidence) if len(e.projector) == 2]
    if not places:
        return
    mean = np.asarray(energies, np.float64)[:, places].mean(0)
    alone = strange(mean)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for k, i in enumerate(places):
        e, c = evidence[i], corrections[k] if corrections else None
        rotation = whole_rotation(e.projector) if c is None else c.rotation
        shift = e.offset_A if c is None else c.shift_A
        numbers = (0.0, np.nan, 0.0, np.nan, 0.0, np.nan, np.nan, np.nan)
        flags = ["high energy"] if alone[k] else []
        if c is not None:
            numbers = (
                c.turned_deg, c.turn_error_deg, c.moved_A, c.move_error_A, c.scaled_percent,
                c.scale_error_percent, c.disagreement_before_A, c.disagreement_A,
            )  # fmt: skip
            flags += ["outlier"] if c.outlier else ["at bound"] if c.at_bound else []
        values = [*matrix_to_quaternion(rotation), *shift, *numbers, mean[k]]
        writer.writerow([e.name, *(f"{v:.6g}" if np.isfinite(v) else "" for v in values), "; ".join(flags)])
        if alone[k]:
            context.notice(
                f"{e.name} fits worse than the other projections: its energy is {mean[k]:.2g} times what its "
                f"stated error lets expect, where the others have {np.median(mean):.2g}.",
                warning=True,
            )
    path = context.folder / "results" / "views.csv"
    write_text(path, text.getvalue())
    context.result("views", path)
    if corrections:
        _write_star(spec, context, evidence, dict(zip(places, corrections, strict=True)))


def _write_star(
    spec: DpsSpec, context: RunContext, evidence: Sequence[Evidence], corrections: dict[int, ViewCorrection]
) -> None:
    """For each stack of images a STAR file with the corrected poses of those that were used."""
    place, number = 0, 0
    for observation in spec.observations:
        if not isinstance(observation, ProjectionImages):
            place += 1
            continue
        given = star.read_poses(observation.poses, pixel_size_A=observation.pixel_size_A)
        header = read_header(observation.images)
        pixel = observation.pixel_size_A or given.pixel_size_A or float(header.spacing_A[0])
        rows = [i - 1 for i in observation.select] or list(range(len(given.rotations)))
        mine = [corrections[place + k] for k in range(len(rows))]
        place += len(rows)
        indices = given.image_indices[rows] if len(given.image_indices) else np.asarray(rows, np.int32)
        poses = Poses(
            rotations=np.stack([c.rotation for c in mine]),
            shifts_A=np.stack([c.shift_A for c in mine]),
            image_files=(str(Path(observation.images).name),) * len(rows),
            image_indices=np.asarray(indices, np.int32),
            pixel_size_A=pixel,
        )
        number += 1
        name = "corrected_poses.star" if number == 1 else f"corrected_poses_{number}.star"
        star.write_poses(context.folder / "results" / name, poses, box=int(header.shape[-1]))
        context.result("corrected poses", context.folder / "results" / name)
