"""What runs of score distillation and trainings of denoisers measured, ready to be shown.

Files may be damaged or of another version: what doesn't fit is left out, and nothing is raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.sds_files import SdsRun

# key in metrics.json, name of the curve, the threshold that it is judged by and what that one means
_CURVES = (
    ("fsc_half", "Half sets", 0.143, "two halves of the class averages, refined separately"),
    ("fsc_truth", "Reference", 0.5, "the map against the reference"),
    ("fsc_truth_least_squares", "Reference, least squares", 0.5, "least squares alone against the reference"),
)
_SECONDS = {
    "prepare": "preparing", "tournament": "comparing starts", "volumes_projector": "of that projector",
    "volumes_denoiser": "of that denoiser",
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """A Fourier shell correlation and how it is to be read.

    Attributes
    ----------
    frequency_per_A, correlation : (n,).
    threshold : what this kind of curve is judged by.
    sentence : what may be said about resolution, and what may not.
    """

    name: str
    frequency_per_A: NDArray[np.float64]
    correlation: NDArray[np.float64]
    threshold: float
    sentence: str
    meaning: str = ""


@dataclass(frozen=True)
class Agreement:
    """How far independent starts agree.

    Attributes
    ----------
    correlation : (n, n) between the starts' maps after alignment, mirror images included.
    order : starts (counted from 1) by group, largest first: rows and columns as they are drawn.
    edges : where each group ends in ``order``.
    medoid : the start (from 1) that agrees best with its group; 0 if unknown.
    """

    sentence: str
    correlation: NDArray[np.float64]
    order: tuple[int, ...]
    edges: tuple[int, ...]
    medoid: int
    mirrored: tuple[bool, ...]


@dataclass(frozen=True)
class Row:
    """A line of the table: a name, a value in words, and what it means."""

    label: str
    value: str
    help: str = ""


def curves_of(metrics: Mapping[str, Any]) -> list[Curve]:
    """The FSC curves of a run."""
    found = []
    for key, name, threshold, meaning in _CURVES:
        entry = metrics.get(key)
        if not isinstance(entry, Mapping):
            continue
        frequency, correlation = _numbers(entry.get("frequency_per_A")), _numbers(entry.get("correlation"))
        if len(frequency) and len(frequency) == len(correlation):
            inside = frequency > 0  # the shell at zero holds the mean alone, which says nothing of likeness
            frequency, correlation = frequency[inside], correlation[inside]
            title = f"{name}, mirrored" if entry.get("mirrored") is True else name
            sentence = str(entry.get("sentence") or "")
            found.append(Curve(title, frequency, correlation, threshold, sentence, meaning))
    return found


def agreement_of(tournament: Mapping[str, Any]) -> Agreement | None:
    """The tournament, or None if there is none that can be read."""
    rows = tournament.get("correlation")
    if not isinstance(rows, Sequence) or not rows:
        return None
    try:
        matrix = np.array([[np.nan if v is None else v for v in row] for row in rows], float)
    except (TypeError, ValueError):
        return None
    count = len(matrix)
    if matrix.shape != (count, count):
        return None
    groups = [
        [int(i) for i in group if isinstance(i, int) and 1 <= i <= count]
        for group in tournament.get("groups") or ()
        if isinstance(group, Sequence)
    ]
    order: list[int] = []
    edges = []
    for group in groups:
        order += [i for i in group if i not in order]
        edges.append(len(order))
    rest = [i for i in range(1, count + 1) if i not in order]
    medoid = tournament.get("medoid")
    mirrored = tournament.get("mirrored")
    return Agreement(
        agreement_sentence(tournament),
        matrix,
        (*order, *rest),
        tuple(edges),
        medoid if isinstance(medoid, int) and 1 <= medoid <= count else 0,
        tuple(map(bool, mirrored)) if isinstance(mirrored, list) and len(mirrored) == count else (),
    )


def agreement_sentence(tournament: Mapping[str, Any]) -> str:
    """``7 of 10 starts agree`` in the run's own words, or from its numbers."""
    if tournament.get("sentence"):
        return str(tournament["sentence"])
    agree, starts = tournament.get("agree"), tournament.get("starts")
    if isinstance(agree, int) and isinstance(starts, int):
        return f"{agree} of {starts} starts agree."
    return ""


def summary_of(run: SdsRun) -> str:
    """What there is, in a sentence."""
    parts = []
    if run.consensus is not None:
        parts.append("a consensus map")
    if run.volumes:
        parts.append(f"{len(run.volumes)} volume{'s' if len(run.volumes) != 1 else ''}")
    if not parts and run.starts:
        parts.append(f"{len(run.starts)} independent start{'s' if len(run.starts) != 1 else ''}")
    source = f" from {run.count} class averages" if run.count else ""
    if not parts:
        return f"No map yet{source}." if run.count else "No map yet."
    text = " and ".join(parts)
    return f"{text[:1].upper()}{text[1:]}{source}. Best fits, not draws from a posterior."


