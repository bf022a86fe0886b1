"""The look of the 3D pictures: one set of settings for points and maps, kept in the session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from PySide6.QtGui import QActionGroup

from app.features import Feature
from app.panels.volume_page import KINDS
from app.projecting import Projecting
from app.style import Theme
from app.viewers.look import BACKGROUNDS, Look, look_from

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.viewers.scene import SceneWidget


class View3d(Feature):
    """Connects the view settings with the viewers.

    Attributes
    ----------
    look : what all 3D pictures of the window follow; others may follow ``drawer.look_changed``.
    """

    name = "view3d"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.look = Look()
        viewer = window.viewer
        self.drawer = viewer.drawer
        self.views: dict[str, SceneWidget] = {"points": viewer.points, "volume": viewer.volume.volume}
        self._maps = window.sds_view.maps
        self.projecting = Projecting(window.background, viewer.volume, self._maps.control, self)
        self.drawer.look_changed.connect(self._follow)
        self._backgrounds = {}
        add = window.commands.add
        add("&View", "&View settings", viewer.toggle_drawer, "V",
            tip="Background, light, axes, clipping plane, what is laid over")  # fmt: skip
        group = QActionGroup(window)
        for key, name in BACKGROUNDS.items():
            action = add("&View/&Background", name, partial(self._change, background=key))
            action.setCheckable(True)
            group.addAction(action)
            self._backgrounds[key] = action
        self._axes = add("&View", "&Axes", lambda: self._change(axes=not self.look.axes))
        self._axes.setCheckable(True)
        for kind, name in KINDS.items():
            add("&View/&Maps as", name, partial(viewer.volume.set_kind, kind))
        self._show_menu()

    def set_look(self, look: Look) -> None:
        """Draw all 3D pictures of the window with these settings."""
        self.drawer.show_look(look)
        self._follow(look)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.projecting.again()

    def state(self) -> dict[str, Any]:
        """Cameras, look, and how maps are shown."""
        viewer = self.window.viewer
        return {
            "look": self.look.as_json(),
            "cameras": {key: camera_of(view) for key, view in self.views.items()},
            "size": viewer.points.size_factor,
            "maps_as": viewer.volume.kind,
            "share": self._maps.control.share,
            "colour": viewer.colour,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state; what doesn't fit is passed over."""
        viewer = self.window.viewer
        if isinstance(state.get("look"), dict):
            self.set_look(look_from(state["look"]))
        size = state.get("size")
        if _number(size) and 0.25 <= size <= 2:
            viewer.points.set_size_factor(float(size))
            self.drawer.show_size(float(size))
        if state.get("maps_as") in KINDS:
            viewer.volume.set_kind(state["maps_as"])
        share = state.get("share")
        if _number(share) and 0 < share < 1:
            self._maps.control.share = float(share)
            self._maps.control.refine()
        if isinstance(state.get("colour"), str):
            viewer.choose_colour(state["colour"])
        cameras = state.get("cameras")
        if isinstance(cameras, dict):
            for key, view in self.views.items():
                put_camera(view, cameras.get(key))

    def close(self) -> None:
        """The window closes."""
        self.projecting.close()

    def _change(self, **values: Any) -> None:
        self.set_look(look_from({**self.look.as_json(), **values}))

    def _follow(self, look: Look) -> None:
        self.look = look
        for view in self.views.values():
            view.set_look(look)
        self.projecting.again()
        self._show_menu()

    def _show_menu(self) -> None:
        self._axes.setChecked(self.look.axes)
        self._backgrounds[self.look.background].setChecked(True)


def camera_of(view: SceneWidget) -> dict[str, Any]:
    """Where a scene is looked at from: plain values."""
    camera = view.camera
    return {
        "azimuth": float(camera.azimuth),
        "elevation": float(camera.elevation),
        "height_A": float(camera.scale_factor or 1.0),
        "centre_A": [float(c) for c in camera.center],
        "touched": view.touched,
    }


def put_camera(view: SceneWidget, values: Any) -> None:
    """Look from where :func:`camera_of` says; what doesn't fit is passed over."""
    if not isinstance(values, Mapping):
        return
    for name in ("azimuth", "elevation"):
        if _number(values.get(name)):
            setattr(view.camera, name, float(values[name]))
    if values.get("touched") is not True:
        return
    centre, height = values.get("centre_A"), values.get("height_A")
    if isinstance(centre, list) and len(centre) == 3 and all(_number(c) for c in centre):
        view.camera.center = tuple(float(c) for c in centre)
    if _number(height) and height > 0:
        view.camera.scale_factor = float(height)
    view.touched = True


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
