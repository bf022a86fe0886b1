"""A vispy canvas in a Qt widget: orthographic turntable camera, overlay, screenshot.

Everything here belongs to the GUI thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import vispy
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage, QPainter, QResizeEvent
from PySide6.QtWidgets import QStackedLayout, QWidget

from app.style import LIGHT, Theme
from app.viewers.detail import Detail
from app.viewers.overlay import Overlay
from app.viewers.raster import Picture, renderer

vispy.use("pyside6")

from vispy import scene  # noqa: E402 - the backend must be chosen first
from vispy.gloo import gl  # noqa: E402

START = {"azimuth": 30.0, "elevation": 25.0, "roll": 0.0}
ALONG_Z = {"azimuth": 0.0, "elevation": 90.0, "roll": 0.0}


class OrthographicTurntable(scene.TurntableCamera):  # type: ignore[misc]
    """A turntable without perspective, so that one scale bar holds for the whole picture."""

    moved: Callable[[], None] | None = None

    def __init__(self) -> None:
        super().__init__(fov=0.0, **START)

    def view_changed(self) -> None:
        """Tell of every turn: vispy tells only of some."""
        super().view_changed()
        if self.moved is not None:
            self.moved()

    def viewbox_mouse_event(self, event: Any) -> None:
        """Pass over vispy's shift + right drag, which would bring perspective back."""
        super().viewbox_mouse_event(event)
        self.fov = 0.0


def _nothing() -> None:
    """Stand in for a callback."""


class SceneWidget(QWidget):
    """A canvas with camera and overlay; subclasses put visuals into ``view.scene``."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.detail = Detail()
        self.touched = False
        self.radius_A = 1.0
        self.frame_ms = 0.0  # what the last frame took
        self._began = 0.0
        self.canvas = scene.SceneCanvas(keys=None, show=False, bgcolor=self.theme.canvas)
        self.view = self.canvas.central_widget.add_view()
        self.view.camera = OrthographicTurntable()
        self.detail.found(renderer())
        self.picture = Picture(self.canvas.native, self) if self.detail.software else None
        if self.picture is None:
            self.canvas.native.setParent(self)
        # Qt composes the canvas into the window by itself. vispy's own swap would besides copy the whole
        # window to the screen within each frame: 50 ms under software OpenGL (measured).
        self.canvas.native._vispy_swap_buffers = _nothing  # noqa: SLF001
        self.overlay = Overlay(self)
        layout = QStackedLayout(self)
        layout.setStackingMode(QStackedLayout.StackingMode.StackAll)
        layout.addWidget(self.picture or self.canvas.native)
        layout.addWidget(self.overlay)
        layout.setCurrentWidget(self.overlay)
        self.canvas.events.draw.connect(self._before_draw, position="first")
        self.canvas.events.draw.connect(self._after_draw, position="last")
        for emitter in (self.canvas.events.mouse_press, self.canvas.events.mouse_wheel):
            emitter.connect(self._touch)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(0)
        self._settle.timeout.connect(self._update_scale)
        self.view.camera.events.transform_change.connect(lambda _e: self._settle.start())
        self.setMinimumSize(240, 200)

    @property
    def camera(self) -> OrthographicTurntable:
        """The camera."""
        camera: OrthographicTurntable = self.view.camera
        return camera

    def drawn(self) -> int:
        """How many points the last frame held; subclasses know."""
        return 0

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's background and text colours."""
        self.theme = theme
        self.canvas.bgcolor = theme.canvas
        self.overlay.set_theme(theme)

    def fit(self, points_A: NDArray[np.floating]) -> None:
        """Aim the camera at points (n, 3), keeping its direction."""
        if not len(points_A):
            return
        centre = np.median(points_A, 0)
        self.radius_A = max(1.0, float(np.percentile(np.linalg.norm(points_A - centre, axis=1), 99)))
        self.camera.depth_value = 40 * self.radius_A
        self.camera.center = tuple(float(c) for c in centre)
        self.camera.scale_factor = 2.35 * self.radius_A

    def A_per_pixel(self) -> float:
        """Å per logical pixel at the present zoom."""
        shortest = min(self.canvas.native.width(), self.canvas.native.height())
        per_pixel: float = (self.camera.scale_factor or 1.0) / max(1, shortest)
        return per_pixel

    def look(self, direction: dict[str, float]) -> None:
        """Turn the camera."""
        for name, value in direction.items():
            setattr(self.camera, name, value)

    def screenshot(self) -> QImage:
        """The present picture with its scale bar."""
        pixels = np.ascontiguousarray(self.canvas.render(alpha=False))
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        ratio = width / max(1, self.width())
        image.setDevicePixelRatio(ratio)
        painter = QPainter(image)
        self.overlay.draw(painter, width / ratio, height / ratio)
        painter.end()
        return image

    def release(self) -> None:
        """Give the canvas back; the widget shows nothing afterwards."""
        self._settle.stop()
        if self.picture is not None:
            self.picture.stop()
            self.canvas.native.deleteLater()
        self.canvas.close()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the scale bar right."""
        super().resizeEvent(event)
        self._settle.start()

    def _update_scale(self) -> None:
        if self.drawn():
            self.overlay.change(A_per_pixel=self.A_per_pixel())

    def _touch(self, _event: Any) -> None:
        self.touched = True

    def _before_draw(self, _event: Any) -> None:
        self._began = time.perf_counter()

    def _after_draw(self, _event: Any) -> None:
        if self.detail.software:
            gl.glFinish()  # the rasteriser is lazy: without this the time would be spent unseen, later
        self.frame_ms = (time.perf_counter() - self._began) * 1e3
        self.detail.drew(self.drawn(), self.frame_ms)