def rows_of(run: SdsRun) -> list[Row]:
    """The table of results: never a resolution without what it rests on."""
    rows = [
        Row(f"FSC, {curve.name.lower()}", curve.sentence or "No statement was made.", curve.meaning)
        for curve in curves_of(run.metrics)
    ]
    sentence = agreement_sentence(run.tournament) or agreement_sentence(_mapping(run.metrics, "agreement"))
    if sentence:
        rows.append(Row("Agreement", sentence, "Independent starts, aligned, mirror images allowed"))
    confidence = finite(run.confidence)
    if len(confidence):
        rows.append(Row(
            "Pose confidence", f"median {np.median(confidence):.2f} of 1",
            "Weight of the best pose among all that were tried, for each class average",
        ))  # fmt: skip
    correlation = finite(run.correlation)
    if len(correlation):
        rows.append(Row(
            "Fit to the class averages", f"median correlation {np.median(correlation):.2f}",
            "Of each class average with the consensus seen from its pose",
        ))  # fmt: skip
    own = finite([v.get("correlation") for v in run.volumes.values()])
    if len(own):
        rows.append(Row(
            "Fit of the volumes", f"median correlation {np.median(own):.2f}",
            "Of each volume with its own class average",
        ))  # fmt: skip
    rows += _motion_rows(_mapping(run.metrics, "motion"))
    if run.landscape is not None:
        first = run.landscape.explained[:3]
        rows.append(Row(
            "Landscape", f"{100 * float(first.sum()):.0f} % of the variance in {len(first)} components",
            "Differences between the volumes, those of the reconstruction included",
        ))  # fmt: skip
    return rows + time_rows(run)


def notes_of(metrics: Mapping[str, Any]) -> list[str]:
    """What the run had to say besides numbers."""
    notes = metrics.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def as_text(rows: Sequence[Row]) -> str:
    """The table for a spreadsheet."""
    return "\n".join(["Measure\tValue", *(f"{row.label}\t{row.value}" for row in rows)])


def baseline_of(metrics: Mapping[str, Any], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noise levels, rising, and values from a dictionary such as ``validation_rmse_over_sigma``."""
    pairs = []
    for name, value in _mapping(metrics, key).items():
        match = re.fullmatch(r"[-+.eE\d]+", str(name))
        if match and isinstance(value, int | float) and np.isfinite(value):
            pairs.append((float(name), float(value)))
    table = np.array(sorted(pairs), float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _motion_rows(motion: Mapping[str, Any]) -> list[Row]:
    if not isinstance(motion.get("moves"), bool):
        return []
    value = "the particle moves" if motion["moves"] else "no sign of it"
    tried = _mapping(motion, "left_out_correlation")
    known = finite([tried.get("neighbours"), tried.get("all")])
    if len(known) == 2:
        value += f" (left out: {known[0]:.3f} among similar, {known[1]:.3f} among all)"
    return [
        Row(
            "Motion", value, "Correlation of left-out class averages with the map of similar ones, and of all"
        )
    ]


def time_rows(run: SdsRun) -> list[Row]:
    """How long it took."""
    seconds = run.metrics.get("seconds")
    rows = []
    if isinstance(seconds, Mapping):
        known = {k: float(v) for k, v in seconds.items() if isinstance(v, int | float) and np.isfinite(v)}
        # of the volumes' own time, so not to be counted twice
        whole = sum(v for k, v in known.items() if k not in ("volumes_projector", "volumes_denoiser"))
        total = known.pop("total", whole)
        if total > 0:
            parts = ", ".join(f"{_SECONDS.get(k, k)} {v:.3g} s" for k, v in known.items())
            rows.append(Row("Computing time", f"{total:.3g} s", parts))
    each = finite([v.get("seconds") for v in run.volumes.values()])
    if len(each):
        rows.append(Row("Per volume", f"median {np.median(each):.3g} s", "One volume for each class average"))
    return rows


def _mapping(metrics: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = metrics.get(key)
    return found if isinstance(found, Mapping) else {}


def _numbers(values: Any) -> NDArray[np.float64]:
    if not isinstance(values, list):
        return np.zeros(0)
    return np.array([v if isinstance(v, int | float) else np.nan for v in values], float)


def finite(values: Any) -> NDArray[np.float64]:
    """The finite numbers among some values (n,), or of none."""
    if values is None:
        return np.zeros(0)
    table = np.array([v if isinstance(v, int | float) else np.nan for v in values], np.float64)
    known: NDArray[np.float64] = table[np.isfinite(table)]
    return known
