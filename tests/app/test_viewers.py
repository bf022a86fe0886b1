from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent

from app.run_files import neighbour_spread
from app.style import DARK, LIGHT
from app.viewers.colours import sample_colours, value_colours, value_range
from app.viewers.detail import FEWEST, MOST_SOFTWARE, Detail, is_software
from app.viewers.overlay import bar_length_A
from app.viewers.points import PointsView
from app.viewers.scene import ALONG_Z
from tests.app.conftest import spin


@pytest.fixture
def view(qtbot) -> Iterator[PointsView]:
    view = PointsView()
    qtbot.addWidget(view)
    view.resize(480, 400)
    view.show()
    spin(lambda: view.detail.software is not None)
    yield view
    view.release()


def cloud(samples: int = 3, points: int = 200, size_A: float = 30.0) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(samples, points, 3)).astype(np.float32) * size_A


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    # A copy: the picture's memory goes with the picture.
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def shown(view: PointsView) -> np.ndarray:
    """What is on the widget: coloured pixels differ from the background."""
    picture = pixels(view.grab().toImage()).astype(int)
    return picture.max(-1) - picture.min(-1) > 60


def test_clouds_are_seen_and_move(view: PointsView) -> None:
    empty = pixels(view.screenshot())
    view.set_points(cloud())
    first = pixels(view.screenshot())
    view.set_points(cloud() * np.float32([1.0, 0.3, 1.0]))
    second = pixels(view.screenshot())
    assert (first != empty).any(-1).mean() > 0.05
    assert (first != second).any(-1).mean() > 0.02


def test_one_sample_shows_its_own_colour_only(view: PointsView) -> None:
    view.set_points(cloud())
    view.set_sample(1)
    assert [name for name, _ in view.overlay.state.legend] == ["Sample 2"]
    view.set_sample(None)
    assert len(view.overlay.state.legend) == 3


def test_spread_has_a_colour_bar_in_angstrom(view: PointsView) -> None:
    points = cloud()
    view.set_points(points)
    view.set_by_spread(True)
    assert view.overlay.state.colour_range is None  # not known yet: nothing is claimed
    view.set_spread(neighbour_spread(points))
    low, high = view.overlay.state.colour_range
    assert low == 0
    assert high > 1
    assert "Å" in view.overlay.state.colour_title
    view.set_spread(np.zeros((1, 5), np.float32))  # of other clouds: late, so dropped
    assert view.overlay.state.colour_range is None


def test_the_scale_bar_follows_the_camera(view: PointsView) -> None:
    view.set_points(cloud())
    spin(lambda: view.overlay.state.A_per_pixel > 0)
    before = view.overlay.state.A_per_pixel
    view.camera.scale_factor *= 2
    spin(lambda: view.overlay.state.A_per_pixel == pytest.approx(2 * before))
    # Two points whose distance is known lie that far apart on the screen.
    view.look(ALONG_Z)
    transform = view.view.scene.transform
    a, b = (transform.map([x, 0.0, 0.0])[:2] for x in (0.0, 50.0))
    assert np.linalg.norm(a - b) * view.overlay.state.A_per_pixel == pytest.approx(50.0, rel=1e-3)


def test_the_camera_follows_until_it_is_taken(view: PointsView) -> None:
    view.set_points(cloud(size_A=100.0))
    wide = view.camera.scale_factor
    view.set_points(cloud(size_A=30.0))
    assert view.camera.scale_factor < wide / 2
    view.touched = True
    close = view.camera.scale_factor
    view.set_points(cloud(size_A=90.0))
    assert view.camera.scale_factor == close
    view.reset_view()
    assert view.camera.scale_factor > 2 * close


def test_points_that_are_no_numbers_are_left_out(view: PointsView) -> None:
    points = cloud()
    points[0, :50] = np.nan
    view.set_live(True)
    view.set_points(points)
    assert 0 < view.drawn() <= 550
    view.set_points(np.full((1, 10, 3), np.nan, np.float32))
    view.clear()
    assert view.drawn() == 0


def test_software_rendering_thins_while_moving_and_shows_all_when_still(view: PointsView) -> None:
    assert view.detail.software
    view.set_live(True)
    view.set_points(cloud(5, 1024))
    assert view.drawn() < 5 * 1024
    view.set_live(False)
    spin(lambda: view.drawn() == 5 * 1024)


def test_a_picture_shows_all_points_also_while_they_move(view: PointsView) -> None:
    view.set_live(True)
    view.set_points(cloud(5, 1024))
    assert view.drawn() < 5 * 1024
    view.screenshot()
    assert view.drawn() == 5 * 1024


def test_what_changes_while_hidden_is_shown_afterwards(view: PointsView) -> None:
    view.set_points(cloud())
    spin(lambda: shown(view).any())
    view.hide()
    view.set_points(cloud() * np.float32([0.2, 0.2, 1.0]))
    before = shown(view)
    spin(lambda: True)
    view.show()
    spin(lambda: (shown(view) != before).any(), 5)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # vispy asks events for pos()
def test_the_mouse_turns_the_clouds(view: PointsView, qtbot) -> None:
    view.set_points(cloud())
    target = view.picture or view.canvas.native
    before = view.camera.azimuth
    qtbot.mousePress(target, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    move = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(260, 200), QPointF(260, 200), Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QCoreApplication.sendEvent(target, move)
    qtbot.mouseRelease(target, Qt.MouseButton.LeftButton, pos=QPoint(260, 200))
    assert abs(view.camera.azimuth - before) > 1
    assert view.touched


def test_detail_learns_from_slow_and_quick_frames() -> None:
    detail = Detail(16.0)
    detail.found("llvmpipe (LLVM 15.0.6, 256 bits)")
    for _ in range(3):
        detail.drew(6000, 500.0)  # compiling shaders
    assert detail.limit == MOST_SOFTWARE
    for _ in range(20):
        detail.drew(detail.limit, 100.0)
    assert detail.limit == FEWEST
    for _ in range(60):
        detail.drew(detail.limit, 2.0)
    assert detail.limit == MOST_SOFTWARE
    assert is_software("softpipe")
    assert not is_software("NVIDIA H100/PCIe/SSE2")


@pytest.mark.parametrize(
    ("scale", "length"), [(0.1, 10.0), (1.0, 100.0), (0.034, 5.0), (7.0, 1000.0), (0, 0)]
)
def test_scale_bars_are_round(scale: float, length: float) -> None:
    assert bar_length_A(scale, 160.0) == length


def test_colours_tell_samples_and_values_apart() -> None:
    for theme in (LIGHT, DARK):
        colours = sample_colours(20, theme)
        assert len({tuple(np.round(c, 3)) for c in colours}) == 20
    low, high = value_range(np.array([0.0, 1.0, 2.0, 400.0]))
    assert (low, high >= 2) == (0.0, True)
    ramp = value_colours(np.linspace(0, 1, 50), 0, 1)[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(ramp) > 0).all()  # readable in grey print
    assert value_range(np.zeros(5)) == (0.0, 1.0)


def test_spread_needs_no_order_of_points() -> None:
    points = cloud(1, 100)
    same = np.concatenate([points, points[:, ::-1]])
    assert neighbour_spread(same).max() == 0
    moved = np.concatenate([points, points + np.float32([0.5, 0, 0])])
    assert neighbour_spread(moved).max() == pytest.approx(0.5, rel=1e-5)
    assert neighbour_spread(points).shape == (1, 100)
