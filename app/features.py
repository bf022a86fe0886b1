"""What a window can besides running and showing: each feature is one class, made after the panels.

To add one: write a subclass of :class:`Feature` in a module of its own and name it in :data:`FEATURES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication

from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow

FEATURES: tuple[str, ...] = (
    "app.landscape_groups:LandscapeGroups",
    "app.project_view:ProjectView",
    "app.pausing:Pausing",
    "app.queueing:Queue",
    "app.rejoining:Rejoining",
    "app.forking:Forking",
    "app.view3d:View3d",
    "app.laying_over:LayingOver",
    "app.planning:Planning",
    "app.chimerax:ChimeraX",
    "app.sharing:Sharing",
    "app.forensics:Forensics",
    "app.convention_doctor:ConventionDoctor",
    "app.compare:Compare",
    "app.hand:Hand",
    "app.gallery_state:GalleryState",
    "app.view_coverage:ViewCoverage",
    "app.known_poses_coverage:KnownPosesCoverage",
    "app.edit_menu:EditMenu",
    "app.scrubber:ScrubberFeature",
    "app.movies:Movies",
    "app.capsules:Capsules",
    "app.help_menu:Help",
    "app.palette:Palette",
    "app.toasts:Toasts",
    "app.tour:Tour",
    "app.machine:Machine",
)
"""``module:Class`` of each, in the order in which they are made."""

LARGE_MODULES = ("app.viewers.volume", "app.viewers.points", "pyqtgraph")
"""Not needed by a window in which nothing is open; imported after it has been painted."""

ROUND_MS = 5  # between two pieces of work, in which events are answered


class Feature(QObject):
    """Something of a window that hears of its theme, its session and its end.

    Parameters
    ----------
    window : complete but for the features; it owns this.

    Attributes
    ----------
    name : the key of its state in a saved session; empty for none.
    """

    name = ""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""

    def state(self) -> dict[str, Any]:
        """What a saved session keeps: plain JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state that :meth:`state` gave; unknown or unfit values are passed over."""

    def close(self) -> None:
        """The window closes: stop timers, give threads and files back."""


class Features(QObject):
    """The features of one window: made one by one when it has been painted, or when one is asked for.

    A window is of use before it can do everything. What is restored into a feature that isn't made yet
    waits for it, and is saved as it is if the window closes before.

    ``begun`` tells that the window has been painted, ``complete`` that all are made.

    Parameters
    ----------
    window : complete but for its features; it owns this.
    names : ``module:Class`` of each.
    """

    begun = Signal()
    complete = Signal()

    def __init__(self, window: MainWindow, names: tuple[str, ...] = FEATURES) -> None:
        super().__init__(window)
        self._window = window
        self._names = list(names)
        self._all: list[Feature] = []
        self._waiting: dict[str, dict[str, Any]] = {}
        self._theme: Theme | None = None
        self._steps: Iterator[bool] = iter(())
        self._round = QTimer(self)
        self._round.setSingleShot(True)
        self._round.setInterval(ROUND_MS)
        self._round.timeout.connect(self._next)
        window.installEventFilter(self)

    @property
    def missing(self) -> int:
        """How many are still to be made."""
        return len(self._names)

    def __getitem__(self, name: str) -> Any:
        """The feature of that name, made now if need be; KeyError if there is none."""
        for feature in self._all:
            if feature.name == name:
                return feature
        while self._names:
            feature = self._make()
            if feature.name == name:
                return feature
        raise KeyError(name)

    def make_all(self) -> None:
        """Make what is missing, at once."""
        while self._names:
            self._make()

    def _make(self) -> Feature:
        """Make the next one, with what waits for it. One that can't be made is passed over."""
        module, _, kind = self._names.pop(0).partition(":")
        try:
            feature: Feature = getattr(import_module(module), kind)(self._window)
            self._all.append(feature)
            if self._theme is not None:
                feature.set_theme(self._theme)
            if feature.name in self._waiting:
                feature.restore(self._waiting.pop(feature.name))
        finally:
            if not self._names:
                self._window.removeEventFilter(self)
                self._waiting.clear()  # of features that there are no more
                self.complete.emit()
        return feature

    # ---- when there is time ---------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Begin once the window has been painted."""
        if event.type() == QEvent.Type.Paint and watched is self._window:
            self._window.removeEventFilter(self)
            self._steps = self._in_turn()
            self._round.start()
        return False

    def _next(self) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._round.start()  # the user is at it
            return
        self._round.start()  # now: what fails below is reported, and the next one is made all the same
        if next(self._steps, False):
            return
        if self._names:
            self._make()
        if not self._names:
            self._round.stop()

    def _in_turn(self) -> Iterator[bool]:
        """One short piece of work per round of events."""
        self.begun.emit()
        viewer = self._window.viewer
        # Modules are read off the GUI thread; what needs them comes afterwards.
        reading = [True]
        self._window.background.submit(
            _read_modules, lambda _r: reading.clear(), lambda _error: reading.clear()
        )
        while reading and self._names:
            yield True
        from app.viewers.raster import renderer

        renderer()  # makes a first OpenGL context: 20 ms by itself
        yield True
        for late in (viewer.late_points, viewer.volume.late_volume):
            if self._names:
                _ = late.widget
                yield True

    # ---- what all hear of -----------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        for feature in self._all:
            feature.set_theme(theme)

    def state(self) -> dict[str, Any]:
        """The states of all that keep one."""
        return {**self._waiting, **{f.name: f.state() for f in self._all if f.name}}

    def restore(self, states: dict[str, Any]) -> None:
        """Hand each its state of :meth:`state`; what is missing stays as it is."""
        made = [feature.name for feature in self._all]
        for feature in self._all:
            if isinstance(states.get(feature.name), dict):
                feature.restore(states[feature.name])
        if self._names:
            self._waiting |= {
                name: state
                for name, state in states.items()
                if name and name not in made and isinstance(state, dict)
            }

    def close(self) -> None:
        """The window closes."""
        self._round.stop()
        self._names.clear()
        for feature in self._all:
            feature.close()


def _read_modules() -> None:
    """Import what the first run or picture needs."""
    for name in LARGE_MODULES:
        with suppress(ImportError):  # whoever needs it will say so
            import_module(name)
