"""Conventions of images and poses, ranked, with pictures to believe it by. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.number_fields import ChoiceBox
from app.style import Theme
from app.viewers.picture_grid import PictureGrid, limits_of

INTRO = (
    "A few images are compared with the reference's projections under the conventions of angles, shifts, "
    "hand, contrast, order of rows and pixel size that programs use."
)
SCORE_TIP = (
    "Mean Fourier ring correlation of the images with the reference's projections, all rings of a band "
    "alike; ± is the standard deviation over the images."
)
MOST_SHOWN = 6


class Pairs(PictureGrid):
    """Two rows of pictures."""

    def set_column_count(self, count: int) -> None:
        """As many columns as there are pairs."""
        self._columns = count


class ConventionPanel(QWidget):
    """A window beside the main one; work goes on there.

    Parameters
    ----------
    parent : the main window.
    """

    check_wanted = Signal()
    row_chosen = Signal(int)
    use_wanted = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setWindowTitle("Conventions of images and poses")
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        intro = QLabel(INTRO)
        intro.setObjectName("muted")
        intro.setWordWrap(True)
        self._images = _choice("Images with poses", "Whose conventions are checked")
        self._reference = _choice("Reference", "A map, model or result in the frame of the poses")
        self._check = QPushButton("Check")
        self._check.setObjectName("primary")
        self._check.setToolTip("Try all conventions (a second or two)")
        self._check.clicked.connect(self.check_wanted)
        top = QHBoxLayout()
        for text, box in (("Images", self._images), ("Reference", self._reference)):
            label = QLabel(text)
            label.setBuddy(box)
            top.addWidget(label)
            top.addWidget(box, 1)
        top.addWidget(self._check)
        self._verdict = QLabel()
        self._verdict.setWordWrap(True)
        self._verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._verdict.setAccessibleName("What the check says")
        self._table = QTreeWidget()
        self._table.setRootIsDecorated(False)
        self._table.setUniformRowHeights(True)
        self._table.setHeaderLabels(["", "Convention", "Score", "±"])
        self._table.headerItem().setToolTip(2, SCORE_TIP)
        self._table.headerItem().setToolTip(3, SCORE_TIP)
        header = self._table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column in (0, 2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self._table.setAccessibleName("Conventions, those that fit best first")
        self._table.currentItemChanged.connect(lambda item, _old: self._chosen(item))
        self.pictures = Pairs(MOST_SHOWN)
        self.pictures.setMinimumHeight(200)
        self.pictures.setAccessibleName("Images above, the reference as this convention sees it below")
        self._notes = QLabel()
        self._notes.setObjectName("muted")
        self._notes.setWordWrap(True)
        self._use = QPushButton("Use this convention")
        self._use.setToolTip(
            "Contrast and pixel size become settings of the evidence; for anything else, corrected copies of "
            "stack and STAR file are written and used. Undo takes it back."
        )
        self._use.clicked.connect(lambda: self.use_wanted.emit(self.row))
        close = QPushButton("Close")
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addWidget(self._notes, 1)
        buttons.addWidget(self._use)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(intro)
        layout.addLayout(top)
        layout.addWidget(self._verdict)
        layout.addWidget(self._table, 2)
        layout.addWidget(self.pictures, 3)
        layout.addLayout(buttons)
        self.resize(820, 680)
        self._usable: set[int] = set()
        self.clear()

    @property
    def images(self) -> object:
        """The key of the images that are chosen."""
        return self._images.currentData()

    @property
    def reference(self) -> object:
        """The key of the reference that is chosen."""
        return self._reference.currentData()

    @property
    def row(self) -> int:
        """Which convention is selected, counted from 0; -1 for none."""
        item = self._table.currentItem()
        return -1 if item is None else self._table.indexOfTopLevelItem(item)

    @property
    def verdict(self) -> str:
        """What is said."""
        return self._verdict.text()

    def set_choices(
        self, images: Sequence[tuple[object, str]], references: Sequence[tuple[object, str]]
    ) -> None:
        """Offer (key, name); what was chosen stays if it is still there."""
        for box, entries in ((self._images, images), (self._reference, references)):
            chosen = box.currentData()
            box.clear()
            for key, name in entries:
                box.addItem(name, key)
            box.setCurrentIndex(max(0, box.findData(chosen)) if entries else -1)
        self._check.setEnabled(bool(images) and bool(references))

    def set_busy(self, text: str) -> None:
        """Say what is being done; empty when it is done."""
        self._check.setEnabled(not text)
        if text:
            self._verdict.setText(text)

    def show_findings(
        self,
        verdict: str,
        level: str,
        rows: Sequence[tuple[str, float, float]],
        *,
        given: int,
        usable: Sequence[int],
        notes: str,
    ) -> None:
        """Show words, score and spread of conventions, the best first.

        Parameters
        ----------
        level : ``good``, ``warning`` or ``error``.
        given : the row of what was read.
        usable : rows that can be used.
        """
        self.set_busy("")
        self._say(verdict, level)
        self._notes.setText(notes)
        self._usable = set(usable)
        self._table.blockSignals(True)
        self._table.clear()
        for number, (words, score, spread) in enumerate(rows):
            name = words if number != given else "As read"
            item = QTreeWidgetItem([f"{number + 1}.", name, f"{score:.3f}", f"{spread:.3f}"])
            item.setToolTip(1, words)
            for column in (2, 3):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._table.addTopLevelItem(item)
        self._table.blockSignals(False)
        first = self._table.topLevelItem(0)
        if first is not None:
            self._table.setCurrentItem(first)

    def show_pictures(self, images: NDArray[np.floating], seen: NDArray[np.floating]) -> None:
        """Images (n, y, x) above, projections below, each with its own black and white."""
        count = min(MOST_SHOWN, len(images))
        shown = [*images[:count], *seen[:count]]
        self.pictures.set_column_count(max(1, count))
        self.pictures.set_images(
            shown,
            ["Image"] * count + ["Reference"] * count,
            [limits_of(np.asarray(picture)) for picture in shown],
        )

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.pictures.set_theme(theme)

    def complain(self, message: str) -> None:
        """Say what went wrong."""
        self.clear()
        self.set_busy("")
        self._say(message, "error")

    def clear(self) -> None:
        """Show nothing."""
        self._table.clear()
        self.pictures.clear()
        self._verdict.clear()
        self._notes.clear()
        self._use.setEnabled(False)

    def _say(self, text: str, level: str) -> None:
        self._verdict.setObjectName(level)
        self._verdict.setText(text)
        self._verdict.style().unpolish(self._verdict)
        self._verdict.style().polish(self._verdict)

    def _chosen(self, item: QTreeWidgetItem | None) -> None:
        self._use.setEnabled(item is not None and self.row in self._usable)
        if item is not None:
            self.row_chosen.emit(self.row)


class ConventionCaution(QFrame):
    """A line above the evidence: what was read may be wrong, and a button to look into it."""

    check_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setProperty("state", "incomplete")
        self._text = QLabel()
        self._text.setObjectName("warning")
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        button = QPushButton("Check conventions…")
        button.setToolTip("Compare the conventions with pictures, and choose")
        button.clicked.connect(self.check_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.addWidget(self._text)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text() if not self.isHidden() else ""

    def show_text(self, text: str) -> None:
        """Say something, or go away."""
        self._text.setText(text)
        self.setVisible(bool(text))


def _choice(name: str, tip: str) -> ChoiceBox:
    box = ChoiceBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setMinimumContentsLength(12)
    box.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
