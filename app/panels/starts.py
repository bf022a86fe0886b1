"""The tournament of independent starts: how many agree, and which stands alone. Setters only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.panels.sds_plots import AgreementPlot
from app.sds_measures import Agreement
from app.style import Theme

EMPTY = "When several independent starts have been compared, their agreement is shown here."
HINT = "Framed starts found the same map. Click a row to see its map."
COLUMNS = ("Start", "Group", "Score", "Seconds")


class StartsPanel(QWidget):
    """Sentence, heat map, table of starts."""

    start_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sentence = QLabel(EMPTY)
        self._sentence.setWordWrap(True)
        self._hint = QLabel(HINT)
        self._hint.setObjectName("muted")
        self._hint.setWordWrap(True)
        self.plot = AgreementPlot()
        self.plot.picked.connect(self._pick)
        self._table = QTableWidget(0, len(COLUMNS))
        self._table.setAccessibleName("Starts")
        self._table.setHorizontalHeaderLabels(list(COLUMNS))
        self._table.verticalHeader().hide()
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._table.setShowGrid(False)
        self._table.verticalHeader().setDefaultSectionSize(24)
        self._table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self._table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self._table.itemSelectionChanged.connect(self._selected)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._sentence)
        layout.addWidget(self.plot, 3)
        layout.addWidget(self._hint)
        layout.addWidget(self._table, 2)
        layout.addStretch(0)
        self._layout = layout
        self.clear()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.plot.set_theme(theme)

    def show_starts(
        self, starts: Mapping[int, Mapping[str, Any]], agreement: Agreement | None, *, lone: bool = False
    ) -> None:
        """Show finished starts (counted from 1) and how far they agree."""
        groups = _groups(agreement)
        text = agreement.sentence if agreement else ""
        if not text:
            text = f"{len(starts)} starts are finished." if starts else EMPTY
        if lone:
            text += " The best-scoring start stands alone: look at it before you trust the consensus."
        self._sentence.setText(text)
        self._sentence.setObjectName("warning" if lone else "title" if agreement else "muted")
        self._sentence.style().polish(self._sentence)
        self.plot.set_agreement(agreement)
        self.plot.setVisible(agreement is not None)
        self._hint.setVisible(bool(starts))
        self._table.blockSignals(True)
        self._table.setRowCount(len(starts))
        for row, (number, facts) in enumerate(starts.items()):
            mark = " (medoid)" if agreement and agreement.medoid == number else ""
            mirrored = agreement and agreement.mirrored and agreement.mirrored[number - 1]
            group = groups.get(number, "alone" if agreement else "")
            texts = (f"{number}{mark}", f"{group}{', mirrored' if mirrored else ''}", *_facts(facts))
            for column, words in enumerate(texts):
                item = QTableWidgetItem(words)
                item.setData(Qt.ItemDataRole.UserRole, number)
                self._table.setItem(row, column, item)
        self._table.blockSignals(False)
        self._table.setVisible(bool(starts))
        self._layout.setStretch(4, 0 if starts else 1)

    def clear(self) -> None:
        """Show the empty state."""
        self.show_starts({}, None)

    def _pick(self, number: int) -> None:
        for row in range(self._table.rowCount()):
            item = self._table.item(row, 0)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == number:
                self._table.selectRow(row)

    def _selected(self) -> None:
        chosen = self._table.selectedItems()
        if chosen:
            self.start_chosen.emit(chosen[0].data(Qt.ItemDataRole.UserRole))


def _groups(agreement: Agreement | None) -> dict[int, str]:
    found: dict[int, str] = {}
    first = 0
    for i, end in enumerate(agreement.edges if agreement else ()):
        if agreement and end - first > 1:
            found |= {start: chr(ord("A") + i % 26) for start in agreement.order[first:end]}
        first = end
    return found


def _facts(facts: Mapping[str, Any]) -> tuple[str, str]:
    return tuple(  # type: ignore[return-value]
        f"{facts[name]:.3g}" if isinstance(facts.get(name), int | float) else "–"
        for name in ("score", "seconds")
    )
