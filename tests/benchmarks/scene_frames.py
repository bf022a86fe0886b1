"""How quickly the 3D pictures follow the hand: ``python -m tests.benchmarks.scene_frames``.

In the real window. Needs a display; with software OpenGL for instance
``xvfb-run -s "-screen 0 1600x1200x24"``. The baseline of turning draws everything finely in each frame.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

import numpy as np
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.settings import Settings
from app.viewers.look import Look
from app.viewers.points import STILL_POINTS
from app.viewers.raster import renderer
from engine.jobs import worker
from tests.benchmarks.surface_frames import lumps

FRAMES = 60


class Bench:
    """The window, and what is measured in it."""

    def __init__(self) -> None:
        self.application = QApplication.instance() or QApplication([])
        self.application.setStyle("Fusion")
        settings = Settings(Path(tempfile.mkdtemp()) / "window.ini")
        self.window = MainWindow(settings)
        self.window.resize(1440, 900)
        self.window.show()
        self.settle()

    def settle(self, seconds: float = 0.8) -> None:
        """Wait until nothing is under way."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or self.window.background.busy:
            self.application.processEvents()

    def frames(self, name: str, change: Callable[[int], None]) -> None:
        """Time of a round of events in which something changes."""
        times = []
        for i in range(FRAMES):
            began = time.perf_counter()
            change(i)
            self.application.processEvents()
            times.append((time.perf_counter() - began) * 1e3)
        self.tell(name, times)

    def tell(self, name: str, times: list[float]) -> None:
        """One line."""
        middle, high = np.percentile(times, (50, 95))
        print(f"  {name:<52} p50 {middle:5.0f} ms  p95 {high:5.0f} ms", flush=True)

    def points(self) -> None:
        """Ten clouds of 1024 points."""
        rng = np.random.default_rng(0)
        one = rng.normal(size=(1024, 3)) * [40, 30, 20]
        clouds = (one + rng.normal(size=(10, 1024, 3)) * 3).astype(np.float32)
        viewer = self.window.viewer
        viewer.set_samples(10)
        view = viewer.points
        view.set_points(clouds)
        self.settle(1.5)

        def turn(_i: int) -> None:
            view.camera.azimuth += 3

        def fine(_i: int) -> None:
            view.camera.azimuth += 3
            view.refresh(STILL_POINTS)

        self.frames("10 x 1024 points turning", turn)
        self.frames("  baseline: all of them as balls in each frame", fine)
        view.set_look(Look(depth_cue=True, clip="view", clip_at=0.3))
        self.settle()
        self.frames("  with depth cue and a plane across the view", turn)
        view.set_look(Look())

    def maps(self, size: int) -> None:
        """A surface of a map."""
        page, control = self.window.viewer.volume, self.window.sds_view.maps.control
        self.window.viewer.show_page("volume")
        control.share = 0.05
        control.show(lumps(size))
        self.settle(1.5)
        view = page.volume

        def turn(_i: int) -> None:
            view.camera.azimuth += 3

        def fine(i: int) -> None:
            view._fine_ms = 0.0
            turn(i)

        self.frames(f"surface of {size}³ turning", turn)
        self.settle()
        self.frames("  baseline: the fine surface in each frame", fine)
        view.set_look(Look(depth_cue=True, clip="x", clip_at=0.4))
        self.settle()
        self.frames("  with depth cue and a plane across x", turn)
        view.set_look(Look())
        self.settle()
        self.drag()
        for kind in ("mip", "xray"):
            page.set_kind(kind)
            self.settle()
            self.project(kind)
        page.set_kind("surface")

    def drag(self) -> None:
        """The level, from the wish to the picture."""
        control = self.window.sds_view.maps.control
        times = []
        for share in np.geomspace(0.1, 0.01, 20):
            got: list[object] = []
            began = time.perf_counter()
            connection = control.shown.connect(got.append)
            control.set_level(control.current.profile.level(share))
            while not got:
                self.application.processEvents()
            self.application.processEvents()
            control.shown.disconnect(connection)
            times.append((time.perf_counter() - began) * 1e3)
        self.settle()
        self.tell("dragging the level, wish to picture", times)

    def project(self, kind: str) -> None:
        """A projection, from the turn to the picture."""
        view = self.window.viewer.volume.volume
        times = []
        for _ in range(20):
            before, began = view.overlay._picture, time.perf_counter()
            view.camera.azimuth += 3
            while view.overlay._picture is before:
                self.application.processEvents()
            self.application.processEvents()
            times.append((time.perf_counter() - began) * 1e3)
        self.tell(f"{kind} projection, turn to picture", times)


def main() -> None:
    """Print a table."""
    bench = Bench()
    print(f"{renderer()}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    bench.points()
    bench.maps(128)
    print(f"load {os.getloadavg()[0]:.1f} after")
    bench.window.close()
    worker.shutdown()


if __name__ == "__main__":
    main()
