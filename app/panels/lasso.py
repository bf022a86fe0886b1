"""Lassos in the landscape: drag around points to make a named group. Setters and signals only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QMouseEvent, QPainter, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.later import Later
from app.panels.plot import Plot
from app.style import LIGHT, Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

STEP_PX = 3.0  # between corners of a drawn line
FIRST_COLOUR = 2  # of the theme's series: the first two are points and path
ROWS = 3


@dataclass(frozen=True)
class Group:
    """Volumes that were drawn around.

    Attributes
    ----------
    name : what the user calls it.
    members : places in the landscape, counted from 0, rising.
    """

    name: str
    members: tuple[int, ...]


def inside(points: NDArray[np.floating], corners: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which points lie inside a closed polygon, by the even-odd rule.

    Parameters
    ----------
    points : (n, 2).
    corners : (k, 2), in order; the last is joined to the first.

    Returns
    -------
    (n,); all false for fewer than three corners.
    """
    found = np.zeros(len(points), bool)
    if len(corners) < 3:
        return found
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y1 != y0:
            found ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return found


class LassoTool(QObject):
    """Draws a closed line over a plot while the button is down.

    Parameters
    ----------
    plot : whose mouse is taken while the tool is on.
    """

    drawn = Signal(object)

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot)
        self._plot = plot
        self._corners: list[QPointF] = []
        self._line: pg.PlotCurveItem | None = None
        self.on = False

    def set_on(self, on: bool) -> None:
        """Take the plot's mouse, or give it back."""
        if on == self.on:
            return
        self.on = on
        viewport = self._plot.widget.viewport()
        if self._line is None:
            self._line = pg.PlotCurveItem()
        if on:
            viewport.installEventFilter(self)
            viewport.setCursor(Qt.CursorShape.CrossCursor)
            self._plot.item.addItem(self._line, ignoreBounds=True)
        else:
            viewport.removeEventFilter(self)
            viewport.unsetCursor()
            self._plot.item.removeItem(self._line)
        self._forget()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the mouse; Esc forgets the line."""
        if not isinstance(event, QMouseEvent):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._corners = [event.position()]
            return True
        if kind == QEvent.Type.MouseMove and self._corners:
            last = self._corners[-1] - event.position()
            if abs(last.x()) + abs(last.y()) >= STEP_PX:
                self._corners.append(event.position())
                self._show()
            return True
        if kind == QEvent.Type.MouseButtonRelease and self._corners:
            corners = self._in_view()
            self._forget()
            if len(corners) > 2:
                self.drawn.emit(corners)
            return True
        return False

    def _in_view(self) -> NDArray[np.float64]:
        box, widget = self._plot.item.vb, self._plot.widget
        places = [box.mapSceneToView(widget.mapToScene(c.toPoint())) for c in self._corners]
        return np.array([(p.x(), p.y()) for p in places], float).reshape(-1, 2)

    def _show(self) -> None:
        corners = self._in_view()
        closed = np.concatenate([corners, corners[:1]])
        assert self._line is not None  # noqa: S101 - for the type checker
        self._line.setData(
            closed[:, 0], closed[:, 1], pen=pg.mkPen(self._plot.theme.text, style=Qt.PenStyle.DashLine)
        )

    def _forget(self) -> None:
        self._corners = []
        if self._line is not None:
            self._line.setData([], [])


class GroupList(QWidget):
    """The groups with what can be done with one: its mean map, its class averages, a file, removal."""

    renamed = Signal(int, str)
    removed = Signal(int)
    mean_wanted = Signal(int)
    averages_wanted = Signal(int)
    file_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._groups: tuple[Group, ...] = ()
        self._list = QListWidget()
        self._list.setAccessibleName("Groups of volumes")
        self._list.setToolTip("Groups that you have drawn around; double click or F2 renames one")
        self._list.itemChanged.connect(self._edited)
        self._list.currentRowChanged.connect(lambda _row: self._enable())
        self._buttons: list[QPushButton] = []
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for text, tip, signal in (
            ("Mean map", "Show the mean of the group's volumes", self.mean_wanted),
            ("Use averages", "Prepare a run from the group's class averages only", self.averages_wanted),
            ("Save list…", "Write the group's class averages as a table (CSV)", self.file_wanted),
            ("Remove", "Forget the group; its volumes stay", self.removed),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _checked=False, s=signal: s.emit(self._list.currentRow()))
            row.addWidget(button)
            self._buttons.append(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)
        layout.addLayout(row)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        self.show_groups(self._groups)

    def show_groups(self, groups: tuple[Group, ...]) -> None:
        """Show these; hidden without any."""
        before = self._list.currentRow() if len(groups) == len(self._groups) else len(groups) - 1
        self._groups = groups
        self._list.blockSignals(True)
        self._list.clear()
        for i, group in enumerate(groups):
            item = QListWidgetItem(_dot(colour(i, self._theme)), group.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            count = len(group.members)
            item.setToolTip(f"{count} volume{'s' if count != 1 else ''}")
            self._list.addItem(item)
        self._list.setCurrentRow(before)
        self._list.blockSignals(False)
        line = self._list.sizeHintForRow(0) if groups else 0
        self._list.setFixedHeight(line * min(ROWS, max(1, len(groups))) + 6)
        self.setVisible(bool(groups))
        self._enable()

    def _edited(self, item: QListWidgetItem) -> None:
        self.renamed.emit(self._list.row(item), item.text().strip())

    def _enable(self) -> None:
        for button in self._buttons:
            button.setEnabled(self._list.currentRow() >= 0)


def colour(number: int, theme: Theme) -> str:
    """The colour of a group, counted from 0."""
    own = theme.series[FIRST_COLOUR:]
    return own[number % len(own)]


def _dot(text: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(0, 0, 0, 0))
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(text))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawEllipse(2, 2, 10, 10)
    painter.end()
    return QIcon(pixmap)
