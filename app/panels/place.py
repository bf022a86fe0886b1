"""What the images say about a place: chosen by a click on the result, or by its coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.number_fields import FloatBox
from app.style import LIGHT, Theme
from app.viewers.picture_grid import PictureGrid

HINT = "Click a place on the surface or on a point, or enter it: which images support the density there?"
MOST_SHOWN = 12


class MarkedPictures(PictureGrid):
    """Pictures with a ring where the place appears, in the colour of what they say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, parent)
        self._rings: list[tuple[float, float, float, int]] = []
        self.setAccessibleName("Images with the place marked, those for it first")

    def set_marked(
        self,
        images: Sequence[NDArray[np.floating]],
        captions: Sequence[str],
        rings: Sequence[tuple[float, float, float, int]],
    ) -> None:
        """Show (y, x) pictures, and x, y, radius (as shares of their width) and the verdict of each."""
        limits = [(float(i.min()), float(i.max())) for i in images]
        self._rings = list(rings)
        self.set_images(list(images), captions, limits)

    def clear(self) -> None:
        """Show nothing."""
        self._rings = []
        super().clear()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the rings over the pictures."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = {1: self.theme.series[5], -1: self.theme.series[1], 0: self.theme.border}
        for (x, y, radius, verdict), box in zip(self._rings, self.boxes(), strict=False):
            pen = QPen(QColor(colours[verdict]), 2.0)
            painter.setPen(pen)
            middle = QPointF(box.left() + x * box.width(), box.top() + y * box.height())
            painter.drawEllipse(middle, max(4.0, radius * box.width()), max(4.0, radius * box.width()))
        painter.end()


class PlacePanel(QWidget):
    """Coordinates, a verdict and thumbnails. Setters and signals only."""

    place_entered = Signal(object, float)
    image_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self._images: list[int] = []
        self._fields = [self._field(axis) for axis in "xyz"]
        self._radius = FloatBox()
        self._radius.setRange(1, 200)
        self._radius.setDecimals(0)
        self._radius.setValue(10)
        self._radius.setPrefix("r ")
        self._radius.setSuffix(" Å")
        self._radius.setToolTip("Radius of the ball whose density is taken away, Å")
        self._radius.setAccessibleName("Radius of the place in Å")
        self._ask = QPushButton("Ask")
        self._ask.setToolTip("Ask all images about this place")
        self._ask.setAccessibleName("Ask all images about this place")
        self._ask.clicked.connect(self._entered)
        self._radius.valueChanged.connect(lambda _v: self._entered() if self._images else None)
        bar = QHBoxLayout()
        bar.setSpacing(3)
        for part in (*self._fields, self._radius):
            bar.addWidget(part, 1)
        bar.addWidget(self._ask)
        self._words = QLabel(HINT)
        self._words.setWordWrap(True)
        self._words.setAccessibleName("What the images say about the place")
        self.pictures = MarkedPictures()
        self.pictures.clicked.connect(lambda i: self.image_chosen.emit(self._images[i]))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(bar)
        layout.addWidget(self._words)
        layout.addWidget(self.pictures, 1)

    def _field(self, axis: str) -> FloatBox:
        box = FloatBox()
        box.setRange(-9999, 9999)
        box.setDecimals(0)
        box.setPrefix(f"{axis} ")
        box.setToolTip(f"{axis} of the place in the object's frame, Å")
        box.setAccessibleName(f"{axis} of the place in Å")
        return box

    @property
    def radius_A(self) -> float:
        """Of the ball, Å."""
        return float(self._radius.value())

    @property
    def text(self) -> str:
        """What is said about the place."""
        return self._words.text()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.theme = theme
        self.pictures.set_theme(theme)

    def set_radius(self, radius_A: float) -> None:
        """A radius that suits the result; nothing is emitted."""
        self._radius.blockSignals(True)
        self._radius.setValue(radius_A)
        self._radius.blockSignals(False)

    def show_place(self, point_A: Sequence[float]) -> None:
        """Say which place is meant."""
        for field, value in zip(self._fields, point_A, strict=True):
            field.setValue(float(value))

    def show_support(
        self,
        words: str,
        tip: str,
        images: Sequence[int],
        pictures: Sequence[NDArray[np.floating]],
        captions: Sequence[str],
        rings: Sequence[tuple[float, float, float, int]],
    ) -> None:
        """Show a verdict; ``images`` are counted from 1."""
        self._words.setText(words)
        self._words.setToolTip(tip)
        self._images = list(images)
        self.pictures.setToolTip(tip)
        self.pictures.set_marked(pictures, captions, rings)

    def clear(self) -> None:
        """Forget the place."""
        self._images = []
        self._words.setText(HINT)
        self._words.setToolTip("")
        self.pictures.clear()

    def _entered(self) -> None:
        for field in (*self._fields, self._radius):
            field.interpretText()
        place = np.array([field.value() for field in self._fields])
        self.place_entered.emit(place, self.radius_A)
