"""Isosurface of a map as a lit mesh, with another one laid over it. Setters only.

The surfaces come computed (:mod:`app.surfaces`); here they are only handed to OpenGL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from app.style import Theme
from app.surfaces import EMPTY, Surface
from app.viewers.colours import RAMP, rgb, value_colours
from app.viewers.look import DEPTH_CUE, Look, directions
from app.viewers.picking import hit_surface
from app.viewers.scene import START, SceneWidget
from app.viewers.surface_visual import Surface as SurfaceNode

OVERLAY_OPACITY = 0.38
ROUGH_WHEN_MS = 30.0  # of the frame time on a CPU: from there on a rough surface turns in place of the fine
STILL_MS = 250
FRAMING = 2.5  # height of the picture in radii of what is looked at
REFIT = 1.4  # change of the surface's size after which the camera follows
LIGHT_SIDE, LIGHT_UP = -0.45, 0.55  # over the viewer's left shoulder
__all__ = ["VolumeView", "directions", "surface_colour"]


class VolumeView(SceneWidget):
    """Draws one or two surfaces in Å around the box's middle, or a projection in their place.

    ``turned`` tells that the camera has moved while a projection is shown: it needs a new one.
    """

    turned = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fine, self.rough, self.other, self.other_rough = EMPTY, EMPTY, EMPTY, EMPTY
        self.colour_range: tuple[float, float] | None = None
        self.colour_ramp = RAMP
        self.moving = self.projecting = self.held = False
        self._names = ("", "")
        self._fitted_A = self._extent_A = 0.0
        self._fine_ms = 0.0
        self._drawn_rough = False
        # The surface behind is drawn first, and what shines through last.
        self._node = SurfaceNode(parent=self.view.scene)
        self._rough_node = SurfaceNode(parent=self.view.scene)
        self._other_node = SurfaceNode(parent=self.view.scene)
        self._other_rough_node = SurfaceNode(parent=self.view.scene)
        self._nodes = (self._node, self._rough_node, self._other_node, self._other_rough_node)
        for node in self._nodes[2:]:
            node.order = 10
            node.set_opacity(OVERLAY_OPACITY)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(STILL_MS)
        self._still.timeout.connect(self._rest)
        for node in self._nodes[1:]:
            node.visible = False
        self._aim()

    def set_surfaces(self, fine: Surface, rough: Surface, *, radius_A: float) -> None:
        """Show a surface; ``rough`` stands in for it while things move.

        ``radius_A`` is half the box. The camera stays where it is, until the surface has clearly shrunk
        or grown and neither the user has taken the camera nor ``held`` says that it is to stay.
        """
        self.fine, self.rough = fine, rough
        self._extent_A = _extent(fine, radius_A)
        if not (self.touched or self.held) and self._extent_A > 0:
            change = self._extent_A / max(self._fitted_A, 1e-9)
            if not 1 / REFIT < change < REFIT:
                self._frame()
        self._upload()

    def set_other(self, surface: Surface, rough: Surface = EMPTY) -> None:
        """Lay another surface over, transparent; an empty one takes it away. ``rough`` as above."""
        self.other, self.other_rough = surface, rough
        for node, each in zip(self._nodes[2:], (surface, rough), strict=True):
            node.set_surface(each.vertices, each.normals, each.faces)
        self._choose()
        self._show_legend()
        self.canvas.update()

    def set_names(self, name: str, other: str) -> None:
        """What the legend calls the two surfaces."""
        self._names = (name, other)
        self._show_legend()

    def set_colour_range(self, ends: tuple[float, float] | None, title: str = "", ramp: str = RAMP) -> None:
        """Colour by the surfaces' values between these ends in a ramp's colours, or plainly (None)."""
        self.colour_range, self.colour_ramp = ends, ramp
        self.overlay.change(colour_range=ends, colour_title=title, colour_ramp=ramp)
        self._upload()
        self._show_legend()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        super().set_theme(theme)
        self._show_look()

    def set_look(self, look: Look) -> None:
        """Draw with another background, light, clipping plane..."""
        super().set_look(look)
        self._show_look()
        self._choose()

    def set_other_opacity(self, alpha: float) -> None:
        """How much the surface that is laid over hides."""
        for node in self._nodes[2:]:
            node.set_opacity(alpha)
        self.canvas.update()

    def set_projecting(self, on: bool) -> None:
        """Show projections, set by :meth:`set_projection`, in place of the surfaces."""
        self.projecting = on
        self.overlay.set_picture(None)
        self._choose()
        self._show_legend()
        self.canvas.update()

    def set_projection(self, image: QImage, pixel_A: float, middle_A: NDArray[np.floating]) -> None:
        """Show a projection made for the present direction; ``middle_A`` (3,) is what its middle shows."""
        if self.projecting:
            right, up, _ = self.axes() @ (np.asarray(middle_A) - np.asarray(self.camera.center, float))
            self.overlay.set_picture(image, pixel_A, float(right), float(up))

    def reset_view(self) -> None:
        """Forget where the user has turned to, and show the whole surface."""
        self.touched = False
        self.look(START)
        self._frame()

    def clear(self) -> None:
        """Show nothing, and aim the camera anew at what comes next."""
        self.touched, self.held, self._fitted_A = False, False, 0.0
        self.colour_range = None
        self.set_surfaces(EMPTY, EMPTY, radius_A=0.0)
        self.set_other(EMPTY)
        self.overlay.change(A_per_pixel=0.0, colour_range=None, legend=(), caption="")

    def release(self) -> None:
        """Give the canvas back."""
        self._still.stop()
        super().release()

    def drawn(self) -> int:
        """How many triangles are shown."""
        if self.projecting:
            return 1
        shown = self._shown_finely()
        return len((self.fine if shown[0] else self.rough).faces) + len(
            (self.other if shown[1] else self.other_rough).faces
        )

    def pick(self, x: float, y: float) -> NDArray[np.float64] | None:
        """Where the surface is hit that is seen there, Å."""
        if self.projecting:
            return None
        surface = self.rough if self._drawn_rough else self.fine
        return hit_surface(self.on_screen(surface.vertices), surface, x, y, self.plane())

    # ---- inside ---------------------------------------------------------------------------------

    def _upload(self) -> None:
        for node, surface in ((self._node, self.fine), (self._rough_node, self.rough)):
            if node is self._rough_node and self.rough is self.fine:
                continue
            node.set_surface(surface.vertices, surface.normals, surface.faces, self._colours(surface))
        self._choose()
        self._settle.start()
        self.canvas.update()

    def _colours(self, surface: Surface) -> NDArray[np.float32] | None:
        if self.colour_range is None or surface.values is None:
            return None
        return np.ascontiguousarray(
            value_colours(surface.values, *self.colour_range, self.colour_ramp)[:, :3]
        )

    def _choose(self) -> None:
        """Draw the rough surface while the camera moves, where the fine one would be too slow."""
        rough = self.moving and self._fine_ms > ROUGH_WHEN_MS and len(self.rough.faces) > 0
        self._drawn_rough = rough and self.rough is not self.fine
        shown = not self.projecting
        first, second = self._shown_finely()
        self._node.visible = shown and first and len(self.fine.faces) > 0
        self._rough_node.visible = shown and not first
        self._other_node.visible = shown and second and len(self.other.faces) > 0
        self._other_rough_node.visible = shown and not second

    def _shown_finely(self) -> tuple[bool, bool]:
        """Whether the surface, and the one laid over, are drawn finely."""
        return not self._drawn_rough, not (self._drawn_rough and len(self.other_rough.faces) > 0)

    def _show_look(self) -> None:
        look, theme = self.look_, self.look_.colours(self.theme)
        for node in self._nodes:
            node.set_light(look.light)
        for node in (self._node, self._rough_node):
            node.set_colour(rgb(surface_colour(theme)))
            node.set_opacity(max(0.05, look.opacity))
        for node in self._nodes[2:]:
            node.set_colour(rgb(theme.series[1]))
        self._show_legend()
        self._aim()

    def _camera_moved(self) -> None:
        super()._camera_moved()
        self._aim()
        if self.projecting:
            self.turned.emit()
        self.moving = True
        self._choose()
        self._still.start()

    def draw_finely(self) -> None:
        """Draw the fine surface."""
        self.moving = False
        self._choose()

    def _rest(self) -> None:
        self.draw_finely()
        self.canvas.update()

    def _aim(self) -> None:
        """Let the light move with the viewer."""
        right, up, eye = directions(self.camera.azimuth, self.camera.elevation)
        light = eye + LIGHT_SIDE * right + LIGHT_UP * up
        light /= np.linalg.norm(light)
        plane, colours = self.plane(), self.look_.colours(self.theme)
        fog = DEPTH_CUE if self.look_.depth_cue else 0.0
        for node in self._nodes:
            node.set_view(eye, light)
            node.set_clip(plane)
            node.set_fog(rgb(colours.canvas), fog, np.zeros(3), self.radius_A)

    def _frame(self) -> None:
        if self._extent_A <= 0:
            return
        self.radius_A = self._fitted_A = self._extent_A
        self.camera.depth_value = 40 * self.radius_A
        self.camera.center = (0.0, 0.0, 0.0)
        self.camera.scale_factor = FRAMING * self.radius_A
        self._aim()

    def middle_A(self) -> NDArray[np.float64]:
        """The box's middle: turning about another place moves no clipping plane."""
        return np.zeros(3)

    def _show_legend(self) -> None:
        name, other = self._names
        both = len(self.other.faces) > 0 and not self.projecting
        theme = self.look_.colours(self.theme)
        entries = ((name, surface_colour(theme)), (other, theme.series[1]))
        self.overlay.change(legend=tuple(e for e in entries if e[0]) if both else ())

    def _after_draw(self, event: Any) -> None:
        super()._after_draw(event)
        if self.detail.software and not self._drawn_rough:
            self._fine_ms = self.frame_ms


def _extent(surface: Surface, half_box_A: float) -> float:
    """Radius around the origin that holds nearly all of a surface, at most half the box, Å."""
    if not len(surface.vertices):
        return 0.0
    some = surface.vertices[:: max(1, len(surface.vertices) // 4000)]
    return float(min(half_box_A, max(1.0, np.percentile(np.linalg.norm(some, axis=1), 99.5))))


def surface_colour(theme: Theme) -> str:
    """Of a surface whose vertices have no colours: lighter than a curve, since it is shaded."""
    return theme.series[0] if theme.dark else theme.series[5]
