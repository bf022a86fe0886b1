"""How the training of a prior goes: its loss, and its errors on clouds kept back, over the steps."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.later import Later
from app.panels.legend import Legend
from app.panels.plot import Plot, Table
from app.panels.training import LossPlot
from app.style import Theme
from engine.io.prior_facts import LevelError

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

_SIGMA = re.compile(r"^validation RMSE/σ at σ=([-+.eE\d]+)$")
EMPTY = (
    "When a training is on, this shows its loss, and how well the prior denoises clouds that it does not "
    "learn from."
)
JUDGED = "RMSE/σ on clouds kept back: 1 is no denoising, lower is better."


class LevelPlot(Plot):
    """Validation error against the step, one curve for each noise level."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.values: dict[float, list[tuple[int, float]]] = {}
        self._legend: Legend | None = None
        super().__init__("Step", "Validation RMSE / σ", parent, name="validation")

    def prepare(self) -> None:
        """Add the legend."""
        self._legend = Legend(self.item, columns=2)

    def draw(self) -> None:
        """Draw all curves."""
        assert self._legend is not None  # noqa: S101 - for the type checker
        self.item.clear()
        self._legend.clear()
        for i, sigma in enumerate(sorted(self.values)):
            table = np.array(self.values[sigma], float)
            colour = self.theme.series[i % len(self.theme.series)]
            curve = self.item.plot(
                table[:, 0], table[:, 1], pen=pg.mkPen(colour, width=2), symbol="o", symbolSize=5,
                symbolBrush=pg.mkBrush(colour), symbolPen=None,
            )  # fmt: skip
            self._legend.add(curve, f"σ = {sigma:g}")
        if self.values:
            # The legend lies above the curves.
            errors = [error for row in self.values.values() for _, error in row]
            low, high = min(errors), max(errors)
            span = max(high - low, 0.05)
            self.item.setYRange(low - 0.05 * span, high + 0.55 * span, padding=0)
        self._legend.settle(self.theme)

    def table(self) -> Table:
        """Every value."""
        return ("sigma", "step", "rmse_over_sigma"), [
            (sigma, step, error) for sigma in sorted(self.values) for step, error in self.values[sigma]
        ]


class PriorPlots(QWidget):
    """Loss above, errors below, and what they mean. Setters only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss, self.levels = LossPlot(), LevelPlot()
        self._shapeless: dict[float, float] = {}
        self._words, self._table = QLabel(EMPTY), QLabel()
        self._words.setObjectName("muted")
        self._table.setTextFormat(Qt.TextFormat.RichText)
        self._table.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._table.setAccessibleName("Validation errors now")
        self._table.setToolTip("Shapeless: what a filter reaches that knows only the size of a cloud")
        for label in (self._words, self._table):
            label.setWordWrap(True)
        layout = self._rows = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._words)
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.levels, 1)
        layout.addWidget(self._table)
        layout.addStretch(0)
        self.clear()

    def add(self, name: str, step: int, value: float) -> bool:
        """Continue a curve by a metric of a run; whether it is one of ours."""
        match = _SIGMA.match(name)
        if not math.isfinite(value) or (name != "loss" and match is None) or (name == "loss" and value <= 0):
            return False
        row = self.loss.values if match is None else self.levels.values.setdefault(float(match[1]), [])
        if row and step <= row[-1][0]:
            row[:] = [v for v in row if v[0] < step]  # gone on from a checkpoint
        row.append((step, value))
        return True

    def set_card(self, errors: Sequence[LevelError]) -> None:
        """Show beside the errors what a prior reaches that knows no shapes, once that is known."""
        self._shapeless = {level.sigma: level.shapeless for level in errors if math.isfinite(level.shapeless)}

    def redraw(self) -> None:
        """Show what has been added."""
        self.loss.redraw()
        self.levels.redraw()
        loss, levels = bool(self.loss.values), bool(self.levels.values)
        self.loss.setVisible(loss)
        self.levels.setVisible(levels)
        self._words.setText(self.sentence())
        self._words.setVisible(bool(self._words.text()))
        self._table.setText(self._errors())
        self._table.setVisible(levels)
        self._rows.setStretch(self._rows.count() - 1, 0 if loss or levels else 1)

    def sentence(self) -> str:
        """What the newest errors say."""
        if not self.levels.values:
            return "" if self.loss.values else EMPTY
        known = {s: row[-1][1] for s, row in self.levels.values.items() if s in self._shapeless}
        if not known:
            return JUDGED
        better = [f"{s:g}" for s, error in sorted(known.items()) if error < 0.98 * self._shapeless[s]]
        if not better:
            return f"{JUDGED} It does not know shapes yet: train longer, or on more clouds."
        levels = f"noise level{'s' if len(better) > 1 else ''} σ = {', '.join(better)}"
        return f"{JUDGED} It knows shapes at {levels}."

    def _errors(self) -> str:
        def line(name: str, cells: Sequence[str]) -> str:
            inner = "".join(f'<td align="right">&nbsp;&nbsp;{cell}</td>' for cell in cells)
            return f"<tr><td>{name}</td>{inner}</tr>"

        sigmas = sorted(self.levels.values)
        rows = [line("Noise σ", [f"{s:g}" for s in sigmas])]
        rows.append(line("This prior", [f"{self.levels.values[s][-1][1]:.3f}" for s in sigmas]))
        if self._shapeless:
            shapeless = [f"{self._shapeless[s]:.3f}" if s in self._shapeless else "" for s in sigmas]
            rows.append(line("Shapeless", shapeless))
        return f"<table>{''.join(rows)}</table>"

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.loss.set_theme(theme)
        self.levels.set_theme(theme)

    def clear(self) -> None:
        """Show the empty state."""
        self.loss.values, self.levels.values, self._shapeless = [], {}, {}
        self.redraw()
