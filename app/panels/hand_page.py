"""Both hands side by side, and what speaks for each. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.hand_evidence import MIRROR, THIS, Clue
from app.panels.page import Page
from app.style import Theme
from app.viewers.tiles import TilesView

READING = "Comparing both hands with what was given…"
SAYS = {THIS: "speaks for this hand", MIRROR: "speaks for the mirror image"}


class HandPage(Page):
    """Two linked pictures, a table of evidence, and the button that flips."""

    flip_wanted = Signal()
    back_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles = TilesView()
        self.tiles.setMinimumHeight(180)
        self.state = QLabel()
        self.state.setObjectName("title")
        self.state.setWordWrap(True)
        self.verdict = QLabel(READING)
        self.verdict.setWordWrap(True)
        self.flip = QPushButton("Flip hand")
        self.flip.setObjectName("primary")
        self.flip.setToolTip(
            "Show and export everything of this run as its mirror image (Shift+H); undo with Ctrl+Z"
        )
        self.flip.setAccessibleName("Flip hand")
        self.flip.clicked.connect(self.flip_wanted)
        self.back = QPushButton("Back")
        self.back.setToolTip("Back to one picture (H)")
        self.back.setAccessibleName("Back")
        self.back.clicked.connect(self.back_wanted)
        top = QHBoxLayout()
        top.setContentsMargins(4, 8, 4, 0)
        top.addWidget(self.state, 1)
        top.addWidget(self.flip)
        top.addWidget(self.back)
        self._table = QWidget()
        self._table.setObjectName("page")
        self._grid = QGridLayout(self._table)
        self._grid.setContentsMargins(8, 4, 8, 4)
        self._grid.setColumnStretch(3, 1)
        self._grid.setHorizontalSpacing(24)
        scroll = QScrollArea()
        scroll.setWidget(self._table)
        scroll.setWidgetResizable(True)
        scroll.setAccessibleName("What speaks for each hand")
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.tiles, 3)
        verdict = QHBoxLayout()
        verdict.setContentsMargins(8, 4, 8, 0)
        verdict.addWidget(self.verdict)
        layout.addLayout(verdict)
        layout.addWidget(scroll, 2)
        self.show_clues([], READING)

    def show_state(self, text: str, why_not: str) -> None:
        """Say which hand is shown, and why it can't be flipped if so."""
        self.state.setText(text)
        self.flip.setEnabled(not why_not)
        self.flip.setToolTip(
            why_not
            or "Show and export everything of this run as its mirror image (Shift+H); Ctrl+Z undoes it"
        )

    def show_clues(self, clues: Sequence[Clue], verdict: str) -> None:
        """Show a table of evidence and what it says together."""
        self.verdict.setText(verdict)
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        if not clues:
            return
        for column, text in enumerate(("Correlation with", "This hand", "Mirror image")):
            head = QLabel(text)
            head.setObjectName("muted")
            self._grid.addWidget(head, 0, column)
        for number, clue in enumerate(clues):
            row = 1 + 2 * number
            for column, text in enumerate((clue.source, clue.this or "–", clue.mirror or "–")):
                label = QLabel(text)
                best = (clue.says == THIS and column == 1) or (clue.says == MIRROR and column == 2)
                label.setObjectName("title" if column == 0 or best else "")
                self._grid.addWidget(label, row, column)
            says = SAYS.get(clue.says, "doesn't tell")
            words = QLabel(f"{says[:1].upper()}{says[1:]}. {clue.words}")
            words.setObjectName("muted")
            words.setWordWrap(True)
            self._grid.addWidget(words, row + 1, 0, 1, 4)
        self._grid.setRowStretch(2 * len(clues) + 1, 1)

    def said(self) -> str:
        """All words of the table, for the keyboard and for tests."""
        items = (self._grid.itemAt(i) for i in range(self._grid.count()))
        labels = (item.widget() for item in items if item is not None)
        return " | ".join(label.text() for label in labels if isinstance(label, QLabel))

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.tiles.set_theme(theme)

    def reset_view(self) -> None:
        """Show everything, from the first direction."""
        self.tiles.reset()

    def look_along_z(self) -> None:
        """Look along z."""
        self.tiles.look(0.0, 90.0)

    def screenshot(self) -> QImage:
        """Both hands with their words."""
        return self.tiles.screenshot()

    def release(self) -> None:
        """Give the canvas back."""
        self.tiles.release()
