"""Which directions of view a selection covers: an equal-area map of the sphere, and words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app import style
from app.coverage import REACH_DEG, from_mollweide, mollweide
from app.panels.run_frame import words_label

WIDTH, HEIGHT = 144, 72
GRID = (WIDTH * 2, HEIGHT * 2)  # sharp also on screens of twice the density
MOST_DOTS = 400
FADES_DEG = 45.0
Floats = NDArray[np.float64]


class CoverageMapView(QWidget):
    """The map: full colour within reach of a view, fading to none; dots are the views themselves.

    A direction and its opposite are one view, so each is seen twice.
    """

    direction_clicked = Signal(float, float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nearest: NDArray[np.float32] | None = None  # by pixel, degrees; NaN beyond the map
        self._dots: Floats = np.zeros((0, 2))
        self._picture: tuple[bool, QImage] | None = None
        self.setFixedSize(WIDTH + 2, HEIGHT + 2)
        self.setAccessibleName("Map of the directions of view")
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """Twice as wide as high."""
        return QSize(WIDTH + 2, HEIGHT + 2)

    def set_coverage(self, nearest_deg: NDArray[np.floating], views: Floats) -> None:
        """Show these.

        Parameters
        ----------
        nearest_deg : (GRID height, width) angle from each pixel to the nearest view; NaN beyond the map.
        views : (n, 3) directions of view.
        """
        self._nearest = np.asarray(nearest_deg, np.float32)
        step = max(1, -(-len(views) // MOST_DOTS))
        shown = views[::step]
        self._dots = mollweide(np.concatenate([shown, -shown])) if len(shown) else np.zeros((0, 2))
        self._picture = None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the map, its outline and its dots."""
        theme = style.current_theme()
        if self._picture is None or self._picture[0] != theme.dark:
            self._picture = theme.dark, self._drawn(theme)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        area = QRectF(1, 1, WIDTH, HEIGHT)
        outline = QPainterPath()
        outline.addEllipse(area)
        painter.setClipPath(outline)
        painter.drawImage(area, self._picture[1])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.text))
        radius = 1.6 if len(self._dots) < 200 else 1.1
        for x, y in self._dots.tolist():
            painter.drawEllipse(self._place(x, y), radius, radius)
        painter.setClipping(False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.muted), 1))
        painter.drawEllipse(area)

    def _place(self, x: float, y: float) -> QPointF:
        return QPointF(1 + (x + 2) / 4 * WIDTH, 1 + (1 - y) / 2 * HEIGHT)

    def _drawn(self, theme: style.Theme) -> QImage:
        if self._nearest is None:
            found = QImage(1, 1, QImage.Format.Format_RGB32)
            found.fill(QColor(theme.surface))
            return found
        near = np.clip((FADES_DEG - self._nearest) / (FADES_DEG - REACH_DEG), 0, 1)
        share = np.nan_to_num(np.where(self._nearest <= REACH_DEG, 1.0, 0.6 * near))[..., None]
        empty, full = (_rgb(c) for c in (theme.surface, theme.series[0]))
        pixels = np.rint(empty + share * (full - empty)).astype(np.uint8)
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()

    def _at(self, position: QPointF) -> tuple[Floats, float] | None:
        """The direction below a point, and how far the nearest view is, degrees."""
        x, y = (position.x() - 1) / WIDTH * 4 - 2, 1 - (position.y() - 1) / HEIGHT * 2
        direction, inside = from_mollweide(np.array([[x, y]]))
        if self._nearest is None or not inside[0]:
            return None
        row, column = int((1 - y) / 2 * GRID[1]), int((x + 2) / 4 * GRID[0])
        angle = float(self._nearest[min(row, GRID[1] - 1), min(column, GRID[0] - 1)])
        return direction[0], angle

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Go to the image that looks from there."""
        found = self._at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self.direction_clicked.emit(*(float(v) for v in found[0]))

    def event(self, event: QEvent) -> bool:
        """Say what a place on the map is."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self._at(QPointF(event.pos()))
            if found is not None:
                QToolTip.showText(event.globalPos(), place_words(*found), self)
                return True
        return super().event(event)


class CoverageCard(QWidget):
    """The map with what it says in words. Setters and a signal.

    Attributes
    ----------
    direction_clicked : of view, x, y, z in the frame of the object.

    Parameters
    ----------
    clickable : whether a click on the map leads anywhere.
    """

    direction_clicked = Signal(float, float, float)

    def __init__(self, parent: QWidget | None = None, *, clickable: bool = True) -> None:
        super().__init__(parent)
        self._clickable = clickable
        self.map = CoverageMapView()
        if not clickable:
            self.map.unsetCursor()
        self.map.direction_clicked.connect(self.direction_clicked)
        self._title = QLabel("Directions of view")
        self._title.setObjectName("title")
        self._words, self._warning = words_label("muted"), words_label("warning")
        column = QVBoxLayout()
        column.setSpacing(1)
        column.addStretch(1)
        for part in (self._title, self._words, self._warning):
            part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            column.addWidget(part)
        column.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(10)
        row.addWidget(self.map)
        row.addLayout(column, 1)

    @property
    def words(self) -> str:
        """What it says, but for the warning."""
        return self._words.text()

    @property
    def warning(self) -> str:
        """What it warns of; empty for nothing."""
        return self._warning.text()

    def set_coverage(
        self, nearest_deg: NDArray[np.floating], views: Floats, words: str, warning: str, source: str
    ) -> None:
        """Show these.

        Parameters
        ----------
        nearest_deg, views : as for the map.
        words, warning : what it says.
        source : where the poses come from.
        """
        self.map.set_coverage(nearest_deg, views)
        self._words.setText(words)
        self._warning.setText(warning)
        self._warning.setVisible(bool(warning))
        tip = (
            f"All directions that the object can be seen from, on a map of equal areas; z is up, x in the "
            f"middle. Full colour: a selected view lies within {REACH_DEG:.0f}°. Dots: the views; seen from "
            f"behind a projection is only mirrored, so each is there twice. Poses: {source}."
        )
        tip += " Click a place to go to the image that looks from there." if self._clickable else ""
        self._title.setToolTip(tip)
        self._words.setToolTip(tip)
        self.map.setAccessibleDescription(" ".join(filter(None, (words, warning))))

    def retint(self) -> None:
        """Draw in the present colours."""
        self.map.update()


def place_words(direction: Floats, nearest_deg: float) -> str:
    """A place on the map in words, by the angles that RELION calls rot and tilt."""
    x, y, z = (float(v) for v in direction)
    rot, tilt = np.degrees(np.arctan2(y, x)), np.degrees(np.arccos(np.clip(z, -1, 1)))
    return f"rot {rot:.0f}°, tilt {tilt:.0f}°; the nearest selected view is {nearest_deg:.0f}° away"


def _rgb(colour: str) -> Floats:
    found = QColor(colour)
    return np.array([found.red(), found.green(), found.blue()], float)
