"""Images with known poses in the left column: files, pictures, directions. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
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
from app.averages_files import Thumbnails
from app.forms import ModelForm
from app.number_fields import PixelSizeBox, TextValue
from app.panels.coverage import CoverageCard
from app.panels.run_frame import words_label
from app.panels.scrolled import scrolled
from app.viewers.picture_grid import PictureGrid
from engine.specs.known_poses import PosedImages
from engine.specs.sds import ClassAveragesInput

EMPTY = (
    "Drop files here, or press Add files.\n\n"
    "• Poses: a RELION STAR file or a cryoSPARC .cs file with 3D poses, or the folder of a finished run\n"
    "• Their image stack (.mrcs), where the poses don't name it\n"
    "• A library: class averages of such particles, poses unknown (optional)\n"
    "• A trained 2D denoiser (.safetensors, optional)\n"
    "• A reference map in the frame of the poses, to judge by (optional)"
)
ONE_ROW, TWO_ROWS = 68, 112  # px; of a few pictures, and of more
FEW = 6


class PosedInputsPanel(QWidget):
    """Cards of images with poses, of the library and of the reference; the map of directions between them."""

    add_wanted = Signal()
    file_wanted = Signal(str)
    run_wanted = Signal()
    remove_wanted = Signal(str)
    options_entered = Signal(dict, str)
    library_entered = Signal(dict, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        heading = QLabel("Images")
        heading.setObjectName("heading")
        self.add_button = QPushButton("Add files…")
        self.add_button.setToolTip("Add poses, images, a library, a denoiser or a reference (Ctrl+O)")
        self.add_button.clicked.connect(self.add_wanted)
        self.run_button = QPushButton("Run…")
        self.run_button.setToolTip("Take images and poses from the folder of a finished run")
        self.run_button.setAccessibleName("Take images and poses from a finished run")
        self.run_button.clicked.connect(self.run_wanted)
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.run_button)
        top.addWidget(self.add_button)
        self._empty = words_label("muted")
        self._empty.setText(EMPTY)
        self.cards = {role: FileCard(title, what) for role, title, what in (
            ("poses", "Images and poses", "images and poses"),
            ("library", "Library for the denoiser", "library"),
            ("truth", "Reference to judge by, not used as input", "reference"),
        )}  # fmt: skip
        for role, card in self.cards.items():
            card.remove_wanted.connect(partial(self._forward, role))
        self.coverage = CoverageCard(clickable=False)
        self.coverage.hide()
        self._fill_poses()
        self._fill_library()
        self.library_button = _button(
            "Add a library…", "Class averages of such particles, poses unknown, that the denoiser is made of"
        )
        self.library_button.clicked.connect(lambda: self.file_wanted.emit("library"))
        self.truth_button = _button(
            "Add a reference…", "A map in the frame of the poses to judge the result by; never used as input"
        )
        self.truth_button.clicked.connect(lambda: self.file_wanted.emit("truth"))
        self._page = QWidget()
        self._page.setObjectName("page")
        column = QVBoxLayout(self._page)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(8)
        for part in (
            self._empty, self.cards["poses"], self.cards["library"], self.cards["truth"]
        ):  # fmt: skip
            column.addWidget(part)
        more = QHBoxLayout()
        more.addWidget(self.library_button)
        more.addWidget(self.truth_button)
        more.addStretch(1)
        column.addLayout(more)
        column.addStretch(1)
        scroll = scrolled(self._page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 4)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        for role in self.cards:
            self.show_file(role, "", "", "", (), "")
        self.show_pictures(None)
        self.ask_pixel_size(False)
        self.retint()

    # ---- setters --------------------------------------------------------------------------------

    def show_file(
        self, role: str, names: str, path: str, lines: str, notes: Sequence[str], problem: str
    ) -> None:
        """Say what one of the files is; no names show that there is none."""
        self.cards[role].show_file(names, path, lines, notes, problem)
        given = {key for key, card in self.cards.items() if card.shown}
        self._empty.setVisible(not given)
        self.library_button.setVisible("poses" in given and "library" not in given)
        self.truth_button.setVisible("poses" in given and "truth" not in given)

    def show_stack(self, name: str, path: str) -> None:
        """Say which stack was given beside the poses; an empty name for those that the poses name."""
        self._stack_name.setText(f"Images: {name}" if name else "Images: as the poses name them")
        self._stack_name.setToolTip(path)
        self._stack_clear.setVisible(bool(name))

    def show_pictures(self, pictures: Thumbnails | None) -> None:
        """Show the first images; None shows none."""
        shown = pictures is not None and len(pictures.pixels) > 0
        self.pictures.setVisible(shown)
        if pictures is not None and shown:
            limits = [(float(low), float(high)) for low, high in pictures.levels]
            self.pictures.setFixedHeight(ONE_ROW if len(limits) <= FEW else TWO_ROWS)
            self.pictures.set_images(pictures.pixels.astype(np.float32), limits=limits)
            self.pictures.setAccessibleDescription(f"The first {len(pictures.pixels)} images")

    def ask_pixel_size(self, asks: bool) -> None:
        """Ask for the pixel size, where only that is missing."""
        for part in (self._ask, self._size, self._size_button):
            part.setVisible(asks)
        self.form.show_field("pixel_size_A", not asks)  # it is asked for above

    def show_options(self, options: dict[str, Any], library: dict[str, Any]) -> None:
        """Show how images and library are prepared. Emits nothing."""
        self.form.set_values(options)
        self.library_form.set_values(library)

    def show_measured(self, pixel_size_A: float) -> None:
        """Show what is taken where the pixel size is left empty; 0 for what isn't known."""
        field = self.form.field("pixel_size_A")
        assert isinstance(field, TextValue)  # noqa: S101 - for the type checker
        field.setPlaceholderText(f"automatic: {pixel_size_A:.4g} Å" if pixel_size_A else "automatic")

    def set_enabled(self, on: bool) -> None:
        """While a job runs its images can't be changed."""
        for part in (self._page, self.add_button, self.run_button):
            part.setEnabled(on)

    def set_theme(self, theme: style.Theme) -> None:
        """Use a theme's colours."""
        self.pictures.set_theme(theme)
        self.retint()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        for button in (self.add_button, self.library_button, self.truth_button):
            button.setIcon(style.icon("add"))
        self.run_button.setIcon(style.icon("open"))
        self._stack_clear.setIcon(style.icon("remove"))
        for card in self.cards.values():
            card.retint()
        self.coverage.retint()

    # ---- making ---------------------------------------------------------------------------------

    def _fill_poses(self) -> None:
        card = self.cards["poses"]
        self.pictures = PictureGrid()
        self.pictures.setAccessibleName("First images")
        self.pictures.setToolTip("The first images, as a run sees them: density is bright")
        self._stack_name = words_label("muted")
        self._stack_button = QPushButton("Stack…")
        self._stack_button.setToolTip("Choose the image stack, where the poses don't name it")
        self._stack_button.setAccessibleName("Choose the image stack")
        self._stack_button.clicked.connect(lambda: self.file_wanted.emit("images"))
        self._stack_clear = _remove_button("Take the images that the poses name")
        self._stack_clear.clicked.connect(lambda: self.remove_wanted.emit("images"))
        stack = QHBoxLayout()
        stack.addWidget(self._stack_name, 1)
        stack.addWidget(self._stack_clear)
        stack.addWidget(self._stack_button)
        self._ask = words_label("warning")
        self._ask.setText("The files don't say how large a pixel is. Enter it here:")
        self._size = PixelSizeBox()
        self._size.setToolTip("Edge length of one pixel of these images, Å")
        self._size_button = QPushButton("Use this pixel size")
        self._size_button.clicked.connect(self._size_entered)
        self._size_button.setEnabled(False)
        self._size.known.connect(self._size_button.setEnabled)
        row = QHBoxLayout()
        row.addWidget(self._size, 1)
        row.addWidget(self._size_button)
        self.form = ModelForm(PosedImages, exclude=("poses", "images"))
        self.form.changed.connect(lambda: _enter(self.form, self.options_entered))
        for part in (self.pictures, self.coverage, stack, self._ask, row, self.form):
            card.add(part)

    def _fill_library(self) -> None:
        self.library_form = ModelForm(
            ClassAveragesInput,
            include=("pixel_size_A", "contrast", "select", "centre"),
            advanced=("select", "centre"),
        )
        self.library_form.changed.connect(lambda: _enter(self.library_form, self.library_entered))
        self.cards["library"].add(self.library_form)

    # ---- inside ---------------------------------------------------------------------------------

    def _size_entered(self) -> None:
        self._size.interpretText()
        self.options_entered.emit({"pixel_size_A": self._size.value()}, "")

    def _forward(self, role: str) -> None:
        self.remove_wanted.emit(role)


