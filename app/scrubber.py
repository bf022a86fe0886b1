"""Goes back through the run that is shown: its frames are read one at a time, the newest wish wins.

While a run is being computed the row grows with the frames that it keeps; its right end is the present.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer

from app.features import Feature
from app.newest import Newest
from app.panels.scrubber import Scrubber
from app.run_files import StoredRun
from app.snapshots import load_map, load_points
from app.surfaces import Density
from engine.errors import InputError
from engine.events import Energies, MapSnapshot, Snapshot
from engine.io.frames import FOLDER, LARGEST_BYTES, FrameFacts, kept_frames
from engine.io.hand import flipped, mirrored_density, mirrored_points
from engine.io.volumes import OF_VOLUMES

if TYPE_CHECKING:
    from app.main_window import MainWindow

Frames = list[tuple[Path, FrameFacts]]
LIST_MS = 1500  # a list that grows is read again no more often


def frames_of(run: StoredRun) -> Frames:
    """The frames that a run kept; of one that kept none, the snapshots that are still there."""
    kept = kept_frames(run.folder)
    if kept:
        return [(run.folder / FOLDER / facts.file, facts) for facts in kept]
    found: Frames = []
    energies: dict[str, float] = {}
    for event in run.events:
        if isinstance(event, Energies):
            energies = event.values
        elif isinstance(event, Snapshot | MapSnapshot) and (run.folder / event.path).is_file():
            is_map = isinstance(event, MapSnapshot)
            facts = FrameFacts(
                "map" if is_map else "points", "", event.step, event.total, event.sigma,
                event.label if isinstance(event, MapSnapshot) else "",
                event.voxel_size_A if isinstance(event, MapSnapshot) else 0.0, {} if is_map else energies,
            )  # fmt: skip
            found.append((run.folder / event.path, facts))
    return found


def frames_so_far(folder: Path) -> Frames:
    """The frames that a run has kept that is being computed."""
    return [(folder / FOLDER / facts.file, facts) for facts in kept_frames(folder)]


def read_frame(path: Path, facts: FrameFacts, run_folder: Path) -> NDArray[np.float32]:
    """A frame in the hand of the run.

    Raises
    ------
    InputError
        If it is missing, too large or damaged.
    """
    if path.is_file() and path.stat().st_size > LARGEST_BYTES:
        raise InputError("The frame is too large to show.", "", path)
    mirror = flipped(run_folder)
    if facts.kind == "map":
        density = load_map(path)
        return np.asarray(mirrored_density(density) if mirror else density, np.float32)
    points = load_points(path)
    return np.asarray(mirrored_points(points) if mirror else points, np.float32)


def words_of(facts: FrameFacts) -> str:
    """Step, noise and fit of a frame."""
    parts = [facts.label[:1].upper() + facts.label[1:]] if facts.label else []
    if facts.total > 1:
        parts.append(f"step {facts.step} of {facts.total}")
    if facts.sigma > 0:
        parts.append(f"σ = {facts.sigma:.2g}")
    if facts.energies:
        mean = float(np.mean(list(facts.energies.values())))
        parts.append(f"residual {mean**0.5:.3g} Å")
    return " · ".join(parts)


class ScrubberFeature(Feature):
    """Connects the slider with what is shown: finished, cancelled and failed runs."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.panel = Scrubber()
        self._frames: Frames = []
        self._run: StoredRun | None = None
        self._folder: Path | None = None  # of the run that is shown or going on
        self._key = ""
        self._grow = QTimer(self)
        self._grow.setSingleShot(True)
        self._grow.setInterval(LIST_MS)
        self._grow.timeout.connect(self._list_again)
        self._listing, self._reading = Newest(window.background), Newest(window.background)
        layout: Any = window.viewer.layout()
        layout.addWidget(self.panel)
        window.commands.add(
            "&View", "Play the &run", self.play, "Ctrl+Space", tip="Play the frames that the run kept"
        )
        window.run_view.run_shown.connect(self._shown)
        window.run_view.cleared.connect(self._forget)
        monitor = window.monitor
        monitor.began.connect(self._began)
        monitor.moved.connect(lambda _event, _points: self._grown())
        monitor.map_moved.connect(lambda _event, _map: self._grown())
        monitor.ended.connect(lambda _outcome, _message: self._ended())
        window.viewer.page_shown.connect(self._page_shown)
        self.panel.moved.connect(self.go_to)

    def play(self) -> None:
        """Play the run, or stop."""
        if self._frames:
            self.panel.play.toggle()

    def go_to(self, place: int) -> None:
        """Show a frame; beyond the last the result, or the present of a run that is going on."""
        window, folder = self.window, self._folder
        if folder is None:
            return
        live = self._run is None
        window.viewer.held = live and place < len(self._frames)
        if place >= len(self._frames):
            self._reading.drop()
            self.panel.set_words("")
            if self._run is not None:
                self._show_result(self._run)
            return
        if window.sds_view.maps.key:
            self._key = window.sds_view.maps.key
        path, facts = self._frames[place]
        self.panel.set_words(words_of(facts))
        self._reading.ask(partial(read_frame, path, facts, folder), partial(self._found, facts))

    def close(self) -> None:
        """Stop."""
        self._forget()

    # ---- a run that is shown --------------------------------------------------------------------

    def _shown(self, run: StoredRun) -> None:
        self._forget()
        if run.kind in ("dps", *OF_VOLUMES) and run.folder.is_dir() and not run.running:
            self._run, self._folder = run, run.folder
            self._listing.ask(partial(frames_of, run), self._listed)

    def _listed(self, frames: Frames) -> None:
        self._frames = frames
        self.panel.set_frames(len(frames))
        self._page_shown(self.window.viewer.page)

    # ---- a run that is going on ------------------------------------------------------------------

    def _began(self, folder: Path) -> None:
        self._forget()
        self._folder = folder

    def _grown(self) -> None:
        if self.window.monitor.running and not self._grow.isActive():
            self._grow.start()

    def _list_again(self) -> None:
        if self._folder is not None and self._run is None and self.window.monitor.running:
            self._listing.ask(partial(frames_so_far, self._folder), self._listed_again)

    def _listed_again(self, frames: Frames) -> None:
        """Take more frames; the one that is looked at stays, or the one that is left nearest to it."""
        if self._run is not None or not self.window.monitor.running:
            return
        place = self.panel.slider.value()
        if place < len(self._frames):
            shown = self._frames[place][0].name
            # Names rise with time: of those that were thinned out the next one stands for it.
            place = next((i for i, (path, _) in enumerate(frames) if path.name >= shown), len(frames) - 1)
        else:
            place = len(frames)
        self._frames = frames
        self.panel.grow(len(frames), place)
        self._page_shown(self.window.viewer.page)

    def _ended(self) -> None:
        """What a run has left is listed when it is shown; without results its frames stay."""
        self._grow.stop()
        self.window.viewer.held = False
        self.panel.set_live(False)

    # ---- inside ---------------------------------------------------------------------------------

    def _page_shown(self, page: str) -> None:
        fits = page in ("points", "volume")
        if not fits:
            self.panel.stop()
        self.panel.setVisible(fits and len(self._frames) > 1)

    def _forget(self) -> None:
        self._listing.drop()
        self._reading.drop()
        self._grow.stop()
        self._frames, self._run, self._folder, self._key = [], None, None, ""
        self.window.viewer.held = False
        self.panel.set_live(self.window.monitor.running)
        self.panel.set_frames(0)

    def _found(self, facts: FrameFacts, array: NDArray[np.float32]) -> None:
        window = self.window
        if facts.kind == "map":
            density = Density(array, facts.voxel_A or 1.0, facts.label or "Map")
            window.sds_view.maps.show_live(density, words_of(facts))
        else:
            window.viewer.points.set_points(array)
            window.viewer.set_caption(words_of(facts))

    def _show_result(self, run: StoredRun) -> None:
        window = self.window
        if run.ensemble is not None:
            window.viewer.points.set_points(run.ensemble.points_A)
            window.viewer.set_caption("Result")
        elif run.sds is not None:
            maps = window.sds_view.maps
            maps.set_live(False)
            maps.show_key(self._key or maps.first_key())
