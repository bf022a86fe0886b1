"""The volumes of a run as points: which differ how. A click picks one, or adds it to a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from app.later import Later
from app.panels.lasso import Group, LassoTool, colour, inside
from app.panels.plot import Plot, Table

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

REACH_PX = 14.0


class LandscapePlot(Plot):
    """Two coordinates of each volume, the one that is shown, and a path through some."""

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._points = np.zeros((0, 2))
        self._images: NDArray[np.integer] = np.zeros(0, int)
        self._selected = -1
        self._path: Sequence[int] = ()
        self._place: tuple[float, float] | None = None
        super().__init__("Component 1", "Component 2", parent, name="landscape")
        self._numbers: list[pg.TextItem] = []
        self.groups: tuple[Group, ...] = ()
        self.lasso = LassoTool(self)
        self.setMinimumHeight(230)

    def prepare(self) -> None:
        """Add the dots, rings and the path."""
        self._line = pg.PlotDataItem()
        self._dots = pg.ScatterPlotItem(size=9)
        self._stops = pg.ScatterPlotItem(size=13)
        self._here = pg.ScatterPlotItem(size=13, symbol="d")
        self._ring = pg.ScatterPlotItem(size=17)
        for item in (self._line, self._dots, self._stops, self._ring, self._here):
            self.item.addItem(item)
        self.widget.scene().sigMouseClicked.connect(self._clicked)
        self.widget.scene().sigMouseMoved.connect(self._moved)

    def set_points(
        self, points: NDArray[np.floating], images: NDArray[np.integer], x_label: str, y_label: str
    ) -> None:
        """Show (n, 2) and the class average of each, counted from 1."""
        self._points, self._images = np.asarray(points, float), np.asarray(images)
        self.set_label("bottom", x_label)
        self.set_label("left", y_label)
        self._place = None
        self.redraw()
        if self.made:
            self.item.autoRange()

    def select(self, index: int) -> None:
        """Ring a point, counted from 0; -1 for none."""
        self._selected = index
        self.redraw()

    def set_path(self, members: Sequence[int], place: tuple[float, float] | None = None) -> None:
        """Draw a path through points (from 0), and where on it the picture is."""
        self._path, self._place = list(members), place
        self.redraw()

    def set_groups(self, groups: tuple[Group, ...]) -> None:
        """Colour the points of groups; where some overlap, the later one's colour is seen."""
        self.groups = groups
        self.redraw()

    def within(self, corners: NDArray[np.floating]) -> tuple[int, ...]:
        """The points inside a polygon in the plot's coordinates."""
        return tuple(int(i) for i in np.flatnonzero(inside(self._points, corners)))

    def draw(self) -> None:
        """Draw points, path and rings."""
        theme, points = self.theme, self._points
        colours = [theme.series[0]] * len(points)
        for i, group in enumerate(self.groups):
            for member in group.members:
                if member < len(points):
                    colours[member] = colour(i, theme)
        brushes = {name: pg.mkBrush(name) for name in set(colours)}
        self._dots.setData(
            x=points[:, 0], y=points[:, 1], brush=[brushes[c] for c in colours], pen=pg.mkPen(theme.surface)
        )
        stops = points[list(self._path)] if self._path else np.zeros((0, 2))
        self._line.setData(stops[:, 0], stops[:, 1], pen=pg.mkPen(theme.series[1], width=2))
        self._stops.setData(
            x=stops[:, 0], y=stops[:, 1], brush=pg.mkBrush(theme.series[1]), pen=pg.mkPen(theme.surface)
        )
        ring = points[[self._selected]] if 0 <= self._selected < len(points) else np.zeros((0, 2))
        self._ring.setData(x=ring[:, 0], y=ring[:, 1], brush=None, pen=pg.mkPen(theme.text, width=2))
        here = [] if self._place is None else [self._place]
        self._here.setData(
            x=[x for x, _ in here], y=[y for _, y in here],
            brush=pg.mkBrush(theme.series[4]), pen=pg.mkPen(theme.text),
        )  # fmt: skip
        for number in self._numbers:
            self.item.removeItem(number)
        self._numbers = []
        for i, (x, y) in enumerate(stops, 1):
            number = pg.TextItem(str(i), color=theme.text, anchor=(-0.35, 1.05))
            number.setPos(x, y)
            self.item.addItem(number, ignoreBounds=True)
            self._numbers.append(number)

    def nearest(self, scene_position: object) -> int:
        """The point near a position of the scene, from 0; -1 if none is near."""
        if not len(self._points):
            return -1
        place = self.item.vb.mapSceneToView(scene_position)
        width, height = self.item.vb.viewPixelSize()
        away = np.hypot((self._points[:, 0] - place.x()) / width, (self._points[:, 1] - place.y()) / height)
        found = int(away.argmin())
        return found if away[found] <= REACH_PX else -1

    def table(self) -> Table:
        """Coordinates as they are drawn."""
        names = ("image", self._labels["bottom"], self._labels["left"], "groups")
        rows = zip(self._images, self._points, strict=True)
        return names, [(int(i), x, y, self._groups_of(k)) for k, (i, (x, y)) in enumerate(rows)]

    def _groups_of(self, place: int) -> str:
        return "; ".join(group.name for group in self.groups if place in group.members)

    def _clicked(self, event: object) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not self.lasso.on:  # type: ignore[attr-defined]
            found = self.nearest(event.scenePos())  # type: ignore[attr-defined]
            if found >= 0:
                self.picked.emit(found)

    def _moved(self, position: object) -> None:
        found = self.nearest(position)
        self.widget.setToolTip(f"Class average {self._images[found]}" if found >= 0 else "")
