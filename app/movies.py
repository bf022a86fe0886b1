"""Movies of what the middle shows: a turn about the vertical axis, or the run from its frames.

A frame is drawn, then encoded in the background while the window goes on; only then is the next one drawn.
GIF comes from Pillow; MP4 needs ffmpeg, found through the package ``imageio-ffmpeg`` or on the path.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage

from app.features import Feature
from engine.errors import VerglasError
from engine.io.atomic import atomic_path

if TYPE_CHECKING:
    from app.main_window import MainWindow

TURN_FRAMES = 90
RATE = 20  # frames a second
MOST_FRAMES = 600
WAIT_MS = 60  # until a frame of a run has been read and its surface made
NO_FFMPEG = "MP4 needs ffmpeg, which isn't here."
GET_FFMPEG = "Install it (`pip install imageio-ffmpeg`), or let the name end in .gif."


def ffmpeg() -> str | None:
    """The program that writes MP4, or None."""
    if find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg  # type: ignore[import-not-found, unused-ignore]

        try:
            return str(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError:
            pass  # the package came without the program
    return shutil.which("ffmpeg")


class Movie:
    """Frames (RGB bytes, all of one size) on their way into a file; not for the GUI thread.

    Parameters
    ----------
    path : ends in ``.gif`` or ``.mp4``.
    width, height : of the frames, pixels.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.path, self.size = path, (width, height)
        self._frames: list[Any] = []

    def add(self, pixels: bytes) -> None:
        """Take the next frame."""
        from PIL import Image

        picture = Image.frombytes("RGB", self.size, pixels)
        # A palette of its own for each frame, and a third of the memory.
        gif = self.path.suffix.lower() == ".gif"
        self._frames.append(picture.quantize(128, dither=Image.Dither.NONE) if gif else picture)

    def write(self) -> Path:
        """Write the file, whole or not at all.

        Raises
        ------
        VerglasError
            If there is no encoder, or the file can't be written.
        """
        with atomic_path(self.path) as temporary:
            if self.path.suffix.lower() == ".gif":
                first, *others = self._frames
                first.save(
                    temporary, "GIF", save_all=True, append_images=others, duration=1000 // RATE, loop=0
                )
            else:
                self._encode(temporary)
        return self.path

    def _encode(self, target: Path) -> None:
        program = ffmpeg()
        if program is None:
            raise VerglasError(NO_FFMPEG, GET_FFMPEG, self.path)
        width, height = self.size
        command = [
            program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s",
            f"{width}x{height}", "-r", str(RATE), "-i", "-", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2",
            "-pix_fmt", "yuv420p", "-f", "mp4", str(target),
        ]  # fmt: skip
        content = b"".join(picture.tobytes() for picture in self._frames)
        done = subprocess.run(command, input=content, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise VerglasError(
                f"ffmpeg failed: {words[-1] if words else 'no reason given'}.", "Try a GIF.", self.path
            )


class Movies(Feature):
    """Draws the frames of a movie one after another, between the window's other work."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.movie: Movie | None = None
        self._path = Path()
        self._kind, self._done, self._total = "", 0, 0
        self._generation = 0
        self._start = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._frame)
        add = window.commands.add
        add(
            "&File",
            "&Movie: turn…",
            lambda: self.ask("turn"),
            tip="A full turn of what is shown, as GIF or MP4",
        )
        add(
            "&File",
            "Movie: &through the run…",
            lambda: self.ask("run"),
            tip="The run's frames, as GIF or MP4",
        )
        self.stop_action = add("&File", "Stop the movie", self.stop, tip="Write no movie after all")
        self.stop_action.setEnabled(False)

    def ask(self, kind: str) -> None:
        """Ask where to write, and begin."""
        suggestion = str(self.window.session.runs_folder / f"{kind}.gif")
        path = self.window.dialogs.save_as("Save the movie", suggestion, "Movie (*.gif *.mp4)")
        if path is not None:
            self.begin(kind, path)

    def begin(self, kind: str, path: Path, frames: int = TURN_FRAMES) -> None:
        """Make a movie: ``turn`` or ``run``."""
        window = self.window
        path = path.with_suffix(path.suffix or ".gif")
        if path.suffix.lower() not in (".gif", ".mp4"):
            window.complain("A movie's name ends in .gif or .mp4.")
            return
        if path.suffix.lower() == ".mp4" and ffmpeg() is None:
            window.complain(f"{NO_FFMPEG} {GET_FFMPEG}")
            return
        if kind == "run":
            frames = self._slider().maximum()
            if frames < 2:
                window.complain("This run kept no frames.")
                return
        elif window.viewer.page not in ("points", "volume", "compare"):
            window.complain("There is nothing to turn yet.")
            return
        self.stop()
        self._kind, self._path, self._done, self._total = kind, path, 0, min(frames, MOST_FRAMES)
        self._generation += 1
        self.stop_action.setEnabled(True)
        if kind == "run":
            self._slider().setValue(0)
        self._timer.start(WAIT_MS if kind == "run" else 0)

    def stop(self) -> None:
        """Give the movie up."""
        self._generation += 1
        self._timer.stop()
        self.movie = None
        self.stop_action.setEnabled(False)

    def close(self) -> None:
        """Stop."""
        self.stop()

    # ---- inside ---------------------------------------------------------------------------------

    def _slider(self) -> Any:
        from app.panels.scrubber import Scrubber

        found: Any = self.window.viewer.findChild(Scrubber)
        return found.slider

    def _frame(self) -> None:
        window = self.window
        image = window.viewer.screenshot().convertToFormat(QImage.Format.Format_RGB888)
        if self.movie is None:
            self.movie = Movie(self._path, image.width(), image.height())
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
        if self._done >= self._total:
            movie, self.movie = self.movie, None
            self.stop_action.setEnabled(False)
            self.window.in_background(movie.write, lambda path: self.window.say(f"Saved {path}."))
            if self._kind == "run":
                self._slider().setValue(self._slider().maximum())
            return
        if self._kind == "run":
            self._slider().setValue(self._done)
            self._timer.start(WAIT_MS)
        else:
            self._turn(360.0 / self._total)
            self._timer.start(0)

    def _turn(self, degrees: float) -> None:
        viewer = self.window.viewer
        if viewer.page == "compare":
            tiles: Any = viewer.findChild(_tiles_view())
            for index in range(1 if tiles.linked else len(tiles.tiles)):
                tiles.turn(index, degrees, 0.0)
            return
        volume = viewer.volume.volume
        camera = (viewer.points if viewer.page == "points" else volume).camera
        camera.azimuth = (camera.azimuth + degrees + 180) % 360 - 180
        # A film is not in a hurry: no rough surface stands in while it turns.
        volume.moving = False
        volume.set_look(volume.look_)

    def _failed(self, generation: int, error: Exception) -> None:
        if generation == self._generation:
            self.stop()
            self.window.complain(f"The movie can't be made ({error}).")


def _tiles_view() -> type:
    from app.viewers.tiles import TilesView

    return TilesView


def _packed(image: QImage) -> bytes:
    """Its rows without the padding at their ends."""
    import numpy as np

    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].tobytes()
