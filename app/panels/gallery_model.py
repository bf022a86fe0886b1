"""The images of the gallery as a model: order, captions, marks, pictures in the present contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QImage

from app.averages_columns import NUMBER, Column
from app.averages_files import Thumbnails

SELECTED = Qt.ItemDataRole.UserRole + 1
QUALITY = "quality"
SORTED = "sorted"
"""The caption that shows whichever column the images are sorted by."""
USUAL_CAPTIONS = (NUMBER, "particles", "resolution", SORTED)
_SECOND_LINE = ("particles", "resolution")
_MOST_TOLD = 24  # runs of rows that are told of one by one
_NOTHING = QModelIndex()
Index = QModelIndex | QPersistentModelIndex


class GalleryModel(QAbstractListModel):
    """Rows are places in the gallery; images are counted from 0 as in their file.

    Attributes
    ----------
    version : changes whenever all pictures drawn before are out of date; ``redrawn`` tells of it.
    """

    redrawn = Signal()
    lines_changed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._raw = Thumbnails()
        self._prepared = Thumbnails()
        self._place: dict[int, int] = {}  # image -> its place among the prepared ones
        self._mask_share = 0.0
        self._columns: dict[str, Column] = {}
        self._quality: Any = None
        self._selected: NDArray[np.bool_] = np.zeros(0, bool)
        self._wanted, self._way = NUMBER, False
        self._captions: tuple[str, ...] = USUAL_CAPTIONS
        self._brightness, self._contrast = 0.0, 1.0
        self._common: NDArray[np.float32] | None = None
        self.prepared_shown = self.common_greys = False
        self.version = 0

    # ---- setters --------------------------------------------------------------------------------

    def set_images(self, names: Sequence[str], raw: Thumbnails, columns: Sequence[Column] = ()) -> None:
        """Show these images, all selected, in the order that was chosen last if there is such a column."""
        self.beginResetModel()
        self._names, self._raw = tuple(names), raw
        self._columns = {column.key: column for column in columns}
        self._quality = None
        self._selected = np.ones(len(names), bool)
        self._prepared, self._place, self._common = Thumbnails(), {}, None
        self._order = self._ordered()
        self.version += 1
        self.endResetModel()
        self.lines_changed.emit(self.lines_count)

    def set_prepared(self, prepared: Thumbnails, used: Sequence[int], mask_share: float) -> None:
        """The images as a run will see them.

        Parameters
        ----------
        prepared : their pictures.
        used : which image each of them is, counted from 0.
        mask_share : diameter of the mask as a share of the box; 0 for none.
        """
        self._prepared, self._mask_share = prepared, mask_share
        self._place = {int(image): i for i, image in enumerate(used)}
        if self.prepared_shown:
            self._redraw()

    def set_quality(self, quality: Any) -> None:
        """Scores and marks: an :class:`engine.io.averages.AverageQuality`."""
        self._quality = quality if quality is not None and len(quality.score) == len(self._names) else None
        self._columns.pop(QUALITY, None)
        if self._quality is not None:
            self._columns[QUALITY] = Column(QUALITY, "Quality", np.asarray(self._quality.score, float))
        if self._wanted == QUALITY:
            self._reorder()
        self._redraw()

    def set_selected(self, selected: NDArray[np.bool_]) -> None:
        """Which images are used; an array that is not changed afterwards."""
        if len(selected) == len(self._names):
            changed = selected != self._selected
            self._selected = selected
            self._tell(np.flatnonzero(changed[self._order]))

    def sort_by(self, key: str, descending: bool | None = None) -> None:
        """Put the images into another order.

        Parameters
        ----------
        key : of a column, or ``NUMBER``; one that isn't there yet is taken up when it comes.
        descending : whether large values are first; None for what is usual for the column.
        """
        column = self._columns.get(key)
        usual = column.high_first if column is not None else key == QUALITY
        self._wanted, self._way = key, usual if descending is None else descending
        self._reorder()
        self._redraw()  # its values may be among the captions

    def set_captions(self, keys: Sequence[str]) -> None:
        """What is written below each image: keys of columns, ``NUMBER``, ``SORTED``."""
        self._captions = tuple(keys)
        self._redraw()

    def show_prepared(self, on: bool) -> None:
        """Show the images as prepared, or as read."""
        self.prepared_shown = on
        self._redraw()

    def set_contrast(self, brightness: float, contrast: float) -> None:
        """Change the grey values: ``brightness`` in [-1, 1], ``contrast`` a factor."""
        self._brightness, self._contrast = brightness, contrast
        self._redraw()

    def use_common_greys(self, on: bool) -> None:
        """Show equal values as equal greys in all images, or each over a range of its own."""
        self.common_greys = on
        self._redraw()

    # ---- getters --------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """By what the images can be sorted besides their number."""
        return tuple(self._columns.values())

    @property
    def key(self) -> str:
        """What the images are sorted by."""
        return self._wanted if self._wanted in self._columns else NUMBER

    @property
    def wanted_order(self) -> tuple[str, bool]:
        """What they shall be sorted by, also if it is not known yet, and whether large values come first."""
        return self._wanted, self._way

    @property
    def descending(self) -> bool:
        """Whether large values are first."""
        return self._way if self.key == self._wanted else False

    @property
    def captions(self) -> tuple[str, ...]:
        """What is written below each image."""
        return self._captions

    @property
    def lines_count(self) -> int:
        """How many lines of captions there are."""
        return len(self._groups())

    @property
    def order(self) -> NDArray[np.intp]:
        """Image of each row."""
        return self._order

    def image_of(self, index: Index) -> int:
        """The image at an index; -1 for none."""
        return int(self._order[index.row()]) if index.isValid() else -1

    def index_of(self, image: int) -> QModelIndex:
        """Where an image is."""
        found = np.flatnonzero(self._order == image)
        return self.index(int(found[0])) if len(found) else QModelIndex()

    def rowCount(self, parent: Index = _NOTHING) -> int:
        """How many images."""
        return 0 if parent.isValid() else len(self._order)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """All can be reached; use is toggled by the view."""
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What screen readers and tooltips ask for; the delegate asks by image."""
        image = self.image_of(index)
        if image < 0:
            return None
        if role == SELECTED:
            return bool(self._selected[image])
        if role == Qt.ItemDataRole.DisplayRole:
            return self._names[image]
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._description(image)
        if role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Checked if self._selected[image] else Qt.CheckState.Unchecked
        return None

    def used(self, image: int) -> bool:
        """Whether an image is selected."""
        return bool(self._selected[image])

    def mask_of(self, image: int) -> float:
        """Diameter of the mask as a share of the picture; 0 where none is shown."""
        return self._mask_share if self._is_prepared(image) else 0.0

    def mark_of(self, image: int) -> str:
        """What is wrong with an image, in a word."""
        if self._quality is None:
            return ""
        twin = int(self._quality.duplicate_of[image])
        if twin >= 0:
            return f"= {self._names[twin]}"
        return "junk?" if self._quality.junk[image] else ""

    def lines_of(self, image: int) -> tuple[str, ...]:
        """The captions of an image, each a line."""
        return tuple(
            " · ".join(filter(None, (self._text(k, image) for k in keys))) for keys in self._groups()
        )

    def picture(self, image: int) -> QImage:
        """An image in the present greys."""
        prepared = self._is_prepared(image)
        source = self._prepared if prepared else self._raw
        place = self._place[image] if prepared else image
        if place >= len(source.pixels):
            return QImage()
        pixels = source.pixels[place]
        black, white = self._levels(prepared)[place]
        grey = (np.arange(256) - black) / (white - black)
        grey = np.clip((grey - 0.5) * self._contrast + 0.5 + self._brightness / 2, 0, 1)
        shown = np.ascontiguousarray((grey * 255).astype(np.uint8)[pixels])
        height, width = shown.shape
        return QImage(shown.data, width, height, width, QImage.Format.Format_Grayscale8).copy()

    # ---- inside ---------------------------------------------------------------------------------

    def _is_prepared(self, image: int) -> bool:
        return self.prepared_shown and image in self._place

    def _levels(self, prepared: bool) -> NDArray[np.float32]:
        if prepared or not self.common_greys:
            return (self._prepared if prepared else self._raw).levels
        if self._common is None:
            self._common = self._raw.common_levels()
        return self._common

    def _groups(self) -> list[list[str]]:
        """Keys of the columns in each line."""
        keys = dict.fromkeys(self.key if key == SORTED else key for key in self._captions)
        known = [k for k in keys if k in self._columns]
        lines = [
            [NUMBER] if NUMBER in self._captions else [],
            [k for k in known if k in _SECOND_LINE],
            [k for k in known if k not in _SECOND_LINE],
        ]
        return [line for line in lines if line]

    def _text(self, key: str, image: int) -> str:
        return self._names[image] if key == NUMBER else self._columns[key].text(image)

    def _description(self, image: int) -> str:
        parts = [f"Image {self._names[image]}", "used" if self._selected[image] else "left out"]
        shown = {*_SECOND_LINE, QUALITY, self.key, *self._captions}
        parts += [c.text(image, long=True) for c in self._columns.values() if c.key in shown]
        if self._quality is not None:
            twin = int(self._quality.duplicate_of[image])
            if twin >= 0:
                parts.append(f"looks like image {self._names[twin]}")
            if self._quality.junk[image]:
                parts.append("looks like junk")
        return ", ".join(parts)

    def _ordered(self) -> NDArray[np.intp]:
        column = self._columns.get(self.key)
        if column is not None:
            return column.order(descending=self._way)
        number = np.arange(len(self._names))
        return number[::-1].copy() if self.descending else number

    def _reorder(self) -> None:
        order = self._ordered()
        if np.array_equal(order, self._order):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        images = [self.image_of(index) for index in before]
        self._order = order
        self.changePersistentIndexList(before, [self.index_of(image) for image in images])
        self.layoutChanged.emit()

    def _redraw(self) -> None:
        """All pictures or captions are out of date. What screen readers say hasn't changed."""
        self.version += 1
        self.lines_changed.emit(self.lines_count)
        self.redrawn.emit()

    def _tell(self, rows: NDArray[np.intp]) -> None:
        """Tell which rows have changed, as few as possible: views ask for each."""
        if not len(rows):
            return
        ends = np.flatnonzero(np.diff(rows) > 1)
        first, last = rows[np.r_[0, ends + 1]], rows[np.r_[ends, len(rows) - 1]]
        if len(first) > _MOST_TOLD:
            first, last = rows[:1], rows[-1:]
        for start, end in zip(first.tolist(), last.tolist(), strict=True):
            self.dataChanged.emit(self.index(start), self.index(end))
