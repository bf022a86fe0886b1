"""Point clouds of an ensemble: all samples or one, coloured by sample or by spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from vispy.scene import visuals

from app.style import Theme
from app.viewers.colours import sample_colours, value_colours, value_range
from app.viewers.detail import LIVE_SIZE
from app.viewers.scene import START, SceneWidget

REFIT = 1.15  # change of size after which the camera follows
STILL_MS = 400
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
            self.spread_A = None
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
        self.spread_A, self.sample = None, None
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
        diameter_A = self._diameter_A() * (LIVE_SIZE if rough else 1.0)
        most = most or self.detail.fitting(diameter_A / max(1e-6, self.A_per_pixel()))
        keep = self._order[: max(1, min(points, most // len(chosen)))]
        position = self.points_A[np.ix_(chosen, keep)]
        spread = self.spread_A if self.by_spread else None
        if spread is not None:
            low, high = value_range(spread)
            colours = value_colours(spread[np.ix_(chosen, keep)], low, high).reshape(-1, 4)
            self.overlay.change(colour_range=(low, high), colour_title=self._spread_title, legend=())
        else:
            table = sample_colours(count, self.theme)[chosen]
            colours = np.repeat(table, len(keep), 0)
            names = tuple(
                (f"Sample {i + 1}", "#" + "".join(f"{round(float(c) * 255):02x}" for c in row[:3]))
                for i, row in zip(chosen, table, strict=True)
            )
            self.overlay.change(colour_range=None, legend=names)
        flat = position.reshape(-1, 3)
        good = np.isfinite(flat).all(1)
        if not good.any():
            self._markers.visible = False
            return
        self._shown = int(good.sum())
        # Shading a ball costs three times a disc on a CPU: balls come when the clouds stand still.
        self._markers.spherical = not rough
        self._markers.set_data(flat[good], size=diameter_A, face_color=colours[good], edge_width=0)
        self._markers.visible = True
        self._settle.start()
        self.canvas.update()
        if rough:
            self._still.start()

    def _refine(self) -> None:
        if not self.live:
            self.refresh(STILL_POINTS)

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
