"""Two runs beside each other in a window of its own. Setters only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.run_comparison import Row, as_csv


class RunComparison(QDialog):
    """A table of settings and measures; not modal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare two runs")
        self.setObjectName("page")
        self._rows: list[Row] = []
        self._names = ("", "")
        self._summary = QLabel()
        self._summary.setWordWrap(True)
        self.equal = QCheckBox("Show what is equal, too")
        self.equal.toggled.connect(lambda _on: self._show())
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("Settings and measures of both runs")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for column in range(3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.copy = QPushButton("Copy as CSV")
        self.copy.setToolTip("Put the rows that are shown on the clipboard, for a spreadsheet")
        self.copy.clicked.connect(lambda: QApplication.clipboard().setText(self.csv()))
        close = QPushButton("Close")
        close.clicked.connect(self.hide)
        bottom = QHBoxLayout()
        bottom.addWidget(self.equal, 1)
        bottom.addWidget(self.copy)
        bottom.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self._summary)
        layout.addWidget(self.table, 1)
        layout.addLayout(bottom)
        self.resize(820, 560)

    def show_rows(self, names: tuple[str, str], rows: Sequence[Row]) -> None:
        """Show a comparison."""
        self._names, self._rows = names, list(rows)
        settings = sum(not row.equal for row in rows if row.group == "Settings")
        many = "no setting" if not settings else f"{settings} setting{'s' if settings != 1 else ''}"
        self._summary.setText(f"<b>{_plain(names[0])}</b> and <b>{_plain(names[1])}</b> differ in {many}.")
        self.table.setHorizontalHeaderLabels(["", *names])
        self._show()
        self.show()
        self.raise_()
        self.copy.setFocus()
        self.activateWindow()

    def shown_rows(self) -> list[Row]:
        """Rows in the table."""
        return [row for row in self._rows if self.equal.isChecked() or not row.equal]

    def csv(self) -> str:
        """The rows that are shown, for a spreadsheet."""
        return as_csv(self.shown_rows(), self._names)

    def _show(self) -> None:
        rows, table = self.shown_rows(), self.table
        groups = list(dict.fromkeys(row.group for row in rows))
        table.setRowCount(len(rows) + len(groups))
        place = 0
        for group in groups:
            self._put(place, (group, "", ""), heading=True)
            place += 1
            for row in (r for r in rows if r.group == group):
                self._put(place, (row.label, row.first, row.second), differs=not row.equal)
                place += 1

    def _put(self, place: int, texts: Sequence[str], *, heading: bool = False, differs: bool = False) -> None:
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            font = QFont(item.font())
            font.setBold(heading or (differs and self.equal.isChecked() and column > 0))
            item.setFont(font)
            if heading:
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(place, column, item)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
