"""The class averages in the middle of the window: look, sort, choose. Setters and signals without logic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QStackedWidget, QVBoxLayout, QWidget

from app.averages_columns import Column
from app.averages_files import Thumbnails
from app.panels.gallery_bars import (
    ChoosingBar,
    CountingBar,
    LookingBar,
    NamedMenu,
    keyed_actions,
    range_actions,
)
from app.panels.gallery_model import SELECTED, GalleryModel
from app.panels.gallery_view import GalleryView
from app.style import Theme

WELCOME = "Drop your class averages here"
STEPS = (
    "1.  Drop 2D class averages: an MRC stack, RELION STAR, cryoSPARC .cs, EMAN .hdf or SPIDER.\n"
    "2.  Leave out what is junk: click an image or drag over several, or press Space.\n"
    "3.  Press Run, or Train. No poses are needed.\n\n"
    "No data at hand? File › Load the demo."
)


class Gallery(QWidget):
    """Bars, grid of images, counts.

    Attributes
    ----------
    select_wanted : images, and whether they shall be used.
    block_changed : images that are being spanned, and whether they would be used.
    named_wanted : a name, and what to do with it; a deed of :class:`NamedMenu`.
    """

    toggle_wanted = Signal(int)
    select_wanted = Signal(object, bool)
    block_changed = Signal(object, bool)
    all_wanted = Signal()
    none_wanted = Signal()
    invert_wanted = Signal()
    unmark_wanted = Signal()
    keep_wanted = Signal()
    named_wanted = Signal(str, str)
    undo_wanted = Signal()
    redo_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = GalleryModel()
        self.view = GalleryView(self.model)
        self.choosing, self.looking, self.counting = ChoosingBar(), LookingBar(), CountingBar()
        self.coverage = self.counting.coverage
        # What controllers and tests ask for by these names:
        self._sort, self._select, self._size = self.choosing.sort, self.choosing.select, self.looking.size_
        self._brightness, self._contrast = self.looking.brightness, self.looking.contrast
        self._count, self._marks, self._leave_out = (
            self.counting.count, self.counting.marks, self.counting.leave_out,
        )  # fmt: skip
        self._export = self.counting.export
        self._locked = False
        self._connect()
        self.choosing.select.setMenu(self._select_menu())
        self._stack = QStackedWidget()
        self._stack.addWidget(self._welcome_page())
        self._stack.addWidget(self._images_page())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        self._show_columns()
        self.retint()

    def _connect(self) -> None:
        view, choosing, looking, counting = self.view, self.choosing, self.looking, self.counting
        view.toggle_wanted.connect(self._toggle_row)
        view.range_wanted.connect(self._range)
        view.block_wanted.connect(self._block)
        view.block_changed.connect(
            lambda rows, on: self.block_changed.emit(self.model.order[np.asarray(rows, int)], on)
        )
        view.side_wanted.connect(looking.size_.setValue)
        view.customContextMenuRequested.connect(self._context_menu)
        choosing.order_chosen.connect(self.sort_by)
        choosing.captions_chosen.connect(self.set_captions)
        choosing.greys_chosen.connect(self.use_common_greys)
        looking.grey_changed.connect(self.model.set_contrast)
        looking.size_changed.connect(view.set_side)
        looking.prepared_chosen.connect(self.model.show_prepared)
        counting.unmark_wanted.connect(self.unmark_wanted)
        counting.undo_wanted.connect(self.undo_wanted)
        counting.redo_wanted.connect(self.redo_wanted)
        counting.export_wanted.connect(self.export_wanted)

    # ---- setters --------------------------------------------------------------------------------

    def set_welcome(self, title: str = WELCOME, text: str = STEPS) -> None:
        """Show words in place of images."""
        self._title.setText(title)
        self._text.setText(text)
        self._stack.setCurrentIndex(0)

    def set_images(self, names: Sequence[str], raw: Thumbnails, columns: Sequence[Column] = ()) -> None:
        """Show these images."""
        self.model.set_images(names, raw, columns)
        self._show_columns()
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
        self._count.setToolTip(sentence)

    def set_quality(self, quality: Any) -> None:
        """Scores and marks."""
        self.model.set_quality(quality)
        self._show_columns()
        junk = int(np.count_nonzero(quality.junk)) if quality is not None else 0
        twins = int(np.count_nonzero(np.asarray(quality.duplicate_of) >= 0)) if quality is not None else 0
        parts = [f"{junk} may be junk"] if junk else []
        parts += [f"{twins} repeat{'s' if twins == 1 else ''} another"] if twins else []
        self._marks.setText(", ".join(parts))
        self._marks.setVisible(bool(parts))

    def set_named(self, named: Sequence[tuple[str, str]]) -> None:
        """Selections that are kept: name, and how much each holds in words."""
        self._named.show(named)

    def set_facts(self, text: str, problem: str) -> None:
        """What the preparation found (contrast, mask, box), or why it failed."""
        self._facts.setText(problem or text)
        self._facts.setObjectName("error" if problem else "muted")
        self._facts.style().unpolish(self._facts)
        self._facts.style().polish(self._facts)
        self._facts.setVisible(bool(problem or text))

    def set_history(self, undo: str, redo: str) -> None:
        """What can be undone and done again, in words; empty for nothing."""
        self.counting.show_history(undo, redo)

    def set_theme(self, _theme: Theme) -> None:
        """Use a theme's colours."""
        self.retint()
        self.view.delegate.forget()
        self.view.viewport().update()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.choosing.retint()
        self.counting.retint()
        self.coverage.retint()

    def set_enabled(self, on: bool) -> None:
        """While a job runs, its images can be looked at but not chosen."""
        for part in (self._select, self._leave_out, self.counting.undo, self.counting.redo):
            part.setEnabled(on)
        self._locked = not on

    def toggle_prepared(self) -> None:
        """Between as read and as prepared."""
        self.show_prepared(not self.model.prepared_shown)

    def show_prepared(self, on: bool) -> None:
        """Show the images as prepared, or as they were read."""
        self.looking.show_prepared(on)
        self.model.show_prepared(on)

    def sort_by(self, key: str, descending: bool | None = None) -> None:
        """Put the images into another order; None for the way that is usual for a column."""
        self.model.sort_by(key, descending)
        self._show_columns()

    def reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self.model.key, not self.model.descending)

    def set_captions(self, keys: Sequence[str]) -> None:
        """What is written below each image."""
        self.model.set_captions(keys)
        self._show_columns()

    def use_common_greys(self, on: bool) -> None:
        """Equal values are equal greys in all images, or each has a range of its own."""
        self.model.use_common_greys(on)
        self._show_columns()

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
        self._facts = QLabel()
        self._facts.setWordWrap(True)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._facts.hide()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 8, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self.choosing)
        layout.addWidget(self.looking)
        layout.addWidget(self._facts)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.counting)
        return page

    def _select_menu(self) -> QMenu:
        menu = QMenu(self)
        self.select_actions = keyed_actions(self, menu, (
            ("&All", "Ctrl+A", self.all_wanted),
            ("&None", "Ctrl+Shift+A", self.none_wanted),
            ("&Invert", "Ctrl+I", self.invert_wanted),
        ))  # fmt: skip
        menu.addAction("Leave out what is &marked", self.unmark_wanted.emit)
        menu.addSeparator()
        range_actions(menu, self._span, lambda: self.view.currentIndex().row())
        self._named = NamedMenu(menu, self.keep_wanted.emit, self.named_wanted.emit)
        return menu

    # ---- inside ---------------------------------------------------------------------------------

    def _show_columns(self) -> None:
        model = self.model
        self.choosing.show_order(model.columns, model.key, descending=model.descending)
        self.choosing.show_captions(model.columns, model.captions, common_greys=model.common_greys)

    def _toggle_row(self, row: int) -> None:
        if not self._locked:
            self.toggle_wanted.emit(int(self.model.order[row]))

    def _range(self, first: int, last: int) -> None:
        """Treat a whole range as its first image was treated."""
        on = bool(self.model.index(first).data(SELECTED))
        self._span(min(first, last), max(first, last), on)

    def _span(self, first: int, last: int | None, on: bool) -> None:
        images = self.model.order[max(0, first) : None if last is None else last + 1]
        if len(images) and not self._locked:
            self.select_wanted.emit(images, on)

    def _block(self, rows: Sequence[int], on: bool) -> None:
        if not self._locked:
            self.select_wanted.emit(self.model.order[np.asarray(rows, int)], on)

    def _context_menu(self, position: QPoint) -> None:
        index = self.view.indexAt(position)
        if not index.isValid() or self._locked:
            return
        row = index.row()
        menu = QMenu(self)
        used = bool(index.data(SELECTED))
        menu.addAction("Leave out" if used else "Use", lambda: self._toggle_row(row))
        menu.addSeparator()
        range_actions(menu, self._span, lambda: row)
        menu.exec(self.view.viewport().mapToGlobal(position))
        menu.deleteLater()
