"""What a run measured (``results/metrics.json``), ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENERGY = "energy"
MOST_NAMED, MOST_FLAGGED = 12, 4  # pieces of evidence told one by one
# name, label, unit, factor, what it means
_ROWS = (
    ("rmsd_points_A", "RMSD, points, aligned", "Å", 1.0,
     "Root mean square distance to the reference's points, matched one to one, after scaling and rigid "
     "alignment."),
    ("rmsd_atoms_A", "RMSD, atoms, aligned", "Å", 1.0,
     "Root mean square distance of each heavy atom to its nearest point, after scaling and rigid alignment."),
    ("rmsd_points_unaligned_A", "RMSD, points, unaligned", "Å", 1.0,
     "The same without any alignment: poses are known, so the result should already be in place."),
    ("rmsd_atoms_unaligned_A", "RMSD, atoms, unaligned", "Å", 1.0,
     "Distance of each heavy atom to its nearest point without any alignment."),
    ("chamfer_A", "Chamfer distance", "Å", 1.0,
     "Mean distance to the nearest point, both ways, without alignment."),
    ("emd_A", "Earth Mover's distance", "Å", 1.0,
     "Mean distance under the best one-to-one matching, without alignment."),
    ("chamfer", "Chamfer × 100, relative", "", 100.0,
     "In units of the object's half-size, as papers give it."),
    ("emd", "Earth Mover's × 100, rel.", "", 100.0,
     "In units of the object's half-size, as papers give it."),
    (ENERGY, "Misfit to the evidence", "Å²", 1.0,
     "Mean squared residual per point, averaged over the observations."),
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One row of the table: ``values`` has one entry per sample."""

    label: str
    unit: str
    values: tuple[float, ...]
    help: str = ""

    @property
    def mean_text(self) -> str:
        """Mean ± standard deviation with the unit."""
        values = np.asarray(self.values)
        digits = decimals(values.mean())
        sd = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{values.mean():.{digits}f}{sd} {self.unit}".strip()

    @property
    def range_text(self) -> str:
        """Lowest to highest."""
        return f"{number(min(self.values))} – {number(max(self.values))}" if len(self.values) > 1 else ""


@dataclass(frozen=True)
class Reliability:
    """How spread, or the stated error, compares with errors (:mod:`engine.metrics.reliability`).

    Attributes
    ----------
    stated, observed : (k,) shares in [0, 1].
    factor : by which the spread would have to be multiplied.
    spread_A, error_A : (b,) root mean squares of groups of points of rising spread.
    what : ``spread`` or ``error``, which of the two was judged.
    """

    stated: NDArray[np.float64]
    observed: NDArray[np.float64]
    factor: float
    spread_A: NDArray[np.float64]
    error_A: NDArray[np.float64]
    what: str = "spread"

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        if 0.9 <= self.factor <= 1.1:
            return f"The {'stated error' if self.what == 'error' else 'spread'} is honest"
        stated = "stated ones" if self.what == "error" else "stated spread"
        return f"Errors are {number(self.factor)} × the {stated}"


def reliability_of(metrics: dict[str, Any]) -> Reliability | None:
    """The reliability of the run's stated error, or else of its spread; None where it has neither."""
    error = metrics.get("stated_error")
    if isinstance(error, dict):
        judged = _reliability(error.get("reliability"), "error")
        if judged is not None:
            return judged
    return _reliability(metrics.get("reliability"), "spread")


def _reliability(found: object, what: str) -> Reliability | None:
    if not isinstance(found, dict) or "factor" not in found:
        return None
    try:
        stated, observed, spread, error = (
            np.array(found[key], float) for key in ("stated", "observed", "spread_A", "error_A")
        )
        factor = float(found["factor"])
    except (KeyError, TypeError, ValueError):
        return None
    if stated.shape != observed.shape or spread.shape != error.shape or stated.ndim != 1 or not len(stated):
        return None
    return Reliability(stated, observed, factor, spread, error, what)


def error_sentence(metrics: dict[str, Any]) -> str:
    """How far from the truth the points may be, in words; empty where the run doesn't say."""
    error = metrics.get("stated_error")
    if not isinstance(error, dict) or not isinstance(error.get("within_A"), int | float):
        return ""
    text = f"{100 * float(error.get('share', 0.9)):.0f} % of the points should lie within "
    text += f"{error['within_A']:.1f} Å of their mean place in the ensemble"
    share = (error.get("reliability") or {}).get("share_within")
    return f"{text}; against the reference, {100 * share:.0f} % do." if share is not None else f"{text}."


