"""Pictures of any size of what the middle shows, also on a transparent ground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QBuffer
from PySide6.QtGui import QImage, QPainter

from app.features import Feature
from engine.io.atomic import atomic_path

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.panels.picture_dialog import PictureWish

DOTS_PER_METRE = round(300 / 0.0254)


def scene_picture(view: Any, wish: PictureWish) -> QImage:
    """What a :class:`~app.viewers.scene.SceneWidget` shows, drawn anew in the size that is wished."""
    size = (wish.width, wish.height)
    if wish.transparent:
        pixels = view.canvas.render(size=size, bgcolor=(0, 0, 0, 0), alpha=True)
    else:
        pixels = view.canvas.render(size=size, alpha=True)
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    kind = QImage.Format.Format_RGBA8888_Premultiplied
    if not wish.transparent:
        pixels[..., 3] = 255
    image = QImage(pixels.data, width, height, 4 * width, kind).copy()
    if wish.words:
        # As large beside the picture as in the window.
        ratio = min(width / max(1, view.width()), height / max(1, view.height()))
        state = view.overlay.state
        if state.A_per_pixel > 0:
            shortest = min(width, height) / ratio
            view.overlay.change(A_per_pixel=float(view.camera.scale_factor or 1.0) / max(1.0, shortest))
        image.setDevicePixelRatio(ratio)
        painter = QPainter(image)
        view.overlay.draw(painter, width / ratio, height / ratio)
        painter.end()
        view.overlay.change(A_per_pixel=state.A_per_pixel)
    return image


class Pictures(Feature):
    """Asks how large, draws, and writes in the background."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        window.commands.add(
            "&File", "Picture of any si&ze…", self.ask, "Ctrl+Alt+S",
            tip="Up to 8192 pixels a side, also on a transparent background",
        )  # fmt: skip

    def ask(self) -> None:
        """Ask how large and where, and save."""
        from app.panels.picture_dialog import PictureDialog

        window = self.window
        if window.viewer.page not in ("points", "volume", "compare"):
            window.complain("There is no 3D picture to save yet.")
            return
        dialog = PictureDialog(window.viewer.width(), window.viewer.height(), window)
        accepted, wish = dialog.exec(), dialog.wish()
        dialog.deleteLater()
        if accepted:
            suggestion = str(window.session.runs_folder / "verglas.png")
            path = window.dialogs.save_as("Save the picture", suggestion, "Picture (*.png)")
            if path is not None:
                self.save(wish, path)

    def save(self, wish: PictureWish, path: Path) -> None:
        """Draw the picture and write it as PNG."""
        window, image = self.window, self.picture(wish)
        image.setDevicePixelRatio(1.0)
        image.setDotsPerMeterX(DOTS_PER_METRE)
        image.setDotsPerMeterY(DOTS_PER_METRE)
        target = path.with_suffix(".png")
        window.in_background(lambda: _write(image, target), lambda _none: window.say(f"Saved {target}."))

    def picture(self, wish: PictureWish) -> QImage:
        """What the middle shows, in the size that is wished."""
        viewer = self.window.viewer
        if viewer.page == "compare":
            from app.viewers.tiles import TilesView

            tiles: Any = viewer.findChild(TilesView)
            found: QImage = tiles.rendered(
                wish.width, wish.height, transparent=wish.transparent, words=wish.words
            )
            return found
        return scene_picture(viewer.points if viewer.page == "points" else viewer.volume.volume, wish)


def _write(image: QImage, path: Path) -> None:
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    with atomic_path(path) as temporary:
        temporary.write_bytes(bytes(buffer.data().data()))
