"""What a run of score distillation found: a sentence, a table, FSC curves, export. Setters only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
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


class RowsView(QScrollArea):
    """Names and values in two columns; long values wrap, at any width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[Row] = ()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Results")
        self.setMinimumHeight(90)
        self.setStyleSheet("QScrollArea, QWidget#plain { background: transparent; border: none; }")
        self._show()

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these; the place that was scrolled to stays."""
        if rows != self.rows:
            self.rows = rows
            self._show()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer to copy."""
        menu = QMenu(self)
        menu.addAction("Copy table", lambda: QApplication.clipboard().setText(as_text(self.rows)))
        menu.exec(event.globalPos())
        menu.deleteLater()

    def _show(self) -> None:
        page = QWidget()
        page.setObjectName("plain")
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 4, 4, 4)
        grid.setVerticalSpacing(7)
        grid.setHorizontalSpacing(12)
        grid.setColumnStretch(1, 1)
        for i, row in enumerate(self.rows):
            name, value = QLabel(row.label), QLabel(row.value)
            name.setObjectName("muted")
            value.setWordWrap(True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            # Its own menu would offer to copy one value only.
            value.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
            for label in (name, value):
                label.setToolTip(row.help)
            grid.addWidget(name, i, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, i, 1, Qt.AlignmentFlag.AlignTop)
        grid.setRowStretch(len(self.rows), 1)
        self.setWidget(page)


class SdsResultsPanel(QWidget):
    """Summary, table, curves, buttons."""

    export_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[Row] = ()
        self._summary = QLabel(EMPTY)
        self._summary.setWordWrap(True)
        self._table = RowsView()
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
        self._layout, self._buttons = layout, buttons
        self.clear()
        self._retint()

    def add_button(self, button: QPushButton) -> None:
        """Put another button beside Export."""
        self._buttons.insertWidget(1, button)

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
        self._table.show_rows(rows)
        self._table.setVisible(bool(rows))
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
