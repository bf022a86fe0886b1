"""Plots of a run of score distillation: FSC, fits, confidences, agreement of starts. Setters only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from app.later import Later
from app.panels.legend import Legend
from app.panels.plot import Plot, Table
from app.sds_measures import Agreement, Curve
from app.viewers.colours import ramp

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

DASHED = Qt.PenStyle.DashLine
BINS = np.linspace(0.0, 1.0, 21)
NUMBERS_UP_TO = 12  # starts: beyond, numbers in the cells would run into each other


class FscFamilyPlot(Plot):
    """Fourier shell correlations, each with the threshold that is meant for its kind."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._curves: Sequence[Curve] = ()
        self._legend: Legend | None = None
        super().__init__("Spatial frequency (1/Å)", "Fourier shell correlation", parent, name="fsc")
        self.setMinimumHeight(190)

    def prepare(self) -> None:
        """Add the legend."""
        self._legend = Legend(self.item)
        self.item.setYRange(-0.1, 1.05, padding=0)

    def set_curves(self, curves: Sequence[Curve]) -> None:
        """Show these curves."""
        self._curves = curves
        self.redraw()

    def draw(self) -> None:
        """Draw curves and thresholds."""
        assert self._legend is not None  # noqa: S101 - for the type checker
        self.item.clear()
        self._legend.clear()
        lowest, last = -0.1, 0.0
        drawn: set[float] = set()
        for i, curve in enumerate(self._curves):
            keep = np.isfinite(curve.frequency_per_A) & np.isfinite(curve.correlation)
            pen = pg.mkPen(self.theme.series[i % len(self.theme.series)], width=2)
            item = self.item.plot(curve.frequency_per_A[keep], curve.correlation[keep], pen=pen)
            self._legend.add(item, curve.name)
            if keep.any():
                lowest = min(lowest, float(curve.correlation[keep].min()) - 0.05)
                last = max(last, float(curve.frequency_per_A[keep].max()))
            if curve.threshold not in drawn:
                drawn.add(curve.threshold)
                self._draw_threshold(curve, pen)
        self.item.setYRange(lowest, 1.05, padding=0)
        if last > 0:
            self.item.setXRange(0.0, last, padding=0.01)
        self._legend.settle(self.theme)

    def _draw_threshold(self, curve: Curve, pen: pg.QtGui.QPen) -> None:
        dashed = pg.mkPen(pen.color(), width=1, style=DASHED)
        line = pg.InfiniteLine(
            curve.threshold, angle=0, pen=dashed, label=f"{curve.threshold:g}: {curve.name.lower()}",
            labelOpts={"position": 0.99, "anchors": [(1, 1), (1, 1)], "color": pen.color()},
        )  # fmt: skip
        self.item.addItem(line, ignoreBounds=True)

    def table(self) -> Table:
        """Every point of every curve."""
        return ("curve", "frequency_per_A", "fsc"), [
            (c.name, x, y)
            for c in self._curves
            for x, y in zip(c.frequency_per_A, c.correlation, strict=True)
        ]


class FitPlot(Plot):
    """How well each class average fits the map's projection; a click picks one."""

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._values = np.zeros(0)
        self._selected = 0
        super().__init__("Class average", "Correlation with projection", parent, name="fits")

    def prepare(self) -> None:
        """Add dots and the ring."""
        self.item.getAxis("bottom").whole = True
        self._dots = pg.ScatterPlotItem(size=9, hoverable=True, tip=None)
        self._dots.sigClicked.connect(self._clicked)
        self.item.addItem(self._dots)
        self._ring = pg.ScatterPlotItem(size=15)
        self.item.addItem(self._ring)

    def set_values(self, values: NDArray[np.floating]) -> None:
        """Show (n,); NaN are left out."""
        self._values = np.asarray(values, float)
        self.redraw()

    def select(self, image: int) -> None:
        """Ring a class average, counted from 1."""
        self._selected = image
        self.redraw()

    def draw(self) -> None:
        """Draw the dots."""
        known = np.flatnonzero(np.isfinite(self._values))
        colour = pg.mkBrush(self.theme.series[0])
        self._dots.setData(x=known + 1.0, y=self._values[known], data=known + 1, brush=colour, pen=None)
        chosen = [i for i in known + 1 if i == self._selected]
        pen = pg.mkPen(self.theme.series[1], width=2)
        self._ring.setData(x=chosen, y=[self._values[i - 1] for i in chosen], brush=None, pen=pen)
        if len(known):
            low = float(self._values[known].min())
            self.item.setYRange(min(low - 0.03, 0.95), 1.0, padding=0.02)
            self.item.setXRange(0.5, len(self._values) + 0.5, padding=0.01)

    def table(self) -> Table:
        """Every class average's correlation."""
        return ("image", "correlation"), list(enumerate(self._values, 1))

    def _clicked(self, _item: object, points: Sequence[pg.SpotItem]) -> None:
        if len(points):
            self.picked.emit(int(points[0].data()))


