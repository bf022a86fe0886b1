"""How the training of a denoiser goes: its loss, and its errors beside those of the closed form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.later import Later
from app.panels.legend import Legend
from app.panels.plot import Plot, Table
from app.style import Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

_SIGMA = re.compile(r"σ\s*=\s*([-+.eE\d]+)")
EMPTY = "When a training is on, this shows its loss and how well it does on images that it has not seen."
NETWORK, CLOSED_FORM = "This network", "Closed form"


class LossPlot(Plot):
    """Training loss against the step."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.values: list[tuple[int, float]] = []
        super().__init__("Step", "Training loss", parent, name="loss")

    def prepare(self) -> None:
        """Losses fall by powers of ten."""
        self.item.setLogMode(x=False, y=True)

    def draw(self) -> None:
        """Draw the curve."""
        self.item.clear()
        table = np.array(self.values, float).reshape(-1, 2)
        if len(table):
            pen = pg.mkPen(self.theme.series[0], width=2)
            dot = {"symbol": "o", "symbolSize": 7, "symbolBrush": pen.color(), "symbolPen": None}
            # a line through one point would not be seen
            self.item.plot(table[:, 0], table[:, 1], pen=pen, **(dot if len(table) == 1 else {}))

    def table(self) -> Table:
        """Every value."""
        return ("step", "loss"), self.values


class ErrorPlot(Plot):
    """Validation error over the noise level, and the closed form's as a baseline."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curves: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]] = {}
        self._legend: Legend | None = None
        super().__init__(
            "Noise level σ (of the images' contrast)", "Validation RMSE / σ", parent, name="validation"
        )

    def prepare(self) -> None:
        """Add the legend."""
        self._legend = Legend(self.item)
        self.item.setLogMode(x=True, y=False)

    def set_curve(self, name: str, sigma: NDArray[np.floating], error: NDArray[np.floating]) -> None:
        """Show or replace one of the two curves; an empty one takes it away."""
        if len(sigma):
            self._curves[name] = (np.asarray(sigma, float), np.asarray(error, float))
        else:
            self._curves.pop(name, None)
        self.redraw()

    def clear(self) -> None:
        """Show nothing."""
        self._curves = {}
        self.redraw()

    def draw(self) -> None:
        """Draw both curves."""
        assert self._legend is not None  # noqa: S101 - for the type checker
        self.item.clear()
        self._legend.clear()
        looks = ((NETWORK, 0, Qt.PenStyle.SolidLine), (CLOSED_FORM, 1, Qt.PenStyle.DashLine))
        highest = 0.0
        for name, colour, style in looks:
            if name in self._curves:
                sigma, error = self._curves[name]
                pen = pg.mkPen(self.theme.series[colour], width=2, style=style)
                brush = pg.mkBrush(self.theme.series[colour])
                curve = self.item.plot(
                    sigma, error, pen=pen, symbol="o", symbolSize=6, symbolBrush=brush, symbolPen=None
                )
                self._legend.add(curve, name)
                highest = max(highest, float(np.nanmax(error)))
        if highest > 0:
            self.item.setYRange(0.0, 1.08 * highest, padding=0)
        self._legend.settle(self.theme)

    def table(self) -> Table:
        """Every point."""
        return ("denoiser", "sigma", "rmse_over_sigma"), [
            (name, x, y)
            for name, (sigma, error) in self._curves.items()
            for x, y in zip(sigma, error, strict=True)
        ]


class TrainingPlots(QWidget):
    """Loss above, errors below, and what they mean in a sentence. Setters only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss, self.errors = LossPlot(), ErrorPlot()
        self._latest: dict[str, dict[float, float]] = {}
        self._words = QLabel(EMPTY)
        self._words.setObjectName("muted")
        self._words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._words)
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.errors, 1)
        self._rest = layout
        layout.addStretch(0)
        self.clear()

    def add(self, name: str, step: int, value: float) -> bool:
        """Continue a curve by a metric of a run; whether it is one of ours."""
        if not np.isfinite(value):
            return False
        match = _SIGMA.search(name)
        if name == "loss" and value > 0:
            if self.loss.values and step <= self.loss.values[-1][0]:
                self.loss.values = [v for v in self.loss.values if v[0] < step]  # gone on from a checkpoint
            self.loss.values.append((step, value))
        elif match and "RMSE" in name:
            key = CLOSED_FORM if "closed" in name.lower() else NETWORK
            self._latest.setdefault(key, {})[float(match[1])] = value
        else:
            return False
        return True

    def set_errors(self, name: str, sigma: NDArray[np.floating], error: NDArray[np.floating]) -> None:
        """Replace a curve of errors, e.g. by what the finished run says."""
        if len(sigma):
            self._latest[name] = dict(zip(map(float, sigma), map(float, error), strict=True))

    def redraw(self) -> None:
        """Show what has been added."""
        self.loss.redraw()
        for name in (NETWORK, CLOSED_FORM):
            pairs = sorted(self._latest.get(name, {}).items())
            self.errors.set_curve(name, np.array([s for s, _ in pairs]), np.array([e for _, e in pairs]))
        self.loss.setVisible(bool(self.loss.values))
        self.errors.setVisible(bool(self._latest))
        self._words.setText(self.sentence())
        self._rest.setStretch(3, 0 if self.loss.values or self._latest else 1)

    def sentence(self) -> str:
        """What the errors say, once both are known."""
        own, closed = self._latest.get(NETWORK, {}), self._latest.get(CLOSED_FORM, {})
        both = sorted(set(own) & set(closed))
        if not both:
            return "" if self.loss.values or own else EMPTY
        better = [s for s in both if own[s] < closed[s]]
        if len(better) == len(both):
            return "On images kept back, the network does better than the closed form at every noise level."
        if not better:
            return (
                "On images kept back, the closed form does better at every noise level: train longer, or "
                "use the closed form."
            )
        levels = ", ".join(f"{s:g}" for s in better)
        return f"On images kept back, the network does better than the closed form at σ = {levels}."

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.loss.set_theme(theme)
        self.errors.set_theme(theme)

    def clear(self) -> None:
        """Show the empty state."""
        self.loss.values, self._latest = [], {}
        self.redraw()
