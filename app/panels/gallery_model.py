"""The images of the gallery as a model: order, captions, marks, pictures in the present contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QImage

from app.averages_files import Thumbnails

PICTURE = Qt.ItemDataRole.UserRole + 1
SELECTED = Qt.ItemDataRole.UserRole + 2
MARK = Qt.ItemDataRole.UserRole + 3
CAPTION = Qt.ItemDataRole.UserRole + 4
DETAIL = Qt.ItemDataRole.UserRole + 5
MASK = Qt.ItemDataRole.UserRole + 6
SORTS = {
    "number": "Sorted by number",
    "particles": "Sorted by particles",
    "resolution": "Sorted by resolution",
    "quality": "Sorted by quality",
}
_NOTHING = QModelIndex()
Index = QModelIndex | QPersistentModelIndex


class GalleryModel(QAbstractListModel):
    """Rows are places in the gallery; images are counted from 0 as in their file."""

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._raw = Thumbnails()
        self._prepared = Thumbnails()
        self._place: dict[int, int] = {}  # image -> its place among the prepared ones
        self._mask_share = 0.0
        self._counts: NDArray[np.floating] | None = None
        self._resolutions: NDArray[np.floating] | None = None
        self._quality: Any = None
        self._selected: NDArray[np.bool_] = np.zeros(0, bool)
        self._key = "number"
        self._brightness, self._contrast = 0.0, 1.0
        self.prepared_shown = False
        self.version = 0
        """Changes whenever pictures drawn before are out of date."""

    # ---- setters --------------------------------------------------------------------------------

    def set_images(
        self,
        names: Sequence[str],
        raw: Thumbnails,
        counts: NDArray[np.floating] | None = None,
        resolutions_A: NDArray[np.floating] | None = None,
    ) -> None:
        """Show these images, all selected, in the order of their file."""
        self.beginResetModel()
        self._names, self._raw = tuple(names), raw
        self._counts, self._resolutions = counts, resolutions_A
        self._quality = None
        self._selected = np.ones(len(names), bool)
        self._prepared, self._place = Thumbnails(), {}
        self._key = self._key if self._key in self.sorts() else "number"
        self._order = self._ordered()
        self.version += 1
        self.endResetModel()

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
        self._redraw()

    def set_quality(self, quality: Any) -> None:
        """Scores and marks: an :class:`engine.io.averages.AverageQuality`."""
        self._quality = quality if quality is not None and len(quality.score) == len(self._names) else None
        if self._key == "quality":
            self._reorder()
        self._changed()

    def set_selected(self, selected: NDArray[np.bool_]) -> None:
        """Which images are used."""
        if len(selected) == len(self._names):
            self._selected = selected
            self._changed()

    def sort_by(self, key: str) -> None:
        """Put the images into another order: a key of ``SORTS``."""
        self._key = key if key in self.sorts() else "number"
        self._reorder()

    def show_prepared(self, on: bool) -> None:
        """Show the images as prepared, or as read."""
        self.prepared_shown = on
        self._redraw()

    def set_contrast(self, brightness: float, contrast: float) -> None:
        """Change the grey values: ``brightness`` in [-1, 1], ``contrast`` a factor."""
        self._brightness, self._contrast = brightness, contrast
        self._redraw()

    # ---- getters --------------------------------------------------------------------------------

    def sorts(self) -> list[str]:
        """By what the images can be sorted."""
        known = {
            "particles": self._counts is not None,
            "resolution": self._resolutions is not None,
            "quality": self._quality is not None,
        }
        return [key for key in SORTS if known.get(key, True)]

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
        """What the delegate and screen readers ask for."""
        image = self.image_of(index)
        if image < 0:
            return None
        if role == PICTURE:
            return self._picture(image)
        if role == SELECTED:
            return bool(self._selected[image])
        if role == MARK:
            return self._mark(image)
        if role in (CAPTION, Qt.ItemDataRole.DisplayRole):
            return self._names[image]
        if role == DETAIL:
            return self._detail(image)
        if role == MASK:
            return self._mask_share if self._is_prepared(image) else 0.0
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._description(image)
        if role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Checked if self._selected[image] else Qt.CheckState.Unchecked
        return None

    # ---- inside ---------------------------------------------------------------------------------

    def _is_prepared(self, image: int) -> bool:
        return self.prepared_shown and image in self._place

    def _picture(self, image: int) -> QImage:
        prepared = self._is_prepared(image)
        source = self._prepared if prepared else self._raw
        place = self._place[image] if prepared else image
        if place >= len(source.pixels):
            return QImage()
        pixels = source.pixels[place]
        black, white = source.levels[place]
        grey = (np.arange(256) - black) / (white - black)
        grey = np.clip((grey - 0.5) * self._contrast + 0.5 + self._brightness / 2, 0, 1)
        shown = np.ascontiguousarray((grey * 255).astype(np.uint8)[pixels])
        height, width = shown.shape
        return QImage(shown.data, width, height, width, QImage.Format.Format_Grayscale8).copy()

    def _mark(self, image: int) -> str:
        if self._quality is None:
            return ""
        twin = int(self._quality.duplicate_of[image])
        if twin >= 0:
            return f"= {self._names[twin]}"
        return "junk?" if self._quality.junk[image] else ""

    def _detail(self, image: int) -> str:
        parts = []
        if self._counts is not None:
            parts.append(f"{self._counts[image]:,.0f}")
        if self._resolutions is not None and np.isfinite(self._resolutions[image]):
            parts.append(f"{self._resolutions[image]:.3g} Å")
        return " · ".join(parts)

    def _description(self, image: int) -> str:
        parts = [f"Image {self._names[image]}", "used" if self._selected[image] else "left out"]
        if self._counts is not None:
            parts.append(f"{self._counts[image]:,.0f} particles")
        if self._resolutions is not None and np.isfinite(self._resolutions[image]):
            parts.append(f"{self._resolutions[image]:.3g} Å")
        if self._quality is not None:
            parts.append(f"quality {self._quality.score[image]:.3g}")
            twin = int(self._quality.duplicate_of[image])
            if twin >= 0:
                parts.append(f"looks like image {self._names[twin]}")
            if self._quality.junk[image]:
                parts.append("looks like junk")
        return ", ".join(parts)

    def _ordered(self) -> NDArray[np.intp]:
        count = len(self._names)
        if self._key == "particles" and self._counts is not None:
            return np.argsort(-np.asarray(self._counts, float), kind="stable")
        if self._key == "resolution" and self._resolutions is not None:
            return np.argsort(np.nan_to_num(self._resolutions, nan=np.inf, posinf=np.inf), kind="stable")
        if self._key == "quality" and self._quality is not None:
            return np.argsort(-np.asarray(self._quality.score, float), kind="stable")
        return np.arange(count)

    def _reorder(self) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        images = [self.image_of(index) for index in before]
        self._order = self._ordered()
        self.changePersistentIndexList(before, [self.index_of(image) for image in images])
        self.layoutChanged.emit()

    def _redraw(self) -> None:
        self.version += 1
        self._changed()

    def _changed(self) -> None:
        if len(self._order):
            self.dataChanged.emit(self.index(0), self.index(len(self._order) - 1))
