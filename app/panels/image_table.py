"""All images of a run in a sortable table: how each fits, its pose, whether it is an outlier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QPushButton, QTableView, QVBoxLayout, QWidget

from app.style import LIGHT, Theme

Root = QModelIndex()


class _Model(QAbstractTableModel):
    """Numbers by column; a column is a title, a tip, a format and values (n,)."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.columns: Sequence[tuple[str, str, str, Any]] = ()
        self.marked: set[int] = set()
        self.theme = LIGHT

    def show(self, columns: Sequence[tuple[str, str, str, Any]], marked: set[int]) -> None:
        self.beginResetModel()
        self.columns, self.marked = columns, marked
        self.endResetModel()

    def rowCount(self, _parent: Any = Root) -> int:
        return len(self.columns[0][3]) if self.columns else 0

    def columnCount(self, _parent: Any = Root) -> int:
        return len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal and section < len(self.columns):
            if role == Qt.ItemDataRole.DisplayRole:
                return self.columns[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return self.columns[section][1]
        return None

    def data(self, index: Any, role: int = 0) -> Any:
        title, _tip, shape, values = self.columns[index.column()]
        value = values[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return shape.format(value) if np.isfinite(value) else "–"
        if role == Qt.ItemDataRole.UserRole:
            return float(value) if np.isfinite(value) else -np.inf
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ForegroundRole and index.row() in self.marked:
            return QColor(self.theme.warning)
        if role == Qt.ItemDataRole.ToolTipRole and index.row() in self.marked:
            return "Fits far worse than the others"
        return None


class ImageTable(QWidget):
    """Rows are counted from 0. Setters and signals only."""

    chosen = Signal(int)
    leave_out_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Model(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.view = QTableView()
        self.view.setModel(self._sorted)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setAlternatingRowColors(False)
        self.view.setFrameShape(QTableView.Shape.NoFrame)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.view.horizontalHeader().setHighlightSections(False)
        self.view.setAccessibleName("All images: how each fits, and its pose")
        self.view.setMinimumHeight(90)
        self._outliers = QPushButton("Mark outliers")
        self._outliers.setToolTip("Select the rows of all images that fit far worse than the others")
        self._outliers.setAccessibleName("Select the outliers in the table")
        self._outliers.clicked.connect(self.select_outliers)
        self._leave = QPushButton("Leave out")
        self._leave.setToolTip("Leave the selected images out of what is prepared for the next run")
        self._leave.setAccessibleName("Leave the selected images out")
        self._leave.clicked.connect(lambda: self.leave_out_wanted.emit(self.selected()))
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        self.view.clicked.connect(lambda index: self.chosen.emit(self._sorted.mapToSource(index).row()))
        self.view.activated.connect(lambda index: self.chosen.emit(self._sorted.mapToSource(index).row()))
        bar = QHBoxLayout()
        bar.addWidget(self._outliers)
        bar.addWidget(self._leave)
        bar.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.view, 1)
        layout.addLayout(bar)
        self.set_columns((), ())

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._model.theme = theme
        self.view.viewport().update()

    def set_columns(self, columns: Sequence[tuple[str, str, str, Any]], outliers: Sequence[int]) -> None:
        """Show columns (title, tip, format, values); how they are sorted stays."""
        self._model.show(columns, {int(i) for i in outliers})
        count = len(self._model.marked)
        self._outliers.setText(f"Mark {count} outlier{'s' if count != 1 else ''}" if count else "No outliers")
        self._outliers.setEnabled(count > 0)
        self.view.resizeColumnsToContents()
        self._selection_changed()

    def selected(self) -> list[int]:
        """Rows that are selected, in rising order."""
        rows = self.view.selectionModel().selectedRows()
        return sorted(self._sorted.mapToSource(index).row() for index in rows)

    def select_outliers(self) -> None:
        """Select the outliers and nothing else."""
        self.select(sorted(self._model.marked))

    def select(self, rows: Sequence[int]) -> None:
        """Select these rows and nothing else, and bring the first into view."""
        from PySide6.QtCore import QItemSelection, QItemSelectionModel

        wanted = QItemSelection()
        for row in rows:
            if row < self._model.rowCount():
                index = self._sorted.mapFromSource(self._model.index(row, 0))
                wanted.select(index, index)
        flags = QItemSelectionModel.SelectionFlag
        self.view.selectionModel().select(wanted, flags.ClearAndSelect | flags.Rows)
        if rows and rows[0] < self._model.rowCount():
            self.view.scrollTo(self._sorted.mapFromSource(self._model.index(rows[0], 0)))

    def _selection_changed(self) -> None:
        count = len(self.selected())
        self._leave.setText(f"Leave out {count}" if count else "Leave out")
        self._leave.setEnabled(count > 0)
