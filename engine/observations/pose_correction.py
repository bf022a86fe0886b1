"""Evidence with corrected poses, and what was corrected, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from engine.observations.common_lines import PoseErrors, PoseFit, consistent_poses
from engine.observations.evidence import Evidence, Notify, estimate_frame
from engine.observations.profiles import Solid, View
from engine.specs.job import DpsSpec
from engine.types import Frame

SHIFT_SHARE = 0.1  # of the half-width: typical error of shifts where none is stated
# Corrections smaller than that are no news; shifts as a share of the half-width.
TOLD_DEG, TOLD_SHIFT, TOLD_PERCENT = 0.5, 0.005, 0.2
CONTRADICTION = 0.03  # of the half-width: difference among views that is told
MOST_TOLD = 6


@dataclass(frozen=True)
class ViewCorrection:
    """What was corrected of one projection.

    Attributes
    ----------
    name : of the evidence.
    rotation : (3, 3) corrected.
    shift_A : (2,) where the object's origin appears in the measurement, corrected, in measured Å.
    turned_deg, moved_A, scaled_percent : by how much; positive where the stated pixel size was too large.
    turn_error_deg, move_error_A, scale_error_percent : standard deviations that remain.
    disagreement_A, disagreement_before_A : rms difference from the other evidence along common lines; NaN
        where there is none to compare with.
    outlier, at_bound : agrees with none of the others; met the bound of a correction.
    """

    name: str
    rotation: NDArray[np.float64]
    shift_A: NDArray[np.float64]
    turned_deg: float
    moved_A: float
    scaled_percent: float
    turn_error_deg: float
    move_error_A: float
    scale_error_percent: float
    disagreement_A: float
    disagreement_before_A: float
    outlier: bool
    at_bound: bool


def whole_rotation(projector: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation (3, 3) whose first two rows are a projector (2, 3)."""
    x, y = np.asarray(projector, np.float64)
    return np.stack([x, y, np.cross(x, y)])


def correct_poses(
    evidence: Sequence[Evidence], spec: DpsSpec, notify: Notify
) -> tuple[list[Evidence], list[ViewCorrection]]:
    """Make projections consistent with each other and with whole shapes in 3D.

    Parameters
    ----------
    evidence : all of the run. Projections are those with two rows; parts are not used.
    spec : whether and how far poses may change.
    notify : told every correction that matters, and every view that agrees with none.

    Returns
    -------
    The evidence in its order, corrected; and one report for each projection. Both as given, and empty, where
    there is nothing to compare.
    """
    places = [i for i, e in enumerate(evidence) if len(e.projector) == 2]
    shapes = [e for e in evidence if len(e.projector) == 3 and not e.partial and len(e.points_A) > 1]
    if not spec.refine_poses or not places or (len(places) < 2 and not shapes):
        return list(evidence), []
    frame = estimate_frame(evidence, spec.frame, lambda _note: None)
    centre = np.asarray(frame.centre_A)
    views = [_view(evidence[i], centre, frame.scale_A) for i in places]
    solids = [_solid(e, centre, frame.scale_A) for e in shapes]
    shift_A = spec.shift_error_A or SHIFT_SHARE * frame.scale_A
    errors = PoseErrors(np.radians(spec.pose_error_deg), shift_A / frame.scale_A, spec.pixel_size_error / 100)
    fit = consistent_poses(views, solids, errors)
    out, reports = list(evidence), []
    for k, i in enumerate(places):
        out[i], report = _corrected(evidence[i], views[k], fit, k, frame, spec.outlier_weight)
        reports.append(report)
    _tell(reports, spec, errors, frame, notify)
    left = float(np.median([r.disagreement_A for r in reports if not r.outlier]))
    if not shapes and left > CONTRADICTION * frame.scale_A:
        notify(
            f"The projections still differ from each other by {left:.2g} Å along common lines. Their poses "
            "may be further off than stated, or they are noisy, or don't show one object."
        )
    return out, reports


def _view(e: Evidence, centre: NDArray[np.float64], scale_A: float) -> View:
    points = (e.points_A - e.offset_A - e.projector @ centre) / scale_A
    return View(np.asarray(points, np.float64), _masses(e), whole_rotation(e.projector))


