"""The class averages in the middle of the window: look, sort, choose. Setters and signals without logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QSize, Qt, Signal
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
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.averages_files import Thumbnails
from app.number_fields import ChoiceBox
from app.panels.gallery_model import SELECTED, SORTS, GalleryModel
from app.panels.gallery_view import LARGEST, SMALLEST, USUAL, GalleryView
from app.style import Theme

WELCOME = "Drop your class averages here"
STEPS = (
    "1.  Drop 2D class averages: an MRC stack, RELION STAR, cryoSPARC .cs, EMAN .hdf or SPIDER.\n"
    "2.  Leave out what is junk: click an image, or press Space.\n"
    "3.  Press Run, or Train. No poses are needed."
)


class Gallery(QWidget):
    """Toolbar, grid of images, counts."""

    toggle_wanted = Signal(int)
    select_wanted = Signal(object, bool)
    all_wanted = Signal()
    none_wanted = Signal()
    invert_wanted = Signal()
    unmark_wanted = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = GalleryModel()
        self.view = GalleryView(self.model)
        self.view.toggle_wanted.connect(self._toggle_row)
        self.view.range_wanted.connect(self._range)
        self.view.side_wanted.connect(lambda side: self._size.setValue(side))
        self.view.customContextMenuRequested.connect(self._context_menu)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._welcome_page())
        self._stack.addWidget(self._images_page())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        self.retint()

    # ---- setters --------------------------------------------------------------------------------

    def set_welcome(self, title: str = WELCOME, text: str = STEPS) -> None:
        """Show words in place of images."""
        self._title.setText(title)
        self._text.setText(text)
        self._stack.setCurrentIndex(0)

    def set_images(
        self,
        names: Sequence[str],
        raw: Thumbnails,
        counts: NDArray[np.floating] | None = None,
        resolutions_A: NDArray[np.floating] | None = None,
    ) -> None:
        """Show these images."""
        self.model.set_images(names, raw, counts, resolutions_A)
        self.view.forget_anchor()
        self.view.set_lines(1 if counts is None and resolutions_A is None else 2)
        self._offer_sorts()
        self._stack.setCurrentIndex(1)
        self._marks.hide()
        self._leave_out.hide()
        if self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(0))

    def set_prepared(self, prepared: Thumbnails, used: Sequence[int], mask_share: float) -> None:
        """The images as a run will see them."""
        self.model.set_prepared(prepared, used, mask_share)

    def set_selected(self, selected: NDArray[np.bool_], sentence: str, *, marked: int = 0) -> None:
        """Which images are used, how much that is in words, and how many of them are marked."""
        self.model.set_selected(selected)
        self._leave_out.setVisible(marked > 0)
        self._count.setText(sentence)

    def set_quality(self, quality: Any) -> None:
        """Scores and marks."""
        self.model.set_quality(quality)
        self._offer_sorts()
        junk = int(np.count_nonzero(quality.junk)) if quality is not None else 0
        twins = int(np.count_nonzero(np.asarray(quality.duplicate_of) >= 0)) if quality is not None else 0
        parts = [f"{junk} may be junk"] if junk else []
        parts += [f"{twins} repeat{'s' if twins == 1 else ''} another"] if twins else []
        self._marks.setText(", ".join(parts))
        self._marks.setVisible(bool(parts))

    def set_facts(self, text: str, problem: str) -> None:
        """What the preparation found (contrast, mask, box), or why it failed."""
        self._facts.setText(problem or text)
        self._facts.setObjectName("error" if problem else "muted")
        self._facts.style().unpolish(self._facts)
        self._facts.style().polish(self._facts)
        self._facts.setVisible(bool(problem or text))

    def set_history(self, undo: str, redo: str) -> None:
        """What can be undone and done again, in words; empty for nothing."""
        for button, verb, text, key in (
            (self._undo, "Undo", undo, "Ctrl+Z"),
            (self._redo, "Do again", redo, "Ctrl+Shift+Z"),
        ):
            button.setEnabled(bool(text))
            button.setToolTip(f"{verb}: {text} ({key})" if text else f"{verb} ({key})")

    def set_theme(self, _theme: Theme) -> None:
        """Use a theme's colours."""
        self.retint()
        self.view.viewport().update()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self._undo.setIcon(style.icon("undo"))
        self._redo.setIcon(style.icon("redo"))
        self._export.setIcon(style.icon("export"))

    def set_enabled(self, on: bool) -> None:
        """While a job runs, its images can be looked at but not chosen."""
        for part in (self._select, self._leave_out, self._undo, self._redo):
            part.setEnabled(on)
        self._locked = not on

    def toggle_prepared(self) -> None:
        """Between as read and as prepared."""
        self.show_prepared(not self.model.prepared_shown)

    def show_prepared(self, on: bool) -> None:
        """Show the images as prepared, or as they were read."""
        (self._as_prepared if on else self._as_read).setChecked(True)
        self.model.show_prepared(on)

    # ---- making ---------------------------------------------------------------------------------

    def _welcome_page(self) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        self._title = QLabel(WELCOME)
        self._title.setObjectName("welcome")
        self._title.setWordWrap(True)
        self._title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._text = QLabel(STEPS)
        self._text.setObjectName("muted")
        self._text.setWordWrap(True)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self._text, 4)
        row.addStretch(1)
        layout = QVBoxLayout(page)
        layout.addStretch(2)
        layout.addWidget(self._title)
        layout.addSpacing(10)
        layout.addLayout(row)
        layout.addStretch(3)
        return page

    def _images_page(self) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        self._locked = False
        self._facts = QLabel()
        self._facts.setWordWrap(True)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._facts.hide()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 8, 4, 4)
        layout.setSpacing(6)
        layout.addLayout(self._choosing_bar())
        layout.addLayout(self._looking_bar())
        layout.addWidget(self._facts)
        layout.addWidget(self.view, 1)
        layout.addLayout(self._counting_bar())
        return page

    def _choosing_bar(self) -> QHBoxLayout:
        self._sort = ChoiceBox()
        self._sort.setToolTip("Order of the images")
        self._sort.setAccessibleName("Sort the images by")
        self._sort.activated.connect(lambda _i: self.model.sort_by(self._sort.currentData()))
        self._select = QPushButton("Select")
        self._select.setToolTip("Choose many images at once")
        self._select.setMenu(self._select_menu())
        self._as_read, self._as_prepared = QPushButton("As read"), QPushButton("As prepared")
        self._as_read.setToolTip("The images as they are in the file")
        self._as_prepared.setToolTip("The images as a run uses them: centred, masked, on one scale")
        group = QButtonGroup(self)
        for button in (self._as_read, self._as_prepared):
            button.setCheckable(True)
            group.addButton(button)
        self._as_read.setChecked(True)
        group.buttonToggled.connect(self._view_toggled)
        bar = QHBoxLayout()
        self._sort.setMaximumWidth(300)
        bar.addWidget(self._sort, 1)
        bar.addStretch()
        bar.addWidget(self._select)
        bar.addSpacing(6)
        bar.addWidget(self._as_read)
        bar.addWidget(self._as_prepared)
        return bar

    def _looking_bar(self) -> QHBoxLayout:
        self._brightness = _slider("Brightness", -100, 100, 0, "Makes all images brighter or darker")
        self._contrast = _slider(
            "Contrast", -100, 100, 0, "Makes differences in all images stronger or weaker"
        )
        self._size = _slider("Size of the images", SMALLEST, LARGEST, USUAL, "Ctrl + wheel does it too")
        self._brightness.valueChanged.connect(self._grey_changed)
        self._contrast.valueChanged.connect(self._grey_changed)
        self._size.valueChanged.connect(self.view.set_side)
        auto = QPushButton("Auto")
        auto.setToolTip("Each image between its darkest and brightest parts")
        auto.setAccessibleName("Automatic brightness and contrast")
        auto.clicked.connect(self._grey_auto)
        bar = QHBoxLayout()
        for text, slider in (("Brightness", self._brightness), ("Contrast", self._contrast)):
            bar.addWidget(_buddy(text, slider))
            bar.addWidget(slider, 1)
        bar.addWidget(auto)
        bar.addSpacing(6)
        bar.addWidget(_buddy("Size", self._size))
        bar.addWidget(self._size, 1)
        return bar

    def _counting_bar(self) -> QVBoxLayout:
        self._count = QLabel()
        self._count.setObjectName("title")
        self._marks = QLabel()
        self._marks.setObjectName("warning")
        self._marks.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._leave_out = QPushButton("Leave them out")
        self._leave_out.setToolTip("Leave out what may be junk and what repeats another image")
        self._leave_out.clicked.connect(self.unmark_wanted)
        self._undo, self._redo = QToolButton(), QToolButton()
        for button, name, wanted in (
            (self._undo, "Undo the last change of the selection", self.undo_wanted),
            (self._redo, "Do the undone change of the selection again", self.redo_wanted),
        ):
            button.setIconSize(QSize(18, 18))
            button.setAccessibleName(name)
            button.clicked.connect(wanted)
        self._export = QPushButton("Export selection…")
        self._export.setToolTip("Write the selected images as a STAR file and its MRC stack")
        self._export.clicked.connect(self.export_wanted)
        marks = QHBoxLayout()
        marks.addWidget(self._marks, 1)
        marks.addWidget(self._leave_out)
        row = QHBoxLayout()
        row.addWidget(self._count, 1)
        row.addWidget(self._undo)
        row.addWidget(self._redo)
        row.addWidget(self._export)
        rows = QVBoxLayout()
        rows.addLayout(marks)
        rows.addLayout(row)
        return rows

    def _select_menu(self) -> QMenu:
        menu = QMenu(self)
        self.select_actions: list[QAction] = []
        for text, key, wanted in (
            ("&All", "Ctrl+A", self.all_wanted),
            ("&None", "Ctrl+Shift+A", self.none_wanted),
            ("&Invert", "Ctrl+I", self.invert_wanted),
        ):
            action = menu.addAction(text, wanted.emit)
            action.setShortcut(key)
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.addAction(action)
            self.select_actions.append(action)
        menu.addAction("Leave out what is &marked", self.unmark_wanted.emit)
        menu.addSeparator()
        self._add_ranges(menu, lambda: self.view.currentIndex().row())
        return menu

    def _add_ranges(self, menu: QMenu, row: Callable[[], int]) -> list[QAction]:
        """Entries that choose all above or below a row, in the order shown."""
        return [
            menu.addAction("Use this and all &above", lambda: self._span(0, row(), on=True)),
            menu.addAction("Use this and all &below", lambda: self._span(row(), None, on=True)),
            menu.addAction("Leave out all a&bove this", lambda: self._span(0, row() - 1, on=False)),
            menu.addAction("Leave out all b&elow this", lambda: self._span(row() + 1, None, on=False)),
        ]

    # ---- inside ---------------------------------------------------------------------------------

    def _offer_sorts(self) -> None:
        keys = self.model.sorts()
        if [self._sort.itemData(i) for i in range(self._sort.count())] == keys:
            return
        chosen = self._sort.currentData()
        self._sort.clear()
        for key in keys:
            self._sort.addItem(SORTS[key], key)
        self._sort.setCurrentIndex(max(0, self._sort.findData(chosen)))
        self.model.sort_by(self._sort.currentData())

    def _toggle_row(self, row: int) -> None:
        if not self._locked:
            self.toggle_wanted.emit(int(self.model.order[row]))

    def _range(self, first: int, last: int) -> None:
        """Treat a whole range as its first image was treated."""
        on = bool(self.model.index(first).data(SELECTED))
        self._span(min(first, last), max(first, last), on=on)

    def _span(self, first: int, last: int | None, *, on: bool) -> None:
        images = self.model.order[max(0, first) : None if last is None else last + 1]
        if len(images) and not self._locked:
            self.select_wanted.emit(images, on)

    def _context_menu(self, position: QPoint) -> None:
        index = self.view.indexAt(position)
        if not index.isValid() or self._locked:
            return
        row = index.row()
        menu = QMenu(self)
        used = bool(index.data(SELECTED))
        menu.addAction("Leave out" if used else "Use", lambda: self._toggle_row(row))
        menu.addSeparator()
        self._add_ranges(menu, lambda: row)
        menu.exec(self.view.viewport().mapToGlobal(position))
        menu.deleteLater()

    def _view_toggled(self, button: QAbstractButton, on: bool) -> None:
        if on:
            self.model.show_prepared(button is self._as_prepared)

    def _grey_changed(self) -> None:
        self.model.set_contrast(self._brightness.value() / 100, 10 ** (self._contrast.value() / 100))

    def _grey_auto(self) -> None:
        for slider in (self._brightness, self._contrast):
            slider.setValue(0)


def _slider(name: str, low: int, high: int, value: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    slider.setAccessibleName(name)
    slider.setToolTip(f"{name}. {tip}.")
    slider.setMinimumWidth(50)
    return slider


def _buddy(text: str, widget: QWidget) -> QLabel:
    label = QLabel(text)
    label.setObjectName("muted")
    label.setBuddy(widget)
    return label
