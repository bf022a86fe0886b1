"""A row to choose a prior by name, with a button that opens its model card. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from app import style
from app.number_fields import ChoiceBox

# Keys of what is no prior of the library; no prior's name has a slash.
FILE, GAUSSIAN, NOTHING = "/file", "/gaussian", "/nothing"
DEFAULT = "shipped"


class PriorChoice(QWidget):
    """A box of priors.

    Parameters
    ----------
    what : the choice in words, for screen readers.
    first : (key, words) of what is offered above the priors.
    last : and below them.
    """

    chosen = Signal(str)
    card_wanted = Signal(str)

    def __init__(
        self, what: str, *, first: Sequence[tuple[str, str]] = (), last: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__()
        self._first, self._last = first, last
        self._priors: list[tuple[str, str, str]] = [(DEFAULT, "Shipped prior", "")]
        self._key = first[0][0] if first else DEFAULT
        self.box = ChoiceBox()
        self.box.setAccessibleName(what)
        self.box.setMinimumContentsLength(12)
        self.box.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.activated.connect(self._activated)
        self.info = QToolButton()
        self.info.setIconSize(QSize(18, 18))
        self.info.setToolTip("Show the model card: what it was trained on, and how well it does")
        self.info.setAccessibleName("Model card of the chosen prior")
        self.info.clicked.connect(lambda: self.card_wanted.emit(self.key))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        row.addWidget(self.info)
        self._fill()
        self.retint()

    @property
    def key(self) -> str:
        """What is chosen: a prior's name or ``shipped``, or one of the keys above."""
        return self._key

    def set_priors(self, priors: Sequence[tuple[str, str, str]]) -> None:
        """Offer priors: (name, words, tip) each. Emits nothing; what was chosen stays."""
        self._priors = list(priors)
        self._fill()

    def select(self, key: str) -> None:
        """Show a choice; a name that isn't offered is shown as missing. Emits nothing."""
        self._key = key
        self._fill()

    def retint(self) -> None:
        """Draw the icon in the present colours."""
        self.info.setIcon(style.icon("info"))

    def _fill(self) -> None:
        items = [(key, words, "") for key, words in self._first] + self._priors
        items += [(key, words, "") for key, words in self._last]
        if all(key != self._key for key, _, _ in items):
            items.insert(len(self._first), (self._key, f"{self._key} (missing)", ""))
        self.box.clear()
        for key, words, tip in items:
            self.box.addItem(words, key)
            if tip:
                self.box.setItemData(self.box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.box.setCurrentIndex(self.box.findData(self._key))
        self.info.setEnabled(self._key not in (GAUSSIAN, NOTHING))

    def _activated(self, index: int) -> None:
        self._key = self.box.itemData(index)
        self.info.setEnabled(self._key not in (GAUSSIAN, NOTHING))
        self.chosen.emit(self._key)
