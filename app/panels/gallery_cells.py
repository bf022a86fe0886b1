"""How one class average is drawn in the gallery: once into a picture, which is then only copied."""

from __future__ import annotations

import time

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app import style
from app.panels.gallery_model import GalleryModel

GAP = 8
KEPT_BYTES = 64 << 20
BUDGET_S = 0.015  # for new pictures in one frame: half of one at 30 frames/s
LEFT_OUT = 0.3  # opacity
MASK_COLOUR = "#ffb000"  # on grey values, in any theme


class GalleryCells(QStyledItemDelegate):
    """Draws cells: picture, tick, marks, captions.

    A frame that would need too many new ones shows old or empty ones in their place; ``unfinished``
    says where, so that the view can ask for them again.

    Parameters
    ----------
    side : edge of a picture in pixels.

    Attributes
    ----------
    place : how large a place in the grid is.
    kept : number of the picture's version and the cell, by image; the least recently drawn first.
    band : rows under a rubber band, and whether they are to be used.
    """

    def __init__(self, model: GalleryModel, side: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.side = side
        self.lines = 1
        self.place = QSize(side, side)
        self.budget_s = BUDGET_S
        self.kept: dict[int, tuple[tuple[int, bool], QPixmap]] = {}
        self.unfinished: list[QRect] = []
        self.band: tuple[frozenset[int], bool] = (frozenset(), True)
        self._kept_for: tuple[object, ...] = ()
        self._most = 1
        self._until = 0.0
        self._made = 0
        self._ratio = 1.0
        self._theme = style.current_theme()

    def cell(self, metrics: QFontMetrics, lines: int) -> QSize:
        """How large one place is."""
        return QSize(self.side + 2 * GAP, self.side + 2 * GAP + lines * metrics.height() + 2)

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        """The whole place: what isn't in it isn't drawn again when its image changes."""
        return self.place

    def frame_of(self, rect: QRect) -> QRect:
        """Where the picture is in a place."""
        return QRect(rect.center().x() - self.side // 2, rect.top() + GAP, self.side, self.side)

    def begin(self, ratio: float) -> None:
        """A frame is going to be drawn, for a screen of this many dots per pixel."""
        self._ratio, self._theme = ratio, style.current_theme()
        self._until = time.perf_counter() + self.budget_s
        self._made = 0
        self.unfinished = []

    def forget(self) -> None:
        """Keep nothing of the images before."""
        self.kept.clear()

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw the place at ``option.rect``."""
        model, rect, row = self._model, option.rect, index.row()
        image = int(model.order[row])
        kept_for = (self.side, self._ratio, rect.width(), rect.height(), self._theme.dark, painter.font())
        if kept_for != self._kept_for:
            self.kept.clear()
            self._kept_for = kept_for
            self._most = max(64, int(KEPT_BYTES / (4 * rect.width() * rect.height() * self._ratio**2)))
        key = (model.version, model.used(image))
        found = self.kept.pop(image, None)
        if found is None or found[0] != key:
            if not self._made or time.perf_counter() < self._until:
                found = key, self._drawn(image, rect.size(), painter)
                self._made += 1
                if len(self.kept) >= self._most:
                    del self.kept[next(iter(self.kept))]
            else:
                self.unfinished.append(QRect(rect))
        if found is not None:
            self.kept[image] = found  # at the end: used last
            painter.drawPixmap(rect.topLeft(), found[1])
        else:
            painter.setPen(QColor(self._theme.border))
            painter.drawRect(self.frame_of(rect))
        rows, on = self.band
        if row in rows:
            self._draw_band(painter, rect, on)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(self._theme.text), 1, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(rect.adjusted(1, 1, -2, -2))

    # ---- one cell -------------------------------------------------------------------------------

    def _drawn(self, image: int, size: QSize, like: QPainter) -> QPixmap:
        theme, model = self._theme, self._model
        found = QPixmap(size * self._ratio)
        found.setDevicePixelRatio(self._ratio)
        found.fill(QColor(theme.surface))
        rect = QRect(0, 0, size.width(), size.height())
        frame, used = self.frame_of(rect), model.used(image)
        painter = QPainter(found)
        painter.setFont(like.font())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        picture = self._scaled(model.picture(image))
        if not picture.isNull():
            area = picture.deviceIndependentSize()
            place = QRectF(
                frame.x() + (frame.width() - area.width()) / 2,
                frame.y() + (frame.height() - area.height()) / 2,
                area.width(),
                area.height(),
            )
            painter.setOpacity(1.0 if used else LEFT_OUT)
            painter.drawImage(place.topLeft(), picture)
            self._draw_mask(painter, place, model.mask_of(image))
            painter.setOpacity(1.0)
        painter.setPen(QPen(QColor(theme.accent if used else theme.border), 2 if used else 1))
        painter.drawRect(QRectF(frame).adjusted(-0.5, -0.5, 0.5, 0.5))
        if used:
            self._draw_tick(painter, frame, theme)
        self._draw_mark(painter, frame, model.mark_of(image), theme)
        self._draw_captions(painter, rect, frame, model.lines_of(image), used, theme)
        painter.end()
        return found

    def _scaled(self, picture: QImage) -> QImage:
        if picture.isNull():
            return picture
        wanted = round(self.side * self._ratio)
        found = picture.scaled(
            wanted, wanted, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        found.setDevicePixelRatio(self._ratio)
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
        painter: QPainter, rect: QRect, frame: QRect, lines: tuple[str, ...], used: bool, theme: style.Theme
    ) -> None:
        metrics = painter.fontMetrics()
        top = frame.bottom() + 4
        for number, text in enumerate(lines):
            painter.setPen(QColor(theme.text if used and not number else theme.muted))
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width() - 4)
            line = QRect(rect.left() + 2, top, rect.width() - 4, metrics.height())
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, shown)
            top += metrics.height()

    def _draw_band(self, painter: QPainter, rect: QRect, on: bool) -> None:
        """As it is going to be."""
        theme, frame = self._theme, self.frame_of(rect)
        veil = QColor(theme.accent if on else theme.surface)
        veil.setAlpha(60 if on else 170)
        painter.fillRect(frame, veil)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.accent if on else theme.muted), 3 if on else 2))
        painter.drawRect(frame)
