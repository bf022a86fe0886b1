"""The window's three columns: what goes in, the picture, what comes out."""

from __future__ import annotations

from collections.abc import Collection

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QWidget

NARROWEST = 330
NARROWEST_TABS = 390  # all titles fit


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
        self._splitter.setStretchFactor(1, 5)
        self._splitter.setStretchFactor(2, 1)
        self._splitter.setChildrenCollapsible(False)
        self._left.setMinimumWidth(NARROWEST)
        self.tabs.setMinimumWidth(NARROWEST_TABS)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.addWidget(self._splitter)

    def add_tab(self, panel: QWidget, title: str, tip: str) -> None:
        """Put a panel into the right column."""
        self.tabs.setTabToolTip(self.tabs.addTab(panel, title), tip)

    def show_tabs(self, panels: Collection[QWidget]) -> None:
        """Show the tabs of these panels only; the first of them if the one that was open has gone."""
        for i in range(self.tabs.count()):
            self.tabs.setTabVisible(i, self.tabs.widget(i) in panels)
        if not self.tabs.isTabVisible(self.tabs.currentIndex()):
            self.show_first()

    def show_first(self) -> None:
        """Open the first tab that is shown."""
        shown = (i for i in range(self.tabs.count()) if self.tabs.isTabVisible(i))
        self.tabs.setCurrentIndex(next(shown, 0))

    def state(self) -> QByteArray:
        """How wide the columns are, to be kept."""
        return self._splitter.saveState()

    def restore(self, state: QByteArray) -> None:
        """Make the columns as wide as they were."""
        self._splitter.restoreState(state)
