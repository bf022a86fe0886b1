"""Frames on their way into a GIF or an MP4. Not for the GUI thread.

GIF comes from Pillow; MP4 needs ffmpeg, found through the package ``imageio-ffmpeg`` or on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import VerglasError
from engine.io.atomic import atomic_path

RATE = 20  # frames a second
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
    """Frames (RGB bytes, all of one size).

    Parameters
    ----------
    path : ends in ``.gif`` or ``.mp4``.
    width, height : of the frames, pixels.
    back : play the frames backwards, too, so that the end meets the beginning.
    """

    def __init__(self, path: Path, width: int, height: int, *, back: bool = False) -> None:
        self.path, self.size, self.back = path, (width, height), back
        self._frames: list[Any] = []

    @property
    def is_gif(self) -> bool:
        """Whether it becomes a GIF."""
        return self.path.suffix.lower() == ".gif"

    def add(self, pixels: bytes) -> None:
        """Take the next frame."""
        if self.is_gif:
            from PIL import Image

            picture = Image.frombytes("RGB", self.size, pixels)
            # A palette of its own for each frame, and a third of the memory.
            self._frames.append(picture.quantize(128, dither=Image.Dither.NONE))
        else:
            # An even ground packs well: minutes of film would not fit into memory as they are.
            self._frames.append(zlib.compress(pixels, 1))

    def write(self) -> Path:
        """Write the file, whole or not at all.

        Raises
        ------
        VerglasError
            If there is no encoder, or the file can't be written.
        """
        with atomic_path(self.path) as temporary:
            if self.is_gif:
                first, *others = self._in_order()
                first.save(
                    temporary, "GIF", save_all=True, append_images=others, duration=1000 // RATE, loop=0
                )
            else:
                self._encode(temporary)
        return self.path

    def _in_order(self) -> Iterator[Any]:
        yield from self._frames
        if self.back:
            yield from self._frames[-2:0:-1]

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
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as process:  # noqa: S603
                assert process.stdin is not None  # noqa: S101 - for the type checker
                try:
                    for packed in self._in_order():
                        process.stdin.write(zlib.decompress(packed))
                    process.stdin.close()
                except OSError:
                    pass  # it has given up: what it says tells why
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
        if process.returncode:
            raise VerglasError(
                f"ffmpeg failed: {words[-1] if words else 'no reason given'}.", "Try a GIF.", self.path
            )
