"""The list of steps: choose one to go back to it, or forward. Setters only."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QDialog, QLabel, QUndoView, QVBoxLayout, QWidget

ABOUT = "Choose a step to go back to how things were after it. Later steps stay until you change something."


class HistoryList(QDialog):
    """A small window that stays beside the main one.

    Parameters
    ----------
    history : the stack of steps.
    """

    def __init__(self, history: QUndoStack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("History")
        self.setWindowFlag(Qt.WindowType.WindowContextHelpButtonHint, False)
        self._about = QLabel(ABOUT)
        self._about.setObjectName("muted")
        self._about.setWordWrap(True)
        self.view = QUndoView(history)
        self.view.setEmptyLabel("Beginning")
        self.view.setAccessibleName("Steps, the oldest first")
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        layout = QVBoxLayout(self)
        layout.addWidget(self._about)
        layout.addWidget(self.view, 1)
        self.resize(360, 460)

    def set_enabled(self, on: bool, reason: str = "") -> None:
        """Whether steps can be chosen, and why not."""
        self.view.setEnabled(on)
        self._about.setText(reason or ABOUT)
