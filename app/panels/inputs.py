"""The list of evidence: drop files on it, or add them."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app import style
from app.evidence import Evidence
from app.panels.evidence_card import EvidenceCard
from app.panels.scrolled import scrolled

EMPTY = (
    "Drop files here, or press Add files.\n\n"
    "• Projections: an image stack (.mrcs) with its RELION STAR file\n"
    "• A low-resolution map (.mrc, .map)\n"
    "• A known part, as PDB or mmCIF\n"
    "• A reference to judge the result by (optional)"
)


class InputsPanel(QWidget):
    """Cards of evidence. Setters and signals without logic."""

    add_wanted = Signal()
    remove_wanted = Signal(int)
    role_chosen = Signal(int, str)
    options_entered = Signal(int, dict)
    ab_initio_wanted = Signal(int)
    image_clicked = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cards: dict[int, EvidenceCard] = {}
        self._waiting: set[int] = set()  # numbers of what the user must add to
        heading = QLabel("Evidence")
        heading.setObjectName("heading")
        self.add_button = QPushButton("Add files…")
        self.add_button.setToolTip("Add projections, poses, maps or structures (Ctrl+O)")
        self.add_button.clicked.connect(self.add_wanted)
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.add_button)
        self._empty = QLabel(EMPTY)
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        page = QWidget()
        page.setObjectName("page")
        self._list = QVBoxLayout(page)
        self._list.setContentsMargins(0, 0, 6, 0)
        self._list.setSpacing(8)
        self._list.addWidget(self._empty)
        self._list.addStretch(1)
        scroll = scrolled(page)
        self._page, self._scroll = page, scroll
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 4)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        self.retint()

    def retint(self) -> None:
        """Draw the icons in the present text colour."""
        self.add_button.setIcon(style.icon("add"))
        for card in self.cards.values():
            card.retint()

    def add(self, evidence: Evidence) -> None:
        """Show a row that is new, or that has come back."""
        card = EvidenceCard()
        number = evidence.number
        card.role_chosen.connect(partial(self._forward_role, number))
        card.options_entered.connect(partial(self._forward_options, number))
        card.remove_wanted.connect(partial(self._forward_remove, number))
        card.ab_initio_wanted.connect(partial(self._forward_ab_initio, number))
        card.image_clicked.connect(partial(self._forward_image, number))
        self.cards[number] = card
        # below the words for an empty list, in the order in which they were added, also after an undo
        self._list.insertWidget(1 + sum(other < number for other in self.cards), card)
        card.show_evidence(evidence)
        self._empty.setVisible(False)
        self._turn_to(evidence)

    def update_row(self, evidence: Evidence) -> None:
        """Show a row as it is now."""
        card = self.cards.get(evidence.number)
        if card is not None:
            card.show_evidence(evidence)
            self._turn_to(evidence)

    def remove(self, number: int) -> None:
        """Take a row off."""
        card = self.cards.pop(number, None)
        if card is not None:
            self._list.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._empty.setVisible(not self.cards)
        self._waiting.discard(number)

    def set_enabled(self, on: bool) -> None:
        """While a job runs its evidence can't be changed."""
        self._page.setEnabled(on)
        self.add_button.setEnabled(on)

    def _turn_to(self, evidence: Evidence) -> None:
        """Scroll to what has just turned out to need the user, once its card has its size."""
        number, waits = evidence.number, evidence.state in ("incomplete", "problem")
        if waits and number not in self._waiting:
            card = self.cards[number]
            QTimer.singleShot(0, card, lambda: self._scroll.ensureWidgetVisible(card, 0, 8))
        (self._waiting.add if waits else self._waiting.discard)(number)

    def _forward_role(self, number: int, role: str) -> None:
        self.role_chosen.emit(number, role)

    def _forward_options(self, number: int, options: dict[str, Any]) -> None:
        self.options_entered.emit(number, options)

    def _forward_remove(self, number: int) -> None:
        self.remove_wanted.emit(number)

    def _forward_image(self, number: int, image: int) -> None:
        self.image_clicked.emit(number, image)

    def _forward_ab_initio(self, number: int) -> None:
        self.ab_initio_wanted.emit(number)
