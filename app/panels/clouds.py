"""What a prior is to learn from, in the left column. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from app import style
from app.panels.run_frame import words_label
from app.prior_session import TRAINING, VALIDATION

EMPTY = (
    "Drop a folder or a file here, or choose one above.\n\n"
    "• A folder of structures (PDB or mmCIF, gzipped too): clouds are built from them first\n"
    "• A file of clouds (.npz), as `verglas data build` writes it\n"
    "• A second file of clouds to judge the prior by (optional)\n"
    "• A prior to start from (.safetensors, optional)"
)
USES = {TRAINING: "learn from", VALIDATION: "judge by"}


class CloudsPanel(QWidget):
    """Cards of training and validation clouds."""

    folder_wanted = Signal()
    file_wanted = Signal(str)
    remove_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        heading = QLabel("Shapes")
        heading.setObjectName("heading")
        self.folder_button = QPushButton("Folder…")
        self.folder_button.setToolTip("Choose a folder of structures (PDB, mmCIF)")
        self.folder_button.clicked.connect(self.folder_wanted)
        self.file_button = QPushButton("File…")
        self.file_button.setToolTip("Choose a file of clouds (npz) (Ctrl+O)")
        self.file_button.clicked.connect(lambda: self.file_wanted.emit(TRAINING))
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.folder_button)
        top.addWidget(self.file_button)
        self._empty = words_label("muted")
        self._empty.setText(EMPTY)
        self.cards = {role: CloudCard(use) for role, use in USES.items()}
        self.validation_button = QPushButton("Validation file…")
        self.validation_button.setToolTip(
            "Choose a file of clouds that the prior never learns from, to judge it by; otherwise a tenth is "
            "held out"
        )
        self.validation_button.clicked.connect(lambda: self.file_wanted.emit(VALIDATION))
        self._page = QWidget()
        self._page.setObjectName("page")
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(8)
        column.addWidget(self._empty)
        for role, card in self.cards.items():
            card.remove_wanted.connect(partial(self._forward_remove, role))
            column.addWidget(card)
        column.addWidget(self.validation_button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self._page, 1)
        for role in self.cards:
            self.show_source(role, "", "", (), "", "")
        self.retint()

    def show_source(
        self, role: str, name: str, title: str, lines: Sequence[str], problem: str, path: str
    ) -> None:
        """Say what a folder or file is; an empty name shows that there is none."""
        self.cards[role].show_source(name, title, lines, problem, path)
        given = {key for key, card in self.cards.items() if card.shown}
        self._empty.setVisible(not given)
        self.validation_button.setVisible(bool(given) and VALIDATION not in given)

    def set_enabled(self, on: bool) -> None:
        """While a job runs its clouds can't be changed."""
        for part in (self._page, self.folder_button, self.file_button):
            part.setEnabled(on)

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        for button in (self.folder_button, self.validation_button):
            button.setIcon(style.icon("open"))
        self.file_button.setIcon(style.icon("add"))
        for card in self.cards.values():
            card.retint()

    def _forward_remove(self, role: str) -> None:
        self.remove_wanted.emit(role)


class CloudCard(QFrame):
    """One folder or file.

    Parameters
    ----------
    use : what it is used for, in words.
    """

    remove_wanted = Signal()

    def __init__(self, use: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.shown = False
        self._use = use
        self._title, self._name = words_label("title"), words_label("muted")
        self._lines, self._problem = words_label("warning"), words_label("error")
        self.remove_button = QToolButton()
        self.remove_button.setIconSize(QSize(16, 16))
        tip = f"Take off what to {use} (the files stay)"
        self.remove_button.setToolTip(tip)
        self.remove_button.setAccessibleName(tip)
        self.remove_button.clicked.connect(self.remove_wanted)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self.remove_button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 8, 10)
        layout.setSpacing(4)
        layout.addLayout(top)
        for part in (self._name, self._lines, self._problem):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            layout.addWidget(part)
        self.retint()

    def show_source(self, name: str, title: str, lines: Sequence[str], problem: str, path: str) -> None:
        """Say what it is; an empty name shows that there is none."""
        self.shown = bool(name)
        self.setVisible(self.shown)
        self._title.setText(f"{title} to {self._use}" if title else f"To {self._use}: being read…")
        if problem:
            self._title.setText("Can't be used")
        self._name.setText(name)
        self._name.setToolTip(path)
        for label, text in ((self._lines, "\n".join(lines)), (self._problem, problem)):
            label.setText(text)
            label.setVisible(bool(text))
        self.setProperty("state", "problem" if problem else "ready")
        self.style().unpolish(self)
        self.style().polish(self)

    def retint(self) -> None:
        """Draw the icon in the present colours."""
        self.remove_button.setIcon(style.icon("remove"))
