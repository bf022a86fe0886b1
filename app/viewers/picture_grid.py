"""Grey pictures in rows: samples of a denoiser, or a class average beside its reprojection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.style import LIGHT, Theme

GAP = 6.0
MOST = 144


def to_grey(image: NDArray[np.floating], low: float, high: float) -> QImage:
    """(y, x) as a picture, first row on top, ``low`` black and ``high`` white."""
    width = high - low if high > low else 1.0
    scaled = np.clip(np.nan_to_num((np.asarray(image, np.float32) - low) / width), 0, 1)
    grey = np.ascontiguousarray(scaled * 255, np.uint8)
    rows, columns = grey.shape
    # A copy: the array's memory goes with the array.
    return QImage(grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8).copy()


def limits_of(images: NDArray[np.floating]) -> tuple[float, float]:
    """Black and white that suit these images together."""
    finite = images[np.isfinite(images)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def best_columns(count: int, width: float, height: float, extra: float) -> tuple[int, float]:
    """How many columns of squares fill an area best, and how large a square is then.

    ``extra`` is what each row needs besides the square.
    """
    best = (1, 0.0)
    for columns in range(1, max(1, count) + 1):
        rows = -(-count // columns)
        side = min((width - GAP * (columns + 1)) / columns, (height - GAP * (rows + 1)) / rows - extra)
        if side > best[1]:
            best = (columns, side)
    return best


class PictureGrid(QWidget):
    """Shows pictures in as many columns as make them largest.

    Parameters
    ----------
    columns : a fixed number of columns instead.
    """

    clicked = Signal(int)

    def __init__(self, columns: int = 0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self._columns = columns
        self._pictures: list[QImage] = []
        self._captions: Sequence[str] = ()
        self.setMinimumSize(120, 90)

    @property
    def count(self) -> int:
        """How many pictures are shown."""
        return len(self._pictures)

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self.theme = theme
        self.update()

    def set_images(
        self,
        images: NDArray[np.floating] | Sequence[NDArray[np.floating]],
        captions: Sequence[str] = (),
        limits: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        """Show (n, y, x); without ``limits`` all get the same black and white."""
        shown = list(images)[:MOST]
        if limits is None:
            limits = [limits_of(np.stack(shown))] * len(shown) if shown else []
        self._pictures = [to_grey(image, *ends) for image, ends in zip(shown, limits, strict=True)]
        self._captions = captions
        self.setAccessibleDescription(", ".join(captions))
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._pictures, self._captions = [], ()
        self.update()

    def boxes(self) -> list[QRectF]:
        """Where each picture is drawn."""
        if not self._pictures:
            return []
        extra = self.fontMetrics().height() + 2 if self._captions else 0
        count = len(self._pictures)
        if self._columns:
            columns = self._columns
            rows = -(-count // columns)
            side = min(
                (self.width() - GAP * (columns + 1)) / columns,
                (self.height() - GAP * (rows + 1)) / rows - extra,
            )
        else:
            columns, side = best_columns(count, self.width(), self.height(), extra)
        rows = -(-count // columns)
        left = (self.width() - columns * side - GAP * (columns - 1)) / 2
        top = max(GAP, (self.height() - rows * (side + extra) - GAP * (rows - 1)) / 2)
        return [
            QRectF(
                left + (i % columns) * (side + GAP), top + (i // columns) * (side + extra + GAP), side, side
            )
            for i in range(count)
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures and what they are."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        height = painter.fontMetrics().height()
        for i, (picture, box) in enumerate(zip(self._pictures, self.boxes(), strict=True)):
            painter.drawImage(box, picture)
            painter.setPen(QColor(self.theme.border))
            painter.drawRect(box)
            if i < len(self._captions):
                painter.setPen(QColor(self.theme.text))
                words = painter.fontMetrics().elidedText(
                    self._captions[i], Qt.TextElideMode.ElideRight, int(box.width())
                )
                below = QRectF(box.left(), box.bottom() + 2, box.width(), height)
                painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, words)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Say which picture was clicked."""
        for i, box in enumerate(self.boxes()):
            if box.contains(event.position()):
                self.clicked.emit(i)
