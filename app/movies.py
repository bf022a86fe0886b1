"""Movies of what the middle shows: a turn, the run from its frames, or a walk through what it found.

A frame is drawn, then encoded in the background while the window goes on; only then is the next one drawn.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage

from app.features import Feature
from app.movie_file import GET_FFMPEG, NO_FFMPEG, Movie, ffmpeg
from app.walks import landscape_walk, sample_walk

if TYPE_CHECKING:
    from app.main_window import MainWindow

TURN_FRAMES = 90
MOST_FRAMES = 600
POLL_MS, MOST_WAIT_S = 15, 3.0  # until a frame has been read and its surface made
NO_WALK = (
    "There is nothing to walk through: it takes two samples of a finished run, or volumes for several class "
    "averages."
)


class Movies(Feature):
    """Draws the frames of a movie one after another, between the window's other work."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.movie: Movie | None = None
        self._path = Path()
        self._kind, self._done, self._total = "", 0, 0
        self._generation = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._frame)
        self._walk: NDArray[Any] | None = None
        self._before: dict[str, Any] | None = None
        self._asked_at = 0.0
        add = window.commands.add
        for kind, text, tip in (
            ("turn", "&Movie: turn…", "A full turn of what is shown, as GIF or MP4"),
            ("run", "Movie: &through the run…", "The run's frames, as GIF or MP4"),
            ("walk", "Movie: &walk through the result…",
             "Along the path drawn in the landscape or its first component; or from sample to sample"),
        ):  # fmt: skip
            add("&File", text, partial(self.ask, kind), tip=tip)
        self.stop_action = add("&File", "Stop the movie", self.stop, tip="Write no movie after all")
        self.stop_action.setEnabled(False)

    def ask(self, kind: str) -> None:
        """Ask where to write, and begin."""
        suggestion = str(self.window.session.runs_folder / f"{kind}.gif")
        path = self.window.dialogs.save_as("Save the movie", suggestion, "Movie (*.gif *.mp4)")
        if path is not None:
            self.begin(kind, path)

    def begin(self, kind: str, path: Path, frames: int = 0) -> None:
        """Make a movie: ``turn``, ``run`` or ``walk``; 0 frames leave their number to the kind."""
        window = self.window
        path = path.with_suffix(path.suffix or ".gif")
        if path.suffix.lower() not in (".gif", ".mp4"):
            window.complain("A movie's name ends in .gif or .mp4.")
            return
        if path.suffix.lower() == ".mp4" and ffmpeg() is None:
            window.complain(f"{NO_FFMPEG} {GET_FFMPEG}")
            return
        self.stop()
        frames = self._prepare(kind, frames)
        if not frames:
            return
        self._kind, self._path, self._done, self._total = kind, path, 0, min(frames, MOST_FRAMES)
        self.stop_action.setEnabled(True)
        self._go(0)

    def stop(self) -> None:
        """Give the movie up."""
        self._generation += 1
        self._timer.stop()
        self.movie = None
        self.stop_action.setEnabled(False)
        self._put_back()

    def close(self) -> None:
        """Stop."""
        self._before = None
        self.stop()

    # ---- what is filmed -------------------------------------------------------------------------

    def _prepare(self, kind: str, frames: int) -> int:
        """How many frames there will be; 0 after saying why there are none."""
        window = self.window
        if kind == "run":
            if self._slider().maximum() < 2:
                window.complain("This run kept no frames.")
                return 0
            return int(self._slider().maximum())
        if kind == "walk":
            self._walk = self._walk_of(frames)
            if self._walk is None:
                window.complain(NO_WALK)
                return 0
            return len(self._walk)
        if window.viewer.page not in ("points", "volume", "compare", "hand"):
            window.complain("There is nothing to turn yet.")
            return 0
        return frames or TURN_FRAMES

    def _walk_of(self, frames: int) -> NDArray[Any] | None:
        """Places in the landscape, or clouds; and the page that shows them comes to the front."""
        window, run = self.window, self.window.run_view.stored
        how = {"frames": frames} if frames else {}
        if run is None:
            return None
        if run.sds is not None and run.sds.landscape is not None:
            path = window.sds_panels.landscape.path
            walk = landscape_walk(run.sds.landscape.coordinates, path, **how)
            if walk is not None:
                window.viewer.show_page("volume")
                self._before = {"key": window.sds_view.maps.key}
            return walk
        # Points of samples correspond once the engine has put them into one order.
        if run.ensemble is None or run.spread is None:
            return None
        clouds = sample_walk(run.ensemble.points_A, **how)
        if clouds is not None:
            window.viewer.show_page("points")
            points = window.viewer.points
            self._before = {
                "points": points.points_A, "sample": points.sample, "paint": points.paint,
                "spread": points.spread_A,
            }  # fmt: skip
        return clouds

    def _show(self, number: int) -> None:
        """Let the middle show what belongs on a frame."""
        window = self.window
        if self._kind == "run":
            self._slider().setValue(number)
        elif self._kind == "walk" and self._walk is not None:
            if self._before is not None and "key" in self._before:
                window.sds_view.maps.show_between(
                    self._walk[number], f"Interpolated, {number + 1} of {len(self._walk)}"
                )
            else:
                window.viewer.points.set_points(self._walk[number][None])
                window.viewer.points.overlay.change(legend=())  # between samples it is none of them
        elif number:
            self._turn(360.0 / self._total)

    def _put_back(self) -> None:
        """What was shown before a walk."""
        before, self._before, self._walk = self._before, None, None
        if before is None:
            return
        if "key" in before:
            maps = self.window.sds_view.maps
            maps.show_key(before["key"] or maps.first_key())
            return
        points = self.window.viewer.points
        title = points.overlay.state.colour_title or "Spread (Å)"
        points.set_points(before["points"])
        points.set_spread(before["spread"], title)
        points.set_paint(before["paint"])
        points.set_sample(before["sample"])

    # ---- frame by frame -------------------------------------------------------------------------

    def _slider(self) -> Any:
        from app.panels.scrubber import Scrubber

        found: Any = self.window.viewer.findChild(Scrubber)
        return found.slider

    def _go(self, number: int) -> None:
        if self._kind != "turn":
            self._show(number)
        self._asked_at = time.monotonic()
        self._timer.start(0 if self._kind == "turn" else POLL_MS)

    def _frame(self) -> None:
        window = self.window
        late = time.monotonic() - self._asked_at > MOST_WAIT_S
        if self._kind != "turn" and window.background.busy and not late:
            self._timer.start(POLL_MS)
            return
        if self._kind == "turn":
            # Turned only now, the picture is drawn for the film and the window at once, not for each.
            self._show(self._done)
        image = window.viewer.screenshot().convertToFormat(QImage.Format.Format_RGB888)
        if self.movie is None:
            self.movie = Movie(self._path, image.width(), image.height(), back=self._kind == "walk")
        if (image.width(), image.height()) != self.movie.size:
            image = image.scaled(*self.movie.size)
        generation = self._generation
        window.statusBar().showMessage(f"Movie: frame {self._done + 1} of {self._total}")
        window.background.submit(
            partial(self.movie.add, _packed(image)),
            lambda _none: self._added(generation),
            partial(self._failed, generation),
        )

    def _added(self, generation: int) -> None:
        if generation != self._generation or self.movie is None:
            return
        self._done += 1
        if self._done < self._total:
            self._go(self._done)
            return
        movie, self.movie = self.movie, None
        self.stop_action.setEnabled(False)
        self.window.in_background(movie.write, lambda path: self.window.say(f"Saved {path}."))
        if self._kind == "run":
            self._slider().setValue(self._slider().maximum())
        elif self._kind == "turn":
            self._turn(360.0 / self._total)
        self._put_back()

    def _turn(self, degrees: float) -> None:
        viewer = self.window.viewer
        tiles: Any = getattr(viewer.shown, "tiles", None)
        if tiles is not None:
            for index in range(1 if tiles.linked else len(tiles.tiles)):
                tiles.turn(index, degrees, 0.0)
            return
        view = viewer.points if viewer.page == "points" else viewer.volume.volume
        view.camera.azimuth = (view.camera.azimuth + degrees + 180) % 360 - 180
        # A film is not in a hurry: nothing rough stands in while it turns.
        view.draw_finely()

    def _failed(self, generation: int, error: Exception) -> None:
        if generation == self._generation:
            self.stop()
            self.window.complain(f"The movie can't be made ({error}).")


def _packed(image: QImage) -> bytes:
    """Its rows without the padding at their ends."""
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].tobytes()
