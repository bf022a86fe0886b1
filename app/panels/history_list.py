"""The list of steps: choose one to go back to it, or forward. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QLabel, QListWidget, QVBoxLayout, QWidget

ABOUT = "Choose a step to go back to how things were after it. Later steps stay until you change something."
BEGINNING = "Beginning"


class HistoryList(QDialog):
    """A small window that stays beside the main one.

    Attributes
    ----------
    chosen : told after how many steps things are wanted to be.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("History")
        self.setWindowFlag(Qt.WindowType.WindowContextHelpButtonHint, False)
        self._about = QLabel(ABOUT)
        self._about.setObjectName("muted")
        self._about.setWordWrap(True)
        self._places: list[int] = []
        self._at = 0
        self.view = QListWidget()
        self.view.setAccessibleName("Steps, the oldest first")
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.currentRowChanged.connect(self._row_changed)
        layout = QVBoxLayout(self)
        layout.addWidget(self._about)
        layout.addWidget(self.view, 1)
        self.resize(360, 460)

    def show_steps(self, steps: Sequence[tuple[int, str]], at: int) -> None:
        """Show the steps, and how many of them are done. Emits nothing.

        Parameters
        ----------
        steps : for each the number of steps that are done after it, and what it does.
        at : how many are done now.
        """
        blocked = self.view.blockSignals(True)
        places, texts = [0, *(n for n, _ in steps)], [BEGINNING, *(text for _, text in steps)]
        while self.view.count() > len(texts):
            self.view.takeItem(self.view.count() - 1)
        for row, text in enumerate(texts):
            if row == self.view.count():
                self.view.addItem(text)
            item = self.view.item(row)
            item.setText(text)
            item.setToolTip(text)
            font = item.font()
            font.setItalic(places[row] > at)  # taken back
            item.setFont(font)
        self._places, self._at = places, at
        self._show_place()
        self.view.blockSignals(blocked)

    def set_enabled(self, on: bool, reason: str = "") -> None:
        """Whether steps can be chosen, and why not."""
        self.view.setEnabled(on)
        self._about.setText(reason or ABOUT)

    def _show_place(self) -> None:
        row = max((i for i, place in enumerate(self._places) if place <= self._at), default=0)
        self.view.setCurrentRow(row)
        self.view.scrollToItem(self.view.item(row))

    def _row_changed(self, row: int) -> None:
        if not 0 <= row < len(self._places):
            return
        self.chosen.emit(self._places[row])
        blocked = self.view.blockSignals(True)
        self._show_place()  # it may have been refused
        self.view.blockSignals(blocked)
