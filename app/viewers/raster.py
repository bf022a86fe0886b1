"""Where OpenGL is computed by the CPU: the canvas is drawn unseen and shown as an ordinary picture.

A canvas inside the window makes Qt compose the whole window through OpenGL whenever anything in it
changes, a progress bar for instance. On a graphics card that costs nothing; on a CPU it took 20 ms of
each 25 ms frame. Drawn unseen, a frame takes 5 ms and the rest of the window nothing (measured with
llvmpipe, 640 x 780 pixels).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from PySide6.QtCore import QCoreApplication, QPointF, QTimer
from PySide6.QtGui import (
    QImage,
    QMouseEvent,
    QOffscreenSurface,
    QOpenGLContext,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

GL_RENDERER = 0x1F01


@cache
def renderer() -> str:
    """What OpenGL calls the device that draws; empty if there is no OpenGL."""
    surface = QOffscreenSurface()
    surface.create()
    context = QOpenGLContext()
    if not context.create() or not context.makeCurrent(surface):
        return ""
    name = str(context.functions().glGetString(GL_RENDERER) or "")
    context.doneCurrent()
    return name


class Picture(QWidget):
    """Shows what a hidden canvas draws, and hands the mouse on to it.

    Parameters
    ----------
    native : the canvas's Qt widget, never shown.
    parent : Qt owner.
    """

    def __init__(self, native: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self._native = native
        self._image = QImage()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._draw)
        # vispy asks its widget for a repaint, which a hidden widget would ignore.
        native._vispy_update = self._timer.start  # noqa: SLF001

    def show_image(self, image: QImage) -> None:
        """Show a frame that has just been drawn for something else, instead of drawing it again."""
        self._timer.stop()
        self._image = image.copy()
        self.update()

    def stop(self) -> None:
        """Draw no more."""
        self._timer.stop()
        self._native._vispy_update = lambda: None  # noqa: SLF001

    def paintEvent(self, event: QPaintEvent) -> None:
        """Show the last frame."""
        painter = QPainter(self)
        painter.drawImage(QPointF(0, 0), self._image)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw in the new size."""
        self._native.resize(self.size())
        # A hidden widget isn't told of its new size until it is shown.
        QCoreApplication.sendEvent(self._native, QResizeEvent(event.size(), event.oldSize()))
        self._timer.start()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Hand on."""
        self._native.mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Hand on."""
        self._native.mouseReleaseEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Hand on."""
        self._native.mouseMoveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Hand on."""
        self._native.wheelEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what was asked for while nobody could see it."""
        self._timer.start()

    def _draw(self) -> None:
        # While hidden nothing is drawn; vispy waits for the frame that showEvent then brings.
        if self.isVisible():
            self._image = self._native.grabFramebuffer()
            self.update()
