"""How a scene is drawn, whatever is in it: background, axes, light, transparency, clipping plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.style import DARK, LIGHT, Theme

START = {"azimuth": 30.0, "elevation": 25.0, "roll": 0.0}
ALONG_Z = {"azimuth": 0.0, "elevation": 90.0, "roll": 0.0}
BACKGROUNDS = {"theme": "As the window", "white": "White", "black": "Black", "transparent": "Transparent"}
LIGHTS = {"soft": "Soft", "sharp": "Sharp", "flat": "Flat"}
PLANES = {"": "None", "view": "Across the view", "x": "Across x", "y": "Across y", "z": "Across z"}
TERMS = {
    "soft": (0.36, 0.64, 0.12, 0.35, 0.35),
    "sharp": (0.2, 0.85, 0.4, 0.5, 0.0),
    "flat": (1.0, 0.0, 0.0, 0.55, 0.0),
}
"""Ambient, diffuse, shine, darkening of the rim, and how far light reaches round a bend."""
DEPTH_CUE = 0.75  # of the background's colour is mixed into what lies at the back


@dataclass(frozen=True)
class Look:
    """Settings of a scene that don't depend on what it shows.

    Attributes
    ----------
    background : a key of :data:`BACKGROUNDS`; transparent concerns pictures that are saved.
    axes : whether x, y and z are drawn in a corner.
    light : a key of :data:`LIGHTS`.
    depth_cue : what lies further back fades into the background.
    opacity : of the surface, 0 to 1.
    clip : a key of :data:`PLANES`: what lies in front of that plane is cut away.
    clip_at : where the plane is, 0 (nothing is cut away) to 1 (all).
    clip_flipped : cut away the other side.
    """

    background: str = "theme"
    axes: bool = True
    light: str = "soft"
    depth_cue: bool = False
    opacity: float = 1.0
    clip: str = ""
    clip_at: float = 0.5
    clip_flipped: bool = False

    def colours(self, theme: Theme) -> Theme:
        """The theme in whose colours text and lines are seen on this background."""
        chosen = {"white": LIGHT, "black": DARK}.get(self.background)
        if chosen is None:
            return theme
        return replace(chosen, canvas="#ffffff" if self.background == "white" else "#000000")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def look_from(values: Mapping[str, Any]) -> Look:
    """A look from :meth:`Look.as_json`; what doesn't fit is passed over."""
    kept: dict[str, Any] = {}
    choices = {"background": BACKGROUNDS, "light": LIGHTS, "clip": PLANES}
    for entry in fields(Look):
        value, default = values.get(entry.name), entry.default
        if isinstance(default, bool):
            fits = isinstance(value, bool)
        elif isinstance(default, float):
            fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        else:
            fits = isinstance(value, str) and value in choices[entry.name]
        if fits:
            kept[entry.name] = value
    return Look(**kept)


def clip_plane(
    look: Look, eye: NDArray[np.floating], centre_A: NDArray[np.floating], radius_A: float
) -> NDArray[np.float64] | None:
    """(4,) normal and offset: points with ``normal @ x > offset`` are cut away; None if none are.

    Parameters
    ----------
    eye : unit vector towards the viewer.
    centre_A, radius_A : of what is shown.
    """
    if not look.clip:
        return None
    normal = np.asarray(eye, float) if look.clip == "view" else np.eye(3)["xyz".index(look.clip)]
    if look.clip_flipped:
        normal = -normal
    offset = float(normal @ centre_A) + radius_A * (1 - 2 * look.clip_at)
    return np.array([*normal, offset])


def directions(
    azimuth_deg: float, elevation_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors to the right, upwards and towards the viewer of a turntable camera."""
    a, e = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    right = np.array([np.cos(a), np.sin(a), 0.0])
    eye = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    return right, np.cross(eye, right), eye


def faded(
    colours: NDArray[np.float32], depth: NDArray[np.floating], background: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Colours (n, 4) mixed with the background by depth (n,), 0 in front to 1 at the back."""
    share = (DEPTH_CUE * np.clip(depth, 0, 1)).astype(np.float32)[:, None]
    result = colours.copy()
    result[:, :3] = colours[:, :3] * (1 - share) + np.asarray(background, np.float32) * share
    return result
