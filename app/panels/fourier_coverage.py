"""What was measured and what the prior supplied: directions, shells of Fourier space. Setters only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.fourier_coverage import FourierCoverage, words_of
from app.later import Later
from app.panels.coverage import CoverageCard
from app.panels.legend import Legend
from app.panels.plot import Plot, Table
from app.panels.run_frame import words_label
from app.style import Theme

if TYPE_CHECKING:
    import pyqtgraph as pg
else:
    pg = Later("pyqtgraph")

MEASURED, SUPPLIED = "Share measured", "Share of power from the prior"
EMPTY = (
    "When a volume from known poses is finished, it is shown here which part of it was measured and which "
    "the prior supplied."
)


class FourierCoveragePlot(Plot):
    """Shares of the shells of Fourier space, and how far each part agrees with the reference.

    Frequencies below, the same as resolution in Å above.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        self._found: FourierCoverage | None = None
        self._legend: Legend | None = None
        super().__init__(
            "Spatial frequency (1/Å)", "Share of the shell; FSC", parent, name="fourier_coverage"
        )
        self.setMinimumHeight(230)
        self.setAccessibleName("Share of Fourier space that was measured, by resolution")

    def prepare(self) -> None:
        """Add the legend, and resolutions above."""
        self._legend = Legend(self.item)
        self.item.showAxis("top")
        top = self.item.getAxis("top")
        top.tickStrings = lambda values, _scale, _spacing: [resolution(value) for value in values]
        top.enableAutoSIPrefix(False)
        top.setStyle(maxTickLevel=0)

    def set_coverage(self, found: FourierCoverage | None) -> None:
        """Show this, or nothing."""
        self._found = found
        self.setAccessibleDescription(words_of(found) if found is not None else "")
        self.redraw()

    def curves(self) -> list[tuple[str, Any, bool]]:
        """Name, values (n,), and whether it is dashed, of each curve."""
        if self._found is None:
            return []
        shares = [(MEASURED, self._found.measured, False), (SUPPLIED, self._found.supplied_power, False)]
        return shares + [(name, values, True) for name, values in self._found.fsc.items()]

    def draw(self) -> None:
        """Draw the curves."""
        assert self._legend is not None  # noqa: S101 - for the type checker
        self.item.clear()
        self._legend.clear()
        top = self.item.getAxis("top")
        top.setPen(pg.mkPen(self.theme.border))
        top.setTextPen(pg.mkPen(self.theme.text))
        top.setLabel("Resolution (Å)", color=self.theme.text)
        if self._found is None:
            return
        frequency, lowest = self._found.frequency_per_A, -0.02
        colours = [self.theme.series[i] for i in (0, 1, 2, 3)]
        for (name, values, dashed), colour in zip(self.curves(), colours, strict=False):
            keep = np.isfinite(values)
            style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
            pen = pg.mkPen(colour, width=1.6 if dashed else 2.2, style=style)
            item = self.item.plot(frequency[keep], values[keep], pen=pen)
            self._legend.add(item, name)
            lowest = min(lowest, float(values[keep].min(initial=0.0)) - 0.03)
        self.item.setYRange(lowest, 1.05, padding=0)
        self.item.setXRange(0.0, float(frequency[-1]), padding=0.01)
        self._legend.settle(self.theme)

    def table(self) -> Table:
        """Every shell."""
        if self._found is None:
            return (), ()
        curves = self.curves()
        names = ["frequency_per_A", "resolution_A", *(name for name, _, _ in curves)]
        frequency = self._found.frequency_per_A
        return names, [[f, 1 / f, *(values[i] for _, values, _ in curves)] for i, f in enumerate(frequency)]


class FourierCoveragePanel(QWidget):
    """Directions of view above, shells of Fourier space below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = words_label("muted")
        self._empty.setText(EMPTY)
        self.card = CoverageCard(clickable=False)
        self._words = words_label("")
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.plot = FourierCoveragePlot()
        self._key = QLabel(
            "Colour surface and slices by it: “Prior share” above the volume (C). Grey was measured, orange "
            "comes from the prior."
        )
        self._key.setObjectName("muted")
        self._key.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for part, stretch in (
            (self._empty, 0), (self.card, 0), (self._words, 0), (self.plot, 1), (self._key, 0)
        ):  # fmt: skip
            layout.addWidget(part, stretch)
        layout.addStretch(0)
        self._layout = layout
        self.clear()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.plot.set_theme(theme)
        self.card.retint()

    def show_coverage(self, found: FourierCoverage | None, *, coloured: bool) -> None:
        """Show what was measured; ``coloured``: the surface can be coloured by it."""
        self.plot.set_coverage(found)
        self._words.setText(words_of(found) if found is not None else "")
        for part in (self.plot, self._words):
            part.setVisible(found is not None)
        self._key.setVisible(coloured)
        self._show_empty()

    def show_directions(self, shown: bool) -> None:
        """Show or hide the map of directions, once it has been filled."""
        self.card.setVisible(shown)
        self._show_empty()

    def clear(self) -> None:
        """Show the empty state."""
        self.card.hide()
        self.show_coverage(None, coloured=False)

    def _show_empty(self) -> None:
        empty = self._words.isHidden() and self.card.isHidden()
        self._empty.setVisible(empty)
        self._layout.setStretch(5, 1 if self.plot.isHidden() else 0)


def resolution(frequency_per_A: float) -> str:
    """A spatial frequency as a resolution in Å, as short as its size allows."""
    if frequency_per_A <= 0:
        return ""
    return f"{1 / frequency_per_A:.3g}"
