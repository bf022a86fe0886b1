"""Point clouds of an ensemble: all samples or one, coloured by sample, by a number or by a name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from vispy.scene import visuals

from app.style import Theme
from app.viewers.colours import rgb, sample_colours, value_range
from app.viewers.detail import LIVE_SIZE
from app.viewers.look import TERMS, Look, faded
from app.viewers.paint import Numbers, Paint, hexadecimal
from app.viewers.picking import hit_point
from app.viewers.scene import START, SceneWidget

REFIT = 1.15  # change of size after which the camera follows
STILL_MS = 400
ROUGH_WHEN_MS = 25.0  # of the frame time on a CPU: from there on fewer, plainer points turn
STILL_POINTS = 20_480  # drawn on a CPU once nothing moves any more


class PointsView(SceneWidget):
    """Draws (n, points, 3) in Å. Setters only; nothing is computed here that takes long."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points_A: NDArray[np.float32] = np.zeros((0, 0, 3), np.float32)
        self.spread_A: NDArray[np.float32] | None = None
        self.sample: int | None = None
        self.by_spread = False
        self._spread_title = ""
        self.paint: Paint | None = None
        self._drawn_A: NDArray[np.float32] = np.zeros((0, 3), np.float32)
        self._diameter_drawn_A = 1.0
        self._refined = False
        self.size_factor = 1.0
        self.live = False
        self._order = np.zeros(0, np.intp)
        self._shown = 0
        self._fitted = 0.0
        self._markers = visuals.Markers(
            parent=self.view.scene, scaling="scene", spherical=True, antialias=0, light_ambient=0.45
        )
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(STILL_MS)
        self._still.timeout.connect(self._refine)
        self._markers.visible = False

    def set_points(self, points_A: NDArray[np.float32]) -> None:
        """Show new clouds; the camera follows until the user has turned it."""
        if points_A.shape[:2] != self.points_A.shape[:2]:
            # One fixed shuffle: thinning then shows the same points in every frame.
            self._order = np.random.default_rng(0).permutation(points_A.shape[1])
            self.spread_A = self.paint = None
            if self.sample is not None and self.sample >= len(points_A):
                self.sample = None
        self.points_A = points_A
        self._follow()
        self.refresh()

    def set_spread(self, spread_A: NDArray[np.float32] | None, title: str = "Spread (Å)") -> None:
        """Per-point spread (n, points), Å, and what the colour bar calls it."""
        self._spread_title = title
        fits = spread_A is not None and spread_A.shape == self.points_A.shape[:2]
        self.spread_A = spread_A if fits else None
        self.refresh()

    def set_sample(self, sample: int | None) -> None:
        """Show one sample, or all (None)."""
        self.sample = sample
        self.refresh()

    def set_by_spread(self, on: bool) -> None:
        """Colour by spread instead of by sample."""
        self.by_spread = on
        self.refresh()

    def set_paint(self, paint: Paint | None) -> None:
        """Colour by something else (n, points) than sample or spread; None goes back to these."""
        self.paint = paint if paint is not None and paint.shape == self.points_A.shape[:2] else None
        self.refresh()

    def set_look(self, look: Look) -> None:
        """Draw with another background, light, clipping plane..."""
        super().set_look(look)
        self._markers.light_ambient = TERMS[look.light][0] + 0.09 if look.light != "flat" else 1.0
        self.refresh()

    def set_size_factor(self, factor: float) -> None:
        """Draw the points larger or smaller than their share of the object's volume."""
        self.size_factor = factor
        self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        super().set_theme(theme)
        self.refresh()

    def reset_view(self) -> None:
        """Forget where the user has turned to, and show everything."""
        self.touched = False
        self._fitted = 0.0
        self.look(START)
        self._follow()

    def clear(self) -> None:
        """Show nothing."""
        self.points_A = np.zeros((0, 0, 3), np.float32)
        self.spread_A, self.sample, self.paint = None, None, None
        self.touched, self._fitted = False, 0.0
        self.overlay.change(A_per_pixel=0.0, colour_range=None, legend=(), caption="")
        self.refresh()

    def release(self) -> None:
        """Give the canvas back."""
        self._still.stop()
        super().release()

    def drawn(self) -> int:
        """How many points are drawn."""
        return self._shown

    def set_live(self, live: bool) -> None:
        """While clouds move, frames stay small; afterwards everything is drawn."""
        self.live = live
        self.refresh()

    def refresh(self, most: int | None = None) -> None:
        """Draw the present state, at most this many points (None: as many as are quickly drawn)."""
        count, points = self.points_A.shape[:2]
        if count == 0:
            self._shown = 0
            self._markers.visible = False
            self.canvas.update()
            return
        chosen = np.arange(count) if self.sample is None else np.array([self.sample])
        rough = bool(self.detail.software) and most is None
        self._refined = False
        diameter_A = self._diameter_A() * (LIVE_SIZE if rough else 1.0)
        most = most or self.detail.fitting(diameter_A / max(1e-6, self.A_per_pixel()))
        keep = self._order[: max(1, min(points, most // len(chosen)))]
        position = self.points_A[np.ix_(chosen, keep)]
        theme = self.look_.colours(self.theme)
        paint = self.paint or self._spread_paint()
        if paint is not None:
            colours = paint.colours(chosen, keep, theme)
            self.overlay.change(**paint.overlay(theme))
        else:
            table = sample_colours(count, theme)[chosen]
            colours = np.repeat(table, len(keep), 0)
            names = tuple((f"Sample {i + 1}", hexadecimal(row)) for i, row in zip(chosen, table, strict=True))
            self.overlay.change(colour_range=None, legend=names, legend_title="")
        flat = position.reshape(-1, 3)
        good = np.isfinite(flat).all(1)
        plane = self.plane()
        if plane is not None:
            good &= ~(flat @ plane[:3] > plane[3])
        self._shown = int(good.sum())
        if not self._shown:
            self._markers.visible = False
            self.canvas.update()
            return
        flat, colours = flat[good], colours[good]
        if self.look_.depth_cue:
            depth = 0.5 - 0.5 * ((flat - self.middle_A()) @ self.axes()[2]) / self.radius_A
            colours = faded(colours, depth, rgb(theme.canvas))
        self._drawn_A, self._diameter_drawn_A = flat, diameter_A
        # Shading a ball costs three times a disc on a CPU: balls come when the clouds stand still.
        self._markers.spherical = not rough and self.look_.light != "flat"
        self._markers.set_data(flat, size=diameter_A, face_color=colours, edge_width=0)
        self._markers.visible = True
        self._settle.start()
        self.canvas.update()
        if rough:
            self._still.start()

    def pick(self, x: float, y: float) -> NDArray[np.float64] | None:
        """The middle of the ball that is seen there, Å."""
        if not self._shown:
            return None
        per_pixel = self.A_per_pixel()
        radius = max(3.0, 0.5 * self._diameter_drawn_A / per_pixel)
        hit = hit_point(self.on_screen(self._drawn_A), x, y, radius, per_pixel)
        return None if hit is None else self._drawn_A[hit].astype(float)

    def _spread_paint(self) -> Paint | None:
        if not self.by_spread or self.spread_A is None:
            return None
        return Numbers(self.spread_A, value_range(self.spread_A), self._spread_title)

    def _camera_moved(self) -> None:
        super()._camera_moved()
        if not self._shown:
            return
        # What depends on the direction is worked out anew: 3 ms for as many points as move quickly.
        slow = self._refined and self.frame_ms > ROUGH_WHEN_MS
        if slow or self.look_.depth_cue or self.look_.clip == "view":
            self.refresh()
        elif self._still.isActive():
            self._still.start()

    def draw_finely(self) -> None:
        """Draw all points that a resting picture has, as balls."""
        if self.detail.software and self._shown and not self._refined:
            self.refresh(STILL_POINTS)
            self._refined = True

    def _refine(self) -> None:
        if not self.live:
            self.refresh(STILL_POINTS)
            self._refined = True

    def _diameter_A(self) -> float:
        """Most of the distance between neighbours, if the cloud were a ball filled evenly."""
        points = max(1, self.points_A.shape[1])
        return float(self.size_factor * 0.95 * self.radius_A * (1.0 / points) ** (1 / 3))

    def _follow(self) -> None:
        """Refit when the clouds have clearly shrunk or grown, unless the user has taken the camera."""
        if self.touched or not self.points_A.size:
            return
        flat = self.points_A.reshape(-1, 3)
        flat = flat[:: max(1, len(flat) // 4096)]
        flat = flat[np.isfinite(flat).all(1)]
        if not len(flat):
            return
        extent = float(np.percentile(np.linalg.norm(flat - np.median(flat, 0), axis=1), 99))
        if not self._fitted or not (1 / REFIT < extent / self._fitted < REFIT):
            self._fitted = extent
            self.fit(flat)
