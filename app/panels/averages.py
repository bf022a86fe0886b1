"""The class averages in the left column: what the file is, how to prepare it, the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.forms import ModelForm
from app.number_fields import PixelSizeBox, TextValue
from app.panels.run_frame import words_label
from app.panels.scrolled import scrolled
from engine.specs.sds import ClassAveragesInput

EMPTY = {
    "sds": (
        "Drop class averages here, or press Add files.\n\n"
        "• 2D class averages: MRC stack, RELION STAR, cryoSPARC .cs, EMAN .hdf, SPIDER\n"
        "• A trained 2D denoiser (.safetensors, optional)\n"
        "• A reference map to judge the result by (optional)"
    ),
    "train_denoiser": (
        "Drop class averages here, or press Add files.\n\n"
        "• 2D class averages: MRC stack, RELION STAR, cryoSPARC .cs, EMAN .hdf, SPIDER"
    ),
}


class AveragesPanel(QWidget):
    """Setters and signals without logic."""

    add_wanted = Signal()
    remove_wanted = Signal()
    options_entered = Signal(dict, str)
    truth_removed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        heading = QLabel("Class averages")
        heading.setObjectName("heading")
        self.add_button = QPushButton("Add files…")
        self.add_button.setToolTip("Add class averages, a denoiser or a reference map (Ctrl+O)")
        self.add_button.clicked.connect(self.add_wanted)
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.add_button)
        self._empty = words_label("muted")
        self._card = self._make_card()
        self._truth = self._make_truth()
        self._page = QWidget()
        self._page.setObjectName("page")
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(8)
        for part in (self._empty, self._card, self._truth):
            column.addWidget(part)
        column.addStretch(1)
        scroll = scrolled(self._page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 4)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        self.set_mode("sds")
        self.show_file("", "", (), (), "")
        self.show_truth("")
        self.retint()

    # ---- setters --------------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Say what can be given in a mode."""
        self._empty.setText(EMPTY.get(mode, EMPTY["sds"]))
        self._truth_allowed = mode == "sds"
        self._truth.setVisible(self._truth_allowed and bool(self._truth_name.text()))

    def show_file(
        self, title: str, name: str, lines: Sequence[str], notes: Sequence[str], problem: str
    ) -> None:
        """Say what the file is; an empty name shows that there is none."""
        self._empty.setVisible(not name)
        self._card.setVisible(bool(name))
        self._title.setText(title)
        self._name.setText(name)
        for label, text in (
            (self._lines, "\n".join(lines)), (self._notes, "\n".join(notes)), (self._problem, problem)
        ):  # fmt: skip
            label.setText(text)
            label.setVisible(bool(text))

    def show_state(self, state: str, *, asks_pixel_size: bool, editable: bool) -> None:
        """Colour the card by ``ready``, ``incomplete`` or ``problem``; ask for what is missing."""
        if self._card.property("state") != state:
            self._card.setProperty("state", state)
            self._card.style().unpolish(self._card)
            self._card.style().polish(self._card)
        for part in (self._size, self._size_button, self._ask):
            part.setVisible(asks_pixel_size)
        self.form.setVisible(editable)
        self.form.show_field("pixel_size_A", not asks_pixel_size)  # it is asked for above

    def show_options(self, options: dict[str, Any]) -> None:
        """Show how the images are prepared. Emits nothing."""
        self.form.set_values(options)

    def show_measured(self, pixel_size_A: float, mask_diameter_A: float, box: int) -> None:
        """Show what is taken where a field is empty; 0 for what isn't known."""
        for name, value in (("pixel_size_A", pixel_size_A), ("mask_diameter_A", mask_diameter_A)):
            field = self.form.field(name)
            assert isinstance(field, TextValue)  # noqa: S101 - for the type checker
            field.setPlaceholderText(f"automatic: {value:.4g} Å" if value else "automatic")
        own = self.form.field("box")
        own.setSpecialValueText(f"automatic: {box} px" if box else "automatic")  # type: ignore[attr-defined]

    def show_truth(self, name: str, path: str = "") -> None:
        """Show the reference map; an empty name shows that there is none."""
        self._truth_name.setText(name)
        self._truth_name.setToolTip(path)
        self._truth.setVisible(self._truth_allowed and bool(name))

    def set_enabled(self, on: bool) -> None:
        """While a job runs its images can't be changed."""
        self._page.setEnabled(on)
        self.add_button.setEnabled(on)

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.add_button.setIcon(style.icon("add"))
        for button in (self._remove, self._truth_remove):
            button.setIcon(style.icon("remove"))

    # ---- making ---------------------------------------------------------------------------------

    def _make_card(self) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        self._title = words_label("title")
        self._name = words_label("muted")
        self._lines, self._notes = words_label(""), words_label("warning")
        self._problem = words_label("error")
        for label in (self._name, self._lines, self._notes, self._problem):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._remove = _remove_button("Take the class averages off (the file stays)")
        self._remove.clicked.connect(self.remove_wanted)
        self._ask = words_label("warning")
        self._ask.setText("The file doesn't say how large a pixel is. Enter it here:")
        self._size = PixelSizeBox()
        self._size.setToolTip(
            "Edge length of one pixel of these images, Å. The program that made them shows it."
        )
        self._size_button = QPushButton("Use this pixel size")
        self._size_button.clicked.connect(self._size_entered)
        self._size_button.setEnabled(False)
        self._size.known.connect(self._size_button.setEnabled)
        self.form = ModelForm(ClassAveragesInput, exclude=("file", "select"), own_toggle=False)
        self.form.changed.connect(self._form_edited)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
        size_row = QHBoxLayout()
        size_row.addWidget(self._size, 1)
        size_row.addWidget(self._size_button)
        layout = QVBoxLayout(card)
        layout.setContentsMargins(10, 8, 8, 10)
        layout.setSpacing(4)
        layout.addLayout(top)
        for part in (self._name, self._lines, self._notes, self._problem, self._ask):
            layout.addWidget(part)
        layout.addLayout(size_row)
        layout.addSpacing(4)
        layout.addWidget(self.form)
        return card

    def _make_truth(self) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        title = words_label("title")
        title.setText("Reference to judge by, not used as input")
        self._truth_name = words_label("muted")
        self._truth_remove = _remove_button("Take the reference off (the file stays)")
        self._truth_remove.clicked.connect(self.truth_removed)
        words = QVBoxLayout()
        words.addWidget(title)
        words.addWidget(self._truth_name)
        layout = QHBoxLayout(card)
        layout.setContentsMargins(10, 8, 8, 10)
        layout.addLayout(words, 1)
        layout.addWidget(self._truth_remove, 0, Qt.AlignmentFlag.AlignTop)
        return card

    # ---- inside ---------------------------------------------------------------------------------

    def _form_edited(self) -> None:
        problems = self.form.check()
        self.options_entered.emit({} if problems else self.form.values(), " ".join(problems))

    def _size_entered(self) -> None:
        self._size.interpretText()
        self.options_entered.emit({"pixel_size_A": self._size.value()}, "")


def _remove_button(tip: str) -> QToolButton:
    button = QToolButton()
    button.setIconSize(QSize(16, 16))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
