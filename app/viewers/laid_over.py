"""A reference in a scene: the lines of a model's chains, its atoms, or the surface of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy.scene import visuals

from app.surfaces import EMPTY, Surface
from app.viewers.colours import rgb
from app.viewers.look import DEPTH_CUE, Look, clip_plane
from app.viewers.surface_visual import Surface as SurfaceNode

MOST_ATOMS = 3000  # drawn of a model without chains
LINE_PX = 3.0
ATOM_PX = 4.0
LIGHT = (-0.45, 0.55)  # to the right of the viewer, and above


class LaidOver:
    """Lines, atoms and a surface of one reference; setters only.

    Parameters
    ----------
    parent : node of the scene that they are put into.
    """

    def __init__(self, parent: Any) -> None:
        self._surface = SurfaceNode(parent=parent)
        self._surface.order = 11
        self._lines = visuals.Line(
            parent=parent, connect="segments", method="gl", width=LINE_PX, antialias=False
        )
        self._lines.order = 12
        self._atoms = visuals.Markers(parent=parent, scaling="fixed", antialias=0)
        self._atoms.order = 12
        self._ends_A = np.zeros((0, 2, 3), np.float32)
        self._atoms_A = np.zeros((0, 3), np.float32)
        self._end_colours: NDArray[np.float32] | None = None
        self._colour, self._alpha = (0.8, 0.4, 0.0), 1.0
        self._plane: NDArray[np.floating] | None = None
        self.triangles = 0
        self._on_top = False
        self.clear()

    @property
    def empty(self) -> bool:
        """Whether nothing is shown."""
        return not (len(self._ends_A) or len(self._atoms_A) or self.triangles)

    def show_lines(self, ends_A: NDArray[np.floating], colours: NDArray[np.floating] | None = None) -> None:
        """Straight pieces (n, 2, 3), each in a colour of its own (n, 4) or in the one that is set."""
        self._ends_A = np.asarray(ends_A, np.float32)
        self._end_colours = None if colours is None else np.asarray(colours, np.float32)
        self._draw()

    def show_atoms(self, atoms_A: NDArray[np.floating]) -> None:
        """Atoms (n, 3); an even choice of them if there are many."""
        step = max(1, -(-len(atoms_A) // MOST_ATOMS))
        self._atoms_A = np.asarray(atoms_A[::step], np.float32)
        self._draw()

    def show_surface(self, surface: Surface) -> None:
        """A surface; an empty one takes it away."""
        self.triangles = len(surface.faces)
        self._surface.set_surface(surface.vertices, surface.normals, surface.faces)
        self._surface.visible = self.triangles > 0

    def set_on_top(self, on: bool) -> None:
        """Draw lines and atoms over everything: within a cloud of balls they would not be seen."""
        self._on_top = on
        self._draw()

    def clear(self) -> None:
        """Show nothing."""
        self._ends_A = self._ends_A[:0]
        self._atoms_A = self._atoms_A[:0]
        self._end_colours = None
        self._draw()
        self.show_surface(EMPTY)

    def set_colour(self, colour: str, opacity: float) -> None:
        """#rrggbb, and 0 (unseen) to 1 (hides what is behind)."""
        self._colour, self._alpha = rgb(colour), opacity
        self._surface.set_colour(self._colour)
        self._surface.set_opacity(min(0.999, opacity))
        self._draw()

    def aim(
        self,
        look: Look,
        axes: NDArray[np.floating],
        centre_A: NDArray[np.floating],
        radius_A: float,
        canvas: str,
    ) -> None:
        """Follow the camera and the look of the scene."""
        right, up, eye = axes
        light = eye + LIGHT[0] * right + LIGHT[1] * up
        plane = clip_plane(look, eye, centre_A, radius_A)
        self._surface.set_view(eye, light / np.linalg.norm(light))
        self._surface.set_light(look.light)
        self._surface.set_clip(plane)
        self._surface.set_fog(rgb(canvas), DEPTH_CUE if look.depth_cue else 0.0, centre_A, radius_A)
        same = plane is None if self._plane is None else plane is not None and np.allclose(plane, self._plane)
        if not same:
            self._plane = plane
            self._draw()

    def _kept(self, points_A: NDArray[np.float32]) -> NDArray[np.bool_]:
        if self._plane is None:
            return np.ones(len(points_A), bool)
        kept: NDArray[np.bool_] = points_A @ self._plane[:3] <= self._plane[3]
        return kept

    def _draw(self) -> None:
        kept = self._kept(self._ends_A.mean(1)) if len(self._ends_A) else np.zeros(0, bool)
        self._lines.visible = bool(kept.any())
        if kept.any():
            plain = np.array([*self._colour, self._alpha], np.float32)
            colours = np.tile(plain, (int(kept.sum()), 1))
            if self._end_colours is not None:
                colours[:, :3] = self._end_colours[kept, :3]
            self._lines.set_data(pos=self._ends_A[kept].reshape(-1, 3), color=np.repeat(colours, 2, 0))
            self._lines.set_gl_state("translucent", depth_test=not self._on_top)
        atoms = self._atoms_A[self._kept(self._atoms_A)]
        self._atoms.visible = len(atoms) > 0
        if len(atoms):
            self._atoms.set_data(atoms, size=ATOM_PX, edge_width=0, face_color=(*self._colour, self._alpha))
            self._atoms.set_gl_state("translucent", depth_test=not self._on_top)
