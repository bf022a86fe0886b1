"""Choosing the level of an isosurface on the histogram of the density."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.style import LIGHT, Theme
from app.surfaces import PROTEIN_DA_PER_A3, Profile

STEPS = 200  # of the keyboard and the wheel from one end to the other
MARGIN = 10.0


class LevelBar(QWidget):
    """A histogram with a line that is dragged; arrow keys, page keys and the wheel move it, too.

    The height of the histogram is logarithmic: solvent has a hundred times more voxels than protein.
    """

    level_chosen = Signal(float)
    released = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.profile: Profile | None = None
        self.level, self.box_A3 = 0.0, 0.0
        self._held = False
        self.setMinimumSize(160, 68)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setToolTip("Density at which the surface is drawn: drag, or use the arrow keys (, and .)")
        self.setAccessibleName("Level of the surface")

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self.theme = theme
        self.update()

    def show_profile(self, profile: Profile | None, level: float, box_A3: float = 0.0) -> None:
        """Show a histogram and the level; nothing is emitted. The box's volume gives a mass."""
        # An answer to an earlier place must not pull the line back from under the mouse.
        self.profile, self.level = profile, self.level if self._held else level
        self.box_A3 = box_A3
        self.setEnabled(profile is not None)
        self._describe()

    def step(self, steps: float) -> None:
        """Move the level by steps, up or down."""
        if self.profile is not None:
            low, high = self.profile.range
            self._choose(self.level + steps * (high - low) / STEPS)

    def words(self) -> str:
        """The level in words."""
        if self.profile is None:
            return ""
        share = self.profile.share(self.level)
        text = f"Level {self.level:.3g} · encloses {100 * share:.2g} % of the box"
        kDa = share * self.box_A3 * PROTEIN_DA_PER_A3 / 1000
        return f"{text} · {_mass(kDa)} if protein" if kDa > 0 else text

    # ---- inside ---------------------------------------------------------------------------------

    def _choose(self, level: float) -> None:
        assert self.profile is not None  # noqa: S101 - for the type checker
        low, high = self.profile.range
        self.level = float(np.clip(level, low, high - 1e-3 * (high - low)))
        self._describe()
        self.level_chosen.emit(self.level)

    def _describe(self) -> None:
        self.setAccessibleDescription(self.words())
        self.update()

    def _x(self, level: float) -> float:
        assert self.profile is not None  # noqa: S101 - for the type checker
        low, high = self.profile.range
        return MARGIN + (level - low) / (high - low) * (self.width() - 2 * MARGIN)

    def _choose_at(self, x: float) -> None:
        if self.profile is not None:
            low, high = self.profile.range
            self._choose(low + (x - MARGIN) / max(1.0, self.width() - 2 * MARGIN) * (high - low))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the level to the mouse."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = True
            self._choose_at(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag it."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose_at(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._held = False
        self.released.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Move it by the wheel."""
        self.step(event.angleDelta().y() / 120)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move it by the keyboard."""
        keys = Qt.Key
        steps = {keys.Key_Right: 1, keys.Key_Up: 1, keys.Key_Left: -1, keys.Key_Down: -1,
                 keys.Key_PageUp: 10, keys.Key_PageDown: -10}.get(keys(event.key()))  # fmt: skip
        if steps is None:
            super().keyPressEvent(event)
        else:
            self.step(steps)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw histogram, line and words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.profile is None:
            painter.end()
            return
        metrics = painter.fontMetrics()
        bottom = self.height() - metrics.height() - 6.0
        low, high = self.profile.range
        middles = (self.profile.edges[:-1] + self.profile.edges[1:]) / 2
        heights = np.log1p(self.profile.counts.astype(float))
        heights *= (bottom - 4) / max(float(heights.max()), 1e-9)
        line = [QPointF(self._x(low), bottom)]
        line += [
            QPointF(self._x(x), bottom - h) for x, h in zip(middles, heights, strict=True) if low <= x <= high
        ]
        line.append(QPointF(self._x(high), bottom))
        above, below = QColor(self.theme.accent), QColor(self.theme.muted)
        above.setAlpha(150)
        below.setAlpha(90)
        painter.setPen(Qt.PenStyle.NoPen)
        x = self._x(self.level)
        for colour, box in (
            (below, QRectF(0, 0, x, bottom)),
            (above, QRectF(x, 0, self.width() - x, bottom)),
        ):
            painter.setClipRect(box)
            painter.setBrush(colour)
            painter.drawPolygon(QPolygonF(line))
        painter.setClipping(False)
        painter.setPen(QPen(QColor(self.theme.accent if self.hasFocus() else self.theme.text), 2))
        painter.drawLine(QPointF(x, 2), QPointF(x, bottom))
        painter.setBrush(QColor(self.theme.accent))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(QPointF(x, 6), 5, 5)
        painter.setPen(QColor(self.theme.muted))
        words = QRectF(MARGIN, bottom + 3, self.width() - 2 * MARGIN, metrics.height())
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft, self.words())
        painter.end()


def _mass(kDa: float) -> str:
    """Two digits are more than a level tells."""
    value, unit = (kDa / 1000, "MDa") if kDa >= 1000 else (kDa, "kDa")
    digits = max(0, 1 - int(np.floor(np.log10(value))))
    return f"{round(value, 1 - int(np.floor(np.log10(value)))):.{digits}f} {unit}"
