"""A plot's legend, where it hides as little of the curves as it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor

from app.later import Later
from app.style import Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

GAP, BUTTON = 6, 34  # px from the edges; of the button that saves the plot
CORNERS = ((1, 0), (1, 1), (0, 1), (0, 0))  # right or not, down or not; in the order of preference
ALONG = 40  # places that a line between two points is looked at


class Legend:
    """The legend of one plot.

    Parameters
    ----------
    item : what it is added to.
    columns : of names.
    """

    def __init__(self, item: pg.PlotItem, *, columns: int = 1) -> None:
        self._item = item
        self._legend = item.addLegend(offset=(-BUTTON, GAP), labelTextSize="9pt", colCount=columns)
        self._legend.setZValue(50)
        self._corner = CORNERS[0]

    def add(self, curve: pg.PlotDataItem, name: str) -> None:
        """Name one more curve."""
        self._legend.addItem(curve, name)

    def clear(self) -> None:
        """Name none."""
        self._legend.clear()

    def settle(self, theme: Theme) -> None:
        """Use a theme's colours, on a ground of their own, and go where few curves pass."""
        ground = QColor(theme.surface)
        ground.setAlpha(215)
        self._legend.setBrush(pg.mkBrush(ground))
        self._legend.setLabelTextColor(theme.text)
        for _sample, label in self._legend.items:
            label.setText(label.text, color=theme.text)
        self._item.vb.updateAutoRange()
        size = self._item.vb.size()
        if size.width() < 1 or size.height() < 1:
            return
        box = self._legend.boundingRect()
        shares = (box.width() + BUTTON) / size.width(), (box.height() + GAP) / size.height()
        corner = emptiest(self._places(), *shares, self._corner)
        if corner != self._corner:
            self._corner = corner
            right, down = corner
            x = (-GAP if down else -BUTTON) if right else GAP
            self._legend.setOffset((x, -GAP if down else GAP))

    def _places(self) -> NDArray[np.floating]:
        """(n, 2) where curves run, from the upper left corner, in widths and heights of the axes."""
        vb = self._item.vb
        left, top, width, height = vb.viewRect().getRect()
        found = []
        for curve in self._item.listDataItems():
            x, y = curve.getData()
            if x is None or not len(x):
                continue
            steps = np.linspace(0, len(x) - 1, ALONG * min(len(x), 20))
            at = np.arange(len(x))
            found.append(np.stack([np.interp(steps, at, x), np.interp(steps, at, y)], 1))
        if not found or width == 0 or height == 0:
            return np.zeros((0, 2))
        places: NDArray[np.floating] = (np.concatenate(found) - [left, top]) / [width, height]
        if vb.state["xInverted"]:
            places[:, 0] = 1 - places[:, 0]
        if not vb.state["yInverted"]:
            places[:, 1] = 1 - places[:, 1]
        return places


def emptiest(
    places: NDArray[np.floating], width: float, height: float, present: tuple[int, int]
) -> tuple[int, int]:
    """The corner of a unit square where a box of this size hides the fewest places.

    The present corner is left only for one where less than half as many are hidden, so that a legend
    doesn't jump to and fro while curves grow.
    """
    hidden = {
        (right, down): int(
            np.count_nonzero(
                (places[:, 0] > 1 - width if right else places[:, 0] < width)
                & (places[:, 1] > 1 - height if down else places[:, 1] < height)
            )
        )
        for right, down in CORNERS
    }
    best = min(CORNERS, key=hidden.__getitem__)
    return best if 2 * hidden[best] < hidden[present] else present
