"""Which maps the 3D view shows: asks the background for their surfaces, newest first."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.background import Background, words
from app.newest import Newest
from app.surfaces import MOST_FACES_CPU, Density, Shown, at_level, show

FINE_AFTER_MS = 200
LIVE_VOXELS = 80**3  # of a map that moves: beyond, only the rough surface is made until it rests


class VolumeControl(QObject):
    """The maps shown: one as a surface, perhaps coloured by a second, perhaps with a third laid over.

    What is kept from map to map is the share of the box that the surface encloses: maps that are
    still forming grow denser, and volumes of one landscape enclose the same amount of matter. Until
    someone chooses it, the first map at rest does, and each map that is still forming for itself.

    Parameters
    ----------
    background : where surfaces are computed.
    """

    shown = Signal(object)
    other_shown = Signal(object)
    failed = Signal(str)

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.current: Shown | None = None
        self.density: Density | None = None
        self.share: float | None = None
        self.colour_by: Density | None = None
        self.other: Density | None = None
        self.live = False
        self.most_faces = MOST_FACES_CPU
        self._surfaces = Newest(background)
        self._others = Newest(background)
        self._fine = QTimer(self)
        self._fine.setSingleShot(True)
        self._fine.setInterval(FINE_AFTER_MS)
        self._fine.timeout.connect(self.refine)

    def show(self, density: Density) -> None:
        """Show another map at the share that is set."""
        self.density = density
        rough_only = self.live and density.values.size > LIVE_VOXELS
        self._ask(rough_only=rough_only)
        if rough_only:
            self._fine.start()

    def set_live(self, live: bool) -> None:
        """While maps arrive quickly, only rough surfaces are made of large ones until they rest."""
        self.live = live

    def set_level(self, level: float) -> None:
        """Draw the surface at a level; a rough one at once and the fine one when it rests."""
        if self.current is None:
            return
        self.share = self.current.profile.share(level)
        current, colour_by = self.current, self.colour_by
        self._surfaces.ask(
            partial(at_level, current.density, current.profile, level, colour_by=colour_by, rough_only=True),
            self._got,
            self._complain,
        )
        self._fine.start()

    @Slot()
    def refine(self) -> None:
        """Make the fine surface of what is shown."""
        self._fine.stop()
        self._ask()
        if self.other is not None:
            self._ask_other()

    def set_colour_by(self, density: Density | None) -> None:
        """Colour by the values of a map in the same frame, or plainly."""
        self.colour_by = density
        self._ask()

    def set_other(self, density: Density | None) -> None:
        """Lay a map over, at the same share; None takes it away."""
        self.other = density
        self._ask_other()

    def clear(self) -> None:
        """Show nothing."""
        self._fine.stop()
        self._surfaces.drop()
        self._others.drop()
        self.current = self.density = self.colour_by = self.other = None
        self.share, self.live = None, False

    # ---- inside ---------------------------------------------------------------------------------

    def _ask(self, *, rough_only: bool = False) -> None:
        if self.density is not None:
            self._surfaces.ask(
                partial(
                    show,
                    self.density,
                    self.share,
                    colour_by=self.colour_by,
                    rough_only=rough_only,
                    smooth=not self.live,
                    most_faces=self.most_faces,
                ),
                self._got,
                self._complain,
            )

    def _ask_other(self) -> None:
        if self.other is None:
            self._others.drop()
            self.other_shown.emit(None)
            return
        work = partial(_overlay, self.other, self.share, self.most_faces)
        self._others.ask(work, self.other_shown.emit, self._complain)

    def _got(self, shown: Shown) -> None:
        self.current = shown
        if self.share is None and not self.live:
            self.share = shown.profile.share(shown.level)
        self.shown.emit(shown)

    def _complain(self, error: Exception) -> None:
        self.failed.emit(words(error))


def _overlay(density: Density, share: float | None, most_faces: int) -> Shown:
    return show(density, share, smooth=False, most_faces=most_faces)
