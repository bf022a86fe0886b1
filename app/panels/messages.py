"""Everything that Verglas has said, with the time."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QListWidget, QListWidgetItem, QMenu, QVBoxLayout, QWidget

from app.style import LIGHT, Theme

LEVEL_WORDS = {"info": "", "warning": "Warning: ", "error": "Error: ", "detail": ""}
MOST = 2000


class MessagesPanel(QWidget):
    """A list of notices; the newest is last. Each is also told as it is added."""

    added = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._list = QListWidget()
        self._list.setAccessibleName("Messages")
        self._list.setWordWrap(True)
        self._list.setAlternatingRowColors(False)
        self._list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self._list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._list.customContextMenuRequested.connect(self._menu)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._list)

    def add(self, level: str, message: str) -> None:
        """Append a message of level info, warning, error or detail."""
        text = (
            message
            if level == "detail"
            else f"{time.strftime('%H:%M:%S')}  {LEVEL_WORDS.get(level, '')}{message}"
        )
        item = QListWidgetItem(text)
        item.setData(Qt.ItemDataRole.UserRole, level)
        self._colour(item)
        at_end = self._list.verticalScrollBar().value() >= self._list.verticalScrollBar().maximum() - 4
        self._list.addItem(item)
        if self._list.count() > MOST:
            self._list.takeItem(0)
        if at_end:
            self._list.scrollToBottom()
        self.added.emit(message)

    def texts(self) -> list[str]:
        """All messages."""
        return [self._list.item(i).text() for i in range(self._list.count())]

    def clear(self) -> None:
        """Forget all."""
        self._list.clear()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        for i in range(self._list.count()):
            self._colour(self._list.item(i))

    def _colour(self, item: QListWidgetItem) -> None:
        colours = {"warning": self._theme.warning, "error": self._theme.error, "detail": self._theme.muted}
        item.setForeground(QColor(colours.get(item.data(Qt.ItemDataRole.UserRole), self._theme.text)))

    def _menu(self, position: object) -> None:
        menu = QMenu(self)
        menu.addAction("Copy all", lambda: QApplication.clipboard().setText("\n".join(self.texts())))
        menu.addAction("Clear", self.clear)
        menu.exec(self._list.viewport().mapToGlobal(position))  # type: ignore[call-overload]
        menu.deleteLater()
