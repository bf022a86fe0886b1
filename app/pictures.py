"""Pictures of what the middle shows, in any size: drawn at once, written in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QBuffer, QIODevice, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from app.panels.picture_dialog import DPI, LARGEST, PictureWish
from engine.errors import VerglasError

if TYPE_CHECKING:
    from app.panels.viewer import ViewerPanel

DOTS_PER_METRE = round(DPI / 0.0254)
KINDS = {".png": "PNG", ".jpg": "JPG", ".jpeg": "JPG", ".tif": "TIFF", ".tiff": "TIFF"}


def canvas_of(viewer: ViewerPanel) -> Any:
    """What draws the middle and can draw it in any size; None for pages of ordinary widgets."""
    if viewer.page == "points":
        return viewer.points
    if viewer.page == "volume":
        return viewer.volume.slices if viewer.volume.in_slices else viewer.volume.volume
    return getattr(viewer.shown, "tiles", None)


def size_of(viewer: ViewerPanel) -> tuple[int, int]:
    """Pixels of the screen that it takes."""
    canvas = canvas_of(viewer)
    ratio = float(canvas.devicePixelRatioF())
    return round(canvas.width() * ratio), round(canvas.height() * ratio)


def largest_of(viewer: ViewerPanel) -> int:
    """Pixels along a side that can be drawn."""
    canvas = canvas_of(viewer)
    if not hasattr(canvas, "canvas"):
        return LARGEST
    from app.viewers.large import largest_side

    canvas.canvas.set_current()
    return min(LARGEST, largest_side())


def picture_of(viewer: ViewerPanel, wish: PictureWish) -> QImage:
    """What the middle shows, as it is wished.

    Raises
    ------
    InputError
        If this computer's OpenGL can't draw it.
    """
    from app.viewers.large import scene_picture, slices_picture

    canvas = canvas_of(viewer)
    how = {"transparent": wish.transparent, "bar": wish.bar, "words": wish.words}
    QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
    try:
        if hasattr(canvas, "rendered"):
            image: QImage = canvas.rendered(wish.width, wish.height, **how)
        elif hasattr(canvas, "grey"):
            ground = viewer.volume.volume.look_.colours(viewer.volume.volume.theme).canvas
            image = slices_picture(canvas, wish.width, wish.height, ground, **how)
        else:
            image = scene_picture(canvas, wish.width, wish.height, **how)
    finally:
        QApplication.restoreOverrideCursor()
    image.setDotsPerMeterX(DOTS_PER_METRE)
    image.setDotsPerMeterY(DOTS_PER_METRE)
    return image


def named(path: Path) -> Path:
    """The file with a name that says what it is; PNG unless it says otherwise."""
    return path if path.suffix.lower() in KINDS else path.with_name(path.name + ".png")


def encoded(image: QImage, path: Path) -> bytes:
    """The content of a picture's file; not for the GUI thread.

    Raises
    ------
    VerglasError
        If Qt can't write this kind here.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not image.save(buffer, KINDS[path.suffix.lower()]):  # type: ignore[call-overload]
        raise VerglasError("This kind of picture can't be written here.", "Let its name end in .png.", path)
    return bytes(buffer.data().data())
