"""The window's three columns: what goes in, the picture, what comes out."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QWidget

NARROWEST = 330


class Columns(QWidget):
    """Lays the panels out; knows nothing about them.

    Parameters
    ----------
    left : panels of the left column, from the top, with the share of the height that each gets.
    middle : what fills the middle.
    parent : Qt owner.
    """

    def __init__(
        self, left: list[tuple[QWidget, int]], middle: QWidget, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self._left = QSplitter(Qt.Orientation.Vertical)
        for panel, _share in left:
            self._left.addWidget(panel)
        self._left.setSizes([share for _panel, share in left])
        self._left.setChildrenCollapsible(False)
        self.tabs = QTabWidget()
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        for part in (self._left, middle, self.tabs):
            self._splitter.addWidget(part)
        self._splitter.setSizes([390, 640, 400])
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setChildrenCollapsible(False)
        self._left.setMinimumWidth(NARROWEST)
        self.tabs.setMinimumWidth(NARROWEST)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.addWidget(self._splitter)

    def add_tab(self, panel: QWidget, title: str, tip: str) -> None:
        """Put a panel into the right column."""
        self.tabs.setTabToolTip(self.tabs.addTab(panel, title), tip)

    def state(self) -> QByteArray:
        """How wide the columns are, to be kept."""
        return self._splitter.saveState()

    def restore(self, state: QByteArray) -> None:
        """Make the columns as wide as they were."""
        self._splitter.restoreState(state)
