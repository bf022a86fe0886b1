"""What all plots share: labelled axes, a grid, the theme, and saving as picture or table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyqtgraph as pg
from pyqtgraph.exporters import ImageExporter
from PySide6.QtCore import QBuffer, QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QResizeEvent
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QMenu, QToolButton, QVBoxLayout, QWidget

from app import style
from app.style import LIGHT, Theme

PICTURE_WIDTH = 1600
KINDS = {"png": "Picture (PNG)", "svg": "Drawing (SVG)", "csv": "Values (CSV)"}
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


class PlainLogAxis(pg.AxisItem):  # type: ignore[misc]
    """A logarithmic axis with plain numbers at 1, 2 and 5 times powers of ten."""

    def logTickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        """0.2 rather than 2·10⁻¹; nothing where numbers would run into each other."""
        crowded = abs(self.range[1] - self.range[0]) > 0.7
        return [_plain(10.0**value, crowded=crowded) for value in values]


class Plot(QWidget):
    """A labelled plot with a grid that follows the theme.

    Its menu (the button in its corner, or right click) asks for the plot as a file: ``save_wanted(plot,
    kind)``.
    """

    save_wanted = Signal(object, str)

    def __init__(
        self, x_label: str, y_label: str, parent: QWidget | None = None, *, name: str = "plot"
    ) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.name = name
        self._labels = {"bottom": x_label, "left": y_label}
        axes = {side: PlainLogAxis(side) for side in ("bottom", "left")}
        self.widget = pg.PlotWidget(axisItems=axes)
        self.item = self.widget.getPlotItem()
        self.item.showGrid(x=True, y=True, alpha=0.15)
        for menu in (self.item.ctrlMenu, self.item.vb.menu):
            menu.setParent(self.widget, menu.windowFlags())  # pyqtgraph would leave them behind
        self.item.setMenuEnabled(False)
        self.widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.widget.customContextMenuRequested.connect(self._menu)
        self.widget.setAccessibleName(f"{y_label} against {x_label}")
        for axis in ("bottom", "left"):
            self.item.getAxis(axis).enableAutoSIPrefix(False)
        self._save = QToolButton(self.widget)
        self._save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._save.setAccessibleName("Save this plot")
        self._save.setToolTip("Save this plot as a picture, a drawing or a table (also: right click)")
        self._save.clicked.connect(lambda _checked=False: self._menu(self._save.geometry().bottomLeft()))
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.addWidget(self.widget)
        self.setMinimumHeight(170)
        self.set_theme(LIGHT)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.theme = theme
        self.widget.setBackground(theme.surface)
        self._save.setIcon(style.icon("export", theme.muted))
        for side, text in self._labels.items():
            axis = self.item.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.text))
            axis.setLabel(text, color=theme.text)
        self.redraw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the button in the corner."""
        super().resizeEvent(event)
        self._save.move(max(0, self.widget.width() - self._save.sizeHint().width() - 2), 2)

    def set_label(self, side: str, text: str) -> None:
        """Say what an axis (``bottom`` or ``left``) shows."""
        self._labels[side] = text
        self.item.getAxis(side).setLabel(text, color=self.theme.text)
        self.widget.setAccessibleName(f"{self._labels['left']} against {self._labels['bottom']}")

    def set_title(self, text: str) -> None:
        """A line above the plot; empty for none."""
        self.item.setTitle(text or None, color=self.theme.text, size="9pt")

    def redraw(self) -> None:
        """Draw the present values again; subclasses know them."""

    def table(self) -> Table:
        """Names of the columns, with units, and rows; subclasses know them."""
        return (), ()

    def rendered(self, kind: str) -> bytes:
        """The plot as a file: ``png``, ``svg`` or ``csv``."""
        if kind == "csv":
            text = io.StringIO()
            names, rows = self.table()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([[_field(value) for value in row] for row in rows])
            return text.getvalue().encode()
        buffer = QBuffer()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        if kind == "svg":
            self._draw_svg(buffer)
        else:
            exporter = ImageExporter(self.item)
            exporter.parameters()["width"] = PICTURE_WIDTH
            exporter.export(toBytes=True).save(buffer, "PNG")
        return bytes(buffer.data().data())

    def _draw_svg(self, buffer: QBuffer) -> None:
        # pyqtgraph's own exporter can't read the paths that Qt 6.11 writes.
        generator = QSvgGenerator()
        generator.setOutputDevice(buffer)
        generator.setSize(self.widget.viewport().size())
        generator.setViewBox(QRectF(self.widget.viewport().rect()))
        generator.setTitle(f"{self._labels['left']} against {self._labels['bottom']}")
        painter = QPainter(generator)
        self._save.hide()  # the button is no part of the plot
        self.widget.render(painter)
        self._save.show()
        painter.end()

    def _menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Show everything", self.item.autoRange)
        menu.addSeparator()
        for kind, words in KINDS.items():
            menu.addAction(f"Save {words}…", partial(self.save_wanted.emit, self, kind))
        menu.exec(self.widget.mapToGlobal(position))
        menu.deleteLater()


def _field(value: Any) -> Any:
    return f"{float(value):.7g}" if isinstance(value, float | np.floating) else value


def _plain(value: float, *, crowded: bool) -> str:
    mantissa = value / 10 ** np.floor(np.log10(value) + 1e-9)
    if crowded and not any(abs(mantissa - m) < 0.01 for m in (1, 2, 5)):
        return ""
    return f"{value:.3g}" if value < 1e4 else f"{value:.0e}"
