"""Class averages beside what the map looks like from there: where it fits, and where it doesn't."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.number_fields import IntBox
from app.panels.sds_plots import ConfidencePlot, FitPlot
from app.style import Theme
from app.viewers.picture_grid import PictureGrid

EMPTY = "When class averages have been prepared and posed, each is shown here beside its projection."


def fitted(projection: NDArray[np.floating], image: NDArray[np.floating]) -> NDArray[np.float32]:
    """The projection with the factor and offset that bring it closest to the image."""
    x, y = np.asarray(projection, float).ravel(), np.asarray(image, float).ravel()
    x, y_mean = x - x.mean(), y.mean()
    power = float(x @ x)
    factor = float(x @ (y - y_mean)) / power if power > 0 else 0.0
    found: NDArray[np.float32] = (factor * x + y_mean).reshape(projection.shape).astype(np.float32)
    return found


class MatchStrip(PictureGrid):
    """Class average, projection, difference."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(3, parent)
        self.setFixedHeight(140)
        self.setAccessibleName("Class average, projection of the map, difference")

    def show_match(self, image: NDArray[np.floating], projection: NDArray[np.floating] | None) -> None:
        """Show (y, x) and, if there is one, the projection; both in the same black and white."""
        low, high = float(image.min()), float(image.max())
        if projection is None:
            self.set_images([image], ["Class average"], [(low, high)])
            return
        seen = fitted(projection, image)
        # Grey is no difference; one fifth of the contrast would still be seen.
        reach = 0.5 * (high - low)
        self.set_images(
            [image, seen, image - seen],
            ["Class average", "Projection", "Difference"],
            [(low, high), (low, high), (-reach, reach)],
        )


class MatchesPanel(QWidget):
    """One class average at a time, the fits of all, and how sure the poses are. Setters only."""

    image_chosen = Signal(int)
    volume_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = QLabel(EMPTY)
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._number = IntBox()
        self._number.setRange(1, 1)
        self._number.setPrefix("Class average ")
        self._number.setAccessibleName("Class average shown")
        self._number.valueChanged.connect(self.image_chosen)
        self._worst = QPushButton("Worst fit")
        self._worst.setToolTip("Go to the class average that fits the map worst")
        self._worst.clicked.connect(self._go_to_worst)
        self._volume = QPushButton("Show its volume")
        self._volume.clicked.connect(lambda: self.volume_wanted.emit(self._number.value()))
        self._bar = QWidget()
        bar = QHBoxLayout(self._bar)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.addWidget(self._number, 1)
        bar.addWidget(self._worst)
        bar.addWidget(self._volume)
        self.strip = MatchStrip()
        self._facts = QLabel()
        self._facts.setObjectName("muted")
        self._facts.setWordWrap(True)
        self.fits, self.confidence = FitPlot(), ConfidencePlot()
        self.fits.picked.connect(self._number.setValue)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for part, stretch in (
            (self._empty, 0), (self._bar, 0), (self.strip, 0), (self._facts, 0), (self.fits, 1),
            (self.confidence, 1),
        ):  # fmt: skip
            layout.addWidget(part, stretch)
        layout.addStretch(0)
        self._layout = layout
        self.clear()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for part in (self.strip, self.fits, self.confidence):
            part.set_theme(theme)

    @property
    def image(self) -> int:
        """The class average that is shown, counted from 1."""
        return self._number.value()

    def set_run(
        self,
        count: int,
        correlation: NDArray[np.floating] | None,
        confidence: NDArray[np.floating] | None,
        *,
        has_volumes: bool,
    ) -> None:
        """Offer this many class averages, with what is known of their poses (n,)."""
        self._number.blockSignals(True)
        self._number.setRange(1, max(1, count))
        self._number.setSuffix(f" of {count}")
        self._number.blockSignals(False)
        self.fits.set_values(np.zeros(0) if correlation is None else correlation)
        self.confidence.set_values(np.zeros(0) if confidence is None else confidence)
        known = correlation is not None and bool(np.isfinite(correlation).any())
        self.fits.setVisible(known)
        self._worst.setVisible(known)
        self.confidence.setVisible(confidence is not None and bool(np.isfinite(confidence).any()))
        self._volume.setVisible(has_volumes)
        for part in (self._bar, self.strip, self._facts):
            part.setVisible(count > 0)
        self._empty.setVisible(count == 0)
        self._layout.setStretch(6, 0 if known else 1)

    def show_image(
        self,
        image: int,
        picture: NDArray[np.floating],
        projection: NDArray[np.floating] | None,
        facts: str,
        *,
        has_volume: bool,
    ) -> None:
        """Show a class average, counted from 1."""
        self._number.blockSignals(True)
        self._number.setValue(image)
        self._number.blockSignals(False)
        self.strip.show_match(picture, projection)
        self._facts.setText(facts)
        self.fits.select(image)
        self._volume.setEnabled(has_volume)

    def clear(self) -> None:
        """Show the empty state."""
        self.strip.clear()
        self._facts.clear()
        self.set_run(0, None, None, has_volumes=False)

    def _go_to_worst(self) -> None:
        _, rows = self.fits.table()
        known = [(value, image) for image, value in rows if np.isfinite(value)]
        if known:
            self._number.setValue(min(known)[1])
