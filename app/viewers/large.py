"""Pictures of a scene or of slices in any size, also without a ground. For the GUI thread.

The scene is drawn into a buffer of its own. vispy's ``render(size=...)`` would put a scene of the window's
size into its corner, so the widget inside the canvas is told the size of the picture while that takes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from vispy import gloo
from vispy.gloo import gl

from app.style import LIGHT
from app.viewers.overlay import bar_length_A
from app.viewers.picture_grid import GAP, best_columns
from app.viewers.slices import AXES, PLANES
from engine.errors import InputError

if TYPE_CHECKING:
    from app.viewers.scene import SceneWidget
    from app.viewers.slices import SlicesView

MAX_RENDERBUFFER_SIZE, MAX_VIEWPORT_DIMS = 0x84E8, 0x0D3A
POINT_SIZE_RANGE = 0x846D
EVERYTHING = 100_000_000  # points of a picture that is saved


def largest_side() -> int:
    """Pixels along a side that this computer's OpenGL can draw; there must be a current context."""
    sizes = [gl.glGetParameter(MAX_RENDERBUFFER_SIZE), *np.ravel(gl.glGetParameter(MAX_VIEWPORT_DIMS))]
    return int(min(sizes))


def check_size(width: int, height: int, point_px: float = 0.0) -> None:
    """Refuse what would come out wrong; there must be a current context.

    Raises
    ------
    InputError
        If OpenGL can't draw that many pixels, or no points of that diameter.
    """
    most = largest_side()
    if max(width, height) > most:
        raise InputError(
            f"This computer's OpenGL draws no more than {most:,} pixels along a side.", "Ask for fewer."
        )
    widest = float(np.ravel(gl.glGetParameter(POINT_SIZE_RANGE))[-1])
    if point_px > widest:
        fits = int(max(width, height) * widest / point_px)
        raise InputError(
            f"This computer's OpenGL draws points of at most {widest:.0f} pixels; these would be larger.",
            f"Ask for at most {fits:,} pixels along the longer side, or draw smaller points.",
        )


def scene_picture(
    view: SceneWidget, width: int, height: int, *, transparent: bool, bar: bool, words: bool
) -> QImage:
    """What a scene shows, drawn anew in any size.

    Raises
    ------
    InputError
        If this computer's OpenGL can't.
    """
    canvas, central = view.canvas, view.canvas.central_widget
    canvas.set_current()
    # Words come out as large beside the object as in the window.
    ratio = min(width / max(1, view.width()), height / max(1, view.height()))
    per_A = min(width, height) / float(view.camera.scale_factor or 1.0)
    diameter = getattr(view, "_diameter_A", None)
    check_size(width, height, per_A * diameter() if diameter is not None else 0.0)
    _settle(view)
    scale, before = float(canvas.pixel_scale), central.size
    tall = canvas.physical_size[1]
    buffer = gloo.FrameBuffer(
        color=gloo.RenderBuffer((height, width)), depth=gloo.RenderBuffer((height, width))
    )
    central.size = (width / scale, height / scale)
    canvas.push_fbo(buffer, (0, 0), (width, height))
    # vispy turns y upside down about the window's height, where the picture doesn't end.
    shift = canvas.transforms.canvas_transform.transforms[0]
    shift.scale, shift.translate = (1, 1, 1), (0, height - tall, 0)
    try:
        canvas._draw_scene(bgcolor=(0, 0, 0, 0) if transparent else None)  # noqa: SLF001 - as its render does
        pixels = np.ascontiguousarray(buffer.read())
    finally:
        canvas.pop_fbo()
        central.size = before
        buffer.delete()
        _unsettle(view)
    kind = QImage.Format.Format_RGBA8888_Premultiplied
    if not transparent:
        pixels[..., 3] = 255
    image = QImage(pixels.data, width, height, 4 * width, kind).copy()
    image.setDevicePixelRatio(ratio)
    painter = QPainter(image)
    _draw_words(view, painter, width / ratio, height / ratio, transparent, bar, words)
    painter.end()
    image.setDevicePixelRatio(1.0)
    return image


def _settle(view: Any) -> None:
    """Draw all there is, finely, whatever the window shows while it moves."""
    if hasattr(view, "points_A"):
        view.refresh(EVERYTHING)
    else:
        view.draw_finely()


def _unsettle(view: Any) -> None:
    if hasattr(view, "points_A"):
        view.refresh()


def _draw_words(
    view: SceneWidget, painter: QPainter, width: float, height: float, clear: bool, bar: bool, words: bool
) -> None:
    overlay = view.overlay
    state, theme = overlay.state, overlay.theme
    shown = replace(state, scale_bar=bar)
    if state.A_per_pixel > 0:
        shown = replace(shown, A_per_pixel=float(view.camera.scale_factor or 1.0) / min(width, height))
    if not words:
        shown = replace(shown, colour_range=None, legend=(), caption="", axes=None)
    # Not through change(): the window itself goes on as it is. What is clear is put on light paper.
    overlay.state, overlay.theme = shown, LIGHT if clear and view.look_.background != "black" else theme
    overlay.draw(painter, width, height)
    overlay.state, overlay.theme = state, theme


def slices_picture(
    view: SlicesView, width: int, height: int, ground: str, *, transparent: bool, bar: bool, words: bool
) -> QImage:
    """The three slices beside each other, without crosshair and sliders.

    Parameters
    ----------
    ground : #rrggbb behind them.
    """
    image = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(QColor(0, 0, 0, 0) if transparent else QColor(ground))
    density = view.density
    if density is None:
        return image
    columns, side = best_columns(len(PLANES), float(width), float(height), 0.0)
    rows = -(-len(PLANES) // columns)
    left, top = (
        (width - columns * side - GAP * (columns - 1)) / 2,
        (height - rows * side - GAP * (rows - 1)) / 2,
    )
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    font = painter.font()
    font.setPixelSize(max(9, round(side / 22)))
    painter.setFont(font)
    for number, (normal, across, up, _title) in enumerate(PLANES):
        grey = np.ascontiguousarray(view.grey(normal)[::-1])
        tall, wide = grey.shape
        picture = QImage(grey.data, wide, tall, wide, QImage.Format.Format_Grayscale8)
        scale = side / max(wide, tall)
        box = QRectF(
            left + (number % columns) * (side + GAP) + (side - wide * scale) / 2,
            top + (number // columns) * (side + GAP) + (side - tall * scale) / 2,
            wide * scale,
            tall * scale,
        )
        painter.drawImage(box, picture)
        painter.setPen(QColor("#f2f2f2"))
        metrics = painter.fontMetrics()
        margin = side / 40
        if words:
            name = AXES[across]
            painter.drawText(
                QPointF(box.right() - metrics.horizontalAdvance(name) - margin, box.bottom() - margin), name
            )
            painter.drawText(QPointF(box.left() + margin, box.top() + metrics.ascent() + margin), AXES[up])
        if bar:
            per_pixel = density.voxel_A / scale
            length = bar_length_A(per_pixel, box.width() * 0.3)
            thick = max(2.0, side / 120)
            line = QRectF(box.left() + margin, box.bottom() - margin - thick, length / per_pixel, thick)
            painter.fillRect(line, QColor("#f2f2f2"))
            painter.drawText(QPointF(line.left(), line.top() - thick), f"{length:g} Å")
    painter.end()
    return image
