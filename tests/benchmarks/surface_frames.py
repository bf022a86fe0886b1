"""How quickly an isosurface turns and follows its level: ``python -m tests.benchmarks.surface_frames``.

Needs a display; with software OpenGL for instance ``xvfb-run -s "-screen 0 1600x1200x24"``.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

import numpy as np
from PySide6.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

from app.background import Background
from app.panels.volume_page import VolumePage
from app.surfaces import Density, isosurface, rough_step
from app.viewers.raster import renderer
from app.volume_control import VolumeControl


def lumps(size: int) -> Density:
    """A body of about a tenth of the box with a rough surface."""
    rng = np.random.default_rng(0)
    z, y, x = (np.indices((size,) * 3) - size // 2) / (size / 2)
    values = np.zeros((size,) * 3, np.float32)
    for centre in rng.normal(size=(30, 3)) * 0.25:
        width = 0.06 + 0.08 * rng.random()
        away = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        values += np.exp(-away / (2 * width**2)).astype(np.float32)
    texture = gaussian_filter(rng.normal(size=values.shape), 1.5)
    return Density((values + 4 * texture * (values > 0.2)).astype(np.float32), 2.0, "lumps")


class Bench:
    """A page with a map, and what is measured on it."""

    def __init__(self, size: int) -> None:
        self.application = QApplication.instance() or QApplication([])
        self.most_ms = 1e9
        self.background = Background(2)
        self.page, self.control = VolumePage(), VolumeControl(self.background)
        self.control.shown.connect(self.page.show_surface)
        self.page.resize(800, 700)
        self.page.show()
        self.control.share = 0.05
        self.control.show(lumps(size))
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is under way."""
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end or self.background.busy:
            self.application.processEvents()

    def frames(self, change: Callable[[int], None], count: int = 40) -> tuple[float, float]:
        """Median and longest time of a round of events in which something changes, ms."""
        times = []
        for i in range(count):
            began = time.perf_counter()
            change(i)
            self.application.processEvents()
            times.append((time.perf_counter() - began) * 1e3)
        return float(np.median(times)), max(times)

    def turn(self) -> tuple[float, float]:
        """Turn the camera by 3° per frame."""
        view = self.page.volume

        def turn(_i: int) -> None:
            # Frames that seem quick are drawn finely.
            view._fine_ms = min(view._fine_ms, self.most_ms)
            view.camera.azimuth += 3

        return self.frames(turn)

    def drag(self) -> tuple[float, float]:
        """Drag the level; the time from the wish to the surface in the picture, ms."""
        profile = self.control.current.profile
        answers: list[float] = []
        for share in np.geomspace(0.1, 0.01, 20):
            began = time.perf_counter()
            got: list[object] = []
            connection = self.control.shown.connect(got.append)
            self.control.set_level(profile.level(share))
            while not got:
                self.application.processEvents()
            self.application.processEvents()
            self.control.shown.disconnect(connection)
            answers.append((time.perf_counter() - began) * 1e3)
        self.settle()
        return float(np.median(answers)), max(answers)

    def close(self) -> None:
        """Leave nothing behind."""
        self.page.release()
        self.background.close()
        self.page.close()


def longest_wait(work: Callable[[], object]) -> float:
    """How long another thread keeps this one from running, ms."""
    thread = threading.Thread(target=work)
    thread.start()
    worst, last = 0.0, time.perf_counter()
    while thread.is_alive():
        time.sleep(0.0005)
        worst, last = max(worst, time.perf_counter() - last), time.perf_counter()
    return worst * 1e3


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    sizes = parser.parse_args().sizes
    for size in sizes:
        _measure(Bench(size), size)


def _measure(bench: Bench, size: int) -> None:
    shown = bench.control.current
    print(f"{size}³ on {renderer()}: {len(shown.fine.faces)} triangles, rough {len(shown.rough.faces)}")
    work = partial(isosurface, shown.density, shown.level)
    rough = partial(work, step=rough_step(shown.density))
    times = []
    for surface in (work, rough):
        began = time.perf_counter()
        surface()
        times.append((time.perf_counter() - began) * 1e3)
    print(f"  surface {times[0]:.0f} ms, rough {times[1]:.0f} ms; ", end="")
    print(f"keeps the window waiting {longest_wait(work):.0f} ms at most")
    for name, often in (("as users see it", 1e9), ("fine throughout", 0.0)):
        bench.most_ms = often
        bench.turn()
        median, worst = bench.turn()
        print(f"  turning, {name}: {median:.0f} ms a frame, longest {worst:.0f} ms")
    median, worst = bench.drag()
    print(f"  dragging the level: {median:.0f} ms from the wish to the picture, longest {worst:.0f} ms")
    bench.close()


if __name__ == "__main__":
    main()
