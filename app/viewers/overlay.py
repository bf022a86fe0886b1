"""Scale bar, axes, colour bar and caption, drawn by Qt over the OpenGL canvas and into screenshots."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QLinearGradient, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.style import LIGHT, Theme
from app.viewers.colours import RAMP, ramp, ticks

MARGIN = 16.0
BAR = 14.0
AXIS = 30.0  # pixels of an axis that is seen from the side
LEAST_SIZE = 180.0  # of a picture that has room for axes
AXIS_COLOURS = ((2, "x"), (0, "y"), (1, "z"))  # of the theme's series: x green, y blue, z orange


@dataclass(frozen=True)
class OverlayState:
    """What is shown besides the points.

    Attributes
    ----------
    A_per_pixel : Å per logical pixel; 0 hides the scale bar.
    colour_range : ends of the colour bar, Å; None hides it.
    legend : (name, #rrggbb) of the samples shown.
    scale_bar : whether it is drawn.
    axes : of x, y and z how far each unit vector points right, up and towards the viewer; None hides them.
    """

    A_per_pixel: float = 0.0
    scale_bar: bool = True
    colour_range: tuple[float, float] | None = None
    colour_title: str = ""
    colour_ramp: str = RAMP
    caption: str = ""
    caption_colour: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    legend_title: str = ""
    axes: tuple[tuple[float, float, float], ...] | None = None


def bar_length_A(A_per_pixel: float, pixels: float) -> float:
    """The longest 1, 2 or 5 times a power of ten, Å, that is no longer than ``pixels``."""
    longest = A_per_pixel * pixels
    if not (longest > 0 and math.isfinite(longest)):
        return 0.0
    power = 10.0 ** math.floor(math.log10(longest))
    return max(f * power for f in (1, 2, 5) if f * power <= longest * (1 + 1e-9))


class Overlay(QWidget):
    """Transparent to the mouse; lies over the canvas."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.state = OverlayState()
        self.theme = LIGHT
        self._picture: tuple[QImage, float, float, float] | None = None

    def set_picture(
        self, image: QImage | None, pixel_A: float = 0.0, right_A: float = 0.0, up_A: float = 0.0
    ) -> None:
        """Lay a picture below everything, its middle this far from the middle of the view."""
        self._picture = None if image is None else (image, pixel_A, right_A, up_A)
        self.update()

    def change(self, **values: object) -> None:
        """Show something else; repaints only if it differs."""
        state = replace(self.state, **values)  # type: ignore[arg-type]
        if state != self.state:
            self.state = state
            self.update()

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self.theme = theme
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw over the canvas."""
        painter = QPainter(self)
        self.draw(painter, self.width(), self.height())
        painter.end()

    def draw(self, painter: QPainter, width: float, height: float) -> None:
        """Draw into any device of this logical size."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(QFont(self.font()))
        if self._picture is not None and self.state.A_per_pixel > 0:
            self._draw_picture(painter, width, height)
        if self.state.axes is not None and min(width, height) >= LEAST_SIZE and self.state.A_per_pixel > 0:
            self._draw_axes(painter, width, height)
        if self.state.A_per_pixel > 0 and self.state.scale_bar:
            self._draw_scale_bar(painter, width, height)
        if self.state.colour_range is not None:
            self._draw_colour_bar(painter, width, height)
        elif self.state.legend:
            self._draw_legend(painter, width)
        if self.state.caption:
            self._draw_caption(painter, width, height)

    def _draw_caption(self, painter: QPainter, width: float, height: float) -> None:
        """What is laid over, above the scale bar."""
        metrics = painter.fontMetrics()
        text = metrics.elidedText(self.state.caption, Qt.TextElideMode.ElideMiddle, int(width * 0.6))
        baseline = height - MARGIN - 2.2 * metrics.height()
        left = MARGIN
        if self.state.caption_colour:
            painter.fillRect(
                QRectF(left, baseline - metrics.ascent() / 2 - 1, 14, 4), QColor(self.state.caption_colour)
            )
            left += 20
        painter.setPen(QColor(self.theme.text))
        painter.drawText(QPointF(left, baseline), text)

    def _draw_scale_bar(self, painter: QPainter, width: float, height: float) -> None:
        length = bar_length_A(self.state.A_per_pixel, min(180.0, width * 0.25))
        if not length:
            return
        pixels = length / self.state.A_per_pixel
        left, bottom = MARGIN, height - MARGIN
        painter.fillRect(QRectF(left, bottom - 4, pixels, 4), QColor(self.theme.text))
        painter.setPen(QColor(self.theme.text))
        box = QRectF(
            left - 40,
            bottom - 10 - painter.fontMetrics().height(),
            pixels + 80,
            painter.fontMetrics().height(),
        )
        text = f"{length:g} Å"
        if painter.fontMetrics().horizontalAdvance(text) > pixels:
            box = QRectF(left, box.top(), 200, box.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft, text)
        else:
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, text)

    def _draw_colour_bar(self, painter: QPainter, width: float, height: float) -> None:
        assert self.state.colour_range is not None  # noqa: S101 - for the type checker
        low, high = self.state.colour_range
        metrics = painter.fontMetrics()
        labels = [(value, f"{value:.3g}") for value in ticks(low, high)]
        widest = max(metrics.horizontalAdvance(text) for _, text in labels)
        length = min(200.0, height * 0.45)
        right = width - MARGIN - widest - 6
        top = MARGIN + metrics.height() + 8
        box = QRectF(right - BAR, top, BAR, length)
        gradient = QLinearGradient(box.bottomLeft(), box.topLeft())
        for i, colour in enumerate(ramp(self.state.colour_ramp)[::15]):
            gradient.setColorAt(min(1.0, i * 15 / 255), QColor.fromRgbF(*(float(c) for c in colour)))
        painter.fillRect(box, gradient)
        painter.setPen(QColor(self.theme.text))
        for value, text in labels:
            share = (value - low) / (high - low) if high > low else 0.0
            middle = box.bottom() - share * length
            painter.drawText(
                QRectF(box.right() + 6, middle - metrics.height() / 2, widest + 4, metrics.height()),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                text,
            )
        title = QRectF(0, MARGIN - 4, width - MARGIN, metrics.height())
        painter.drawText(title, Qt.AlignmentFlag.AlignRight, self.state.colour_title)

    def _draw_legend(self, painter: QPainter, width: float) -> None:
        metrics = painter.fontMetrics()
        shown = self.state.legend[:12]
        widest = max(metrics.horizontalAdvance(name) for name, _ in shown)
        left = width - MARGIN - widest - 16
        first = MARGIN
        if self.state.legend_title:
            painter.setPen(QColor(self.theme.text))
            title = QRectF(0, MARGIN - 4, width - MARGIN, metrics.height())
            painter.drawText(title, Qt.AlignmentFlag.AlignRight, self.state.legend_title)
            first += metrics.height() + 3
        for i, (name, colour) in enumerate(shown):
            top = first + i * (metrics.height() + 3)
            painter.setBrush(QColor(colour))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawEllipse(QRectF(left, top + metrics.height() / 2 - 5, 10, 10))
            painter.setPen(QColor(self.theme.text))
            painter.drawText(QPointF(left + 16, top + metrics.ascent()), name)
        if len(self.state.legend) > len(shown):
            painter.setPen(QColor(self.theme.muted))
            top = first + len(shown) * (metrics.height() + 3)
            painter.drawText(
                QPointF(left, top + metrics.ascent()), f"and {len(self.state.legend) - len(shown)} more"
            )

    def _draw_axes(self, painter: QPainter, width: float, height: float) -> None:
        assert self.state.axes is not None  # noqa: S101 - for the type checker
        middle = QPointF(width - MARGIN - AXIS - 10, height - MARGIN - AXIS - 8)
        metrics = painter.fontMetrics()
        arrows = zip(self.state.axes, AXIS_COLOURS, strict=True)
        # What points away is drawn first, so that it lies behind.
        for (right, up, towards), (series, name) in sorted(arrows, key=lambda arrow: arrow[0][2]):
            colour = QColor(self.theme.series[series])
            colour.setAlphaF(1.0 if towards > -0.05 else 0.55)
            painter.setPen(QPen(colour, 2.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(middle, middle + QPointF(right, -up) * AXIS)
            tip = middle + QPointF(right, -up) * (AXIS + 9)
            painter.setPen(QColor(self.theme.text))
            box = QRectF(tip.x() - 10, tip.y() - metrics.height() / 2, 20, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)

    def _draw_picture(self, painter: QPainter, width: float, height: float) -> None:
        assert self._picture is not None  # noqa: S101 - for the type checker
        image, pixel_A, right_A, up_A = self._picture
        per_pixel = self.state.A_per_pixel
        size_x, size_y = image.width() * pixel_A / per_pixel, image.height() * pixel_A / per_pixel
        x, y = width / 2 + right_A / per_pixel, height / 2 - up_A / per_pixel
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(x - size_x / 2, y - size_y / 2, size_x, size_y), image)
