"""The figure of ``tests.benchmarks.calibration``: what was stated against what was observed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import fdtr

from engine.metrics.reliability import LEVELS
from engine.metrics.stated_error import ErrorModel
from tests.benchmarks.calibration import Cell, Floats, curve

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#7a7a7a"
GROUPS = 10


def draw_figure(cells: dict[str, list[Cell]], model: ErrorModel, path: Path) -> None:
    """Reliability at all levels, and errors in ten groups of points of rising stated error, as PNG."""
    net = [c for key, group in cells.items() if key.endswith("/net") for c in group]
    gauss = [c for key, group in cells.items() if key.endswith("/gauss") for c in group]
    figure = Figure(figsize=(9.6, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], "--", color=GREY, linewidth=1)
    for label, observed, style in (
        ("stated error", curve(net, model), {"color": BLUE, "marker": "o"}),
        (
            "stated error, Gaussian prior",
            curve(gauss, model),
            {"color": BLUE, "marker": "s", "linestyle": ":"},
        ),
        ("spread as it is", raw_curve(net), {"color": ORANGE, "marker": "^"}),
    ):
        left.plot(100 * np.array(LEVELS), 100 * observed, markersize=4, linewidth=1.4, label=label, **style)
    left.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    left.set_xlabel("Stated: share of the probability (%)")
    left.set_ylabel("Observed: share of the true points (%)")
    left.legend(frameon=False, loc="upper left", fontsize=9)

    stated = np.concatenate([c.expected(model) for c in net])
    spread = np.concatenate([c.spread for c in net])
    error = np.concatenate([c.error for c in net])
    top = 0.0
    for label, told, colour, marker in (
        ("by stated error", stated, BLUE, "o"),
        ("by spread", spread, ORANGE, "^"),
    ):
        x, y = groups(told, error)
        right.plot(x, y, marker=marker, color=colour, markersize=5, linewidth=1.4, label=label)
        top = max(top, float(x.max()), float(y.max()))
    right.plot([0, 1.08 * top], [0, 1.08 * top], "--", color=GREY, linewidth=1)
    right.set(xlim=(0, 1.08 * top), ylim=(0, 1.08 * top), aspect="equal")
    right.set_xlabel("Expected distance to the truth, rms (Å)")
    right.set_ylabel("Observed distance to the truth, rms (Å)")
    right.legend(frameon=False, loc="upper left", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def groups(told: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Root mean squares in groups of as many points, of rising told error."""
    parts = np.array_split(np.argsort(told), GROUPS)
    x, y = ([np.sqrt((v[p] ** 2).mean()) for p in parts] for v in (told, error))
    return np.array(x), np.array(y)


def raw_curve(cells: list[Cell]) -> Floats:
    """Observed shares if the spread were the error (:mod:`engine.metrics.reliability`)."""
    shares = np.concatenate(
        [fdtr(3, 3 * (c.members - 1), c.error**2 / (c.spread**2 * (1 + 1 / c.members))) for c in cells]
    )
    return (shares[:, None] <= np.array(LEVELS)).mean(0)
