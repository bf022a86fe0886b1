"""What a run of score distillation found: a sentence, a table, FSC curves, export. Setters only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QResizeEvent
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
    QVBoxLayout,
    QWidget,
)

from app import style
from app.panels.sds_plots import FscFamilyPlot
from app.sds_measures import Curve, Row, as_text
from app.style import Theme

EMPTY = "Nothing yet. When the first maps are finished, their quality is shown here."
NO_FSC = (
    "No Fourier shell correlation was computed: there were no half sets and no reference. Nothing is said "
    "about resolution."
)


NO_FSC_YET = "No Fourier shell correlation yet. Nothing is said about resolution."


class _Table(QTableWidget):
    """A table whose rows are as high as their wrapped text needs at any width."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resizeRowsToContents()


class SdsResultsPanel(QWidget):
    """Summary, table, curves, buttons."""

    export_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[Row] = ()
        self._summary = QLabel(EMPTY)
        self._summary.setWordWrap(True)
        self._table = _Table(0, 2)
        self._table.setAccessibleName("Results")
        self._table.horizontalHeader().hide()
        self._table.verticalHeader().hide()
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setShowGrid(False)
        self._table.setWordWrap(True)
        self._table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self._table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self._table.setStyleSheet("QTableWidget::item { padding: 3px 0px 5px 0px; }")
        self._table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._table.customContextMenuRequested.connect(self._menu)
        self.fsc = FscFamilyPlot()
        self._no_fsc = QLabel(NO_FSC)
        self._no_fsc.setObjectName("muted")
        self._no_fsc.setWordWrap(True)
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip("Write maps and poses for ChimeraX, RELION and others (Ctrl+E)")
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
        layout.addWidget(self._table, 3)
        layout.addWidget(self.fsc, 4)
        layout.addWidget(self._no_fsc)
        layout.addStretch(0)
        layout.addLayout(buttons)
        self._layout = layout
        self.clear()
        self._retint()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.fsc.set_theme(theme)
        self._retint()

    def clear(self) -> None:
        """Show the empty state."""
        self.show_results(EMPTY, (), (), exportable=False, has_folder=False)

    def show_results(
        self,
        summary: str,
        rows: Sequence[Row],
        curves: Sequence[Curve],
        *,
        exportable: bool,
        has_folder: bool,
        finished: bool = True,
    ) -> None:
        """Show what there is; empty parts are hidden."""
        self.rows = rows
        self._summary.setText(summary)
        self._table.setRowCount(len(rows))
        for i, row in enumerate(rows):
            for column, text in enumerate((row.label, row.value)):
                item = QTableWidgetItem(text)
                item.setToolTip(row.help)
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
                self._table.setItem(i, column, item)
        self._table.setVisible(bool(rows))
        self._table.resizeRowsToContents()
        self.fsc.set_curves(curves)
        self.fsc.setVisible(bool(curves))
        self._no_fsc.setText(NO_FSC if finished else NO_FSC_YET)
        self._no_fsc.setVisible(bool(rows) and not curves)
        self._layout.setStretch(4, 0 if rows or curves else 1)
        self.export_button.setEnabled(exportable)
        self.folder_button.setEnabled(has_folder)

    def _retint(self) -> None:
        self.export_button.setIcon(style.icon("export"))
        self.folder_button.setIcon(style.icon("open"))

    def _menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Copy table", lambda: QApplication.clipboard().setText(as_text(self.rows)))
        menu.exec(self._table.viewport().mapToGlobal(position))
        menu.deleteLater()
