"""Plots of how good an ensemble is: measures of each sample, and how honest the spread is. Setters only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QWidget

from app.later import Later
from app.measures import Measure, Reliability
from app.panels.plot import Plot, Table
from app.style import Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

DASHED = Qt.PenStyle.DashLine
BOX_WIDTH = 0.56
FEWEST_FOR_A_BOX = 5  # samples: fewer are shown as dots only, since quartiles of three mean nothing


class BoxPlot(Plot):
    """One box per measure in Å: quartiles, median, range, and every sample as a dot."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._measures: Sequence[Measure] = ()
        super().__init__("", "Distance to the reference (Å)", parent, name="samples")

    def prepare(self) -> None:
        """Names have no ticks and aren't zoomed."""
        self.item.setMouseEnabled(x=False, y=True)
        self.item.getAxis("bottom").setStyle(tickLength=0)

    def set_measures(self, measures: Sequence[Measure]) -> None:
        """Show those in Å; others have no place on this axis."""
        self._measures = [m for m in measures if m.unit == "Å"]
        self.redraw()

    def draw(self) -> None:
        """Draw boxes and dots."""
        self.item.clear()
        shown = self._measures
        names = [[(i, _broken(m.label)) for i, m in enumerate(shown)]]
        self.item.getAxis("bottom").setTicks(names)
        self.item.getAxis("bottom").setHeight(66 if shown else None)
        if not shown:
            return
        colour = pg.mkColor(self.theme.series[0])
        pen, light = pg.mkPen(colour, width=1.5), pg.mkColor(colour)
        light.setAlpha(60)
        for i, measure in enumerate(shown):
            values = np.asarray(measure.values, float)
            if len(values) >= FEWEST_FOR_A_BOX:
                low, first, middle, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
                self.item.addItem(pg.BarGraphItem(
                    x=[i], y0=[first], y1=[third], width=BOX_WIDTH, brush=pg.mkBrush(light), pen=pen
                ))  # fmt: skip
                half = BOX_WIDTH / 2
                for xs, ys in (
                    ([i, i], [low, first]), ([i, i], [third, high]), ([i - half, i + half], [middle, middle])
                ):  # fmt: skip
                    self.item.addItem(pg.PlotCurveItem(xs, ys, pen=pen))
            # beside each other in the order of the samples, so that equal ones don't hide each other
            across = i + np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.array([float(i)])
            self.item.addItem(pg.ScatterPlotItem(
                x=across, y=values, size=7, brush=pg.mkBrush(self.theme.series[1]),
                pen=pg.mkPen(self.theme.surface), hoverable=True,
                tip=lambda x, y, data: f"Sample {data + 1}: {y:.2f} Å", data=np.arange(len(values)),
            ))  # fmt: skip
        self.item.setXRange(-0.5, len(shown) - 0.5, padding=0)
        top = max(max(m.values) for m in shown)
        self.item.setYRange(0.0, top * 1.06, padding=0)

    def table(self) -> Table:
        """Every sample's measures."""
        return ("measure", "sample", "value_A"), [
            (m.label, i, v) for m in self._measures for i, v in enumerate(m.values, 1)
        ]


class ReliabilityPlot(Plot):
    """Share of the true points within the stated regions, against the share that was stated."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._found: Reliability | None = None
        super().__init__(
            "Stated: share of the probability (%)", "Observed: share of the points (%)", parent,
            name="reliability",
        )  # fmt: skip

    def prepare(self) -> None:
        """Both axes stay at 0 to 100 %."""
        self.item.setMouseEnabled(x=False, y=False)

    def set_reliability(self, found: Reliability | None) -> None:
        """Show a curve, or none."""
        self._found = found
        self.redraw()

    def draw(self) -> None:
        """Draw the diagonal and the curve."""
        self.item.clear()
        if self._found is None:
            self.set_title("")
            return
        stated, observed = 100 * self._found.stated, 100 * self._found.observed
        self.item.addItem(
            pg.InfiniteLine(QPointF(0, 0), angle=45, pen=pg.mkPen(self.theme.muted, style=DASHED))
        )
        pen = pg.mkPen(self.theme.series[0], width=2)
        self.item.plot(
            [0, *stated, 100], [0, *observed, 100], pen=pen, symbol="o", symbolSize=6,
            symbolBrush=pg.mkBrush(self.theme.series[0]), symbolPen=pg.mkPen(self.theme.surface),
        )  # fmt: skip
        above, below = (
            ("stated too large", "stated too small")
            if self._found.what == "error"
            else ("spread too wide", "spread too narrow")
        )
        for text, place, anchor in ((above, (4, 97), (0, 0)), (below, (96, 3), (1, 1))):
            label = pg.TextItem(text, color=self.theme.muted, anchor=anchor)
            label.setPos(*place)
            self.item.addItem(label, ignoreBounds=True)
        self.item.setXRange(0, 100, padding=0.02)
        self.item.setYRange(0, 100, padding=0.02)
        self.set_title(self._found.sentence)

    def table(self) -> Table:
        """The curve."""
        found = self._found
        rows: list[tuple[float, float]] = (
            [] if found is None else list(zip(found.stated, found.observed, strict=True))
        )
        return ("stated_share", "observed_share"), rows


class SpreadErrorPlot(Plot):
    """Error against spread, in groups of points of rising spread."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._spread: NDArray[np.float64] = np.zeros(0)
        self._error: NDArray[np.float64] = np.zeros(0)
        super().__init__("Spread between samples (Å)", "Error of the mean (Å)", parent, name="spread-error")

    def set_reliability(self, found: Reliability | None) -> None:
        """Show the groups of points, or nothing."""
        none = np.zeros(0)
        self._spread, self._error = (none, none) if found is None else (found.spread_A, found.error_A)
        error = found is not None and found.what == "error"
        self.set_label("bottom", "Error to be expected (Å)" if error else "Spread between samples (Å)")
        self.set_title("Dashed: error = " + ("expected" if error else "spread"))
        self.redraw()

    def draw(self) -> None:
        """Draw the groups, and the line on which both are equal."""
        self.item.clear()
        if not len(self._spread):
            return
        self.item.addItem(
            pg.InfiniteLine(QPointF(0, 0), angle=45, pen=pg.mkPen(self.theme.muted, style=DASHED))
        )
        self.item.plot(
            self._spread, self._error, pen=pg.mkPen(self.theme.series[0], width=2), symbol="o", symbolSize=8,
            symbolBrush=pg.mkBrush(self.theme.series[0]), symbolPen=pg.mkPen(self.theme.surface),
        )  # fmt: skip
        top = 1.1 * float(max(self._spread.max(), self._error.max()))
        self.item.setXRange(0, top, padding=0)
        self.item.setYRange(0, top, padding=0)

    def table(self) -> Table:
        """Root mean squares of each group."""
        return ("stated_A", "error_A"), list(zip(self._spread, self._error, strict=True))


def _diagonal(theme: Theme) -> pg.InfiniteLine:
    return pg.InfiniteLine(QPointF(0, 0), angle=45, pen=pg.mkPen(theme.muted, style=DASHED))


def _broken(label: str) -> str:
    """A label on lines of its words, so that neighbours don't run into each other."""
    return label.replace("unaligned", "as placed").replace(",", "").replace(" ", "\n")
