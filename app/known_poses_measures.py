"""What a run at known poses measured, ready to be shown.

Files may be damaged or of another version: what doesn't fit is left out, and nothing is raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.known_poses_words import METHODS, REPRESENTATIONS
from app.sds_files import SdsRun
from app.sds_measures import Row, curves_of, finite, time_rows


def summary_of(run: SdsRun) -> str:
    """What there is, in a sentence."""
    count = f" from {run.count} image{'s' if run.count != 1 else ''} at their poses" if run.count else ""
    if run.consensus is None:
        return f"No map yet{count}."
    method = METHODS.get(str(run.metrics.get("method")), "")
    how = f" by {method[:1].lower()}{method[1:]}" if method else ""
    text = f"One volume{count}{how}."
    supplied = _number(run.metrics.get("prior_supplied"))
    if supplied is not None:
        text += f" {100 * supplied:.0f} % of its power lies where no image measured anything."
    return text


def rows_of(run: SdsRun) -> list[Row]:
    """The table of results: never a resolution without what it rests on."""
    metrics = run.metrics
    rows = [
        Row(f"FSC, {curve.name[:1].lower()}{curve.name[1:]}", curve.sentence or "No statement was made.",
            curve.meaning)
        for curve in curves_of(metrics)
    ]  # fmt: skip
    supplied = _number(metrics.get("prior_supplied"))
    if supplied is not None:
        rows.append(Row(
            "Supplied by the prior", f"{100 * supplied:.0f} % of the map's power",
            "In Fourier coefficients that no image measured: from the prior or the regularisation",
        ))  # fmt: skip
    fit = finite(metrics.get("correlation"))
    fit = fit if len(fit) else finite(run.correlation)
    if len(fit):
        rows.append(Row(
            "Fit to the images", f"median correlation {np.median(fit):.2f}",
            "Of each image with the map's projection at its pose",
        ))  # fmt: skip
    for key, label, tip in (
        ("residual", "Residual", "What the map leaves of the images, root mean square, in their contrast"),
        ("noise", "Noise of the images", "Standard deviation, in units of the images' contrast"),
    ):
        value = _number(metrics.get(key))
        if value is not None:
            rows.append(Row(label, f"{value:.3g}", tip))
    turned = finite(metrics.get("pose_change_deg"))
    if len(turned):
        rows.append(Row(
            "Poses refined", f"turned by {np.median(turned):.2g}° (median), {turned.max():.2g}° at most",
            "How far each pose has turned from the one that was given",
        ))  # fmt: skip
    made = REPRESENTATIONS.get(str(metrics.get("representation")), "")
    if made:
        rows.append(Row("Volume of", made, "What the volume is made of"))
    return rows + time_rows(run)


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return float(value) if good else None
