"""About Verglas and this machine: a window of its own. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

WORDS = {"ok": "OK", "warning": "Limited", "problem": "Problem"}
NAMES = {"ok": "good", "warning": "warning", "problem": "error"}
Facts = Sequence[tuple[str, str, str, str]]


class MachineWindow(QWidget):
    """What there is, line by line, with a button that copies it.

    Parameters
    ----------
    parent : the window that owns it.
    title : name and version.
    """

    copy_wanted = Signal()
    check_wanted = Signal()

    def __init__(self, parent: QWidget, title: str) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setWindowTitle("About Verglas and this machine")
        self.resize(680, 620)
        heading = QLabel(title)
        heading.setObjectName("welcome")
        about = QLabel("Cryo-EM structures from very little data. BSD 3-Clause licence.")
        about.setObjectName("muted")
        part = QLabel("This machine")
        part.setObjectName("heading")
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setAccessibleName("What was found on this machine")
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy all lines, to be pasted into a question")
        self.copy.clicked.connect(lambda _checked=False: self.copy_wanted.emit())
        self.check = QPushButton("Check this machine")
        self.check.setToolTip("GPU, graphics, libraries, versions, disk and weights: takes some seconds")
        self.check.clicked.connect(lambda _checked=False: self.check_wanted.emit())
        close = QPushButton("Close")
        close.clicked.connect(lambda _checked=False: self.close())
        buttons = QHBoxLayout()
        buttons.addWidget(self.check)
        buttons.addStretch(1)
        buttons.addWidget(self.copy)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 14, 18, 14)
        for widget in (heading, about, part):
            layout.addWidget(widget)
        layout.addWidget(self._scroll, 1)
        layout.addLayout(buttons)
        QShortcut(QKeySequence("Esc"), self, self.close, context=Qt.ShortcutContext.WindowShortcut)

    def show_facts(self, own: Facts, found: Facts, *, busy: bool) -> None:
        """Show (what, found, status, advice) of each, and whether more is being looked for."""
        page = QWidget()
        page.setObjectName("page")
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 4, 8, 4)
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(1, 1)
        for what, words, status, advice in own:
            self._add(grid, what, words, status, advice)
        if found or busy:
            heading = QLabel("Checking…" if busy else "What the check found")
            heading.setObjectName("title")
            grid.addWidget(heading, grid.rowCount(), 0, 1, 3)
        for what, words, status, advice in () if busy else found:
            self._add(grid, what, words, status, advice)
        grid.setRowStretch(grid.rowCount(), 1)
        self._scroll.setWidget(page)
        self.check.setEnabled(not busy)

    def _add(self, grid: QGridLayout, what: str, words: str, status: str, advice: str) -> None:
        row = grid.rowCount()
        top = Qt.AlignmentFlag.AlignTop
        name, text = QLabel(what), QLabel(f"{words}\n{advice}" if advice else words)
        name.setObjectName("muted")
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        mark = QLabel(WORDS.get(status, status))
        mark.setObjectName(NAMES.get(status, "muted"))
        for column, label in enumerate((name, text, mark)):
            grid.addWidget(label, row, column, top)
