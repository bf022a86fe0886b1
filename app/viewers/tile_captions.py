"""The words over tiles, and the mouse on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.viewers.overlay import bar_length_A

if TYPE_CHECKING:
    from app.style import Theme
    from app.viewers.tiles import TilesView

MARGIN = 8.0
DEGREES_PER_PIXEL = 0.5
STILL_PX = 3
HOW = "Drag to turn, wheel to zoom, Shift + drag to move, double click to enlarge"


class TileCaptions(QWidget):
    """Lies over the tiles, draws their words, and turns what the mouse does into turns of the cameras.

    ``clicked`` and ``double_clicked`` tell which tile.
    """

    clicked = Signal(int)
    double_clicked = Signal(int)

    def __init__(self, view: TilesView) -> None:
        super().__init__(view)
        self._view = view
        self._held: int | None = None
        self._last, self._pressed = QPointF(), QPointF()
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setAccessibleName("Tiles beside each other")
        self.setToolTip(HOW)

    def show_tiles(self, view: TilesView) -> None:
        """Draw the words anew."""
        self.setAccessibleDescription(
            "; ".join(f"{t.title} {t.caption} {t.badge}".strip() for t in view.tiles)
        )
        self.update()

    def draw(
        self,
        painter: QPainter,
        view: TilesView,
        width: float,
        height: float,
        *,
        bar: bool = True,
        words: bool = True,
        theme: Theme | None = None,
    ) -> None:
        """Draw words and scale bars into any device of this logical size."""
        theme = theme or view.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        boxes = view.boxes(width, height)
        for index, (tile, box) in enumerate(zip(view.tiles, boxes, strict=True)):
            if box.isEmpty():
                continue
            painter.save()
            painter.setClipRect(box)
            if bar:
                self._draw_bar(painter, view, index, box, theme)
            if not words:
                painter.restore()
                continue
            title = QFont(self.font())
            title.setWeight(QFont.Weight.DemiBold)
            painter.setFont(self.font())
            plain = painter.fontMetrics()
            badge_width = 0.0
            if tile.badge:
                badge_width = plain.horizontalAdvance(tile.badge) + 14.0
                colours = {"good": theme.good, "warning": theme.warning}
                colour = QColor(colours.get(tile.badge_state, theme.muted))
                place = QRectF(
                    box.right() - MARGIN - badge_width, box.top() + 5, badge_width, plain.height() + 4
                )
                if badge_width > box.width() - 90:  # too narrow for both: under the words
                    place.moveTop(box.top() + 2 * plain.height() + 12)
                    badge_width = 0.0
                painter.setPen(QPen(colour, 1))
                painter.drawRoundedRect(place, 7, 7)
                painter.drawText(place, Qt.AlignmentFlag.AlignCenter, tile.badge)
            room = int(box.width() - 2 * MARGIN - badge_width - 4)
            painter.setFont(title)
            bold = painter.fontMetrics()
            painter.setPen(QColor(theme.text))
            elide = Qt.TextElideMode.ElideRight
            painter.drawText(
                QPointF(box.left() + MARGIN, box.top() + 5 + bold.ascent()),
                bold.elidedText(tile.title, elide, room),
            )
            painter.setFont(self.font())
            painter.setPen(QColor(theme.muted))
            painter.drawText(
                QPointF(box.left() + MARGIN, box.top() + 8 + bold.height() + plain.ascent()),
                plain.elidedText(tile.caption, elide, room),
            )
            if view.marked == index:
                painter.setPen(QPen(QColor(theme.accent), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(box.adjusted(1, 1, -1, -1))
            painter.restore()

    def _draw_bar(self, painter: QPainter, view: TilesView, index: int, box: QRectF, theme: Theme) -> None:
        scale = view.A_per_pixel(index, box)
        length = bar_length_A(scale, min(120.0, box.width() * 0.3))
        if not length:
            return
        pixels = length / scale
        painter.fillRect(QRectF(box.left() + MARGIN, box.bottom() - 10, pixels, 3), QColor(theme.text))
        painter.setFont(self.font())
        painter.setPen(QColor(theme.text))
        painter.drawText(QPointF(box.left() + MARGIN, box.bottom() - 14), f"{length:g} Å")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw over the canvas."""
        painter = QPainter(self)
        self.draw(painter, self._view, self.width(), self.height())
        painter.end()

    # ---- the mouse ------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of a tile."""
        self._last = self._pressed = event.position()
        self._held = self._view.at(event.position().x(), event.position().y())

    def event(self, event: QEvent) -> bool:
        """Let the tooltip tell of the tile under the mouse."""
        if event.type() == QEvent.Type.ToolTip:
            place = event.pos()  # type: ignore[attr-defined]
            at = self._view.at(place.x(), place.y())
            tip = self._view.tiles[at].tip if at is not None else ""
            self.setToolTip(f"{tip}\n{HOW}" if tip else HOW)
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn it, or with Shift or the middle button move it."""
        if self._held is None or not event.buttons():
            return
        step, self._last = event.position() - self._last, event.position()
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if shift or event.buttons() & Qt.MouseButton.MiddleButton:
            self._view.pan(self._held, step.x(), step.y())
        elif event.buttons() & Qt.MouseButton.RightButton:
            self._view.zoom(self._held, 1.01 ** -step.y())
        else:
            self._view.turn(self._held, -DEGREES_PER_PIXEL * step.x(), DEGREES_PER_PIXEL * step.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go; a press that didn't move marks the tile."""
        held, self._held = self._held, None
        if held is not None and (event.position() - self._pressed).manhattanLength() <= STILL_PX:
            self.clicked.emit(held)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Enlarge a tile, or show all again."""
        at = self._view.at(event.position().x(), event.position().y())
        if at is not None:
            self.double_clicked.emit(at)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom."""
        at = self._view.at(event.position().x(), event.position().y())
        if at is not None:
            self._view.zoom(at, 1.1 ** (event.angleDelta().y() / 120))
            event.accept()
