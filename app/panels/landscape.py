"""The landscape of volumes: points to click, a path to play. Setters and signals only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from app.number_fields import ChoiceBox
from app.panels.landscape_plot import LandscapePlot
from app.panels.lasso import Group, GroupList
from app.panels.matches import MatchStrip
from app.style import Theme
from engine.io.landscape_file import along_polyline

EMPTY = (
    "When volumes for several class averages are finished, they are shown here as points: near each other "
    "where they look alike. Choose “One volume for each class average” to get them."
)
STOPS = 60  # pictures along a path
PLAY_MS = 120
UMAP = -1


class LandscapePanel(QWidget):
    """Axes, points, the class average of the one that is shown, and the path."""

    volume_chosen = Signal(int)
    place_chosen = Signal(object, bool)
    averages_wanted = Signal(object)
    list_wanted = Signal(str, object)
    grouped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.coordinates = np.zeros((0, 0), np.float32)
        self.images: NDArray[np.integer] = np.zeros(0, int)
        self.path: list[int] = []
        self._explained: NDArray[np.floating] = np.zeros(0)
        self._umap: NDArray[np.floating] | None = None
        self._empty = QLabel(EMPTY)
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._x, self._y = _axis("Horizontal axis"), _axis("Vertical axis")
        for box in (self._x, self._y):
            box.activated.connect(lambda _i: self._show_points())
        self.plot = LandscapePlot()
        self.plot.picked.connect(self._picked)
        self.plot.lasso.drawn.connect(self._lassoed)
        self.strip = MatchStrip()
        self._facts = QLabel()
        self._facts.setWordWrap(True)
        self._draw = QPushButton("Draw a path")
        self._draw.setCheckable(True)
        self._draw.setToolTip("Then click volumes one after the other")
        self._draw.toggled.connect(self._draw_toggled)
        self._lasso = QPushButton("Lasso")
        self._lasso.setCheckable(True)
        self._lasso.setToolTip("Drag around volumes to make a group; each has its own colour")
        self._lasso.toggled.connect(self._lasso_toggled)
        self.group_list = GroupList()
        self.group_list.renamed.connect(self._rename)
        self.group_list.removed.connect(self._remove)
        self.group_list.mean_wanted.connect(self._show_mean)
        self.group_list.averages_wanted.connect(lambda i: self.averages_wanted.emit(self.images_of(i)))
        self.group_list.file_wanted.connect(
            lambda i: self.list_wanted.emit(self.plot.groups[i].name, self.images_of(i))
        )
        self._clear = QPushButton("Clear")
        self._clear.setToolTip("Forget the path")
        self._clear.clicked.connect(self.clear_path)
        self._play = QPushButton("Play")
        self._play.setCheckable(True)
        self._play.setToolTip("Run along the path, to and fro")
        self._play.toggled.connect(self._play_toggled)
        self._how = ChoiceBox()
        self._how.addItem("Interpolated", True)
        self._how.addItem("Nearest volume", False)
        self._how.setToolTip(
            "Interpolated: sums of the mean and the components. Nearest: real reconstructions only."
        )
        self._how.setAccessibleName("What is shown between the volumes of the path")
        self._how.activated.connect(lambda _i: self._place_changed())
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, STOPS - 1)
        self._slider.setAccessibleName("Place on the path")
        self._slider.valueChanged.connect(lambda _v: self._place_changed())
        self._step = 1
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_MS)
        self._timer.timeout.connect(self._advance)
        axes, buttons, place = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        axes.addWidget(QLabel("Across"))
        axes.addWidget(self._x, 1)
        axes.addWidget(QLabel("Up"))
        axes.addWidget(self._y, 1)
        for part, stretch in ((self._lasso, 0), (self._draw, 1), (self._clear, 0), (self._play, 0)):
            buttons.addWidget(part, stretch)
        place.addWidget(self._slider, 1)
        place.addWidget(self._how)
        self._body = QWidget()
        inner = QVBoxLayout(self._body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(axes)
        inner.addWidget(self.plot, 1)
        inner.addLayout(buttons)
        inner.addLayout(place)
        inner.addWidget(self.group_list)
        inner.addWidget(self.strip)
        inner.addWidget(self._facts)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._empty)
        layout.addWidget(self._body, 1)
        self._rest = layout
        layout.addStretch(0)
        self.clear()

    # ---- setters --------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.plot.set_theme(theme)
        self.strip.set_theme(theme)
        self.group_list.set_theme(theme)

    def set_landscape(
        self,
        coordinates: NDArray[np.floating],
        explained: NDArray[np.floating],
        images: NDArray[np.integer],
        umap: NDArray[np.floating] | None = None,
    ) -> None:
        """Show volumes at (n, k), with the share of variance of each coordinate and their class averages."""
        if np.array_equal(coordinates, self.coordinates) and np.array_equal(images, self.images):
            return  # read again while the run goes on: a path that is being drawn stays
        self.stop()
        self.coordinates, self.images = coordinates, images
        self._explained, self._umap = explained, umap
        self.path = []
        self.set_groups(())
        for box, first in ((self._x, 0), (self._y, 1)):
            box.clear()
            for k, share in enumerate(explained):
                box.addItem(f"PC {k + 1} · {100 * share:.0f} %", k)
            if umap is not None and box is self._x:
                box.addItem("UMAP", UMAP)
            box.setCurrentIndex(min(first, box.count() - 1))
        shown = len(coordinates) > 0
        self._body.setVisible(shown)
        self._empty.setVisible(not shown)
        self._rest.setStretch(2, 0 if shown else 1)
        self.strip.hide()
        self._facts.hide()
        self._show_path()
        self._show_points()

    def select_image(self, image: int) -> None:
        """Ring the volume of a class average, counted from 1; nothing is emitted."""
        found = np.flatnonzero(self.images == image)
        self.plot.select(int(found[0]) if len(found) else -1)

    def show_facts(
        self, picture: NDArray[np.floating] | None, projection: NDArray[np.floating] | None, text: str
    ) -> None:
        """Show the class average of the chosen volume, and say what is known of it."""
        self.strip.setVisible(picture is not None)
        if picture is not None:
            self.strip.show_match(picture, projection)
        self._facts.setText(text)
        self._facts.setVisible(bool(text))

    def clear(self) -> None:
        """Show the empty state."""
        none = np.zeros((0, 0), np.float32)
        self.coordinates = np.zeros((1, 0), np.float32)  # unlike none, so that it is shown
        self.set_landscape(none, none.ravel(), np.zeros(0, int))

    def stop(self) -> None:
        """Stop playing and drawing."""
        self._play.setChecked(False)
        self._draw.setChecked(False)
        self._lasso.setChecked(False)

    # ---- groups ---------------------------------------------------------------------------------

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that were drawn around."""
        return self.plot.groups

    def set_groups(self, groups: tuple[Group, ...]) -> None:
        """Show these groups; members that there are not are left out."""
        count = len(self.coordinates)
        kept = [Group(g.name, tuple(m for m in g.members if 0 <= m < count)) for g in groups]
        self.plot.set_groups(tuple(g for g in kept if g.members))
        self.group_list.show_groups(self.plot.groups)

    def images_of(self, number: int) -> list[int]:
        """Class averages of a group, counted from 1."""
        return [int(self.images[m]) for m in self.plot.groups[number].members]

    def _lasso_toggled(self, on: bool) -> None:
        if on:
            self._draw.setChecked(False)
        self.plot.lasso.set_on(on)

    def _lassoed(self, corners: NDArray[np.floating]) -> None:
        members = self.plot.within(corners)
        if members:
            taken = {group.name for group in self.groups}
            name = next(n for n in (f"Group {i}" for i in itertools.count(1)) if n not in taken)
            self.set_groups((*self.groups, Group(name, members)))
            self.grouped.emit()

    def _rename(self, number: int, name: str) -> None:
        groups = list(self.groups)
        groups[number] = Group(name or groups[number].name, groups[number].members)
        self.set_groups(tuple(groups))
        self.grouped.emit()

    def _remove(self, number: int) -> None:
        self.set_groups(tuple(g for i, g in enumerate(self.groups) if i != number))
        self.grouped.emit()

    def _show_mean(self, number: int) -> None:
        self.place_chosen.emit(self.coordinates[list(self.groups[number].members)].mean(0), True)

    # ---- the path -------------------------------------------------------------------------------

    def set_path(self, members: Sequence[int]) -> None:
        """Take a path through volumes, counted from 0."""
        self.path = []
        for member in members:
            if not self.path or member != self.path[-1]:
                self.path.append(int(member))
        self._show_path()

    def clear_path(self) -> None:
        """Forget the path."""
        self._play.setChecked(False)
        self.set_path([])

    def _picked(self, index: int) -> None:
        if self._draw.isChecked():
            self.set_path([*self.path, index])
            return
        self.plot.select(index)
        self.volume_chosen.emit(int(self.images[index]))

    def _draw_toggled(self, on: bool) -> None:
        self._draw.setText("Click volumes, then press here" if on else "Draw a path")
        if on:
            self._lasso.setChecked(False)
        if not on and self._has_path():
            self._slider.setValue(0)
            self._place_changed()

    def _has_path(self) -> bool:
        if len(self.path) < 2:
            return False
        corners = self.coordinates[self.path]
        return bool(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum() > 0)

    def _show_path(self) -> None:
        self.plot.set_path(self.path)
        for part in (self._slider, self._how, self._play):
            part.setEnabled(self._has_path())
        self._clear.setEnabled(bool(self.path))

    def _place_changed(self) -> None:
        if not self._has_path():
            return
        place = self._slider.value()
        point = along_polyline(self.coordinates[self.path], STOPS)[place]
        drawn = along_polyline(self._drawn()[self.path], STOPS) if self._umap_shown() else None
        here = drawn[place] if drawn is not None else point[self._axes()]
        self.plot.set_path(self.path, (float(here[0]), float(here[1])))
        self.place_chosen.emit(point, bool(self._how.currentData()))

    def _play_toggled(self, on: bool) -> None:
        self._play.setText("Pause" if on else "Play")
        if on:
            self._draw.setChecked(False)
            self._timer.start()
        else:
            self._timer.stop()

    def _advance(self) -> None:
        value = self._slider.value() + self._step
        if not 0 <= value < STOPS:
            self._step = -self._step
            value = self._slider.value() + self._step
        self._slider.setValue(value)

    # ---- axes -----------------------------------------------------------------------------------

    def _umap_shown(self) -> bool:
        return self._x.currentData() == UMAP and self._umap is not None

    def _axes(self) -> list[int]:
        return [int(self._x.currentData() or 0), int(self._y.currentData() or 0)]

    def _drawn(self) -> NDArray[np.floating]:
        """The two coordinates of each volume that are drawn."""
        if self._umap_shown() and self._umap is not None:
            return self._umap
        if not self.coordinates.size:
            return np.zeros((0, 2))
        if self.coordinates.shape[1] == 1:
            return np.column_stack([self.coordinates[:, 0], np.zeros(len(self.coordinates))])
        return self.coordinates[:, self._axes()]

    def _show_points(self) -> None:
        self._y.setEnabled(not self._umap_shown())
        names = [f"Component {k + 1} (RMS change of density)" for k in self._axes()]
        if self._umap_shown():
            names = ["UMAP 1 (no unit)", "UMAP 2 (no unit)"]
        self.plot.set_points(self._drawn(), self.images, *names)
        self.plot.set_path(self.path)


def _axis(name: str) -> ChoiceBox:
    box = ChoiceBox()
    box.setAccessibleName(name)
    box.setToolTip(f"{name}: principal component, and its share of the variance between the volumes")
    box.setMinimumContentsLength(6)
    return box
