"""How the gallery is drawn and answered: a delegate that paints an image, a list that toggles them."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app import style
from app.panels.gallery_model import CAPTION, DETAIL, MARK, MASK, PICTURE, SELECTED, GalleryModel

SMALLEST, LARGEST, USUAL = 48, 256, 104
GAP = 8
KEPT = 2000  # scaled pictures
LEFT_OUT = 0.3  # opacity
MASK_COLOUR = "#ffb000"  # on grey values, in any theme


class GalleryDelegate(QStyledItemDelegate):
    """Paints one class average: picture, tick, marks, captions.

    Parameters
    ----------
    side : edge of a picture in pixels.
    """

    def __init__(self, side: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.side = side
        self._kept: dict[int, QPixmap] = {}
        self._kept_for: tuple[int, int, float] = (-1, 0, 0.0)

    def cell(self, metrics: QFontMetrics, lines: int) -> QSize:
        """How large one place is."""
        return QSize(self.side + 2 * GAP, self.side + 2 * GAP + lines * metrics.height() + 2)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw the place at ``option.rect``."""
        theme = style.current_theme()
        rect = option.rect
        used = bool(index.data(SELECTED))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRect(rect.center().x() - self.side // 2, rect.top() + GAP, self.side, self.side)
        picture = self._picture(index, painter)
        if not picture.isNull():
            size = picture.deviceIndependentSize()
            place = QRectF(
                frame.x() + (frame.width() - size.width()) / 2,
                frame.y() + (frame.height() - size.height()) / 2,
                size.width(),
                size.height(),
            )
            painter.setOpacity(1.0 if used else LEFT_OUT)
            painter.drawPixmap(place.topLeft(), picture)
            self._draw_mask(painter, place, float(index.data(MASK) or 0))
            painter.setOpacity(1.0)
        pen = QPen(QColor(theme.accent if used else theme.border), 2 if used else 1)
        painter.setPen(pen)
        painter.drawRect(QRectF(frame).adjusted(-0.5, -0.5, 0.5, 0.5))
        if used:
            self._draw_tick(painter, frame, theme)
        self._draw_mark(painter, frame, str(index.data(MARK) or ""), theme)
        self._draw_captions(painter, rect, frame, index, used, theme)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(theme.text), 1, Qt.PenStyle.DashLine))
            painter.drawRect(rect.adjusted(1, 1, -2, -2))
        painter.restore()

    def _picture(self, index: QModelIndex | QPersistentModelIndex, painter: QPainter) -> QPixmap:
        """The scaled picture, kept until contrast, size or screen change."""
        model = index.model()
        assert isinstance(model, GalleryModel)  # noqa: S101 - for the type checker
        ratio = painter.device().devicePixelRatioF()
        state = (model.version, self.side, ratio)
        if state != self._kept_for:
            self._kept.clear()
            self._kept_for = state
        key = model.image_of(index)
        found = self._kept.get(key)
        if found is None:
            wanted = round(self.side * ratio)
            found = QPixmap.fromImage(
                index.data(PICTURE).scaled(
                    wanted,
                    wanted,
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
            found.setDevicePixelRatio(ratio)
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = found
        return found

    @staticmethod
    def _draw_mask(painter: QPainter, place: QRectF, share: float) -> None:
        if share <= 0:
            return
        painter.setPen(QPen(QColor(MASK_COLOUR), 1.5))
        width, height = place.width() * share, place.height() * share
        painter.drawEllipse(place.center(), width / 2, height / 2)

    @staticmethod
    def _draw_tick(painter: QPainter, frame: QRect, theme: style.Theme) -> None:
        radius = 8.0
        centre = QRectF(frame).topRight()
        centre.setX(centre.x() - radius - 2)
        centre.setY(centre.y() + radius + 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent))
        painter.drawEllipse(centre, radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.accent_text), 2))
        x, y = centre.x(), centre.y()
        painter.drawPolyline([QPointF(x - 4, y), QPointF(x - 1, y + 3), QPointF(x + 4, y - 3)])

    @staticmethod
    def _draw_mark(painter: QPainter, frame: QRect, text: str, theme: style.Theme) -> None:
        if not text:
            return
        metrics = painter.fontMetrics()
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, frame.width() - 18)
        width = metrics.horizontalAdvance(text) + 10
        pill = QRectF(frame.left() + 3, frame.bottom() - metrics.height() - 3, width, metrics.height() + 1)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.warning))
        painter.drawRoundedRect(pill, 4, 4)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(theme.window))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    @staticmethod
    def _draw_captions(
        painter: QPainter,
        rect: QRect,
        frame: QRect,
        index: QModelIndex | QPersistentModelIndex,
        used: bool,
        theme: style.Theme,
    ) -> None:
        metrics = painter.fontMetrics()
        top = frame.bottom() + 4
        lines = ((str(index.data(CAPTION)), theme.text if used else theme.muted), (
            str(index.data(DETAIL) or ""), theme.muted))  # fmt: skip
        for text, colour in lines:
            painter.setPen(QColor(colour))
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width() - 4)
            line = QRect(rect.left() + 2, top, rect.width() - 4, metrics.height())
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, shown)
            top += metrics.height()


class GalleryView(QListView):
    """A grid of images. A click or Space uses an image or leaves it out; with Shift, a whole range."""

    toggle_wanted = Signal(int)
    range_wanted = Signal(int, int)
    side_wanted = Signal(int)

    def __init__(self, model: GalleryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._anchor = -1
        self._lines = 1
        self.delegate = GalleryDelegate(USUAL, self)
        self.setModel(model)
        self.setItemDelegate(self.delegate)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setAccessibleName("Class averages")
        self.setAccessibleDescription("Space uses an image or leaves it out; arrow keys move.")
        self.set_side(USUAL)

    def set_side(self, side: int) -> None:
        """Make the pictures this large, pixels."""
        self.delegate.side = max(SMALLEST, min(LARGEST, side))
        self._place_grid()

    def set_lines(self, lines: int) -> None:
        """Leave room for this many lines of captions."""
        self._lines = lines
        self._place_grid()

    def _place_grid(self) -> None:
        cell = self.delegate.cell(self.fontMetrics(), self._lines)
        # The columns share the width; its scroll bar may come at any time, so its place is kept free.
        free = self.width() - 2 * self.frameWidth() - self.verticalScrollBar().sizeHint().width() - 2
        cell.setWidth(max(cell.width(), free // max(1, free // cell.width())))
        if cell != self.gridSize():
            self.setGridSize(cell)
        self.verticalScrollBar().setSingleStep(max(20, self.gridSize().height() // 3))

    def forget_anchor(self) -> None:
        """A new set of images has come: ranges begin anew."""
        self._anchor = -1

    # ---- events ---------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the new width among the columns."""
        self._place_grid()
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Use or leave out what was clicked."""
        super().mousePressEvent(event)
        index = self.indexAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and index.isValid():
            self._pick(index.row(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Two clicks are two clicks."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space and Enter use or leave out the current image."""
        if (
            event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)
            and self.currentIndex().isValid()
        ):
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._pick(self.currentIndex().row(), shift)
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl, change the size of the pictures."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            step = 8 if event.angleDelta().y() > 0 else -8
            self.side_wanted.emit(self.delegate.side + step)
            event.accept()
            return
        super().wheelEvent(event)

    def _pick(self, row: int, shift: bool) -> None:
        if shift and self._anchor >= 0:
            self.range_wanted.emit(self._anchor, row)
        else:
            self.toggle_wanted.emit(row)
        self._anchor = row
