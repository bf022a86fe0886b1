"""Plots: energies against noise level, FSC, histogram of spread. Setters only."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.measures import number
from app.style import LIGHT, Theme

LINE_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
MOST_CURVES = 12
NOISE_LABEL = "Noise level σ (fraction of the half-size)"


class PlainLogAxis(pg.AxisItem):  # type: ignore[misc]
    """A logarithmic axis with plain numbers at 1, 2 and 5 times powers of ten."""

    def logTickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        """0.2 rather than 2·10⁻¹; nothing where numbers would run into each other."""
        crowded = abs(self.range[1] - self.range[0]) > 0.7
        return [_plain(10.0**value, crowded=crowded) for value in values]


class Plot(QWidget):
    """A labelled plot with a grid that follows the theme."""

    def __init__(self, x_label: str, y_label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self._labels = {"bottom": x_label, "left": y_label}
        axes = {name: PlainLogAxis(name) for name in ("bottom", "left")}
        self.widget = pg.PlotWidget(axisItems=axes)
        self.item = self.widget.getPlotItem()
        self.item.showGrid(x=True, y=True, alpha=0.15)
        for menu in (self.item.ctrlMenu, self.item.vb.menu):
            menu.setParent(self.widget, menu.windowFlags())  # pyqtgraph would leave them behind
        for axis in ("bottom", "left"):
            self.item.getAxis(axis).enableAutoSIPrefix(False)
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.addWidget(self.widget)
        self.setMinimumHeight(170)
        self.set_theme(LIGHT)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.theme = theme
        self.widget.setBackground(theme.surface)
        for name, text in self._labels.items():
            axis = self.item.getAxis(name)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.text))
            axis.setLabel(text, color=theme.text)
        self.redraw()

    def redraw(self) -> None:
        """Draw the present values again; subclasses know them."""


class EnergyPlot(Plot):
    """One curve per observation against the noise level, high noise on the left.

    Maximum likelihood has no noise level: its curves are drawn against the step.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._values: dict[str, list[tuple[float, float]]] = {}
        self._by_step = False
        self._legend: pg.LegendItem | None = None
        super().__init__(NOISE_LABEL, "Energy per observation (Å²)", parent)
        self._empty = QLabel("When a run is on, this shows how well the clouds fit each observation.")
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.box.addWidget(self._empty)
        self.box.setContentsMargins(8, 8, 8, 4)
        self._legend = self.item.addLegend(offset=(-8, 8), labelTextSize="9pt")
        self._set_axis(by_step=False)

    @property
    def values(self) -> dict[str, list[tuple[float, float]]]:
        """(σ or step, energy) by observation, in order of arrival."""
        return self._values

    def clear(self) -> None:
        """Show nothing."""
        self._values = {}
        self.redraw()

    def add(self, step: int, sigma: float, values: dict[str, float]) -> None:
        """Continue the curves."""
        if not self._values:
            self._set_axis(by_step=sigma <= 0)
        x = float(step) if self._by_step else sigma
        for name, value in values.items():
            if x > 0 and np.isfinite(value) and value > 0:
                row = self._values.setdefault(name, [])
                if row and _goes_back(row[-1][0], x, up=self._by_step):
                    row.append((x, float("nan")))  # the next batch begins: lift the pen
                row.append((x, value))

    def redraw(self) -> None:
        """Draw all curves; old ones are continued, not made again."""
        if self._legend is None:
            return
        self.widget.setVisible(bool(self._values))
        self._empty.setVisible(not self._values)
        if set(self._curves) - set(self._values):
            for curve in self._curves.values():
                self.item.removeItem(curve)
            self._curves = {}
            self._legend.clear()
        self._legend.setLabelTextColor(self.theme.text)
        for _sample, label in self._legend.items:
            label.setText(label.text, color=self.theme.text)
        for i, (name, values) in enumerate(self._values.items()):
            style = LINE_STYLES[i // len(self.theme.series) % len(LINE_STYLES)]
            pen = pg.mkPen(self.theme.series[i % len(self.theme.series)], width=2, style=style)
            table = np.asarray(values, float)
            curve = self._curves.get(name)
            if curve is None:
                curve = self._curves[name] = pg.PlotDataItem(pen=pen, connect="finite")
                self.item.addItem(curve)
                if i < MOST_CURVES:
                    self._legend.addItem(curve, name)
            curve.setPen(pen)
            curve.setData(table[:, 0], table[:, 1])

    def _set_axis(self, *, by_step: bool) -> None:
        self._by_step = by_step
        self._labels["bottom"] = "Step" if by_step else NOISE_LABEL
        self.item.setLogMode(x=not by_step, y=True)
        self.item.invertX(not by_step)
        self.set_theme(self.theme)


class FscPlot(Plot):
    """Fourier shell correlation with a reference."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curve: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None
        self._note = ""
        super().__init__("Spatial frequency (1/Å)", "FSC with the reference", parent)
        self.item.setYRange(-0.1, 1.05, padding=0)

    def set_curve(
        self, frequency_per_A: NDArray[np.floating], correlation: NDArray[np.floating], note: str
    ) -> None:
        """Show one curve; ``note`` is the title."""
        self._curve, self._note = (np.asarray(frequency_per_A), np.asarray(correlation)), note
        self.redraw()

    def redraw(self) -> None:
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
        label = pg.TextItem("0.5", color=self.theme.muted, anchor=(0, 1))
        label.setPos(0, 0.5)
        self.item.addItem(label, ignoreBounds=True)
        self.item.setTitle(self._note, color=self.theme.text, size="9pt")


class SpreadPlot(Plot):
    """How many points have which spread across the ensemble."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._spread: NDArray[np.floating] | None = None
        super().__init__("Spread across the ensemble (Å)", "Points", parent)

    def set_spread(self, spread_A: NDArray[np.floating]) -> None:
        """Show a histogram of (points,) Å."""
        self._spread = np.asarray(spread_A, float).ravel()
        self.redraw()

    def redraw(self) -> None:
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


def _plain(value: float, *, crowded: bool) -> str:
    mantissa = value / 10 ** np.floor(np.log10(value) + 1e-9)
    if crowded and not any(abs(mantissa - m) < 0.01 for m in (1, 2, 5)):
        return ""
    return f"{value:.3g}" if value < 1e4 else f"{value:.0e}"


def _goes_back(last: float, now: float, *, up: bool) -> bool:
    return now <= last if up else now > last * (1 + 1e-9)