class ConfidencePlot(Plot):
    """How sure the poses are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._values = np.zeros(0)
        super().__init__("Confidence of the pose (0 to 1)", "Class averages", parent, name="confidence")

    def prepare(self) -> None:
        """Confidences lie between 0 and 1."""
        self.item.setXRange(0.0, 1.0, padding=0.02)

    def set_values(self, values: NDArray[np.floating]) -> None:
        """Show a histogram of (n,)."""
        self._values = np.asarray(values, float)
        self.redraw()

    def draw(self) -> None:
        """Draw bars and the median."""
        self.item.clear()
        known = self._values[np.isfinite(self._values)]
        if not len(known):
            return
        counts, edges = np.histogram(np.clip(known, 0, 1), BINS)
        self.item.addItem(pg.BarGraphItem(
            x0=edges[:-1], x1=edges[1:], y0=0, y1=counts,
            brush=pg.mkBrush(self.theme.series[0]), pen=pg.mkPen(self.theme.surface),
        ))  # fmt: skip
        middle = float(np.median(known))
        self.item.addItem(pg.InfiniteLine(middle, pen=pg.mkPen(self.theme.series[1], width=2)))
        self.item.setXRange(0.0, 1.0, padding=0.02)
        self.item.setYRange(0.0, max(1, counts.max()) * 1.05, padding=0)
        self.set_title(f"Median {middle:.2f}")

    def table(self) -> Table:
        """Every class average's confidence."""
        return ("image", "confidence"), list(enumerate(self._values, 1))


class AgreementPlot(Plot):
    """Correlation between the maps of independent starts, sorted by group; a click picks a start."""

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._found: Agreement | None = None
        super().__init__("Start", "Start", parent, name="agreement")
        self.setMinimumHeight(240)

    def prepare(self) -> None:
        """Square cells, the first start on top."""
        self.item.showGrid(x=False, y=False)
        self.item.setAspectLocked(True)
        self.item.invertY(True)
        self.item.setMouseEnabled(x=False, y=False)
        self.item.hideButtons()
        self.widget.scene().sigMouseClicked.connect(self._clicked)

    def set_agreement(self, found: Agreement | None) -> None:
        """Show a matrix."""
        self._found = found
        self.redraw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Stay square: a higher plot would only have gaps above and below."""
        super().resizeEvent(event)
        self.setMaximumHeight(self.width() + 30)

    def draw(self) -> None:
        """Draw cells, numbers, and frames around the groups."""
        self.item.clear()
        if self._found is None:
            return
        found, count = self._found, len(self._found.order)
        index = np.array(found.order) - 1
        matrix = found.correlation[np.ix_(index, index)]
        low, high = self.limits()
        scaled = np.clip((np.nan_to_num(matrix, nan=low) - low) / (high - low), 0, 1)
        colours = np.asarray(ramp()[(scaled * 255).astype(int)] * 255, np.uint8)
        picture = pg.ImageItem(colours.transpose(1, 0, 2))
        picture.setRect(QRectF(0.5, 0.5, count, count))
        self.item.addItem(picture)
        if count <= NUMBERS_UP_TO:
            for row in range(count):
                for column in range(count):
                    self._draw_number(row, column, float(matrix[row, column]), float(scaled[row, column]))
        self._draw_frames(found)
        ticks = [(i, str(start)) for i, start in enumerate(found.order, 1)]
        for side in ("bottom", "left"):
            self.item.getAxis(side).setTicks([ticks, []])
        self.item.setRange(xRange=(0.4, count + 0.6), yRange=(0.4, count + 0.6), padding=0)
        self.set_title(f"Correlation, dark {low:.2f} to bright {high:.2f}")

    def limits(self) -> tuple[float, float]:
        """Correlations at the ends of the colours: those between different starts decide."""
        if self._found is None:
            return 0.0, 1.0
        matrix = self._found.correlation
        others = matrix[~np.eye(len(matrix), dtype=bool) & np.isfinite(matrix)]
        low = float(np.floor(10 * others.min()) / 10) if others.size else 0.0
        return min(low, 0.9), 1.0

    def _draw_number(self, row: int, column: int, value: float, share: float) -> None:
        if not np.isfinite(value):
            return
        text = pg.TextItem(
            f"{value:.2f}".replace("0.", "."),
            color="#1d2733" if share > 0.55 else "#ffffff",
            anchor=(0.5, 0.5),
        )
        font = text.textItem.font()
        font.setPointSizeF(7.5)
        text.setFont(font)
        text.setPos(column + 1, row + 1)
        self.item.addItem(text, ignoreBounds=True)

    def _draw_frames(self, found: Agreement) -> None:
        start = 0
        pen = pg.mkPen(self.theme.series[1], width=2.5)
        for end in found.edges:
            if end - start > 1:
                a, b = start + 0.5, end + 0.5
                self.item.addItem(pg.PlotDataItem([a, b, b, a, a], [a, a, b, b, a], pen=pen))
            start = end

    def table(self) -> Table:
        """The matrix, starts in their own order."""
        if self._found is None:
            return (), ()
        names = ["start", *(f"start_{i}" for i in range(1, len(self._found.correlation) + 1))]
        return names, [[i, *row] for i, row in enumerate(self._found.correlation, 1)]

    def _clicked(self, event: object) -> None:
        if self._found is None or event.button() != Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            return
        place = self.item.vb.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        row = round(place.y())
        if 1 <= row <= len(self._found.order) and 0.5 <= place.x() <= len(self._found.order) + 0.5:
            self.picked.emit(self._found.order[row - 1])
