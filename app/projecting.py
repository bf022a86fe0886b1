"""Keeps a projection of the shown map in step with the camera: rough while it turns, fine when it rests."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage

from app.background import Background
from app.newest import Newest
from app.panels.volume_page import VolumePage
from app.projections import KINDS, MOVING, STILL, Projection, project, reduced
from app.surfaces import Density, Profile
from app.viewers.colours import rgb
from app.volume_control import VolumeControl

STILL_MS = 250


class Projecting(QObject):
    """Controller between the map that is shown and the page's projection.

    Parameters
    ----------
    background : where projections are worked out.
    """

    def __init__(
        self, background: Background, page: VolumePage, control: VolumeControl, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._page, self._control = page, control
        self._newest = Newest(background)
        self._of: Density | None = None
        self._reduced: dict[int, Density] = {}
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(STILL_MS)
        self._still.timeout.connect(lambda: self._ask(STILL))
        page.kind_chosen.connect(lambda _kind: self.again())
        page.volume.turned.connect(self._turned)
        control.shown.connect(lambda _shown: self.again())

    def again(self) -> None:
        """Work the projection out anew, if one is wanted."""
        if self._page.kind in KINDS:
            self._ask(MOVING)
            self._still.start()

    def close(self) -> None:
        """Want nothing any more."""
        self._still.stop()
        self._newest.drop()

    def _turned(self) -> None:
        self._ask(MOVING)
        self._still.start()

    def _ask(self, samples: int) -> None:
        shown, view = self._control.current, self._page.volume
        if shown is None or self._page.kind not in KINDS:
            return
        if self._of is not shown.density:
            self._of, self._reduced = shown.density, {}
        density = self._reduced.get(samples)
        self._newest.ask(
            partial(
                _see,
                density,
                shown.density,
                shown.profile,
                view.axes(),
                self._page.kind,
                samples,
                view.plane(),
            ),
            partial(self._got, shown.density, samples),
        )

    def _got(self, of: Density, samples: int, found: tuple[Density, Projection]) -> None:
        density, seen = found
        if of is self._of:
            self._reduced[samples] = density
        view = self._page.volume
        colour = rgb(view.look_.colours(view.theme).text)
        view.set_projection(picture(seen.grey, colour), seen.pixel_A, seen.middle_A)
        view.overlay.change(A_per_pixel=view.A_per_pixel())


def _see(
    known: Density | None,
    density: Density,
    profile: Profile,
    axes: NDArray[np.float64],
    kind: str,
    samples: int,
    plane: NDArray[np.float64] | None,
) -> tuple[Density, Projection]:
    small = known if known is not None else reduced(density, samples)
    return small, project(small, profile, axes, kind, samples=samples, plane=plane)


def picture(grey: NDArray[np.uint8], colour: tuple[float, float, float]) -> QImage:
    """Grey values as the opacity of one colour, so that any background does."""
    share = grey[..., None].astype(np.float32)
    pixels = np.empty((*grey.shape, 4), np.uint8)
    pixels[..., :3] = share * np.asarray(colour, np.float32)
    pixels[..., 3] = grey
    height, width = grey.shape
    kind = QImage.Format.Format_RGBA8888_Premultiplied
    return QImage(pixels.tobytes(), width, height, 4 * width, kind).copy()
