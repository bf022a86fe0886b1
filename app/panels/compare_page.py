"""Members, starts or runs side by side. Setters and signals only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from app.number_fields import ChoiceBox
from app.panels.elided import ElidedLabel
from app.panels.page import Page
from app.style import Theme
from app.viewers.tiles import TilesView

MOST = 12
STEPS = 200


class ComparePage(Page):
    """Tiles, a list to choose them from, and one level for all."""

    aligned_chosen = Signal(bool)
    chosen = Signal(list)
    level_moved = Signal(int, str)
    level_released = Signal()
    add_wanted = Signal()
    back_wanted = Signal()

    def __init__(self, parent: Page | None = None) -> None:
        super().__init__(parent)
        self.tiles = TilesView()
        self._offered: list[tuple[str, str]] = []
        self.list = QListWidget()
        self.list.setAccessibleName("What is compared")
        self.list.setToolTip(f"Check 2 to {MOST}")
        self.list.setMaximumWidth(170)
        self.list.itemChanged.connect(lambda _item: self.chosen.emit(self.checked()))
        self.linked = QCheckBox("Linked")
        self.linked.setChecked(True)
        self.linked.setToolTip("Turn one, and all turn")
        self.linked.toggled.connect(self.tiles.set_linked)
        self.aligned = QCheckBox("Aligned")
        self.aligned.setChecked(True)
        self.aligned.setToolTip(
            "Turn and, for starts, mirror each so that it lies on the first; off: as their files have them"
        )
        self.aligned.toggled.connect(self.aligned_chosen)
        self.alone = QCheckBox("Only the marked one")
        self.alone.setToolTip("The level is set for the tile that was clicked, not for all")
        self.choose = QPushButton("Choose…")
        self.choose.setCheckable(True)
        self.choose.setToolTip("Show or hide the list of what can be compared")
        self.choose.toggled.connect(self._show_list)
        self.add = QPushButton("Add run…")
        self.add.setToolTip("Compare with results of another run")
        self.add.clicked.connect(self.add_wanted)
        self.back = QPushButton("Back")
        self.back.setToolTip("Back to one picture (T)")
        self.back.clicked.connect(self.back_wanted)
        self._count = ElidedLabel()
        self._count.setObjectName("muted")
        self.unit = ChoiceBox()
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(0, STEPS)
        self.level.setAccessibleName("Level of the surfaces")
        self.level.valueChanged.connect(lambda value: self.level_moved.emit(value, self.unit.currentData()))
        self.level.sliderReleased.connect(self.level_released)
        self.unit.addItem("Volume", "volume")
        self.unit.addItem("σ", "sigma")
        self.unit.setMaximumWidth(96)
        self.unit.setAccessibleName("Unit of the level")
        self.unit.setToolTip(
            "Draw all at the same enclosed volume, or as many standard deviations above the mean"
        )
        self.unit.currentIndexChanged.connect(
            lambda _i: self.level_moved.emit(self.level.value(), self.unit.currentData())
        )
        self._level_words = QLabel()
        self._level_words.setObjectName("muted")
        self._level_words.setMinimumWidth(80)
        self.level.setMinimumWidth(90)
        for control in (self.linked, self.aligned, self.alone, self.choose, self.add, self.back):
            control.setAccessibleName(control.text())
        top, bottom, middle = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        top.setContentsMargins(4, 8, 4, 0)
        for left in (self.choose, self.add, self.linked, self.aligned):
            top.addWidget(left)
        top.addStretch(1)
        top.addWidget(self.back)
        words = QHBoxLayout()
        words.setContentsMargins(6, 0, 6, 0)
        words.addWidget(self._count)
        self._level_row: list[QWidget] = [self.unit, self.level, self._level_words, self.alone]
        bottom.setContentsMargins(4, 0, 4, 4)
        for part in self._level_row:
            bottom.addWidget(part, 1 if part is self.level else 0)
        middle.addWidget(self.list)
        middle.addWidget(self.tiles, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addLayout(words)
        layout.addLayout(middle, 1)
        layout.addLayout(bottom)
        self.list.hide()
        self.tiles.captions.clicked.connect(lambda i: self.tiles.mark(None if self.tiles.marked == i else i))
        self.tiles.captions.double_clicked.connect(
            lambda i: self.tiles.enlarge(None if self.tiles.enlarged is not None else i)
        )
        self.show_level(None, "")

    def set_choices(self, entries: Sequence[tuple[str, str]], checked: Sequence[str]) -> None:
        """Offer things (key, name), some of them checked; nothing is emitted."""
        if list(entries) == self._offered and list(checked) == self.checked():
            return  # as while members grow: the list under the mouse stays
        self._offered = list(entries)
        self.list.blockSignals(True)
        self.list.clear()
        for key, name in entries:
            item = QListWidgetItem(name)
            item.setData(Qt.ItemDataRole.UserRole, key)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if key in checked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)

    def checked(self) -> list[str]:
        """Keys of what is checked."""
        items = (self.list.item(i) for i in range(self.list.count()))
        return [i.data(Qt.ItemDataRole.UserRole) for i in items if i.checkState() == Qt.CheckState.Checked]

    def set_words(self, text: str) -> None:
        """A line below the controls."""
        self._count.show_text(text)

    def show_level(self, value: int | None, words: str) -> None:
        """Where the level is, and what that means; None hides it. Nothing is emitted."""
        for part in self._level_row:
            part.setVisible(value is not None)
        self.level.blockSignals(True)
        self.level.setValue(value or 0)
        self.level.blockSignals(False)
        self._level_words.setText(words)
        self.level.setAccessibleDescription(words)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.tiles.set_theme(theme)

    def reset_view(self) -> None:
        """Show everything, from the first direction."""
        self.tiles.reset()

    def look_along_z(self) -> None:
        """Look along z."""
        self.tiles.look(0.0, 90.0)

    def step(self, step: int) -> None:
        """Mark the next or previous tile; an enlarged one gives way to it."""
        count = len(self.tiles.tiles)
        if count:
            before = -1 if step > 0 else 0  # so that the first step marks the first tile, or the last
            at = ((before if self.tiles.marked is None else self.tiles.marked) + step) % count
            self.tiles.marked = at
            self.tiles.enlarge(at if self.tiles.enlarged is not None else None)

    def screenshot(self) -> QImage:
        """The tiles with their words."""
        return self.tiles.screenshot()

    def release(self) -> None:
        """Give the canvas back."""
        self.tiles.release()

    def _show_list(self, on: bool) -> None:
        self.list.setVisible(on)