class FileCard(QFrame):
    """One file or folder: what it is for, its name, what it holds.

    Parameters
    ----------
    title : what it is for.
    what : the same in a sentence, e.g. ``library``.
    """

    remove_wanted = Signal()

    def __init__(self, title: str, what: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.shown = False
        self._title, self._name = words_label("title"), words_label("muted")
        self._title.setText(title)
        self._lines, self._notes, self._problem = (
            words_label(""),
            words_label("warning"),
            words_label("error"),
        )
        self._remove = _remove_button(f"Take the {what} off (the files stay)")
        self._remove.clicked.connect(self.remove_wanted)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(10, 8, 8, 10)
        self._layout.setSpacing(4)
        self._layout.addLayout(top)
        for part in (self._name, self._lines, self._notes, self._problem):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._layout.addWidget(part)

    def add(self, part: QWidget | QHBoxLayout) -> None:
        """Put something below."""
        if isinstance(part, QWidget):
            self._layout.addWidget(part)
        else:
            self._layout.addLayout(part)

    def show_file(self, name: str, path: str, lines: str, notes: Sequence[str], problem: str) -> None:
        """Say what it is; an empty name hides the card."""
        self.shown = bool(name)
        self.setVisible(self.shown)
        self._name.setText(name)
        self._name.setToolTip(path)
        for label, text in ((self._lines, lines), (self._notes, "\n".join(notes)), (self._problem, problem)):
            label.setText(text)
            label.setVisible(bool(text))
        self.setProperty("state", "problem" if problem else "ready")
        self.style().unpolish(self)
        self.style().polish(self)

    def retint(self) -> None:
        """Draw the icon in the present colours."""
        self._remove.setIcon(style.icon("remove"))


def _enter(form: ModelForm, entered: Any) -> None:
    problems = form.check()
    entered.emit({} if problems else form.values(), " ".join(problems))


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _remove_button(tip: str) -> QToolButton:
    button = QToolButton()
    button.setIconSize(QSize(16, 16))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
