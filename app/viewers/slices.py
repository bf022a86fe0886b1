"""Three slices through a map along x, y and z, with crosshair, sliders and contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QSlider, QVBoxLayout, QWidget

from app.style import LIGHT, Theme
from app.surfaces import Density
from app.viewers.colours import SUPPLIED, rgb
from app.viewers.overlay import bar_length_A

AXES = "zyx"  # of the array
# normal axis, horizontal and vertical axis of the picture, its title
PLANES = ((0, 2, 1, "xy"), (1, 2, 0, "xz"), (2, 1, 0, "yz"))


class SliceImage(QWidget):
    """One grey picture with a crosshair; the first row is at the bottom, so that axes point up."""

    picked = Signal(float, float)
    stepped = Signal(int)

    def __init__(self, horizontal: str, vertical: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels = (horizontal, vertical)
        self._image = QImage()
        self._cross = (0.5, 0.5)
        self._A_across = 0.0
        self.theme = LIGHT
        self.setMinimumSize(110, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("Click to move the other two slices there; the wheel moves this one")

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self.theme = theme
        self.update()

    def show_slice(self, pixels: NDArray[np.uint8], cross: tuple[float, float], across_A: float) -> None:
        """Show (rows, columns), or (rows, columns, 3) in colour, with a crosshair at shares of its sides."""
        flipped = np.ascontiguousarray(pixels[::-1])
        rows, columns = flipped.shape[:2]
        bytes_, form = columns, QImage.Format.Format_Grayscale8
        if flipped.ndim == 3:
            bytes_, form = 3 * columns, QImage.Format.Format_RGB888
        self._image = QImage(flipped.data, columns, rows, bytes_, form).copy()
        self._cross, self._A_across = cross, across_A
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._image = QImage()
        self.update()

    def _box(self) -> QRectF:
        width, height = max(1, self._image.width()), max(1, self._image.height())
        scale = min(self.width() / width, self.height() / height)
        size = (width * scale, height * scale)
        # At the bottom, beside its slider.
        return QRectF((self.width() - size[0]) / 2, self.height() - size[1], *size)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Move the crosshair."""
        self._pick(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the crosshair."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._pick(event)

    def _pick(self, event: QMouseEvent) -> None:
        box = self._box()
        x = (event.position().x() - box.left()) / box.width()
        y = (box.bottom() - event.position().y()) / box.height()
        self.picked.emit(min(1.0, max(0.0, x)), min(1.0, max(0.0, y)))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Go to the next slice."""
        self.stepped.emit(1 if event.angleDelta().y() > 0 else -1)
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw picture, crosshair, axes and scale bar."""
        painter = QPainter(self)
        if self._image.isNull():
            painter.end()
            return
        box = self._box()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(box, self._image)
        line = QColor(self.theme.series[4])
        line.setAlpha(170)
        painter.setPen(QPen(line, 1))
        x = box.left() + self._cross[0] * box.width()
        y = box.bottom() - self._cross[1] * box.height()
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        metrics = painter.fontMetrics()
        painter.setPen(QColor("#f2f2f2"))
        painter.drawText(
            QPointF(box.right() - metrics.horizontalAdvance(self._labels[0]) - 6, box.bottom() - 6),
            self._labels[0],
        )
        painter.drawText(QPointF(box.left() + 6, box.top() + metrics.ascent() + 4), self._labels[1])
        if self._A_across > 0:
            self._draw_bar(painter, box)
        painter.end()

    def _draw_bar(self, painter: QPainter, box: QRectF) -> None:
        per_pixel = self._A_across / box.width()
        length = bar_length_A(per_pixel, box.width() * 0.3)
        if length:
            bar = QRectF(box.left() + 8, box.bottom() - 10, length / per_pixel, 3)
            painter.fillRect(bar, QColor("#f2f2f2"))
            painter.drawText(QPointF(bar.left(), bar.top() - 4), f"{length:g} Å")


class SlicesView(QWidget):
    """Slices through one point of a map. Setters only; a slice is cut in no time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.density: Density | None = None
        self.index = [0, 0, 0]  # z, y, x
        self._limits = (0.0, 1.0)
        self._tint: Density | None = None
        self._pictures: list[SliceImage] = []
        self._sliders: list[QSlider] = []
        self._labels: list[QLabel] = []
        grid = QGridLayout()
        grid.setSpacing(10)
        for number, (normal, across, up, _title) in enumerate(PLANES):
            picture = SliceImage(AXES[across], AXES[up])
            picture.setAccessibleName(f"Slice across {AXES[normal]}")
            picture.picked.connect(lambda x, y, n=number: self._picked(n, x, y))
            picture.stepped.connect(lambda step, n=number: self._step(n, step))
            slider = _slider(f"Position of the slice along {AXES[normal]}")
            slider.valueChanged.connect(lambda value, n=normal: self._moved(n, value))
            label = QLabel()
            label.setObjectName("muted")
            self._pictures.append(picture)
            self._sliders.append(slider)
            self._labels.append(label)
            cell = QVBoxLayout()
            cell.addWidget(picture, 1)
            row = QHBoxLayout()
            row.addWidget(label)
            row.addWidget(slider, 1)
            cell.addLayout(row)
            grid.addLayout(cell, number // 2, number % 2)
        self.black, self.white = _slider("Density shown black"), _slider("Density shown white")
        self.black.setValue(0)
        self.white.setValue(1000)
        for slider in (self.black, self.white):
            slider.setRange(0, 1000)
            slider.valueChanged.connect(lambda _v: self._draw())
        self.white.setValue(1000)
        self._value = QLabel()
        self._value.setWordWrap(True)
        side = QVBoxLayout()
        side.addStretch(1)
        side.addWidget(self._value)
        side.addSpacing(8)
        for text, slider in (("Black", self.black), ("White", self.white)):
            row = QHBoxLayout()
            name = QLabel(text)
            name.setMinimumWidth(44)
            row.addWidget(name)
            row.addWidget(slider, 1)
            side.addLayout(row)
        side.addStretch(1)
        grid.addLayout(side, 1, 1)
        for track in (0, 1):
            grid.setColumnStretch(track, 1)
            grid.setRowStretch(track, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(grid)

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        for picture in self._pictures:
            picture.set_theme(theme)

    def show_density(
        self, density: Density, limits: tuple[float, float], *, tint: Density | None = None
    ) -> None:
        """Show a map; ``limits`` are its black and white before contrast is changed.

        ``tint`` are shares from 0 to 1 on the same grid: what is 0 stays grey, what is 1 turns orange.

        The point that is looked at stays where it is as long as the box has the same size.
        """
        same = self.density is not None and self.density.values.shape == density.values.shape
        self.density, self._limits = density, limits
        fits = tint is not None and tint.values.shape == density.values.shape
        self._tint = tint if fits else None
        if not same:
            self.index = [n // 2 for n in density.values.shape]
            for (normal, *_), slider in zip(PLANES, self._sliders, strict=True):
                slider.blockSignals(True)
                slider.setRange(0, density.values.shape[normal] - 1)
                slider.setValue(self.index[normal])
                slider.blockSignals(False)
        self._draw()

    def clear(self) -> None:
        """Show nothing."""
        self.density = self._tint = None
        for picture in self._pictures:
            picture.clear()
        self._value.clear()

    def reset_view(self) -> None:
        """Go to the middle, with the first contrast."""
        self.black.setValue(0)
        self.white.setValue(1000)
        if self.density is not None:
            for normal, size in enumerate(self.density.values.shape):
                self._go(normal, size // 2)

    def grey(self, normal: int) -> NDArray[np.uint8]:
        """The slice across an axis of the array as it is drawn."""
        assert self.density is not None  # noqa: S101 - for the type checker
        part = np.take(self.density.values, self.index[normal], axis=normal)
        low, high = self._limits
        black = low + (high - low) * self.black.value() / 1000
        white = low + (high - low) * self.white.value() / 1000
        width = white - black if white != black else 1e-9
        scaled = np.nan_to_num((part - black) / width)
        return np.asarray(np.clip(scaled, 0, 1) * 255, np.uint8)

    def pixels(self, normal: int) -> NDArray[np.uint8]:
        """The same with what tints it: (rows, columns), or (rows, columns, 3)."""
        grey = self.grey(normal)
        if self._tint is None:
            return grey
        share = np.clip(np.take(self._tint.values, self.index[normal], axis=normal), 0, 1)[..., None]
        full = np.array(rgb(SUPPLIED), np.float32)
        mixed = grey[..., None] * (1 - share * (1 - full))
        return np.asarray(np.rint(mixed), np.uint8)

    # ---- inside ---------------------------------------------------------------------------------

    def _picked(self, number: int, x: float, y: float) -> None:
        if self.density is not None:
            _, across, up, _ = PLANES[number]
            shape = self.density.values.shape
            self._go(across, min(shape[across] - 1, int(x * shape[across])))
            self._go(up, min(shape[up] - 1, int(y * shape[up])))

    def _step(self, number: int, step: int) -> None:
        normal = PLANES[number][0]
        self._go(normal, self.index[normal] + step)

    def _go(self, axis: int, index: int) -> None:
        slider = next(s for (n, *_), s in zip(PLANES, self._sliders, strict=True) if n == axis)
        slider.setValue(index)

    def _moved(self, axis: int, index: int) -> None:
        self.index[axis] = index
        self._draw()

    def _draw(self) -> None:
        if self.density is None:
            return
        shape, size = self.density.values.shape, self.density.voxel_A
        for (normal, across, up, _), picture, label in zip(PLANES, self._pictures, self._labels, strict=True):
            cross = tuple((self.index[axis] + 0.5) / shape[axis] for axis in (across, up))
            picture.show_slice(self.pixels(normal), cross, shape[across] * size)
            position = (self.index[normal] - shape[normal] // 2) * size
            label.setText(f"{AXES[normal]} = {position:+.1f} Å")
        value = float(self.density.values[tuple(self.index)])
        here = ", ".join(f"{(self.index[a] - shape[a] // 2) * size:+.1f}" for a in (2, 1, 0))
        text = f"Density {value:.3g}\nat x, y, z = {here} Å"
        if self._tint is not None:
            share = float(self._tint.values[tuple(self.index)])
            text += f"\nShare from the prior {share:.2f} (grey 0, orange 1)"
        self._value.setText(text)


def _slider(name: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setAccessibleName(name)
    slider.setToolTip(name)
    return slider
