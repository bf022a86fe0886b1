"""The list of keys and gestures, in a window of its own that can stay open."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QKeySequence, QShortcut
from PySide6.QtWidgets import QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget


class ShortcutList(QWidget):
    """A line to search in and a table in groups. Setters and signals only.

    Parameters
    ----------
    parent : the window that owns it.
    """

    typed = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setWindowTitle("Keyboard and mouse")
        self.resize(620, 720)
        self.line = QLineEdit()
        self.line.setPlaceholderText("Search keys and what they do")
        self.line.setAccessibleName("Search keys and what they do")
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self.typed)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Keys and gestures")
        self.tree.setHeaderLabels(["What it does", "Keys"])
        self.tree.setRootIsDecorated(False)
        self.tree.setItemsExpandable(False)
        self.tree.setIndentation(14)
        layout = QVBoxLayout(self)
        layout.addWidget(self.line)
        layout.addWidget(self.tree)
        QShortcut(QKeySequence("Esc"), self, self.close, context=Qt.ShortcutContext.WindowShortcut)

    def show_rows(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Show (group, keys, what) of each."""
        self.tree.clear()
        groups: dict[str, QTreeWidgetItem] = {}
        for group, keys, what in rows:
            if group not in groups:
                heading = QTreeWidgetItem([group])
                font = QFont(self.tree.font())
                font.setBold(True)
                heading.setFont(0, font)
                heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.tree.addTopLevelItem(heading)
                groups[group] = heading
            item = QTreeWidgetItem([what, keys])
            item.setToolTip(0, what)
            groups[group].addChild(item)
        self.tree.expandAll()
        self.tree.setColumnWidth(0, 330)

    def rows(self) -> list[tuple[str, str, str]]:
        """What is shown."""
        found = []
        for i in range(self.tree.topLevelItemCount()):
            heading = self.tree.topLevelItem(i)
            children = [] if heading is None else [heading.child(j) for j in range(heading.childCount())]
            found += [(heading.text(0), item.text(1), item.text(0)) for item in children if heading and item]
        return found
