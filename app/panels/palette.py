"""A line to type in and a list to choose from, over the window. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.style import LIGHT, Theme

WIDTH = 620
ROW = 40
MOST_ROWS = 10
_ENTRY = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Row:
    """A line of the list.

    Attributes
    ----------
    key : names it to whoever hears of the choice.
    text : what it does.
    place : where it is found otherwise, e.g. ``File › Export``.
    shortcut : its key, in words.
    reason : why it can't be chosen now.
    enabled : whether it can.
    """

    key: str
    text: str
    place: str = ""
    shortcut: str = ""
    reason: str = ""
    enabled: bool = True


class PaletteBox(QFrame):
    """Lies over the window without blocking it; goes away when the keyboard goes elsewhere.

    Parameters
    ----------
    parent : the window, over which it lies.
    """

    typed = Signal(str)
    chosen = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("palette")
        self.setAccessibleName("Command palette")
        self._window = parent
        self._before: QWidget | None = None
        self.line = QLineEdit()
        self.line.setPlaceholderText("What do you want to do?")
        self.line.setAccessibleName("Search commands, runs and help")
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self.typed)
        self.line.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("What was found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self._drawn = _RowPainter(self.list)
        self.list.setItemDelegate(self._drawn)
        self.list.itemClicked.connect(lambda _item: self._choose())
        self.hint = QLabel("↑ ↓ choose    Enter does it    Esc closes")
        self.hint.setObjectName("muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        layout.setSpacing(6)
        for part in (self.line, self.list, self.hint):
            layout.addWidget(part)
        parent.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it, empty, with the keyboard in its line."""
        self._before = QApplication.focusWidget()
        self.line.clear()
        self.show()
        self.raise_()
        self.line.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_(self) -> None:
        """Go away, and give the keyboard back to where it was."""
        had = self.isVisible() and self.line.hasFocus()
        self.hide()
        if had and self._before is not None and self._before.isVisible():
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)
        self._before = None

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Fill the list; the first line that can be chosen is marked."""
        self.list.clear()
        for row in rows:
            item = QListWidgetItem(row.text)
            item.setData(_ENTRY, row)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, _spoken(row))
            item.setToolTip(row.reason if not row.enabled else "")
            item.setSizeHint(QSize(100, ROW))
            self.list.addItem(item)
        if not rows:
            item = QListWidgetItem("Nothing fits. Fewer letters find more.")
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setSizeHint(QSize(100, ROW))
            self.list.addItem(item)
        usable = (i for i, row in enumerate(rows) if row.enabled)
        self.list.setCurrentRow(next(usable, 0 if rows else -1))
        self._place()

    def rows(self) -> list[Row]:
        """What the list shows."""
        found = (self.list.item(i).data(_ENTRY) for i in range(self.list.count()))
        return [row for row in found if isinstance(row, Row)]

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._drawn.theme = theme
        self.list.viewport().update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the line, and the size of the window."""
        kind = event.type()
        if watched is self.parent():
            if kind == QEvent.Type.Resize and self.isVisible():
                self._place()
        elif kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.key() in (*_MOVES, *_ENDS):
                event.accept()  # else Esc would cancel the run
        elif kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event.key())
        elif kind == QEvent.Type.FocusOut and isinstance(event, QFocusEvent):
            if event.reason() not in (
                Qt.FocusReason.ActiveWindowFocusReason,
                Qt.FocusReason.PopupFocusReason,
            ):
                self.close_()
        return super().eventFilter(watched, event)

    def _key(self, key: int) -> bool:
        if key in _MOVES:
            step = _MOVES[Qt.Key(key)]
            last = self.list.count() - 1
            row = self.list.currentRow() + step
            wrapped = (last if row < 0 else 0 if row > last else row) if abs(step) == 1 else row
            self.list.setCurrentRow(max(0, min(last, wrapped)))
            self._say()
            return True
        if key == Qt.Key.Key_Escape:
            self.close_()
            return True
        if key in _ENDS:
            self._choose()
            return True
        return key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)

    def _choose(self) -> None:
        item = self.list.currentItem()
        row = item.data(_ENTRY) if item is not None else None
        if not isinstance(row, Row):
            return
        if not row.enabled:
            self.hint.setText(row.reason or "This can't be done now.")
            return
        self.close_()
        self.chosen.emit(row.key)

    def _say(self) -> None:
        """What the marked line is, for those who don't see it; why it can't be chosen, for all."""
        item = self.list.currentItem()
        row = item.data(_ENTRY) if item is not None else None
        if isinstance(row, Row):
            self.line.setAccessibleDescription(_spoken(row))
            self.hint.setText(
                row.reason if not row.enabled and row.reason else "↑ ↓ choose    Enter does it    Esc closes"
            )

    def _place(self) -> None:
        window = self._window
        width = min(WIDTH, window.width() - 40)
        most = max(2, min(MOST_ROWS, (window.height() - 220) // ROW))
        self.list.setFixedHeight(max(1, min(most, self.list.count())) * ROW + 4)
        self.setFixedWidth(width)
        self.adjustSize()
        self.move((window.width() - width) // 2, 64)
        self._say()


_MOVES = {
    Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -MOST_ROWS, Qt.Key.Key_PageDown: MOST_ROWS,
}  # fmt: skip
_ENDS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)


def _spoken(row: Row) -> str:
    parts = [row.text, row.place, row.shortcut, "" if row.enabled else f"not now. {row.reason}"]
    return ", ".join(part for part in parts if part)


class _RowPainter(QStyledItemDelegate):
    """Text and place at the left, the key at the right."""

    theme = LIGHT

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw a row."""
        row = index.data(_ENTRY)
        if not isinstance(row, Row):
            super().paint(painter, option, index)
            return
        theme = self.theme
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        box = option.rect.adjusted(0, 1, 0, -1)
        if chosen:
            painter.fillRect(box, QColor(theme.accent if row.enabled else theme.border))
        plain = theme.accent_text if chosen and row.enabled else theme.text
        faint = plain if chosen else theme.muted
        inside = box.adjusted(10, 2, -10, -2)
        painter.setPen(QColor(faint))
        metrics = painter.fontMetrics()
        keys = metrics.horizontalAdvance(row.shortcut) if row.shortcut else 0
        painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, row.shortcut)
        inside.setRight(inside.right() - keys - 16)
        below = row.place if row.enabled or not row.reason else f"{row.place} — {row.reason}"
        upper, lower = (
            inside.adjusted(0, 0, 0, -inside.height() // 2),
            inside.adjusted(0, inside.height() // 2, 0, 0),
        )
        elide = Qt.TextElideMode.ElideRight
        painter.setPen(QColor(plain if row.enabled else faint))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(
            upper if below else inside, left, metrics.elidedText(row.text, elide, inside.width())
        )
        if below:
            font = painter.font()
            font.setPointSizeF(font.pointSizeF() * 0.88)
            painter.setFont(font)
            painter.setPen(QColor(faint))
            painter.drawText(lower, left, painter.fontMetrics().elidedText(below, elide, inside.width()))
        painter.restore()
