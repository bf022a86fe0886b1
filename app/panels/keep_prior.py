"""Asks under which name something is to be kept: a trained prior, or settings."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from app.panels.run_frame import words_label

PRIOR_WORDS = (
    "The weights are copied into your library. The prior can then be chosen by this name, here and in run "
    "descriptions."
)


class KeepDialog(QDialog):
    """A name that can be used.

    Parameters
    ----------
    suggestion : the name that is there at first.
    problem : why a name can't be used, in words; empty if it can.
    title, words, what : of the dialog, if it is not a prior that is kept.
    """

    def __init__(
        self,
        suggestion: str,
        problem: Callable[[str], str],
        parent: QWidget | None,
        *,
        title: str = "Keep this prior",
        words: str = PRIOR_WORDS,
        what: str = "the prior",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._problem_of = problem
        self.name = QLineEdit(suggestion)
        self.name.setAccessibleName(f"Name of {what}")
        self.name.selectAll()
        self.name.textChanged.connect(self._check)
        explained = words_label("muted")
        explained.setText(words)
        self._problem = words_label("error")
        rows = QFormLayout()
        rows.addRow("Name", self.name)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.keep_button = buttons.addButton("Keep", QDialogButtonBox.ButtonRole.AcceptRole)
        self.keep_button.setObjectName("primary")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(explained)
        layout.addLayout(rows)
        layout.addWidget(self._problem)
        layout.addWidget(buttons)
        self.setMinimumWidth(420)
        self._check()

    def _check(self, _text: str = "") -> None:
        problem = self._problem_of(self.name.text().strip())
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        self.keep_button.setEnabled(not problem)
