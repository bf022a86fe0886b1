from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from app.newest import Newest
from app.panels.level_bar import LevelBar
from app.style import DARK
from app.surfaces import (
    EMPTY,
    Density,
    Surface,
    at_level,
    isosurface,
    profile_of,
    rough_step,
    sample,
    show,
)  # fmt: skip
from app.viewers.volume import VolumeView, directions
from app.volume_control import VolumeControl
from tests.app.conftest import ImmediateBackground, spin
from tests.app.test_viewers import pixels

VOXEL_A = 2.0


def ball(size: int = 32, radius_A: float = 20.0, centre_A: tuple[float, float, float] = (0, 0, 0)) -> Density:
    """Density that falls with the distance from a centre (x, y, z), and is 0 at the radius."""
    z, y, x = ((np.arange(n) - n // 2) * VOXEL_A for n in (size, size, size))
    cx, cy, cz = centre_A
    away = np.sqrt((x[None, None] - cx) ** 2 + (y[None, :, None] - cy) ** 2 + (z[:, None, None] - cz) ** 2)
    return Density((radius_A - away).astype(np.float32), VOXEL_A, "ball")


def area(surface: Surface) -> float:
    a, b, c = (surface.vertices[surface.faces[:, i]].astype(float) for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def open_edges(surface: Surface) -> int:
    """Edges that don't belong to two triangles, after vertices at the same place are made one."""
    _, place = np.unique(np.round(surface.vertices, 3), axis=0, return_inverse=True)
    faces = place.ravel()[surface.faces.astype(int)]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return sum(count % 2 for count in Counter(map(tuple, edges.tolist())).values())


# ---- surfaces ---------------------------------------------------------------------------------------


def test_a_ball_has_the_surface_of_a_ball() -> None:
    surface = isosurface(ball(), 0.0)
    np.testing.assert_allclose(np.linalg.norm(surface.vertices, axis=1), 20.0, rtol=5e-3)
    assert area(surface) == pytest.approx(4 * np.pi * 20**2, rel=0.01)
    outward = surface.vertices / np.linalg.norm(surface.vertices, axis=1, keepdims=True)
    assert (np.abs((surface.normals * outward).sum(1)) > 0.99).all()


def test_coordinates_are_xyz_around_the_middle_voxel() -> None:
    surface = isosurface(ball(radius_A=8.0, centre_A=(10.0, -6.0, 4.0)), 0.0)
    np.testing.assert_allclose(surface.vertices.mean(0), (10.0, -6.0, 4.0), atol=0.1)
    odd = Density(ball(31, 8.0).values, VOXEL_A)
    np.testing.assert_allclose(isosurface(odd, 0.0).vertices.mean(0), 0.0, atol=0.1)


def test_slabs_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    density = Density(np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32), 1.0)
    whole = isosurface(density, 1.0)
    monkeypatch.setattr("app.surfaces.SLAB_VOXELS", 22 * 22 * 5)
    pieces = isosurface(density, 1.0)
    assert open_edges(whole) == open_edges(pieces) == 0
    assert len(pieces.faces) == len(whole.faces)
    assert area(pieces) == pytest.approx(area(whole), rel=1e-5)
    # On the seams, too, a vertex has one normal.
    order_a, order_b = (np.lexsort(s.vertices[s.faces[:, 0]].T.round(3)) for s in (whole, pieces))
    np.testing.assert_allclose(
        whole.normals[whole.faces[order_a, 0]], pieces.normals[pieces.faces[order_b, 0]], atol=1e-4
    )


def test_what_touches_the_box_is_closed_there() -> None:
    surface = isosurface(ball(16, 40.0), 0.0)
    assert open_edges(surface) == 0
    assert np.abs(surface.vertices).max() <= 8.5 * VOXEL_A


def test_a_rough_surface_is_nearly_the_same_with_fewer_triangles() -> None:
    density = ball(96, 60.0)
    fine, rough = isosurface(density, 0.0), isosurface(density, 0.0, step=rough_step(density))
    assert len(rough.faces) < len(fine.faces) / 3
    np.testing.assert_allclose(np.linalg.norm(rough.vertices, axis=1), 60.0, rtol=5e-3)


def test_a_smooth_surface_lies_where_the_density_says() -> None:
    away = -ball(16, 0.0).values
    blob = Density(np.exp(-(away**2) / (2 * 4.0**2)), VOXEL_A)
    coarse, smooth = (isosurface(blob, np.exp(-0.5 * 1.7**2), smooth=smooth) for smooth in (False, True))
    assert len(smooth.faces) == pytest.approx(4 * len(coarse.faces), rel=0.15)
    off = [np.abs(np.linalg.norm(s.vertices, axis=1) - 1.7 * 4.0).max() for s in (coarse, smooth)]
    assert off[1] < off[0] / 2
    assert open_edges(smooth) == 0


@pytest.mark.parametrize("values", [np.zeros((8, 8, 8)), np.full((8, 8, 8), np.nan)])
def test_nothing_above_the_level_is_no_surface(values: np.ndarray) -> None:
    density = Density(values.astype(np.float32), 1.0)
    assert isosurface(density, 0.5) is EMPTY
    assert len(show(density).fine.faces) == 0


@pytest.mark.parametrize("radius", [0.12, 0.3, 0.45])  # of the box: large boxes and such as ours
def test_the_first_level_is_the_particle_s_whatever_the_box(radius: float) -> None:
    zyx = np.indices((64,) * 3) / 64 - 0.5
    ball = np.clip((radius - np.sqrt((zyx**2).sum(0))) / 0.05 + 0.5, 0, 1)
    values = ball + np.random.default_rng(1).normal(0, 0.1, ball.shape)
    shown = show(Density(values.astype(np.float32), 1.0))
    assert (values > shown.level).mean() == pytest.approx((ball > 0.5).mean(), rel=0.25)


def test_a_level_encloses_its_share() -> None:
    density = Density(np.random.default_rng(1).normal(size=(64,) * 3).astype(np.float32), 1.0)
    shown = show(density, 0.01)
    assert (density.values > shown.level).mean() == pytest.approx(0.01, rel=0.03)
    for share in (0.2, 0.01, 0.0005):
        assert shown.profile.share(shown.profile.level(share)) == pytest.approx(share, rel=1e-6)


def test_a_large_map_is_profiled_by_some_of_its_voxels() -> None:
    values = np.zeros((100,) * 3, np.float32)
    values[:, :, ::2] = 1.0  # planes: a step of an even number of voxels would see only one kind
    profile = profile_of(Density(values, 1.0))
    assert profile.share(0.5) == pytest.approx(0.5, abs=0.02)


def test_values_at_vertices_are_interpolated() -> None:
    z, y, x = (np.indices((16, 16, 16)) - 8) * VOXEL_A
    slope = Density((x + 2 * y - 3 * z).astype(np.float32), VOXEL_A)
    points = np.random.default_rng(2).uniform(-10, 10, (50, 3))
    np.testing.assert_allclose(sample(slope, points), points @ [1, 2, -3], atol=1e-4)
    surface = isosurface(ball(16, 10.0), 0.0, colour_by=slope)
    np.testing.assert_allclose(surface.values, surface.vertices @ [1, 2, -3], atol=1e-3)


# ---- the controller ---------------------------------------------------------------------------------


def test_only_the_newest_request_waits() -> None:
    background = ImmediateBackground()
    background.held = []
    newest, done = Newest(background), []
    for i in range(5):
        newest.ask(lambda i=i: i, done.append)
    while background.held:
        background.held.pop(0)()
    assert done == [0, 4]
    assert not newest.busy
    newest.ask(lambda: 9, done.append)
    newest.drop()
    background.held.pop(0)()
    assert done == [0, 4]


def test_the_share_stays_while_maps_grow_denser() -> None:
    control, shown = VolumeControl(ImmediateBackground()), []
    control.shown.connect(shown.append)
    density = ball()
    control.show(density)
    control.set_level(shown[-1].profile.level(0.05))
    control.show(Density(density.values * 7.0, VOXEL_A))
    assert shown[-1].level == pytest.approx(7 * shown[-2].level, rel=1e-3)
    control.refine()
    assert len(shown[-1].fine.faces) > len(shown[-1].rough.faces)
    control.clear()


def test_a_map_is_coloured_by_another() -> None:
    control, shown = VolumeControl(ImmediateBackground()), []
    control.shown.connect(shown.append)
    control.show(ball())
    assert shown[-1].fine.values is None
    control.set_colour_by(ball(centre_A=(10.0, 0.0, 0.0)))
    values, x = shown[-1].fine.values, shown[-1].fine.vertices[:, 0]
    assert np.corrcoef(values, x)[0, 1] > 0.9
    control.clear()


# ---- the view ---------------------------------------------------------------------------------------


@pytest.fixture
def view(qtbot) -> Iterator[VolumeView]:
    view = VolumeView()
    qtbot.addWidget(view)
    view.resize(480, 400)
    view.set_theme(DARK)
    view.show()
    yield view
    view.release()


def put(view: VolumeView, density: Density, level: float = 0.0) -> None:
    shown = at_level(density, profile_of(density), level)
    view.set_surfaces(shown.fine, shown.rough, radius_A=density.half_A)


def lit(view: VolumeView) -> np.ndarray:
    """Which pixels are not background."""
    picture = pixels(view.screenshot()).astype(int)
    return np.abs(picture - picture[2, 2]).sum(-1) > 30


def test_a_surface_is_seen_and_lit_from_the_viewers_left(view: VolumeView) -> None:
    put(view, ball())
    seen = lit(view)
    assert 0.2 < seen.mean() < 0.7
    for azimuth in (30.0, 190.0):
        view.camera.azimuth = azimuth
        grey = pixels(view.screenshot()).astype(int).sum(-1)
        rows, columns = np.nonzero(lit(view))
        left, right = columns < np.median(columns), columns > np.median(columns)
        assert grey[rows[left], columns[left]].mean() > grey[rows[right], columns[right]].mean() + 30


def test_directions_are_those_of_the_camera(view: VolumeView) -> None:
    put(view, ball())
    view.screenshot()
    for azimuth, elevation in ((0.0, 0.0), (30.0, 25.0), (-110.0, -40.0), (10.0, 90.0)):
        view.camera.azimuth, view.camera.elevation = azimuth, elevation
        frame = np.array(directions(azimuth, elevation))
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame) == pytest.approx(1.0)
        move = view.view.scene.transform
        origin = np.array(move.map([0, 0, 0, 1]))[:2]
        for axis in np.eye(3):
            there = np.array(move.map([*axis, 1]))[:2] - origin
            expected = np.array([frame[0] @ axis, -frame[1] @ axis]) / view.A_per_pixel()
            np.testing.assert_allclose(there, expected, atol=1e-3)


def test_the_camera_stays_while_the_map_changes_a_little(view: VolumeView) -> None:
    put(view, ball(radius_A=20.0))
    first = view.camera.scale_factor
    put(view, ball(radius_A=23.0))
    assert view.camera.scale_factor == first
    put(view, ball(radius_A=8.0))
    assert view.camera.scale_factor < first / 2
    view.touched = True
    close = view.camera.scale_factor
    put(view, ball(radius_A=25.0))
    assert view.camera.scale_factor == close
    view.reset_view()
    assert view.camera.scale_factor > 2 * close


def test_what_lies_over_shines_through(view: VolumeView) -> None:
    put(view, ball(radius_A=12.0))
    view.set_names("inner", "outer")
    alone = pixels(view.screenshot()).astype(int)
    assert view.overlay.state.legend == ()
    view.set_other(isosurface(ball(radius_A=24.0), 0.0))
    both = pixels(view.screenshot()).astype(int)
    assert [name for name, _ in view.overlay.state.legend] == ["inner", "outer"]
    middle = (alone.shape[0] // 2, alone.shape[1] // 2)
    redder = both[middle] - alone[middle]
    assert redder[0] > 20  # the orange veil over the blue
    assert (both[middle] != pixels(view.screenshot())[2, 2]).any()
    view.set_other(EMPTY)
    assert view.overlay.state.legend == ()


def test_colours_need_values_and_bring_a_colour_bar(view: VolumeView) -> None:
    density = ball()
    shown = show(density, 0.1, colour_by=ball(centre_A=(15.0, 0.0, 0.0)))
    view.set_colour_range((-20.0, 20.0), "Density change")
    view.set_surfaces(shown.fine, shown.rough, radius_A=density.half_A)
    coloured = pixels(view.screenshot())
    assert view.overlay.state.colour_range == (-20.0, 20.0)
    view.set_colour_range(None)
    assert view.overlay.state.colour_range is None
    assert (pixels(view.screenshot()) != coloured).any(-1).mean() > 0.1


def test_slow_surfaces_turn_roughly_and_rest_finely(view: VolumeView) -> None:
    put(view, ball(64, 60.0))
    fine = view.drawn()
    view._fine_ms = 200.0
    view.camera.azimuth += 10
    assert view.drawn() < fine / 2
    spin(lambda: view.drawn() == fine)


def test_a_picture_is_fine_also_while_the_surface_turns(view: VolumeView) -> None:
    put(view, ball(64, 60.0))
    fine = view.drawn()
    view._fine_ms = 200.0
    view.camera.azimuth += 10
    assert view.drawn() < fine / 2
    view.screenshot()
    assert view.drawn() == fine


def test_what_lies_over_turns_roughly_with_the_surface(view: VolumeView) -> None:
    put(view, ball(64, 40.0))
    over = show(ball(64, 80.0), 0.2, smooth=False)
    view.set_other(over.fine, over.rough)
    fine = view.drawn()
    assert fine == len(view.fine.faces) + len(over.fine.faces)
    view._fine_ms = 200.0
    view.camera.azimuth += 10
    assert view.drawn() == len(view.rough.faces) + len(over.rough.faces)
    spin(lambda: view.drawn() == fine)


def test_a_fine_surface_has_no_more_triangles_than_a_cpu_draws_in_time() -> None:
    density = ball(144, 100.0)
    level = profile_of(density).level(0.2)
    every = isosurface(density, level)
    few = at_level(density, profile_of(density), level, most_faces=len(every.faces) // 8, smooth=False)
    assert len(few.fine.faces) < len(every.faces) / 3
    np.testing.assert_allclose(
        np.linalg.norm(few.fine.vertices, axis=1).mean(),
        np.linalg.norm(every.vertices, axis=1).mean(),
        rtol=0.01,
    )


def test_clear_leaves_nothing(view: VolumeView) -> None:
    put(view, ball())
    view.clear()
    assert view.drawn() == 0
    assert not lit(view).any()


# ---- level, slices, pictures ------------------------------------------------------------------------


def test_the_level_is_dragged_and_stepped(qtbot) -> None:
    bar, chosen = LevelBar(), []
    qtbot.addWidget(bar)
    bar.resize(300, 70)
    bar.level_chosen.connect(chosen.append)
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(150, 10))
    assert chosen == []  # nothing to choose from yet
    profile = profile_of(ball())
    bar.show_profile(profile, 2.0)
    assert chosen == []
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    low, high = profile.range
    assert chosen == [pytest.approx(2.0 + (high - low) / 200)]
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(150, 10))
    assert bar.level == pytest.approx((low + high) / 2, abs=(high - low) * 0.01)
    assert "encloses" in bar.accessibleDescription()
    for _ in range(30):
        qtbot.keyClick(bar, Qt.Key.Key_PageUp)
    assert low < bar.level < high
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(100, 10))
    held = bar.level
    bar.show_profile(profile, 0.0)  # an answer that is late
    assert bar.level == held