def _solid(e: Evidence, centre: NDArray[np.float64], scale_A: float) -> Solid:
    """Its points, each spread as wide as the cell that it stands for: a coarse shape is too narrow."""
    points = np.asarray((e.points_A - e.offset_A - centre) / scale_A, np.float64)
    near = min(len(points) - 1, 6)
    apart = cKDTree(points).query(points, k=near + 1)[0][:, 1:].mean(axis=1)
    # Six points at this distance have the variance a²/12 per coordinate of a cell of width a.
    spread = apart * np.sqrt(3 / 12)
    six = np.concatenate([np.eye(3), -np.eye(3)])
    cloud = points[:, None] + spread[:, None, None] * six
    return Solid(cloud.reshape(-1, 3), np.repeat(_masses(e), 6) / 6)


def _masses(e: Evidence) -> NDArray[np.float64]:
    weights = np.ones(len(e.points_A)) if e.weights is None else np.asarray(e.weights, np.float64)
    return np.asarray(weights / weights.sum())


def _corrected(
    e: Evidence, view: View, fit: PoseFit, k: int, frame: Frame, outlier_weight: float
) -> tuple[Evidence, ViewCorrection]:
    centre, scale = np.asarray(frame.centre_A), float(fit.scales[k])
    rotation = Rotation.from_rotvec(fit.turns[k]).as_matrix() @ view.rotation
    move = fit.shifts[k] * frame.scale_A
    # measured = scale * (R x)_xy + shift, so that the object's centre appears where the fit has it
    shift = e.offset_A + e.projector @ centre + move - scale * rotation[:2] @ centre
    outlier = bool(fit.outlier[k])
    changed = replace(
        e,
        projector=rotation[:2],
        offset_A=shift / scale,
        points_A=e.points_A / scale,
        weight=e.weight * (outlier_weight if outlier else 1.0),
    )
    return changed, ViewCorrection(
        name=e.name,
        rotation=rotation,
        shift_A=shift,
        turned_deg=float(np.degrees(np.linalg.norm(fit.turns[k]))),
        moved_A=float(np.linalg.norm(move)),
        scaled_percent=100 * (scale - 1),
        turn_error_deg=float(np.degrees(fit.turn_error[k])),
        move_error_A=float(fit.shift_error[k] * frame.scale_A),
        scale_error_percent=100 * float(fit.scale_error[k]),
        disagreement_A=float(fit.disagreement[k] * frame.scale_A),
        disagreement_before_A=float(fit.before[k] * frame.scale_A),
        outlier=outlier,
        at_bound=bool(fit.at_bound[k]),
    )


def _tell(
    reports: Sequence[ViewCorrection], spec: DpsSpec, errors: PoseErrors, frame: Frame, notify: Notify
) -> None:
    told = [
        r
        for r in sorted(reports, key=lambda r: -r.turned_deg)
        if not r.outlier and (r.turned_deg > TOLD_DEG or r.moved_A > TOLD_SHIFT * frame.scale_A)
    ]
    for r in told[:MOST_TOLD]:
        notify(
            f"{r.name}: pose corrected by {r.turned_deg:.1f}° (± {r.turn_error_deg:.1f}°), shifted by "
            f"{r.moved_A:.1f} Å (± {r.move_error_A:.1f} Å); its difference from the other evidence along "
            f"common lines fell from {r.disagreement_before_A:.2g} to {r.disagreement_A:.2g} Å."
        )
    if len(told) > MOST_TOLD:
        notify(f"Poses of {len(told) - MOST_TOLD} more views were corrected; results/views.csv lists all.")
    bounds = f"{errors.bound * spec.pose_error_deg:.3g}°, {errors.bound * errors.shift * frame.scale_A:.3g} Å"
    if spec.pixel_size_error:
        bounds += f", {errors.bound * spec.pixel_size_error:.3g} % of the pixel size"
    weight = (
        f"it counts {spec.outlier_weight:.3g} times as much as the others"
        if spec.outlier_weight < 1
        else "it is used all the same; lower `outlier_weight`, or leave it out"
    )
    for r in reports:
        if r.outlier:
            notify(
                f"{r.name} agrees with none of the others: along common lines it differs by "
                f"{r.disagreement_A:.2g} Å. Its pose may be wrong, or it shows something else; {weight}."
            )
            continue
        if abs(r.scaled_percent) > max(TOLD_PERCENT, 2 * r.scale_error_percent):
            much = "large" if r.scaled_percent > 0 else "small"
            notify(
                f"{r.name}: its pixel size seems {abs(r.scaled_percent):.1f} % too {much} "
                f"(± {r.scale_error_percent:.1f} %)."
            )
        if r.at_bound:
            notify(
                f"{r.name}: a correction met its bound ({bounds}). Its pose may be far off; if so, raise the "
                "stated errors, or leave it out."
            )
