"""What all plots share: labelled axes, a grid, the theme, and saving as picture or table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QBuffer, QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QShowEvent
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QMenu, QToolButton, QVBoxLayout, QWidget

from app import style
from app.later import Later
from app.style import LIGHT, Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

PICTURE_WIDTH = 1600
KINDS = {"png": "Picture (PNG)", "svg": "Drawing (SVG)", "csv": "Values (CSV)"}
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


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
        self._title = ""
        self._widget: pg.PlotWidget | None = None
        self.made = False
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.setMinimumHeight(170)

    @property
    def widget(self) -> pg.PlotWidget:
        """What is drawn on."""
        self.make()
        return self._widget

    @property
    def item(self) -> pg.PlotItem:
        """Axes and curves."""
        return self.widget.getPlotItem()

    def make(self) -> None:
        """Make what is drawn on, when it is first seen or asked for: it takes 10 ms, of pyqtgraph 100."""
        if self._widget is not None:
            return
        from app.panels.log_axis import PlainLogAxis

        axes = {side: PlainLogAxis(side) for side in ("bottom", "left")}
        self._widget = widget = pg.PlotWidget(axisItems=axes)
        item = widget.getPlotItem()
        item.showGrid(x=True, y=True, alpha=0.15)
        for menu in (item.ctrlMenu, item.vb.menu):
            menu.setParent(widget, menu.windowFlags())  # pyqtgraph would leave them behind
        item.setMenuEnabled(False)
        widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        widget.customContextMenuRequested.connect(self._menu)
        for axis in ("bottom", "left"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        self._save = QToolButton(widget)
        self._save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._save.setAccessibleName("Save this plot")
        self._save.setToolTip("Save this plot as a picture, a drawing or a table (also: right click)")
        self._save.clicked.connect(lambda _checked=False: self._menu(self._save.geometry().bottomLeft()))
        widget.sigDeviceRangeChanged.connect(self._place_button)  # it has another size
        self.box.insertWidget(0, widget)
        self.prepare()
        self.made = True
        self._name()
        self.set_title(self._title)
        self.set_theme(self.theme)
        if self.isVisible() and not widget.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide):
            widget.show()  # at once, and not in the next round of events
            self.box.activate()
            item.vb.updateAutoRange()

    def prepare(self) -> None:
        """Add what stays to axes that have just been made; subclasses know."""

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.theme = theme
        if self._widget is None or not self.made:
            return
        self._widget.setBackground(theme.surface)
        self._save.setIcon(style.icon("export", theme.muted))
        for side, text in self._labels.items():
            axis = self.item.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.text))
            axis.setLabel(text, color=theme.text)
        self.redraw()

    def showEvent(self, event: QShowEvent) -> None:
        """Be there when it is seen."""
        super().showEvent(event)
        self.make()

    def _place_button(self, *_ranges: object) -> None:
        """Keep the button in the corner."""
        self._save.move(max(0, self.widget.width() - self._save.sizeHint().width() - 2), 2)

    def _name(self) -> None:
        self.widget.setAccessibleName(f"{self._labels['left']} against {self._labels['bottom']}")

    def set_label(self, side: str, text: str) -> None:
        """Say what an axis (``bottom`` or ``left``) shows."""
        self._labels[side] = text
        if self.made:
            self.item.getAxis(side).setLabel(text, color=self.theme.text)
            self._name()

    def set_title(self, text: str) -> None:
        """A line above the plot; empty for none."""
        self._title = text
        if self.made:
            self.item.setTitle(text or None, color=self.theme.text, size="9pt")

    def redraw(self) -> None:
        """Draw the present values again, if there is something to draw on yet."""
        if self.made:
            self.draw()

    def draw(self) -> None:
        """Draw the present values; subclasses know them."""

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
            from pyqtgraph.exporters import ImageExporter

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
