"""Parts without a place are docked into clouds drawn from the rest of the evidence."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import SpecError
from engine.events import Progress
from engine.io.atomic import write_text
from engine.numerics.rotations import matrix_to_quaternion
from engine.observations.docking import AMBIGUOUS, Placement, dock, matched_points
from engine.observations.evidence import Evidence, to_observations
from engine.pipelines.context import RunContext
from engine.pipelines.draw import Step, draw
from engine.protocols import Denoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DpsSpec
from engine.specs.samplers import Proximal
from engine.types import Frame

CLOUDS, STEPS = 3, 25  # drawn to dock into
APART = 2_000_003  # between the seeds of a run and those of these clouds
COLUMNS = ("part", "rank", "w", "x", "y", "z", "shift_x_A", "shift_y_A", "shift_z_A", "distance_A")


def place_parts(
    spec: DpsSpec, context: RunContext, evidence: Sequence[Evidence], frame: Frame, prior: Denoiser
) -> list[Evidence]:
    """Evidence in which every part has a place; ``results/placements.csv`` holds those that were considered.

    A few clouds are drawn from the evidence that has a place. Parts are docked one after the other, the
    largest first, each into the points that earlier parts have left.

    Parameters
    ----------
    evidence : all of the run.
    frame : of the placed evidence.
    prior : that clouds are drawn with.

    Raises
    ------
    SpecError
        If no evidence has a place.
    """
    loose = sorted(
        (i for i, e in enumerate(evidence) if not e.placed), key=lambda i: -len(evidence[i].points_A)
    )
    if not loose:
        return list(evidence)
    placed = [e for e in evidence if e.placed]
    if not placed:
        raise SpecError(
            "No evidence says where the known part lies.",
            "Add projections, a map or a placed part, or choose the placement `given`.",
        )

    def watch(step: Step) -> None:
        context.check()
        context.emit(Progress(stage="placing known parts", done=step.number, total=step.total))

    x, _ = draw(
        prior,
        [o.to(context.device) for o in to_observations(placed, frame, spec.points)],
        Proximal(steps=STEPS),
        sample_seeds(spec.seed + APART, CLOUDS),
        points=spec.points,
        device=context.device,
        watch=watch,
    )
    clouds = np.asarray(frame.to_A(x.double().cpu().numpy()), np.float64)
    out = list(evidence)
    rows: list[list[str]] = []
    for i in loose:
        part = np.asarray(evidence[i].points_A, np.float64)
        found = dock(part, clouds, context.check)
        best = found[0]
        points = part @ best.rotation.T + best.shift
        out[i] = replace(evidence[i], points_A=points, placed=True)
        rows += _rows(evidence[i].name, found)
        _tell(context, evidence[i].name, found, part)
        taken = matched_points(points, clouds)
        kept = [np.delete(c, t, axis=0) for c, t in zip(clouds, taken, strict=True)]
        clouds = np.stack(kept)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    path = context.folder / "results" / "placements.csv"
    write_text(path, text.getvalue())
    context.result("placements", path)
    return out


def _rows(name: str, found: Sequence[Placement]) -> list[list[str]]:
    rows = []
    for rank, p in enumerate(found, 1):
        values = [*matrix_to_quaternion(p.rotation), *p.shift, p.distance]
        rows.append([name, str(rank), *(f"{v:.6g}" for v in values)])
    return rows


def _tell(context: RunContext, name: str, found: Sequence[Placement], part: NDArray[np.float64]) -> None:
    best = found[0]
    if len(found) < 2:
        context.notice(f"{name}: placed; its points lie {best.distance:.1f} Å from those of the whole.")
        return
    ratio = found[1].distance / best.distance
    close = [p for p in found if p.distance < AMBIGUOUS * best.distance]
    if ratio >= AMBIGUOUS:
        context.notice(
            f"{name}: placed; its points lie {best.distance:.1f} Å from those of the whole, the next best "
            f"different placement {found[1].distance:.1f} Å ({ratio:.2f} times as far)."
        )
        return
    centre = part.mean(0)
    middles = np.stack([p.rotation @ centre + p.shift for p in close])
    context.notice(
        f"{name}: its placement is ambiguous: {len(close)} different ones fit within {AMBIGUOUS - 1:.0%} "
        f"({best.distance:.1f} to {close[-1].distance:.1f} Å), their centres up to "
        f"{np.linalg.norm(middles - middles[0], axis=1).max():.0f} Å apart. In a symmetric complex they may "
        "be equivalent; otherwise give its place, or more views. results/placements.csv lists them.",
        warning=True,
    )
