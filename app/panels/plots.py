"""Plots of point clouds: energies against noise level, FSC, histogram of spread. Setters only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from app.later import Later
from app.measures import number
from app.number_fields import ChoiceBox
from app.panels.legend import Legend
from app.panels.plot import Plot, Table

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

LINE_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
MOST_CURVES = 12
ENERGY_LABEL, RELATIVE_LABEL = "Energy per observation (Å²)", "Energy ÷ expected"
NOISE_LABEL = "Noise level σ (fraction of the half-size)"


class EnergyPlot(Plot):
    """One curve per observation against the noise level, high noise on the left.

    Maximum likelihood has no noise level: its curves are drawn against the step. Where the run says which
    energy is to be expected, curves are drawn over that: at 1 (dashed) the points fit to the stated error.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._values: dict[str, list[tuple[float, float]]] = {}
        self._stated: dict[str, float] = {}
        self._by_step = False
        self._legend: Legend | None = None
        super().__init__(NOISE_LABEL, ENERGY_LABEL, parent)
        self.unit = ChoiceBox()
        self.unit.setParent(self)
        self.unit.setAccessibleName("Unit of the energies")
        self.unit.setToolTip("Over the energy that the stated error lets expect, or as it is in Å²")
        self.unit.addItem("1 = as stated", True)
        self.unit.addItem("In Å²", False)
        self.unit.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.unit.currentIndexChanged.connect(lambda _index: self.redraw())
        self.unit.hide()
        self._empty = QLabel("When a run is on, this shows how well the clouds fit each observation.")
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.box.addWidget(self._empty)
        self.box.setContentsMargins(8, 8, 8, 4)

    def prepare(self) -> None:
        """Add the legend and the line at 1."""
        self.box.insertWidget(0, self.unit, 0, Qt.AlignmentFlag.AlignRight)
        self._legend = Legend(self.item)
        self._one = pg.InfiniteLine(0.0, angle=0)  # of the logarithm
        self.item.addItem(self._one, ignoreBounds=True)
        self._set_axis(by_step=self._by_step)

    def showEvent(self, event: QShowEvent) -> None:
        """Stay without axes while there are no values, as at the start."""
        QWidget.showEvent(self, event)
        self.redraw()

    def redraw(self) -> None:
        """Draw, once there are values."""
        if self._values:
            self.make()
        super().redraw()

    @property
    def values(self) -> dict[str, list[tuple[float, float]]]:
        """(σ or step, energy in Å²) by observation, in order of arrival."""
        return self._values

    @property
    def relative(self) -> bool:
        """Whether energies are shown over those to be expected."""
        return bool(self._values) and self.unit.currentData() and set(self._values) <= set(self._stated)

    def clear(self) -> None:
        """Show nothing."""
        self._values, self._stated = {}, {}
        self.redraw()

    def add(
        self, step: int, sigma: float, values: dict[str, float], stated: dict[str, float] | None = None
    ) -> None:
        """Continue the curves; ``stated`` are the energies to be expected, Å²."""
        self._stated |= {name: value for name, value in (stated or {}).items() if value > 0}
        if not self._values:
            self._set_axis(by_step=sigma <= 0)
        x = float(step) if self._by_step else sigma
        for name, value in values.items():
            if x > 0 and np.isfinite(value) and value > 0:
                row = self._values.setdefault(name, [])
                if row and _goes_back(row[-1][0], x, up=self._by_step):
                    row.append((x, float("nan")))  # the next batch begins: lift the pen
                row.append((x, value))

    def draw(self) -> None:
        """Draw all curves; old ones are continued, not made again."""
        assert self._legend is not None  # noqa: S101 - for the type checker
        self.widget.setVisible(bool(self._values))
        self._empty.setVisible(not self._values)
        relative = self.relative
        self.unit.setVisible(bool(self._values) and set(self._values) <= set(self._stated))
        self.set_label("left", RELATIVE_LABEL if relative else ENERGY_LABEL)
        self._one.setVisible(relative)
        self._one.setPen(pg.mkPen(self.theme.muted, style=Qt.PenStyle.DashLine))
        if set(self._curves) - set(self._values):
            for curve in self._curves.values():
                self.item.removeItem(curve)
            self._curves = {}
            self._legend.clear()
        for i, (name, values) in enumerate(self._values.items()):
            style = LINE_STYLES[i // len(self.theme.series) % len(LINE_STYLES)]
            pen = pg.mkPen(self.theme.series[i % len(self.theme.series)], width=2, style=style)
            table = np.asarray(values, float)
            curve = self._curves.get(name)
            if curve is None:
                curve = self._curves[name] = pg.PlotDataItem(pen=pen, connect="finite")
                self.item.addItem(curve)
                if i < MOST_CURVES:
                    self._legend.add(curve, name)
            curve.setPen(pen)
            curve.setData(table[:, 0], table[:, 1] / (self._stated[name] if relative else 1.0))
        self._legend.settle(self.theme)

    def table(self) -> Table:
        """Every value drawn."""
        x = "step" if self._by_step else "sigma"
        return ("observation", x, "energy_A2", "expected_A2"), [
            (name, x, y, self._stated.get(name, ""))
            for name, row in self._values.items()
            for x, y in row
            if np.isfinite(y)
        ]

    def _set_axis(self, *, by_step: bool) -> None:
        self._by_step = by_step
        self.set_label("bottom", "Step" if by_step else NOISE_LABEL)
        if self._legend is not None:
            self.item.setLogMode(x=not by_step, y=True)
            self.item.invertX(not by_step)


class FscPlot(Plot):
    """Fourier shell correlation with a reference."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curve: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None
        self._note = ""
        super().__init__("Spatial frequency (1/Å)", "FSC with the reference", parent)

    def prepare(self) -> None:
        """Start with the range that correlations have."""
        self.item.setYRange(-0.1, 1.05, padding=0)

    def set_curve(
        self, frequency_per_A: NDArray[np.floating], correlation: NDArray[np.floating], note: str
    ) -> None:
        """Show one curve; ``note`` is the title."""
        self._curve, self._note = (np.asarray(frequency_per_A), np.asarray(correlation)), note
        self.redraw()

    def draw(self) -> None:
        """Draw the curve and the threshold."""
        self.item.clear()
        if self._curve is None:
            return
        line = pg.InfiniteLine(0.5, angle=0, pen=pg.mkPen(self.theme.muted, style=Qt.PenStyle.DashLine))
        self.item.addItem(line)
        frequency, correlation = self._curve
        keep = np.isfinite(frequency) & np.isfinite(correlation)
        lowest = min(-0.1, float(correlation[keep].min()) - 0.05) if keep.any() else -0.1
        self.item.setYRange(lowest, 1.05, padding=0)
        self.item.plot(frequency[keep], correlation[keep], pen=pg.mkPen(self.theme.series[0], width=2))
        label = pg.TextItem("0.5: mean map against reference", color=self.theme.muted, anchor=(1, 1))
        label.setPos(float(frequency[keep].max()) if keep.any() else 0.0, 0.5)
        self.item.addItem(label, ignoreBounds=True)
        self.item.setTitle(self._note, color=self.theme.text, size="9pt")

    def table(self) -> Table:
        """The curve."""
        return ("frequency_per_A", "fsc"), [] if self._curve is None else list(zip(*self._curve, strict=True))


class SpreadPlot(Plot):
    """How many points have which spread across the ensemble."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._spread: NDArray[np.floating] | None = None
        super().__init__("Spread across the ensemble (Å)", "Points", parent)

    def set_spread(self, spread_A: NDArray[np.floating]) -> None:
        """Show a histogram of (points,) Å."""
        self._spread = np.asarray(spread_A, float).ravel()
        self.redraw()

    def draw(self) -> None:
        """Draw the histogram and the median."""
        self.item.clear()
        if self._spread is None or not np.isfinite(self._spread).any():
            return
        spread = self._spread[np.isfinite(self._spread)]
        counts, edges = np.histogram(spread, bins=min(40, max(8, len(spread) // 20)))
        bars = pg.BarGraphItem(
            x0=edges[:-1], x1=edges[1:], y0=0, y1=counts,
            brush=pg.mkBrush(self.theme.series[0]), pen=pg.mkPen(self.theme.surface),
        )  # fmt: skip
        self.item.addItem(bars)
        middle = float(np.median(spread))
        self.item.addItem(pg.InfiniteLine(middle, pen=pg.mkPen(self.theme.series[1], width=2)))
        self.item.setTitle(f"Median {number(middle)} Å", color=self.theme.text, size="9pt")

    def table(self) -> Table:
        """The spread of every point."""
        spread = () if self._spread is None else self._spread
        return ("point", "spread_A"), [(i, v) for i, v in enumerate(spread, 1)]


def _goes_back(last: float, now: float, *, up: bool) -> bool:
    return now <= last if up else now > last * (1 + 1e-9)
