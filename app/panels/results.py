"""What came out: how good it is, how sure it is, and the way to export it. Setters only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.measures import Measure, Reliability, as_text
from app.panels.plot import Plot
from app.panels.plots import FscPlot, SpreadPlot
from app.panels.quality_plots import BoxPlot, ReliabilityPlot, SpreadErrorPlot
from app.style import Theme

EMPTY = "Nothing yet. When a run has finished, its quality and its spread are shown here."
NO_TRUTH = (
    "No reference was given, so there is nothing to compare with. The spread says how much the samples "
    "agree: it is not an error. Add a structure or a map as “Reference to judge by” to get RMSDs."
)


class ResultsPanel(QWidget):
    """Table of measures, FSC or histogram of spread, export button."""

    export_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary = QLabel(EMPTY)
        self._summary.setWordWrap(True)
        self._table = QTableWidget(0, 3)
        self._table.setAccessibleName("Measures of the result")
        self._table.setHorizontalHeaderLabels(["Measure", "Mean ± SD", "Range"])
        self._table.verticalHeader().hide()
        self._table.verticalHeader().setDefaultSectionSize(26)
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setShowGrid(False)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self._table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._table.customContextMenuRequested.connect(self._menu)
        self.measures: Sequence[Measure] = ()
        self.fsc = FscPlot()
        self.spread = SpreadPlot()
        self.boxes = BoxPlot()
        self.reliability = ReliabilityPlot()
        self.spread_error = SpreadErrorPlot()
        self._plots = QTabWidget()
        self._plots.setDocumentMode(True)
        self._plots.setAccessibleName("Plots of the result")
        self._picked = -1
        self._plots.tabBarClicked.connect(self._pick)
        self._tabs: tuple[tuple[Plot, str, str], ...] = (
            (self.fsc, "FSC", "Fourier shell correlation of the mean map with the reference"),
            (self.boxes, "Samples", "Every sample's distance to the reference, as boxes and dots"),
            (self.spread, "Spread", "How far the samples disagree about each point"),
            (
                self.reliability,
                "Reliability",
                "Whether as many true points lie within the stated error, or spread, as it says",
            ),
            (self.spread_error, "Error", "Whether points of which more error is stated are more wrong"),
        )
        for plot, title, tip in self._tabs:
            self._plots.addTab(plot, title)
            self._plots.setTabToolTip(self._plots.count() - 1, tip)
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip(
            "Write the ensemble for ChimeraX, Coot, RELION or a spreadsheet (Ctrl+E)"
        )
        self.export_button.clicked.connect(self.export_wanted)
        self.folder_button = QPushButton("Show folder")
        self.folder_button.setToolTip("Open the run's folder")
        self.folder_button.clicked.connect(self.folder_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.export_button, 1)
        buttons.addWidget(self.folder_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._summary)
        layout.addWidget(self._table, 2)
        layout.addWidget(self._plots, 5)
        layout.addStretch(0)
        layout.addLayout(buttons)
        self._layout, self._buttons = layout, buttons
        self.clear()
        self.retint()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.export_button.setIcon(style.icon("export"))
        self.folder_button.setIcon(style.icon("open"))

    def add_button(self, button: QPushButton) -> None:
        """Put another button beside Export."""
        self._buttons.insertWidget(1, button)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for plot, _title, _tip in self._tabs:
            plot.set_theme(theme)
        self.retint()

    def clear(self) -> None:
        """Show the empty state."""
        self._summary.setText(EMPTY)
        self._summary.setObjectName("muted")
        self._table.hide()
        for plot, _title, _tip in self._tabs:
            self._offer(plot, False)
        self.export_button.setEnabled(False)
        self.folder_button.setEnabled(False)
        self._layout.setStretch(3, 1)

    def show_summary(self, text: str, *, exportable: bool, has_folder: bool) -> None:
        """Say in a sentence what there is."""
        self._summary.setText(text)
        self.export_button.setEnabled(exportable)
        self.folder_button.setEnabled(has_folder)

    def show_measures(self, measures: Sequence[Measure]) -> None:
        """Show the table; hidden when empty."""
        self.measures = measures
        self._table.setRowCount(len(measures))
        for row, measure in enumerate(measures):
            for column, text in enumerate((measure.label, measure.mean_text, measure.range_text)):
                item = QTableWidgetItem(text)
                item.setToolTip(measure.help)
                self._table.setItem(row, column, item)
        self._table.setVisible(bool(measures))
        height = self._table.horizontalHeader().sizeHint().height() + 26 * len(measures) + 6
        self._table.setMinimumHeight(min(height, 240))
        self._table.setMaximumHeight(height)
        self.boxes.set_measures(measures)
        self._offer(self.boxes, any(m.unit == "Å" for m in measures))
        self._layout.setStretch(3, 0)

    def show_fsc(self, curve: tuple[NDArray[np.floating], NDArray[np.floating], str] | None) -> None:
        """Show the FSC curve; hidden without one."""
        self._offer(self.fsc, curve is not None)
        if curve is not None:
            self.fsc.set_curve(*curve)

    def show_spread(self, spread_A: NDArray[np.floating] | None) -> None:
        """Show the histogram of spread; hidden without one."""
        self._offer(self.spread, spread_A is not None)
        if spread_A is not None:
            self.spread.set_spread(spread_A)

    def show_reliability(self, found: Reliability | None) -> None:
        """Show how the spread compares with the errors; hidden without a reference."""
        for plot in (self.reliability, self.spread_error):
            plot.set_reliability(found)
            self._offer(plot, found is not None)

    def shown_plots(self) -> list[str]:
        """Titles of the plots that there are."""
        tabs = self._plots
        return [tabs.tabText(i) for i in range(tabs.count()) if tabs.isTabVisible(i)]

    def _pick(self, index: int) -> None:
        self._picked = index

    def _offer(self, plot: Plot, on: bool) -> None:
        tabs = self._plots
        tabs.setTabVisible(tabs.indexOf(plot), on)
        shown = [i for i in range(tabs.count()) if tabs.isTabVisible(i)]
        tabs.setVisible(bool(shown))
        if shown:
            # the one that the user has picked, as long as there is it; otherwise the first
            tabs.setCurrentIndex(self._picked if self._picked in shown else shown[0])

    def _menu(self, position: object) -> None:
        menu = QMenu(self)
        action = menu.addAction(
            "Copy table", lambda: QApplication.clipboard().setText(as_text(self.measures))
        )
        action.setShortcut(QKeySequence.StandardKey.Copy)
        menu.exec(self._table.viewport().mapToGlobal(position))  # type: ignore[call-overload]
        menu.deleteLater()
