"""The window's three columns: what goes in, the picture, what comes out."""

from __future__ import annotations

from collections.abc import Collection

from PySide6.QtCore import QByteArray, Qt, Signal
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

    moved = Signal()

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
        self.left_tabs = QTabWidget()
        self.left_tabs.setDocumentMode(True)
        self.left_tabs.setTabBarAutoHide(True)
        self.left_tabs.tabBar().setDrawBase(False)
        self.left_tabs.addTab(self._left, "Prepare")
        self.left_tabs.setTabToolTip(0, "What goes in, and how it is to be computed")
        self.tabs = QTabWidget()
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        for part in (self.left_tabs, middle, self.tabs):
            self._splitter.addWidget(part)
        self._splitter.setSizes([390, 640, 400])
        self._splitter.setStretchFactor(1, 5)
        self._splitter.setStretchFactor(2, 1)
        self._splitter.setChildrenCollapsible(False)
        self.left_tabs.setMinimumWidth(NARROWEST)
        for splitter in (self._left, self._splitter):
            splitter.splitterMoved.connect(lambda _place, _index: self.moved.emit())
        self.tabs.setMinimumWidth(NARROWEST_TABS)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.addWidget(self._splitter)

    def add_tab(self, panel: QWidget, title: str, tip: str) -> None:
        """Put a panel into the right column."""
        self.tabs.setTabToolTip(self.tabs.addTab(panel, title), tip)

    def add_left_tab(self, panel: QWidget, title: str, tip: str) -> None:
        """Put a panel into the left column, beside what is prepared."""
        self.left_tabs.setTabToolTip(self.left_tabs.addTab(panel, title), tip)

    def show_tabs(self, panels: Collection[QWidget]) -> None:
        """Show the tabs of these panels only; the first of them if the one that was open has gone."""
        before = self.tabs.currentWidget()
        for i in range(self.tabs.count()):
            self.tabs.setTabVisible(i, self.tabs.widget(i) in panels)
        if before not in panels:  # Qt itself would open the next one, which is the last
            self.show_first()

    def show_first(self) -> None:
        """Open the first tab that is shown."""
        shown = (i for i in range(self.tabs.count()) if self.tabs.isTabVisible(i))
        self.tabs.setCurrentIndex(next(shown, 0))

    def sizes(self) -> dict[str, list[int]]:
        """Widths of the columns and heights within the left one, pixels."""
        return {"columns": self._splitter.sizes(), "left": self._left.sizes()}

    def set_sizes(self, sizes: dict[str, list[int]]) -> None:
        """Go back to what :meth:`sizes` gave."""
        for name, splitter in (("columns", self._splitter), ("left", self._left)):
            wanted = sizes.get(name, [])
            if len(wanted) == splitter.count() and all(size > 0 for size in wanted):
                splitter.setSizes(wanted)

    def state(self) -> QByteArray:
        """How wide the columns are, to be kept."""
        return self._splitter.saveState()

    def restore(self, state: QByteArray) -> None:
        """Make the columns as wide as they were."""
        self._splitter.restoreState(state)
