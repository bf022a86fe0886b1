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
from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QImage, QPainter, QResizeEvent
from PySide6.QtWidgets import QStackedLayout, QWidget

from app.style import LIGHT, Theme
from app.viewers.detail import Detail
from app.viewers.laid_over import LaidOver
from app.viewers.look import ALONG_Z, START, Look, clip_plane, directions
from app.viewers.overlay import Overlay
from app.viewers.raster import Picture, renderer

vispy.use("pyside6")

from vispy import scene  # noqa: E402 - the backend must be chosen first
from vispy.gloo import gl  # noqa: E402

__all__ = ["ALONG_Z", "START", "OrthographicTurntable", "SceneWidget", "directions"]
CLICK_PX = 4  # further than this the mouse was dragged


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
    """A canvas with camera and overlay; subclasses put visuals into ``view.scene``.

    ``picked`` tells of a click, without dragging, on something: the place (3,), Å.
    """

    picked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.look_ = Look()
        self._laid: LaidOver | None = None
        self._pressed: tuple[float, float] | None = None
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
        self.canvas.events.mouse_press.connect(self._press)
        self.canvas.events.mouse_release.connect(self._release)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(0)
        self._settle.timeout.connect(self._update_scale)
        self.view.camera.events.transform_change.connect(lambda _e: self._settle.start())
        self.camera.moved = self._camera_moved
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
        self._show_background()

    def set_look(self, look: Look) -> None:
        """Draw with another background, light, clipping plane..."""
        self.look_ = look
        self._show_background()
        self.aim_laid()
        self._settle.start()
        self.canvas.update()

    @property
    def laid(self) -> LaidOver:
        """The reference in this scene; made when it is first asked for."""
        if self._laid is None:
            self._laid = LaidOver(self.view.scene)
            self.aim_laid()
        return self._laid

    def take_away_laid(self) -> None:
        """Show no reference."""
        if self._laid is not None and not self._laid.empty:
            self._laid.clear()
            self.canvas.update()
        self.overlay.change(caption="")

    def aim_laid(self) -> None:
        """Let the reference follow the camera and the look."""
        if self._laid is not None:
            canvas = self.look_.colours(self.theme).canvas
            self._laid.aim(self.look_, self.axes(), self.middle_A(), self.radius_A, canvas)

    def axes(self) -> NDArray[np.float64]:
        """(3, 3): unit vectors to the right, upwards and towards the viewer."""
        return np.array(directions(self.camera.azimuth, self.camera.elevation))

    def plane(self) -> NDArray[np.float64] | None:
        """(4,) of what is cut away, see :func:`~app.viewers.look.clip_plane`; None cuts nothing away."""
        return clip_plane(self.look_, self.axes()[2], self.middle_A(), self.radius_A)

    def middle_A(self) -> NDArray[np.float64]:
        """The middle (3,) of what is shown, Å."""
        return np.asarray(self.camera.center, float)

    def on_screen(self, points_A: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, 3): logical pixels from the left and from the top, and Å towards the viewer."""
        frame = self.axes()
        away = (np.asarray(points_A, float) - np.asarray(self.camera.center, float)) @ frame.T
        per_pixel = self.A_per_pixel()
        native = self.canvas.native
        return np.stack(
            [native.width() / 2 + away[:, 0] / per_pixel, native.height() / 2 - away[:, 1] / per_pixel,
             away[:, 2]], 1
        )  # fmt: skip

    def pick(self, x: float, y: float) -> NDArray[np.float64] | None:
        """What is seen at logical pixels from the left and the top, Å; subclasses know."""
        return None

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
        """The present picture with its scale bar, drawn finely also while it moves."""
        self.draw_finely()
        clear = self.look_.background == "transparent"
        began = time.perf_counter()
        pixels = np.ascontiguousarray(
            self.canvas.render(alpha=clear, bgcolor=(0, 0, 0, 0) if clear else None)
        )
        self.frame_ms = (time.perf_counter() - began) * 1e3
        height, width, channels = pixels.shape
        kind = QImage.Format.Format_RGBA8888_Premultiplied if clear else QImage.Format.Format_RGB888
        image = QImage(pixels.data, width, height, channels * width, kind).copy()
        if self.picture is not None and not clear:
            self.picture.show_image(image)
        ratio = width / max(1, self.width())
        image.setDevicePixelRatio(ratio)
        painter = QPainter(image)
        self.overlay.draw(painter, width / ratio, height / ratio)
        painter.end()
        return image

    def draw_finely(self) -> None:
        """Let the next frame hold all that it can; subclasses know what stands in while things move."""

    def release(self) -> None:
        """Give the canvas back; the widget shows nothing afterwards."""
        self._settle.stop()
        self.camera.moved = None
        if self.picture is not None:
            self.picture.stop()
            self.canvas.native.deleteLater()
        self.canvas.close()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the scale bar right."""
        super().resizeEvent(event)
        self._settle.start()

    def _show_background(self) -> None:
        theme = self.look_.colours(self.theme)
        self.canvas.bgcolor = theme.canvas
        self.overlay.set_theme(theme)

    def _camera_moved(self) -> None:
        """Follow each turn of the camera, before it is drawn."""
        self.aim_laid()

    def _update_scale(self) -> None:
        if self.drawn():
            axes = tuple(map(tuple, self.axes().T.round(4).tolist())) if self.look_.axes else None
            self.overlay.change(A_per_pixel=self.A_per_pixel(), axes=axes)

    def _press(self, event: Any) -> None:
        self._pressed = tuple(event.pos[:2]) if event.button == 1 else None

    def _release(self, event: Any) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is None or event.button != 1:
            return
        x, y = event.pos[:2]
        if abs(x - pressed[0]) <= CLICK_PX and abs(y - pressed[1]) <= CLICK_PX:
            place = self.pick(float(x), float(y))
            if place is not None:
                self.picked.emit(place)

    def _touch(self, _event: Any) -> None:
        self.touched = True

    def _before_draw(self, _event: Any) -> None:
        self._began = time.perf_counter()

    def _after_draw(self, _event: Any) -> None:
        if self.detail.software:
            gl.glFinish()  # the rasteriser is lazy: without this the time would be spent unseen, later
        self.frame_ms = (time.perf_counter() - self._began) * 1e3
        self.detail.drew(self.drawn(), self.frame_ms)
