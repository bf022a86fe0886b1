import os

import numpy as np
from PIL import Image, ImageSequence

from app import movies
from app.movies import Movies
from tests.app.conftest import spin
from tests.app.sds_run import write_sds


def feature(window):
    return next(f for f in window.features._all if isinstance(f, Movies))


def opened(window, tmp_path):
    window.open_run(write_sds(tmp_path / "run", images=4, box=16))
    spin(lambda: window.run_view.stored is not None and not window.background.busy)


def test_a_turn_is_written_whole(window, tmp_path):
    opened(window, tmp_path)
    feature(window).begin("turn", tmp_path / "turn.gif", frames=6)
    azimuth = window.viewer.volume.volume.camera.azimuth
    spin(lambda: (tmp_path / "turn.gif").exists() and not window.background.busy)
    with Image.open(tmp_path / "turn.gif") as film:
        frames = [np.asarray(f.convert("RGB"), int) for f in ImageSequence.Iterator(film)]
    assert len(frames) == 6
    assert np.abs(frames[0] - frames[3]).max() > 50
    assert abs(window.viewer.volume.volume.camera.azimuth - azimuth) < 61


def test_a_stopped_movie_leaves_nothing(window, tmp_path):
    opened(window, tmp_path)
    feature(window).begin("turn", tmp_path / "turn.gif", frames=40)
    spin(lambda: feature(window).movie is not None)
    feature(window).stop()
    spin(lambda: not window.background.busy)
    assert not list(tmp_path.glob("*.gif"))


def test_without_ffmpeg_the_window_says_how_to_get_it(window, tmp_path, monkeypatch):
    monkeypatch.setattr(movies, "ffmpeg", lambda: None)
    said = []
    monkeypatch.setattr(window, "complain", said.append)
    feature(window).begin("turn", tmp_path / "turn.mp4")
    assert "imageio-ffmpeg" in said[0]
    assert not os.path.exists(tmp_path / "turn.mp4")
