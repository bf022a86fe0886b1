"""How smoothly thousands of class averages scroll: ``python -m tests.benchmarks.gallery_frames``.

Needs a display; with software OpenGL for instance ``xvfb-run -s "-screen 0 2600x1500x24"``. What is counted
are paint events of the viewport, not rounds of events, in which nothing may be drawn. The baseline of the
same run is a plain list of as many icons of the same size.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

import numpy as np
from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QApplication, QListView, QListWidget, QListWidgetItem
from scipy.ndimage import gaussian_filter

from app import averages_files, style
from app.averages_columns import of_averages
from app.averages_session import AveragesSession
from app.averages_view import AveragesView
from app.background import Background
from app.panels.averages import AveragesPanel
from app.panels.gallery import Gallery
from app.panels.gallery_view import GalleryView
from engine.io.mrc import write_images
from engine.types import ImageStack

SECONDS = 4.0
SIZES = ((640, 700), (1500, 1250))  # of the gallery in windows of 1280 x 800 and 2560 x 1440
STEP_PX = 24


def stack(count: int, side: int) -> np.ndarray:
    """Blobs in noise, each at another place."""
    rng = np.random.default_rng(0)
    y, x = np.indices((side, side)) / side - 0.5
    few = [
        np.exp(-(((x - a) / 0.12) ** 2 + ((y - b) / 0.2) ** 2)) for a, b in rng.uniform(-0.1, 0.1, (50, 2))
    ]
    noise = [gaussian_filter(rng.normal(size=(side, side)), 1.5) for _ in range(40)]
    return np.stack([few[i % 50] + 0.8 * noise[i % 40] for i in range(count)]).astype(np.float32)


class Paints(QObject):
    """Counts what is really drawn: paint events of a view's viewport, and the time between them."""

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self.ends: list[float] = []
        self._viewport = view.viewport()
        self._viewport.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Note when the event comes: the viewport draws at once."""
        if watched is self._viewport and event.type() == QEvent.Type.Paint:
            self.ends.append(time.perf_counter())
        return False

    def stop(self) -> None:
        """Count no more."""
        self._viewport.removeEventFilter(self)


class Told:
    """A stretch of scrolling: rounds of events, and frames that were drawn.

    Attributes
    ----------
    rounds : how long each change took until nothing was left to do, ms.
    intervals : between two frames, ms.
    """

    def __init__(self, rounds: list[float], ends: list[float], seconds: float) -> None:
        self.rounds = np.array(rounds)
        self.intervals = np.diff(ends) * 1e3 if len(ends) > 2 else np.array([seconds * 1e3])
        self.rate = len(ends) / seconds


class Frames:
    """Scrolls a view and counts its frames."""

    def __init__(self, application: QApplication) -> None:
        self.application = application

    def follow(self, view: QListView, changes: Iterator[Callable[[], object]]) -> Told:
        """Make one change after the other, each followed by everything that the window has to do."""
        paints, rounds = Paints(view), []
        began = time.perf_counter()
        for change in changes:
            start = time.perf_counter()
            change()
            self.application.processEvents()
            rounds.append((time.perf_counter() - start) * 1e3)
        paints.stop()
        return Told(rounds, paints.ends, time.perf_counter() - began)

    def scroll(self, view: QListView, seconds: float = SECONDS, also: Callable[[], object] = bool) -> Told:
        """Scroll down by pixels, and from the top again."""
        bar = view.verticalScrollBar()

        def step() -> None:
            onward = bar.value() + STEP_PX
            bar.setValue(onward if onward < bar.maximum() else 0)
            also()

        def steps() -> Iterator[Callable[[], object]]:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                yield step

        return self.follow(view, steps())

    def jump(self, view: QListView, count: int = 25) -> Told:
        """Go to places far apart, so that every picture is new."""
        bar = view.verticalScrollBar()
        places = np.random.default_rng(1).permutation(np.linspace(0, bar.maximum(), count).astype(int))
        return self.follow(view, (partial(bar.setValue, int(p)) for p in places))

    def fill(self, view: GalleryView, count: int = 8) -> np.ndarray:
        """Go to new places, and wait until every picture is there: how long that takes, ms."""
        bar, times = view.verticalScrollBar(), []
        for place in np.linspace(0.05, 0.95, count):
            view.delegate.forget()
            began = time.perf_counter()
            bar.setValue(int(place * bar.maximum()))
            self.application.processEvents()
            while view.delegate.unfinished:
                self.application.processEvents()
            times.append((time.perf_counter() - began) * 1e3)
        return np.array(times)

    def repaint(self, view: QListView, count: int = 60) -> Told:
        """Draw all that is seen again."""
        return self.follow(view, (view.viewport().update for _ in range(count)))


def told(name: str, found: Told, baseline: Told | None = None) -> None:
    """One line of the table."""
    times = found.intervals
    line = (
        f"  {name:<40} {found.rate:6.0f} paints/s, interval p50 {np.median(times):5.1f} ms, "
        f"p95 {np.percentile(times, 95):5.1f} ms, longest {times.max():5.0f} ms; "
        f"rounds p95 {np.percentile(found.rounds, 95):5.1f} ms"
    )
    if baseline is not None:
        line += f"; {np.percentile(times, 95) / np.percentile(baseline.intervals, 95):.2f} x the list's p95"
    print(line, flush=True)


def plain_list(images: np.ndarray, side: int) -> QListWidget:
    """The baseline: icons made beforehand, drawn by Qt alone."""
    found = QListWidget()
    found.setViewMode(QListView.ViewMode.IconMode)
    found.setResizeMode(QListView.ResizeMode.Adjust)
    found.setMovement(QListView.Movement.Static)
    found.setUniformItemSizes(True)
    found.setIconSize(QSize(side, side))
    found.setGridSize(QSize(side + 16, side + 50))
    found.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
    pixels = averages_files.thumbnails(images).pixels
    for i, one in enumerate(pixels):
        picture = QImage(one.data, one.shape[1], one.shape[0], one.shape[1], QImage.Format.Format_Grayscale8)
        scaled = QPixmap.fromImage(picture).scaled(
            side, side, mode=Qt.TransformationMode.SmoothTransformation
        )
        found.addItem(QListWidgetItem(QIcon(scaled), str(i + 1)))
    return found


class Waits:
    """How long the event loop keeps others waiting while something goes on."""

    def __init__(self, application: QApplication) -> None:
        self.application, self.times = application, []

    def until(self, done: Callable[[], bool], seconds: float = 600.0) -> float:
        """Turn the loop until then; how long it took, s."""
        began = last = time.perf_counter()
        while not done() and last - began < seconds:
            self.application.processEvents()
            time.sleep(0.001)
            now = time.perf_counter()
            self.times.append((now - last) * 1e3)
            last = now
        return last - began

    def told(self, name: str, seconds: float) -> None:
        """One line of the table."""
        p50, p99 = np.percentile(self.times, (50, 99))
        print(
            f"  {name}: {seconds:.1f} s, event loop p50 {p50:.1f} ms, p99 {p99:.0f} ms, "
            f"longest {max(self.times):.0f} ms",
            flush=True,
        )


def loading(application: QApplication, count: int, side: int) -> None:
    """Read, show and rank a stack while the event loop turns."""
    background = Background(2)
    session, gallery = AveragesSession(background), Gallery()
    view = AveragesView(session, AveragesPanel(), gallery)
    gallery.resize(*SIZES[0])
    gallery.show()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "averages.mrcs"
        write_images(path, ImageStack(stack(count, side), 1.5))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        waits = Waits(application)
        session.open(path)
        waits.told("read", waits.until(lambda: session.state != "reading"))
        waits = Waits(application)
        waits.told("ranked and prepared", waits.until(lambda: not background.busy))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kept = gallery.model._raw.pixels.nbytes / 2**20
    print(f"  memory: {before:,.0f} MiB before, {most:,.0f} MiB at most; thumbnails {kept:.0f} MiB")
    session.release()
    background.close()
    gallery.close()
    view.deleteLater()
    session.deleteLater()


def scrolling(frames: Frames, count: int, side: int) -> None:
    """The table of scrolling."""
    images = stack(count, side)
    pictures = averages_files.thumbnails(images)
    names = tuple(str(i + 1) for i in range(count))
    counts = np.arange(count, dtype=float)
    for width, height in SIZES:
        plain = plain_list(images, 104)
        plain.resize(width, height)
        plain.show()
        Waits(frames.application).until(lambda shown=plain: shown.verticalScrollBar().maximum() > 0)
        frames.scroll(plain, 0.3)
        baseline, again = frames.scroll(plain), frames.repaint(plain)
        plain.close()
        plain.deleteLater()
        for edge in (104, 48):
            gallery = Gallery()
            gallery.resize(width, height)
            gallery.set_images(names, pictures, of_averages(counts, counts / 100))
            gallery.set_selected(np.ones(count, bool), "")
            gallery.view.set_side(edge)
            gallery.show()
            bar = gallery.view.verticalScrollBar()
            Waits(frames.application).until(lambda bar=bar: bar.maximum() > 0)
            print(f" {count} images, gallery {width} x {height}, pictures of {edge} px")
            if edge == 104:
                told("plain list of icons (baseline)", baseline)
                told("plain list, all drawn again", again)
            told("scrolling", frames.scroll(gallery.view), baseline)
            told("jumping, every picture new", frames.jump(gallery.view))
            filled = frames.fill(gallery.view)
            words = f"p50 {np.median(filled):.0f} ms, longest {filled.max():.0f} ms"
            print(f"  {'until all pictures are there':<40} {words}")
            told("all drawn again", frames.repaint(gallery.view), again)
            selected = np.ones(count, bool)

            def select(gallery=gallery, selected=selected) -> None:
                selected[np.random.default_rng().integers(0, count)] ^= True
                gallery.set_selected(selected.copy(), "")

            told("scrolling while selecting", frames.scroll(gallery.view, also=select), baseline)
            noise = np.random.default_rng(0).normal(size=(3000, side, side)).astype(np.float32)
            busy = threading.Thread(target=lambda some=noise: averages_files.thumbnails(some))
            busy.start()
            told("scrolling while more is read", frames.scroll(gallery.view, 2.0), baseline)
            busy.join()
            gallery.close()
            gallery.deleteLater()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--loading", type=int, default=256, help="pixels of the stack that is loaded; 0 none")
    given = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    style.apply(application)
    scrolling(Frames(application), given.count, given.side)
    if given.loading:
        print(f" loading {given.count} images of {given.loading}²")
        loading(application, given.count, given.loading)


if __name__ == "__main__":
    main()
