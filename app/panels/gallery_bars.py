"""The bars around the class averages: order and choice above, greys and size, counts below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.averages_columns import NUMBER, Column
from app.number_fields import ChoiceBox
from app.panels.coverage import CoverageCard
from app.panels.gallery_model import SORTED
from app.panels.gallery_view import LARGEST, SMALLEST, USUAL

_OF_ALL = {NUMBER: "&Number", "particles": "&Particles", "resolution": "&Resolution"}


class ChoosingBar(QWidget):
    """Order, captions, and a button for the menu that selects.

    Attributes
    ----------
    order_chosen : key of a column, and whether large values are first; None for what is usual.
    captions_chosen : keys of what is written below each image.
    greys_chosen : whether all images have the same greys.
    """

    order_chosen = Signal(str, object)
    captions_chosen = Signal(object)
    greys_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key, self._descending = NUMBER, False
        self.sort = ChoiceBox()
        self.sort.setToolTip("Order of the images: a column of the file, or what was measured")
        self.sort.setAccessibleName("Sort the images by")
        self.sort.setMaximumWidth(340)
        self.sort.activated.connect(lambda _i: self.order_chosen.emit(self.sort.currentData(), None))
        self.direction = QToolButton()
        self.direction.setIconSize(QSize(18, 18))
        self.direction.clicked.connect(lambda: self.order_chosen.emit(self._key, not self._descending))
        self.captions = QPushButton("Captions")
        self.captions.setToolTip("What is written below each image, and how grey values are shared")
        self._menu = QMenu(self)
        self.captions.setMenu(self._menu)
        self.select = QPushButton("Select")
        self.select.setToolTip("Choose many images at once, keep a selection, or take one up again")
        self._chosen: tuple[str, ...] = ()
        self._offered: list[str] = []
        self._actions: dict[str, QAction] = {}
        bar = QHBoxLayout(self)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.addWidget(self.sort, 1)
        bar.addWidget(self.direction)
        bar.addWidget(self.captions)
        bar.addStretch()
        bar.addWidget(self.select)
        self.show_order((), NUMBER, descending=False)

    def show_order(self, columns: Sequence[Column], key: str, *, descending: bool) -> None:
        """Offer these columns, and show which one is used and how. Emits nothing."""
        self._key, self._descending = key, descending
        items = [(NUMBER, "Sorted by number"), *((c.key, f"Sorted by {_lower(c.title)}") for c in columns)]
        if [self.sort.itemData(i) for i in range(self.sort.count())] != [k for k, _ in items]:
            self.sort.clear()
            for number, (name, text) in enumerate(items):
                self.sort.addItem(text, name)
                self.sort.setItemData(number, name, Qt.ItemDataRole.ToolTipRole)
        self.sort.setCurrentIndex(max(0, self.sort.findData(key)))
        self.direction.setIcon(style.icon("descending" if descending else "ascending"))
        words = "Largest first" if descending else "Smallest first"
        self.direction.setToolTip(f"{words}. Click to reverse the order (Ctrl+Shift+R).")
        self.direction.setAccessibleName(f"Order of the images: {words.lower()}. Reverse it")

    def show_captions(self, columns: Sequence[Column], chosen: Sequence[str], *, common_greys: bool) -> None:
        """Say what is written below the images. Emits nothing."""
        self._chosen = tuple(chosen)
        keys = [column.key for column in columns]
        if keys != self._offered or not self._actions:
            self._fill(columns)
            self._offered = keys
        for key, action in self._actions.items():
            action.setChecked(key in self._chosen)
        self._greys.setChecked(common_greys)

    def _fill(self, columns: Sequence[Column]) -> None:
        menu = self._menu
        for submenu in menu.findChildren(QMenu):
            submenu.deleteLater()
        menu.clear()
        self._actions = {}
        for key, text in _OF_ALL.items():
            if key == NUMBER or any(c.key == key for c in columns):
                self._add_caption(menu, key, text)
        self._add_caption(menu, SORTED, "What they are &sorted by")
        others = [c for c in columns if c.key not in _OF_ALL]
        if others:
            more = menu.addMenu("&More")
            for column in others:
                self._add_caption(more, column.key, column.title.replace("&", "&&"))
        menu.addSeparator()
        self._greys = menu.addAction("Same &greys for all images")
        self._greys.setCheckable(True)
        self._greys.triggered.connect(self.greys_chosen)

    def _add_caption(self, menu: QMenu, key: str, text: str) -> None:
        action = menu.addAction(text)
        action.setCheckable(True)
        action.triggered.connect(lambda on: self._caption(key, on))
        self._actions[key] = action

    def _caption(self, key: str, on: bool) -> None:
        rest = [k for k in self._chosen if k != key]
        self.captions_chosen.emit((*rest, key) if on else tuple(rest))

    def retint(self) -> None:
        """Draw the icon in the present colours."""
        self.direction.setIcon(style.icon("descending" if self._descending else "ascending"))


class LookingBar(QWidget):
    """Brightness, contrast, size; as read or as prepared."""

    grey_changed = Signal(float, float)
    size_changed = Signal(int)
    prepared_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.brightness = _slider("Brightness", -100, 100, 0, "Makes all images brighter or darker")
        self.contrast = _slider(
            "Contrast", -100, 100, 0, "Makes differences in all images stronger or weaker"
        )
        self.size_ = _slider("Size of the images", SMALLEST, LARGEST, USUAL, "Ctrl + wheel does it too")
        self.brightness.valueChanged.connect(self._changed)
        self.contrast.valueChanged.connect(self._changed)
        self.size_.valueChanged.connect(self.size_changed)
        auto = QPushButton("Auto")
        auto.setToolTip("Each image between its darkest and brightest parts")
        auto.setAccessibleName("Automatic brightness and contrast")
        auto.clicked.connect(self.reset)
        self._read, self._prepared = QPushButton("As read"), QPushButton("As prepared")
        self._read.setToolTip("The images as they are in the file")
        self._prepared.setToolTip("The images as a run uses them: centred, masked, on one scale")
        group = QButtonGroup(self)
        for button in (self._read, self._prepared):
            button.setCheckable(True)
            group.addButton(button)
        self._read.setChecked(True)
        group.buttonToggled.connect(self._toggled)
        bar = QHBoxLayout(self)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.setSpacing(4)  # all of it must fit into the middle of a small window
        for text, slider in (("Brightness", self.brightness), ("Contrast", self.contrast)):
            bar.addWidget(_buddy(text, slider))
            bar.addWidget(slider, 1)
        bar.addWidget(auto)
        bar.addWidget(_buddy("Size", self.size_))
        bar.addWidget(self.size_, 1)
        bar.addWidget(self._read)
        bar.addWidget(self._prepared)

    def reset(self) -> None:
        """Greys as they are by themselves."""
        for slider in (self.brightness, self.contrast):
            slider.setValue(0)

    def show_prepared(self, on: bool) -> None:
        """Check the button."""
        (self._prepared if on else self._read).setChecked(True)

    def _toggled(self, button: QAbstractButton, on: bool) -> None:
        if on:
            self.prepared_chosen.emit(button is self._prepared)

    def _changed(self) -> None:
        self.grey_changed.emit(self.brightness.value() / 100, 10 ** (self.contrast.value() / 100))


class CountingBar(QWidget):
    """How much is selected, which views that covers, marks, undo, export."""

    unmark_wanted = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.coverage = CoverageCard()
        self.coverage.hide()
        self.count = QLabel()
        self.count.setObjectName("title")
        self.count.setWordWrap(True)
        self.count.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.marks = QLabel()
        self.marks.setObjectName("warning")
        self.marks.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.leave_out = QPushButton("Leave them out")
        self.leave_out.setToolTip("Leave out what may be junk and what repeats another image")
        self.leave_out.clicked.connect(self.unmark_wanted)
        self.undo, self.redo = QToolButton(), QToolButton()
        for button, name, wanted in (
            (self.undo, "Undo the last change of the selection", self.undo_wanted),
            (self.redo, "Do the undone change of the selection again", self.redo_wanted),
        ):
            button.setIconSize(QSize(18, 18))
            button.setAccessibleName(name)
            button.clicked.connect(wanted)
        self.export = QPushButton("Export selection…")
        self.export.setToolTip("Write the selected images as a STAR file and its MRC stack")
        self.export.clicked.connect(self.export_wanted)
        marks = QHBoxLayout()
        marks.addWidget(self.marks, 1)
        marks.addWidget(self.leave_out)
        row = QHBoxLayout()
        row.addWidget(self.count, 1)
        row.addWidget(self.undo)
        row.addWidget(self.redo)
        row.addWidget(self.export)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.coverage)
        rows.addLayout(marks)
        rows.addLayout(row)

    def show_history(self, undo: str, redo: str) -> None:
        """What can be undone and done again, in words; empty for nothing."""
        for button, verb, text, key in (
            (self.undo, "Undo", undo, "Ctrl+Z"),
            (self.redo, "Do again", redo, "Ctrl+Shift+Z"),
        ):
            button.setEnabled(bool(text))
            button.setToolTip(f"{verb}: {text} ({key})" if text else f"{verb} ({key})")

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.undo.setIcon(style.icon("undo"))
        self.redo.setIcon(style.icon("redo"))
        self.export.setIcon(style.icon("export"))


class NamedMenu:
    """The entries of a menu that keep the selection and take one up again.

    Parameters
    ----------
    menu : what they are added to, at its end.
    keep : asks for a name.
    wanted : told what to do with which: ``only``, ``add``, ``take out``, ``keep``, ``rename``, ``delete``.
    """

    DEEDS = (
        ("only", "Use &only these"), ("add", "&Add these"), ("take out", "&Leave these out"), ("", ""),
        ("keep", "&Replace by the present selection"), ("rename", "Re&name…"), ("delete", "&Delete"),
    )  # fmt: skip

    def __init__(self, menu: QMenu, keep: Callable[[], Any], wanted: Callable[[str, str], Any]) -> None:
        self._menu, self._wanted = menu, wanted
        menu.addSeparator()
        self.keep = menu.addAction("&Keep this selection as…", keep)
        self.menus: dict[str, QMenu] = {}

    def show(self, named: Sequence[tuple[str, str]]) -> None:
        """Offer these: name, and how much it holds in words."""
        for submenu in self.menus.values():
            self._menu.removeAction(submenu.menuAction())
            submenu.deleteLater()
        self.menus = {}
        for name, words in named:
            submenu = self._menu.addMenu(f"“{name.replace('&', '&&')}”, {words}")
            for deed, text in self.DEEDS:
                if deed:
                    submenu.addAction(text, partial(self._wanted, name, deed))
                else:
                    submenu.addSeparator()
            self.menus[name] = submenu


def range_actions(menu: QMenu, span: Callable[[int, int | None, bool], Any], row: Callable[[], int]) -> None:
    """Entries that choose all above or below a row, in the order shown."""
    menu.addAction("Use this and all &above", lambda: span(0, row(), True))
    menu.addAction("Use this and all &below", lambda: span(row(), None, True))
    menu.addAction("Leave out all a&bove this", lambda: span(0, row() - 1, False))
    menu.addAction("Leave out all b&elow this", lambda: span(row() + 1, None, False))


def keyed_actions(
    owner: QWidget, menu: QMenu, wanted: Sequence[tuple[str, str, SignalInstance]]
) -> list[QAction]:
    """Entries with keys that work wherever the focus is within their owner."""
    found = []
    for text, key, signal in wanted:
        action = menu.addAction(text, signal.emit)
        action.setShortcut(key)
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        owner.addAction(action)
        found.append(action)
    return found


def _lower(title: str) -> str:
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _slider(name: str, low: int, high: int, value: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    slider.setAccessibleName(name)
    slider.setToolTip(f"{name}. {tip}.")
    slider.setMinimumWidth(30)
    return slider


def _buddy(text: str, widget: QWidget) -> QLabel:
    label = QLabel(text)
    label.setObjectName("muted")
    label.setBuddy(widget)
    return label