def measures_of(metrics: dict[str, Any]) -> list[Measure]:
    """The rows that a run has; those that don't apply are left out."""
    found = []
    per_sample = metrics.get("per_sample") or {}
    for name, label, unit, factor, help_text in _ROWS:
        if name == ENERGY:
            # The engine states it in units of the frame: Å² as in the plot.
            factor = float((metrics.get("frame") or {}).get("scale_A") or 0.0) ** 2
        values = [v * factor for v in per_sample.get(name) or () if isinstance(v, int | float)]
        if values:
            found.append(Measure(label, unit, tuple(values), help_text))
    return [*found, *_misfits(metrics)]


def _misfits(metrics: dict[str, Any]) -> list[Measure]:
    """Misfit in stated errors: of all evidence, and of each piece that doesn't fit."""
    misfit = metrics.get("misfit") or {}
    names, table = misfit.get("names") or (), np.asarray(misfit.get("chi_square") or (), float)
    if table.ndim != 2 or not table.size or table.shape[1] != len(names) or not np.isfinite(table).all():
        return []
    mean, limit = table.mean(0), float(misfit.get("flagged_above", np.inf))
    stated = float(misfit.get("stated_A", 0.0))
    each = ", ".join(f"{n} {number(v)}" for n, v in zip(names[:MOST_NAMED], mean, strict=False))
    help_text = (
        "Squared residuals over what the stated error and the coarseness of the evidence let expect: 1 fits, "
        "far above 1 contradicts, far below 1 fits better than stated. "
        f"Stated error: {number(stated)} Å. {each}"
    )
    rows = [Measure("Misfit, 1 as stated", "", tuple(table.mean(1)), help_text)]
    for i in np.argsort(-mean)[:MOST_FLAGGED]:
        if mean[i] > limit:
            text = f"Far above 1: pose, pixel size or centre of {names[i]} may be wrong, or it is noisier "
            text += "than stated."
            rows.append(Measure(f"⚠ Misfit of {names[i]}", "", tuple(table[:, i]), text))
    return rows


def fsc_of(metrics: dict[str, Any]) -> tuple[NDArray[np.floating], NDArray[np.floating], str] | None:
    """Frequencies (1/Å), correlations and a title, or None."""
    curve = metrics.get("fsc") or {}
    if not curve.get("correlation"):
        return None
    frequency = np.array(curve["frequency_per_A"], float)
    correlation = np.array([np.nan if c is None else c for c in curve["correlation"]], float)
    resolution, nyquist = curve.get("resolution_0p5_A"), curve.get("nyquist_A")
    if resolution is not None:
        title = f"Falls below 0.5 at {resolution:.1f} Å"
    else:
        title = f"Above 0.5 to {nyquist:.1f} Å" if nyquist else ""
    return frequency, correlation, title


def truth_of(metrics: dict[str, Any]) -> str:
    """The reference's name; empty without one."""
    return str((metrics.get("truth") or {}).get("name") or "")


def remarks_of(metrics: dict[str, Any]) -> list[str]:
    """What the evaluation had to say besides numbers."""
    notes = list((metrics.get("truth") or {}).get("notes") or ())
    problem = (metrics.get("fsc") or {}).get("problem")
    return [*map(str, notes), *([str(problem)] if problem else [])]


def as_text(measures: Sequence[Measure]) -> str:
    """A table for a spreadsheet: tabs between columns, one column per sample."""
    count = max((len(m.values) for m in measures), default=0)
    head = ["Measure", "Unit", *(f"Sample {i + 1}" for i in range(count))]
    rows = [[m.label, m.unit, *(f"{v:.6g}" for v in m.values)] for m in measures]
    return "\n".join("\t".join(row) for row in [head, *rows])


def number(value: float) -> str:
    """Digits that matter."""
    return f"{value:.{decimals(value)}f}" if np.isfinite(value) else "–"


def decimals(value: float) -> int:
    """Digits after the point that still mean something."""
    magnitude = abs(float(value))
    if magnitude >= 100 or not np.isfinite(magnitude):
        return 1
    return 2 if magnitude >= 0.1 or magnitude == 0 else 4
