"""One judgement for every method: FSC to the truth after alignment, motion, summary, figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics.volumes import aligned_fsc
from engine.pipelines.figures import save
from engine.pipelines.sds_figures import fsc_figure
from tests.benchmarks.sds_motion import MotionFit, motion_report
from tests.benchmarks.sds_subjects import Subject

Density = NDArray[np.float32]
MASKS = {"unmasked": None, "sphere": "sphere"}


def judge(
    subject: Subject, density: Callable[[int], Density], images: list[int], motion: MotionFit | None = None
) -> dict[str, Any]:
    """Compare maps with the truths of images (counted from 1).

    Parameters
    ----------
    density : the map of an image, on the subject's grid; of a method that makes one map, always that one.
    motion : also reads the phantom's parameters off each map.

    Returns
    -------
    dict
        Per image and, as ``summary``, medians and quartiles: area under the FSC, resolutions.
    """
    rows, found = [], []
    for image in images if subject.moves else images[:1]:
        volume = np.asarray(density(image), np.float32)
        row: dict[str, Any] = {"image": image}
        for name, mask in MASKS.items():
            fsc, _ = aligned_fsc(volume, subject.pixel_A, subject.truth(image - 1), mask)
            row[name] = {
                "area": fsc.area,
                "resolution_0p5_A": fsc.resolution_0p5_A,
                "resolution_0p143_A": fsc.resolution_0p143_A,
                "correlation": fsc.correlation.tolist(),
                "alignment_score": fsc.alignment.score if fsc.alignment else None,
            }
            frequency = fsc.frequency_per_A
        rows.append(row)
        if motion is not None:
            found.append(motion(volume)[0])
    report: dict[str, Any] = {"frequency_per_A": frequency.tolist(), "volumes": rows}
    report["summary"] = {name: _summary(rows, name, subject.pixel_A) for name in MASKS}
    if motion is not None:
        true = subject.values[np.array(images) - 1]
        report["motion"] = motion_report(subject.names, true, np.array(found))
    return report


def controls(subject: Subject, images: list[int], motion: MotionFit | None) -> dict[str, Any]:
    """What is reached without any motion recovered: the mean of all true maps, against each."""
    mean = np.mean([subject.truth(i) for i in range(subject.count)], axis=0).astype(np.float32)
    return judge(subject, lambda image: mean, images, motion) | {"seconds": 0.0}


def _summary(rows: list[dict[str, Any]], mask: str, pixel_A: float) -> dict[str, Any]:
    """Medians and quartiles; a curve that never crosses counts as Nyquist."""
    out: dict[str, Any] = {"count": len(rows)}
    for key in ("area", "resolution_0p5_A", "resolution_0p143_A"):
        values = [2 * pixel_A if r[mask][key] is None else r[mask][key] for r in rows]
        out[key] = dict(
            zip(("median", "lower", "upper"), np.percentile(values, (50, 25, 75)).tolist(), strict=True)
        )
    curves = np.array([r[mask]["correlation"] for r in rows])
    out["curve"], out["curve_lower"], out["curve_upper"] = np.percentile(
        curves, (50, 25, 75), axis=0
    ).tolist()
    return out


def table(reports: Mapping[str, dict[str, Any]]) -> str:
    """The summaries as text."""
    lines = []
    for mask in MASKS:
        lines.append(f"{mask:34}{'FSC area':>22}{'0.5 at Å':>24}{'0.143 at Å':>24}{'seconds':>9}{'CPU s':>8}")
        for name, report in reports.items():
            summary = report["summary"][mask]
            row = f"{name:34}"
            for key, digits, width in (
                ("area", 3, 22), ("resolution_0p5_A", 1, 24), ("resolution_0p143_A", 1, 24),
            ):  # fmt: skip
                s = summary[key]
                text = f"{s['median']:.{digits}f}"
                if summary["count"] > 1:
                    text += f" ({s['lower']:.{digits}f}-{s['upper']:.{digits}f})"
                row += f"{text:>{width}}"
            lines.append(row + f"{report.get('seconds', 0):>9.0f}{report.get('cpu_seconds', 0):>8.0f}")
    for name, report in reports.items():
        for parameter, facts in report.get("motion", {}).items():
            r = facts["correlation"]
            known = "not defined" if r is None or not math.isfinite(r) else f"{r:.3f}"
            lines.append(
                f"{name}: {parameter}: correlation {known}, mean error {facts['mean_absolute_error']:.3g}"
            )
    return "\n".join(lines)


def draw(reports: Mapping[str, dict[str, Any]], path: Path, title: str, mask: str = "unmasked") -> None:
    """All FSC curves in one figure; medians with quartiles where a method made many maps."""
    curves, bands, crossings = {}, {}, {}
    for name, report in reports.items():
        summary, frequency = report["summary"][mask], np.array(report["frequency_per_A"])
        label = f"{name}, median of {summary['count']}" if summary["count"] > 1 else name
        curves[label] = frequency[1:], np.array(summary["curve"])[1:]
        if summary["count"] > 1:
            bands[label] = np.array(summary["curve_lower"])[1:], np.array(summary["curve_upper"])[1:]
        crossings[label] = {0.5: summary["resolution_0p5_A"]["median"]}
    words = "no mask" if mask == "unmasked" else "soft sphere"
    figure = fsc_figure(
        curves, title=f"{title}\nagainst the truth after alignment, {words}", resolutions_A=crossings,
        quartiles=bands,
    )  # fmt: skip
    save(figure, path)
