"""Rows of the project's tree: what each shows, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPixmap
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.style import LIGHT, Theme

ROW, PICTURE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
MARKS = {
    "running": "▶", "waiting": "…", "paused": "Ⅱ", "completed": "✓",
    "failed": "✕", "cancelled": "■", "interrupted": "!", "damaged": "✕",
}  # fmt: skip
PAD = 5
INDENT_PX = 16
_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class TreeRow:
    """One row.

    Attributes
    ----------
    key : what it stands for: kind and path, e.g. ``run:/data/runs/a``.
    name : the first line.
    lines : further lines.
    state : of a run, a key of :data:`MARKS`; its mark and word stand first in the second line.
    note : the last line.
    depth : how often it has branched off from the runs above it.
    picture : the size of its picture, pixels; 0 for none.
    haystack : what searching looks through, in lower case.
    """

    key: str
    name: str
    lines: tuple[str, ...] = ()
    state: str = ""
    note: str = ""
    tip: str = ""
    picture: int = 0
    haystack: str = ""
    depth: int = 0
    children: tuple[TreeRow, ...] = field(default=(), repr=False)

    @property
    def kind(self) -> str:
        """``group``, ``queue``, ``run``, ``part``, ``step``, ``input`` or ``trash``."""
        return self.key.partition(":")[0]

    @property
    def target(self) -> str:
        """What follows the kind in the key."""
        return self.key.partition(":")[2]

    @property
    def words(self) -> str:
        """Everything, for screen readers."""
        return ", ".join(part for part in (self.name, self.state, *self.lines, self.note) if part)


class RowDelegate(QStyledItemDelegate):
    """Draws picture, name, state, facts and note of a row; lets its name be edited in place."""

    renamed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: D102 - Qt's
        row = index.data(ROW)
        if not isinstance(row, TreeRow):
            return super().sizeHint(option, index)
        lines = 1 + len(row.lines) + bool(row.note)
        height = max(row.picture + PAD, lines * option.fontMetrics.height() + PAD)
        return QSize(120, height + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:  # noqa: D102
        row = index.data(ROW)
        if not isinstance(row, TreeRow):
            super().paint(painter, option, index)
            return
        theme, rect = self._theme, QRect(option.rect)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        if chosen:
            tint = QColor(theme.accent)
            tint.setAlpha(60)
            painter.fillRect(rect, tint)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(theme.accent))
            painter.drawRect(rect.adjusted(0, 0, -1, -1))
        left = rect.left() + 2 + INDENT_PX * min(row.depth, 5)
        if row.picture:
            place = QRect(left, rect.top() + 3, row.picture, row.picture)
            self._draw_picture(painter, place, index.data(PICTURE), row)
            left += row.picture + 8
        lines = 1 + len(row.lines) + bool(row.note)
        top = rect.top() + max(2, (rect.height() - lines * painter.fontMetrics().height()) // 2)
        self._draw_words(painter, row, QRect(left, top, rect.right() - left - 2, rect.height()))
        painter.restore()

    def _draw_picture(self, painter: QPainter, place: QRect, picture: object, row: TreeRow) -> None:
        if isinstance(picture, QPixmap) and not picture.isNull():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(place, picture)
            return
        painter.setPen(QColor(self._theme.border))
        painter.drawRect(place.adjusted(0, 0, -1, -1))
        stem, dot, suffix = row.name.removesuffix(".gz").rpartition(".")
        text = MARKS.get(row.state, suffix[:5] if stem and dot else "")
        painter.setPen(QColor(self._theme.muted))
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)

    def _draw_words(self, painter: QPainter, row: TreeRow, box: QRect) -> None:
        theme, base = self._theme, painter.font()
        bold = QFont(base)
        bold.setBold(row.kind in ("run", "group", "queue"))
        painter.setFont(bold)
        painter.setPen(QColor(theme.accent if row.kind == "step" else theme.text))
        metrics = QFontMetrics(bold)
        height = metrics.height()
        align = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

        def line(number: int) -> QRect:
            return QRect(box.left(), box.top() + number * height, box.width(), height)

        def fit(text: str, width: int, how: QFontMetrics) -> str:
            return how.elidedText(text, Qt.TextElideMode.ElideRight, width)

        painter.drawText(line(0), align, fit(row.name, box.width(), metrics))
        painter.setFont(base)
        metrics = QFontMetrics(base)
        for number, text in enumerate(row.lines, 1):
            place = line(number)
            if number == 1 and row.state:
                word = f"{MARKS[row.state]} {row.state}"
                painter.setPen(QColor(state_colour(row.state, theme)))
                painter.drawText(place, align, word)
                place.setLeft(place.left() + metrics.horizontalAdvance(f"{word} "))
            painter.setPen(QColor(theme.muted))
            painter.drawText(place, align, fit(text, place.width(), metrics))
        if row.note:
            slanted = QFont(base)
            slanted.setItalic(True)
            painter.setFont(slanted)
            painter.setPen(QColor(theme.text))
            note = row.note.splitlines()[0]
            painter.drawText(
                line(1 + len(row.lines)), align, fit(f"“{note}”", box.width(), QFontMetrics(slanted))
            )

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: _Index) -> QWidget:  # noqa: D102
        field = QLineEdit(parent)
        field.setAccessibleName("Name of the run")
        field.setPlaceholderText("empty: its own name")
        return field

    def setEditorData(self, editor: QWidget, index: _Index) -> None:  # noqa: D102
        row = index.data(ROW)
        if isinstance(editor, QLineEdit) and isinstance(row, TreeRow):
            editor.setText(row.name)
            editor.selectAll()

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: _Index) -> None:  # noqa: D102
        row = index.data(ROW)
        if isinstance(editor, QLineEdit) and isinstance(row, TreeRow) and editor.text() != row.name:
            self.renamed.emit(row.target, editor.text().strip())

    def updateEditorGeometry(  # noqa: D102
        self, editor: QWidget, option: QStyleOptionViewItem, index: _Index
    ) -> None:
        row = index.data(ROW)
        rect = QRect(option.rect)
        if isinstance(row, TreeRow) and row.picture:
            rect.setLeft(rect.left() + row.picture + 8)
        rect.setHeight(min(rect.height(), editor.sizeHint().height()))
        editor.setGeometry(rect)


def state_colour(state: str, theme: Theme) -> str:
    """Of a run's state; its mark and word say it, too."""
    return {
        "running": theme.accent, "waiting": theme.muted, "completed": theme.good,
        "failed": theme.error, "damaged": theme.error,
    }.get(state, theme.warning)  # fmt: skip
