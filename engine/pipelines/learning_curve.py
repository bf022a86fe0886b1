"""How a training went: loss and validation errors over what has been seen, as a table and a figure."""

from __future__ import annotations

import csv
import io
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from engine.io.atomic import atomic_path, write_text

_FIRST = ("step", "clouds_seen", "hours", "loss")


@dataclass(frozen=True)
class Row:
    """One moment of a training.

    Attributes
    ----------
    step, clouds_seen, hours : how far it had come; hours of training time.
    loss : mean since the row before; NaN if no step was taken since.
    errors : RMSE/σ on validation clouds per noise level.
    """

    step: int
    clouds_seen: int
    hours: float
    loss: float
    errors: dict[float, float]


class LearningCurve:
    """Rows of a training, kept in a CSV file, so that a resumed training goes on with its curve.

    Parameters
    ----------
    file : CSV; rows of steps beyond ``step`` are forgotten: they were taken after the last checkpoint.
    step : where the training stands.
    """

    def __init__(self, file: Path, step: int) -> None:
        self.file = file
        self.rows = [row for row in _read(file) if row.step <= step]

    def add(self, row: Row) -> None:
        """Take another row, in place of one of the same step, whose loss it keeps; writes the file."""
        same = [r.loss for r in self.rows if r.step == row.step]
        if same and math.isnan(row.loss):
            row = replace(row, loss=same[0])
        self.rows = [r for r in self.rows if r.step < row.step] + [row]
        sigmas = sorted(row.errors)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_FIRST, *(f"rmse_over_sigma_at_{s:g}" for s in sigmas)])
        for r in self.rows:
            errors = [f"{r.errors.get(s, math.nan):.5f}" for s in sigmas]
            writer.writerow([r.step, r.clouds_seen, f"{r.hours:.4f}", f"{r.loss:.5f}", *errors])
        write_text(self.file, text.getvalue())

    def draw(self, file: Path, sigma_data: float) -> None:
        """The figure, as PNG.

        For each noise level, by how many per cent the validation error lies below that of the isotropic
        Wiener filter, over clouds seen; and the training loss, spikes cut off.
        """
        seen = [r.clouds_seen / 1000 for r in self.rows]
        figure = Figure(figsize=(7, 6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        for i, sigma in enumerate(sorted(self.rows[-1].errors)):
            wiener = sigma_data / math.hypot(sigma_data, sigma)
            gains = [100 * (1 - r.errors.get(sigma, math.nan) / wiener) for r in self.rows]
            upper.plot(seen, gains, marker="o", markersize=3, color=f"C{i}", label=f"σ = {sigma:g}")
        upper.axhline(0, color="0.6", linewidth=1)
        upper.set_ylabel("error below the Wiener filter's, %")
        upper.set_title("What the prior knows of shapes, on validation clouds", fontsize=10)
        upper.legend(
            title="noise level", fontsize=8, title_fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0)
        )
        losses = [r.loss for r in self.rows]
        lower.plot(seen, losses, color="0.3", marker="o", markersize=3)
        usual = [loss for loss in losses if math.isfinite(loss)]
        if usual and max(usual) > 1.5 * statistics.median(usual):
            lower.set_ylim(top=1.5 * statistics.median(usual))
        lower.set_ylabel("training loss")
        lower.set_xlabel("clouds seen (thousands)")
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        with atomic_path(file) as temporary:
            figure.savefig(temporary, format="png", dpi=150)


def _read(file: Path) -> list[Row]:
    """Rows of a file; none of one that is missing or damaged, since a curve is no reason to stop."""
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
        prefix = "rmse_over_sigma_at_"
        return [
            Row(
                int(row["step"]),
                int(row["clouds_seen"]),
                float(row["hours"]),
                float(row["loss"]),
                {float(k.removeprefix(prefix)): float(v) for k, v in row.items() if k.startswith(prefix)},
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
