"""Class averages beside what the map looks like from there: where it fits, and where it doesn't."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from app.number_fields import IntBox
from app.panels.image_table import ImageTable
from app.panels.place import PlacePanel
from app.panels.sds_plots import ConfidencePlot, FitPlot
from app.style import Theme
from app.viewers.colours import rgb
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


def to_signed(image: NDArray[np.floating], reach: float, theme: Theme) -> QImage:
    """(y, x) as a picture: blue below zero, orange above, the surface's colour at zero."""
    share = np.clip(np.nan_to_num(np.asarray(image, np.float32) / (reach or 1.0)), -1, 1)[..., None]
    middle, low, high = (np.array(rgb(c)) for c in (theme.surface, theme.series[0], theme.series[1]))
    mixed = middle + np.where(share < 0, -share * (low - middle), share * (high - middle))
    values = np.ascontiguousarray(np.rint(mixed * 255), np.uint8)
    rows, columns = values.shape[:2]
    return QImage(values.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()


class MatchStrip(PictureGrid):
    """Image, projection, difference: the first two in one scale of grey, the third in signed colours."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(3, parent)
        self._difference: NDArray[np.floating] | None = None
        self._reach = 1.0
        self._dots: tuple[NDArray[np.floating], ...] = ()
        self.setFixedHeight(140)
        self.setAccessibleName("Image, projection of what is shown, difference")
        self.setToolTip(
            "Image and projection have the same black and white. Difference = image − projection: blue below "
            "zero, orange above, up to half the contrast of the image."
        )

    def show_match(
        self,
        image: NDArray[np.floating],
        projection: NDArray[np.floating] | None,
        *,
        name: str = "Class average",
        fit: bool = True,
        dots: tuple[NDArray[np.floating], ...] = (),
    ) -> None:
        """Show (y, x) and, if there is one, the projection.

        Parameters
        ----------
        name : what the image is.
        fit : bring the projection closest to the image; else it is so already, and both are in σ.
        dots : measured points and the object's points as they are seen, (m, 2) each, shares of the
            width: drawn over the image and over the projection.
        """
        low, high = float(image.min()), float(image.max())
        self._dots = dots
        self._difference = None
        if projection is None:
            self.set_images([image], [name], [(low, high)])
            return
        seen = fitted(projection, image) if fit else projection
        self._reach = 0.5 * (high - low)
        self._difference = np.asarray(image - seen)
        self.set_images(
            [image, seen, self._difference],
            [name, "Projection", "Difference" if fit else f"Difference ±{self._reach:.1f} σ"],
            [(low, high), (low, high), (-self._reach, self._reach)],
        )
        self._tint()

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        super().set_theme(theme)
        self._tint()

    def clear(self) -> None:
        """Show nothing."""
        self._difference, self._dots = None, ()
        super().clear()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the points over the pictures."""
        super().paintEvent(event)
        if not self._dots:
            return
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        boxes = self.boxes()
        # Over the image what was measured, over the projection both: where they differ shows.
        for box, some in zip(boxes[:2], (self._dots[:1], self._dots), strict=False):
            painter.setClipRect(box)
            for colour, points in zip((self.theme.series[4], self.theme.series[5]), some, strict=False):
                painter.setBrush(QColor(colour))
                for x, y in points:
                    painter.drawEllipse(
                        QPointF(box.left() + x * box.width(), box.top() + y * box.height()), 1.0, 1.0
                    )
        painter.end()

    def _tint(self) -> None:
        if self._difference is not None and len(self._pictures) == 3:
            self._pictures[2] = to_signed(self._difference, self._reach, self.theme)
            self.update()


class MatchesPanel(QWidget):
    """One image at a time, then all of them: table, plots, what they say about a place. Setters only."""

    image_chosen = Signal(int)
    volume_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = QLabel(EMPTY)
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._number = IntBox()
        self._number.setRange(1, 1)
        self._number.setPrefix("Average ")
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
        self.strip.setMinimumHeight(140)
        self.strip.setMaximumHeight(260)
        self._facts = QLabel()
        self._facts.setObjectName("muted")
        self._facts.setWordWrap(True)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fits, self.confidence = FitPlot(), ConfidencePlot()
        self.fits.picked.connect(self._number.setValue)
        self.table, self.place = ImageTable(), PlacePanel()
        self.table.chosen.connect(lambda row: self._number.setValue(row + 1))
        self.place.image_chosen.connect(self._number.setValue)
        plots = QWidget()
        column = QVBoxLayout(plots)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.fits, 1)
        column.addWidget(self.confidence, 1)
        self.more = QTabWidget()
        self.more.setDocumentMode(True)
        for part, title, tip in (
            (plots, "Plots", "How well all images fit, and how sure their poses are"),
            (self.table, "All images", "Sort by any column; click a row to see the image"),
            (self.place, "At a place", "Which images support the density at a place"),
        ):
            self.more.setTabToolTip(self.more.addTab(part, title), tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for part, stretch in (
            (self._empty, 0), (self._bar, 0), (self.strip, 1), (self._facts, 0), (self.more, 3)
        ):  # fmt: skip
            layout.addWidget(part, stretch)
        layout.addStretch(0)
        self._layout = layout
        self.set_comparable(False)
        self.clear()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for part in (self.strip, self.fits, self.confidence, self.table, self.place):
            part.set_theme(theme)

    @property
    def image(self) -> int:
        """The class average that is shown, counted from 1."""
        return self._number.value()

    def select_image(self, image: int) -> None:
        """Go to an image, counted from 1, as if it had been chosen."""
        self._number.setValue(image)

    def set_run(
        self,
        count: int,
        correlation: NDArray[np.floating] | None,
        confidence: NDArray[np.floating] | None,
        *,
        has_volumes: bool,
        noun: str = "class average",
    ) -> None:
        """Offer this many images, with what is known of their poses (n,)."""
        short = noun.rpartition(" ")[2]  # the field is narrow
        self._number.setPrefix(f"{short[:1].upper()}{short[1:]} ")
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
        for part in (self._bar, self.strip, self._facts, self.more):
            part.setVisible(count > 0)
        self._empty.setVisible(count == 0)
        self._layout.setStretch(5, 1 if count == 0 else 0)

    def set_comparable(self, on: bool) -> None:
        """Whether table and place have something to show: images with poses, and a result."""
        self.more.setTabVisible(1, on)
        self.more.setTabVisible(2, on)

    def set_fits(self, correlation: NDArray[np.floating]) -> None:
        """Show how well all images (n,) fit what is shown."""
        self.fits.set_values(correlation)
        self.fits.setVisible(True)
        self._worst.setVisible(True)

    def show_comparison(
        self,
        image: int,
        picture: NDArray[np.floating],
        projection: NDArray[np.floating],
        facts: str,
        *,
        name: str,
        dots: tuple[NDArray[np.floating], ...] = (),
    ) -> None:
        """Show an image, counted from 1, beside what is shown as seen from there."""
        self._number.blockSignals(True)
        self._number.setValue(image)
        self._number.blockSignals(False)
        self.strip.show_match(picture, projection, name=name, fit=False, dots=dots)
        self._facts.setText(facts)
        self.fits.select(image)

    def show_image(
        self,
        image: int,
        picture: NDArray[np.floating],
        projection: NDArray[np.floating] | None,
        facts: str,
        *,
        has_volume: bool,
        name: str = "Class average",
    ) -> None:
        """Show a class average or another image, counted from 1."""
        self._number.blockSignals(True)
        self._number.setValue(image)
        self._number.blockSignals(False)
        self.strip.show_match(picture, projection, name=name)
        self._facts.setText(facts)
        self.fits.select(image)
        self._volume.setEnabled(has_volume)

    def clear(self) -> None:
        """Show the empty state."""
        self.strip.clear()
        self._facts.clear()
        self.place.clear()
        self.table.set_columns((), ())
        self.set_comparable(False)
        self.set_run(0, None, None, has_volumes=False)

    def _go_to_worst(self) -> None:
        _, rows = self.fits.table()
        known = [(value, image) for image, value in rows if np.isfinite(value)]
        if known:
            self._number.setValue(min(known)[1])
