"""How the gallery answers: a list of pictures that clicks, keys and a rubber band choose from."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPoint, QRect, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QRegion,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QApplication, QListView, QWidget

from app import style
from app.panels.gallery_cells import GalleryCells
from app.panels.gallery_model import SELECTED, GalleryModel

SMALLEST, LARGEST, USUAL = 48, 256, 104
_SCROLL_MS = 30
_SPACE = (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)
_USE, _LEAVE_OUT = (Qt.Key.Key_Insert, Qt.Key.Key_Plus), (Qt.Key.Key_Delete, Qt.Key.Key_Minus)
_ARROWS = (
    Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown, Qt.Key.Key_Home, Qt.Key.Key_End,
)  # fmt: skip
_SHIFT, _CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class GalleryView(QListView):
    """A grid of images.

    A click or Space uses an image or leaves it out; with Shift, all between. Dragging, or Shift and the
    arrows, spans a block: all of it is used or left out, as a click on its first image would do; with
    Shift all is used, with Ctrl left out; Insert or + and Delete or - say the same of the block, or of
    the current image. Escape gives the block up.
    """

    toggle_wanted = Signal(int)
    range_wanted = Signal(int, int)
    block_wanted = Signal(object, bool)
    block_changed = Signal(object, bool)
    side_wanted = Signal(int)

    def __init__(self, model: GalleryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._anchor = -1
        self._corner = -1  # where a block of the keyboard begins
        self._press: QPoint | None = None  # in the coordinates of the whole grid
        self._pointer = QPoint()
        self._dragging = False
        self.delegate = GalleryCells(model, USUAL, self)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._finish)
        self._scrolling = QTimer(self)
        self._scrolling.setInterval(_SCROLL_MS)
        self._scrolling.timeout.connect(self._scroll_on)
        self._unfinished = QRegion()
        self.setModel(model)
        self.setItemDelegate(self.delegate)
        model.redrawn.connect(self.viewport().update)
        model.lines_changed.connect(self.set_lines)
        model.modelReset.connect(self._reset)
        model.layoutChanged.connect(self.drop_block)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setAccessibleName("Class averages")
        self.setAccessibleDescription(
            "Space uses an image or leaves it out; arrow keys move. Shift and arrow keys span a block, "
            "Insert uses it, Delete leaves it out."
        )
        self.set_side(USUAL)

    def set_side(self, side: int) -> None:
        """Make the pictures this large, pixels."""
        self.delegate.side = max(SMALLEST, min(LARGEST, side))
        self._place_grid()

    def set_lines(self, lines: int) -> None:
        """Leave room for this many lines of captions."""
        if lines != self.delegate.lines:
            self.delegate.lines = lines
            self._place_grid()

    def _place_grid(self) -> None:
        cell = self.delegate.cell(self.fontMetrics(), self.delegate.lines)
        # The columns share the width; its scroll bar may come at any time, so its place is kept free.
        free = self.width() - 2 * self.frameWidth() - self.verticalScrollBar().sizeHint().width() - 2
        cell.setWidth(max(cell.width(), free // max(1, free // cell.width())))
        if cell != self.gridSize():
            self.delegate.place = cell
            self.setGridSize(cell)
        self.verticalScrollBar().setSingleStep(max(20, self.gridSize().height() // 3))

    def _reset(self) -> None:
        """A new set of images has come: ranges begin anew."""
        self._anchor = self._corner = -1
        self.delegate.forget()
        self.drop_block()

    # ---- drawing --------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what is ready, and the rest in the following rounds of events."""
        self.delegate.begin(self.viewport().devicePixelRatioF())
        super().paintEvent(event)
        if self.delegate.unfinished:
            for rect in self.delegate.unfinished:
                self._unfinished += rect
            self._again.start(0)
        if self._dragging and self._press is not None:
            theme = style.current_theme()
            painter = QPainter(self.viewport())
            fill = QColor(theme.accent)
            fill.setAlpha(30)
            painter.setBrush(fill)
            painter.setPen(QPen(QColor(theme.accent), 1))
            painter.drawRect(self._rubber().translated(0, -self._offset()).adjusted(0, 0, -1, -1))

    def _finish(self) -> None:
        wanted, self._unfinished = self._unfinished, QRegion()
        self.viewport().update(wanted)

    # ---- a block of images ----------------------------------------------------------------------

    def drop_block(self) -> None:
        """Give up what is being spanned."""
        self._press, self._dragging, self._corner = None, False, -1
        self._scrolling.stop()
        self._show_block((), True)

    def _show_block(self, rows: Iterable[int], on: bool) -> None:
        before, wanted = self.delegate.band, (frozenset(rows), on)
        if wanted == before:
            return
        self.delegate.band = wanted
        self.block_changed.emit(sorted(wanted[0]), on)
        self.viewport().update()

    def _apply_block(self, on: bool | None = None) -> bool:
        """Do what was spanned; whether there was anything."""
        rows, usual = self.delegate.band
        self.drop_block()
        if rows:
            self.block_wanted.emit(sorted(rows), usual if on is None else on)
        return bool(rows)

    def _on(self, rows: list[int], modifiers: Qt.KeyboardModifier) -> bool:
        """Whether a block is to be used."""
        if modifiers & _CTRL:
            return False
        if modifiers & _SHIFT:
            return True
        return bool(rows) and not self.model().index(rows[0], 0).data(SELECTED)

    def _offset(self) -> int:
        return self.verticalScrollBar().value()

    def _rubber(self) -> QRect:
        """The band, in the coordinates of the whole grid."""
        start = self._press or QPoint()
        return QRect(start, self._pointer + QPoint(0, self._offset())).normalized()

    def _columns(self) -> int:
        """How many images are side by side."""
        first = self.visualRect(self.model().index(0, 0)).top()
        count = self.model().rowCount()
        for row in range(1, count):
            if self.visualRect(self.model().index(row, 0)).top() != first:
                return row
        return max(1, count)

    def _rows_in(self, area: QRect) -> list[int]:
        """Rows whose pictures an area of the grid touches."""
        count = self.model().rowCount()
        if not count:
            return []
        columns, first = self._columns(), self.visualRect(self.model().index(0, 0))
        first.translate(0, self._offset())
        width, height = self.gridSize().width(), self.gridSize().height()
        picture = self.delegate.frame_of(first)
        across = [
            c for c in range(columns)
            if area.left() <= picture.right() + c * width and area.right() >= picture.left() + c * width
        ]  # fmt: skip
        down = range(
            max(0, -(-(area.top() - picture.bottom()) // height)),
            min((count - 1) // columns, (area.bottom() - picture.top()) // height) + 1,
        )
        return [r * columns + c for r in down for c in across if r * columns + c < count]

    def _span_by_keys(self, modifiers: Qt.KeyboardModifier) -> None:
        """The block between where Shift was first held and the current image."""
        columns, now = self._columns(), self.currentIndex().row()
        (top, bottom) = sorted((self._corner // columns, now // columns))
        (left, right) = sorted((self._corner % columns, now % columns))
        count = self.model().rowCount()
        rows = [r * columns + c for r in range(top, bottom + 1) for c in range(left, right + 1)]
        rows = [row for row in rows if row < count]
        self._show_block(rows, self._on(rows, modifiers & ~_SHIFT))

    # ---- events ---------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the new width among the columns."""
        self._place_grid()
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click or a rubber band."""
        super().mousePressEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            self.drop_block()
            self._pointer = event.position().toPoint()
            self._press = self._pointer + QPoint(0, self._offset())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Two clicks are two clicks."""
        self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw the rubber band."""
        if self._press is None or not event.buttons() & Qt.MouseButton.LeftButton:
            super().mouseMoveEvent(event)
            return
        self._pointer = event.position().toPoint()
        moved = self._pointer + QPoint(0, self._offset()) - self._press
        if not self._dragging and moved.manhattanLength() < QApplication.startDragDistance():
            return
        self._dragging = True
        self._span_by_mouse(event.modifiers())
        outside = not 0 <= self._pointer.y() < self.viewport().height()
        if outside != self._scrolling.isActive():
            (self._scrolling.start if outside else self._scrolling.stop)()

    def _span_by_mouse(self, modifiers: Qt.KeyboardModifier) -> None:
        rows = self._rows_in(self._rubber())
        self._show_block(rows, self._on(rows, modifiers))
        self.viewport().update()

    def _scroll_on(self) -> None:
        """The pointer is beyond the edge: go on in that direction."""
        below = self._pointer.y() - self.viewport().height() + 1
        step = below if below > 0 else min(0, self._pointer.y())
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + max(-60, min(60, step)))
        self._span_by_mouse(QApplication.keyboardModifiers())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Use or leave out what was clicked, or what the band holds."""
        super().mouseReleaseEvent(event)
        if event.button() != Qt.MouseButton.LeftButton or self._press is None:
            return
        if self._dragging:
            self._apply_block()
            return
        index = self.indexAt(event.position().toPoint())
        self.drop_block()
        if index.isValid():
            self._pick(index.row(), bool(event.modifiers() & _SHIFT))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """A block that was spanned by keys needs them."""
        if self._corner >= 0:
            self.drop_block()
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose by keys, as the mouse does."""
        key, current = event.key(), self.currentIndex()
        shift = bool(event.modifiers() & _SHIFT)
        if key in _SPACE and current.isValid():
            if not self._apply_block():
                self._pick(current.row(), shift)
        elif key in (*_USE, *_LEAVE_OUT) and current.isValid():
            if not self._apply_block(key in _USE):
                self.block_wanted.emit([current.row()], key in _USE)
                self._anchor = current.row()
        elif key == Qt.Key.Key_Escape and (self.delegate.band[0] or self._press is not None):
            self.drop_block()
        elif key in _ARROWS:
            if shift and self._corner < 0:
                self._corner = current.row()
            super().keyPressEvent(event)
            if shift and self._corner >= 0:
                self._span_by_keys(event.modifiers())
            elif self._corner >= 0:
                self.drop_block()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl, change the size of the pictures."""
        if event.modifiers() & _CTRL:
            step = 8 if event.angleDelta().y() > 0 else -8
            self.side_wanted.emit(self.delegate.side + step)
            event.accept()
            return
        super().wheelEvent(event)
        if self._dragging:
            self._span_by_mouse(event.modifiers())

    def _pick(self, row: int, shift: bool) -> None:
        if shift and self._anchor >= 0:
            self.range_wanted.emit(self._anchor, row)
        else:
            self.toggle_wanted.emit(row)
        self._anchor = row
