"""What a window can besides running and showing: each feature is one class, made after the panels.

To add one: write a subclass of :class:`Feature` in a module of its own and name it in :data:`FEATURES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow

FEATURES: tuple[str, ...] = (
    "app.landscape_groups:LandscapeGroups",
    "app.project_view:ProjectView",
    "app.view3d:View3d",
    "app.laying_over:LayingOver",
    "app.planning:Planning",
    "app.chimerax:ChimeraX",
    "app.sharing:Sharing",
    "app.forensics:Forensics",
    "app.convention_doctor:ConventionDoctor",
    "app.compare:Compare",
    "app.hand:Hand",
    "app.edit_menu:EditMenu",
    "app.scrubber:ScrubberFeature",
    "app.movies:Movies",
    "app.help_menu:Help",
    "app.palette:Palette",
    "app.toasts:Toasts",
    "app.tour:Tour",
    "app.machine:Machine",
)
"""``module:Class`` of each, in the order in which they are made."""


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


class Features:
    """The features of one window.

    Parameters
    ----------
    window : complete but for its features.
    names : ``module:Class`` of each.
    """

    def __init__(self, window: MainWindow, names: tuple[str, ...] = FEATURES) -> None:
        self._all: list[Feature] = []
        for name in names:
            module, _, kind = name.partition(":")
            self._all.append(getattr(import_module(module), kind)(window))

    def __getitem__(self, name: str) -> Any:
        """The feature of that name; KeyError if there is none."""
        for feature in self._all:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for feature in self._all:
            feature.set_theme(theme)

    def state(self) -> dict[str, Any]:
        """The states of all that keep one."""
        return {f.name: f.state() for f in self._all if f.name}

    def restore(self, states: dict[str, Any]) -> None:
        """Hand each its state of :meth:`state`; what is missing stays as it is."""
        for feature in self._all:
            if isinstance(states.get(feature.name), dict):
                feature.restore(states[feature.name])

    def close(self) -> None:
        """The window closes."""
        for feature in self._all:
            feature.close()
