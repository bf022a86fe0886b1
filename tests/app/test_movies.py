import os
import stat
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from app import movie_file, movies
from app.movie_file import Movie
from app.movies import Movies
from app.run_files import StoredRun
from app.walks import landscape_walk, sample_order, sample_walk
from engine.errors import VerglasError
from engine.types import Ensemble, Frame
from tests.app.conftest import spin
from tests.app.sds_run import write_sds


def feature(window):
    window.features.make_all()
    return next(f for f in window.features._all if isinstance(f, Movies))


def frames_of(path):
    with Image.open(path) as film:
        return [np.asarray(f.convert("RGB"), int) for f in ImageSequence.Iterator(film)]


def opened(window, tmp_path):
    window.open_run(write_sds(tmp_path / "run", images=4, box=16))
    spin(lambda: window.run_view.stored is not None and not window.background.busy)


def test_a_turn_is_written_whole(window, tmp_path):
    opened(window, tmp_path)
    feature(window).begin("turn", tmp_path / "turn.gif", frames=6)
    azimuth = window.viewer.volume.volume.camera.azimuth
    spin(lambda: (tmp_path / "turn.gif").exists() and not window.background.busy)
    frames = frames_of(tmp_path / "turn.gif")
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


def test_a_walk_goes_along_the_path_that_was_drawn_and_back(window, tmp_path):
    opened(window, tmp_path)
    window.sds_panels.landscape.set_path([0, 3])
    key = window.sds_view.maps.key
    feature(window).begin("walk", tmp_path / "walk.gif", frames=4)
    spin(lambda: (tmp_path / "walk.gif").exists() and not window.background.busy)
    frames = frames_of(tmp_path / "walk.gif")
    assert len(frames) == 6  # 4 there, 2 on the way back
    assert np.abs(frames[0] - frames[3]).max() > 50
    assert np.abs(frames[1] - frames[5]).max() < 40
    assert window.sds_view.maps.key == key


def test_a_walk_from_sample_to_sample(window, tmp_path):
    rng = np.random.default_rng(0)
    base, move = rng.normal(size=(60, 3)) * 20, rng.normal(size=(60, 3)) * 8
    points = np.stack([base + share * move for share in (0.5, -1.0, 1.0, 0.0)]).astype(np.float32)
    assert list(sample_order(points)) in ([1, 3, 0, 2], [2, 0, 3, 1])
    walk = sample_walk(points, 7)
    np.testing.assert_allclose(walk[2], points[sample_order(points)[1]], atol=1e-4)
    assert sample_walk(points[:1]) is None
    ensemble = Ensemble(
        points, "posterior", Frame((0, 0, 0), 20.0), np.zeros((4, 0), np.float32), (), np.arange(4)
    )
    run = StoredRun(tmp_path, ensemble=ensemble, spread=np.ones(60, np.float32))
    films = feature(window)
    window.run_view.show_run(run)
    window.viewer.points.set_sample(2)
    films.begin("walk", tmp_path / "walk.gif", frames=4)
    spin(lambda: (tmp_path / "walk.gif").exists() and not window.background.busy)
    assert len(frames_of(tmp_path / "walk.gif")) == 6
    assert window.viewer.points.points_A is points
    assert window.viewer.points.sample == 2


def test_a_landscape_without_a_path_is_walked_along_its_first_component():
    rng = np.random.default_rng(0)
    coordinates = np.column_stack([rng.permutation(20), 5 * rng.normal(size=20)])
    walk = landscape_walk(coordinates, frames=30)
    assert (np.diff(walk[:, 0]) > 0).all()
    np.testing.assert_allclose(landscape_walk(coordinates, (4, 2), 5)[[0, -1]], coordinates[[4, 2]])
    assert landscape_walk(coordinates[:1]) is None
    assert landscape_walk(coordinates, (4, 4)) is None


def test_without_anything_to_walk_through_the_window_says_so(window, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(window, "complain", said.append)
    feature(window).begin("walk", tmp_path / "walk.gif")
    assert "two samples" in said[0]


def test_mp4_goes_through_the_encoder_frame_by_frame(tmp_path, monkeypatch):
    # Stands in for ffmpeg: keeps what it is given.
    program = tmp_path / "encoder"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(movie_file, "ffmpeg", lambda: str(program))
    film = Movie(tmp_path / "a.mp4", 4, 2, back=True)
    for value in (1, 2, 3):
        film.add(bytes([value]) * 24)
    film.write()
    assert (tmp_path / "a.mp4").read_bytes() == b"".join(bytes([v]) * 24 for v in (1, 2, 3, 2))
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such codec')\n")
    with pytest.raises(VerglasError, match="no such codec"):
        film.write()
