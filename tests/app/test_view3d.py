"""The 3D pictures in the window: look, clipping, picking, projections, what is laid over, colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QPoint, Qt

from app.features import Feature
from app.main_window import MainWindow
from app.projections import project, reduced
from app.references import chain_of_each, load_reference
from app.run_files import StoredRun
from app.superpose import STAY, superpose
from app.surfaces import Density, isosurface, profile_of
from app.viewers.look import Look, clip_plane, directions, look_from
from app.viewers.paint import Names
from app.viewers.picking import hit_point
from app.viewers.points import PointsView
from engine.errors import InputError
from engine.io.mrc import write_volume
from engine.io.reduced_map import read_reduced
from engine.io.trace import read_trace
from engine.types import Ensemble, Frame, Volume
from tests.app.conftest import spin
from tests.app.test_viewers import pixels
from tests.app.test_volume_view import VOXEL_A, ball

ATOM = "ATOM  {n:5d}  {name:<3s} ALA {chain}{res:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {e}\n"


def write_model(path: Path, *, gap: bool = False) -> Path:
    """Two chains of ten residues: A along x, B beside it at y = 40 Å."""
    lines = []
    for number in range(20):
        chain, step = "AB"[number // 10], number % 10
        x = 3.8 * step + (30 if gap and step > 4 else 0)
        lines.append(ATOM.format(n=number + 1, name="CA", chain=chain, res=step + 1, x=x,
                                 y=40.0 * (chain == "B"), z=0.0, e="C"))  # fmt: skip
    path.write_text("".join(lines) + "END\n")
    return path


def lopsided(count: int = 900, seed: int = 0) -> np.ndarray:
    """Points of a body without symmetry, Å."""
    rng = np.random.default_rng(seed)
    lobes = np.array([[0, 0, 0], [50, 0, 0], [0, 35, 0], [0, 0, 22.0], [55, 14, 9]])
    return lobes[rng.integers(0, 5, count)] + rng.normal(size=(count, 3)) * 7


# ---- numbers ----------------------------------------------------------------------------------------


def test_a_look_survives_json_and_nonsense() -> None:
    look = Look("black", False, "flat", True, 0.4, "y", 0.25, True)
    assert look_from(json.loads(json.dumps(look.as_json()))) == look
    assert look_from({"background": "pink", "opacity": "x", "axes": 3, "clip_at": 7.0}) == Look()


def test_a_clipping_plane_takes_away_its_share() -> None:
    points = np.random.default_rng(0).uniform(-10, 10, (4000, 3))
    eye = directions(20.0, 30.0)[2]
    assert clip_plane(Look(), eye, np.zeros(3), 10.0) is None
    for flipped in (False, True):
        plane = clip_plane(Look(clip="x", clip_at=0.25, clip_flipped=flipped), eye, np.zeros(3), 10.0)
        cut = points @ plane[:3] > plane[3]
        assert cut.mean() == pytest.approx(0.25, abs=0.02)
        assert (points[cut, 0].mean() > 0) != flipped


def test_superposition_finds_the_motion_and_the_hand() -> None:
    body = lopsided()
    turn = np.array(directions(70.0, 35.0))
    for mirror in (np.eye(3), np.diag([1.0, 1.0, -1.0])):
        there = lopsided(seed=1) @ mirror @ turn.T + [30, -20, 5]
        motion = superpose(body, there, either_hand=True)
        expected = body @ mirror @ turn.T + [30, -20, 5]
        assert np.sqrt(((motion(body) - expected) ** 2).sum(1).mean()) < 4.0
        assert motion.mirrored == (mirror[2, 2] < 0)
    assert not superpose(body, there).mirrored
    assert superpose(body[:2], body) is STAY


def test_projections_look_where_the_camera_looks() -> None:
    density = ball(32, 6.0, (12.0, -8.0, 4.0))
    for azimuth, elevation in ((0.0, 0.0), (30.0, 25.0), (-120.0, 70.0)):
        axes = np.array(directions(azimuth, elevation))
        seen = project(density, profile_of(density), axes, "mip", samples=64)
        row, column = np.unravel_index(np.argmax(seen.grey), seen.grey.shape)
        right = (column - 31.5) * seen.pixel_A
        up = (31.5 - row) * seen.pixel_A
        expected = axes @ (np.array([12.0, -8.0, 4.0]) - seen.middle_A)
        np.testing.assert_allclose((right, up), expected[:2], atol=4.0)
    plane = np.array([1.0, 0, 0, -20.0])  # nothing of the ball is left
    cut = project(density, profile_of(density), axes, "xray", samples=48, plane=plane)
    whole = project(density, profile_of(density), axes, "xray", samples=48)
    assert cut.grey.sum() < whole.grey.sum()


def test_a_reduced_map_stays_in_its_place() -> None:
    density = ball(96, 30.0, (20.0, -10.0, 6.0))
    small = reduced(density, 40)
    assert max(small.values.shape) <= 40
    np.testing.assert_allclose(isosurface(small, 0.0).vertices.mean(0), (20.0, -10.0, 6.0), atol=0.5)


@pytest.mark.parametrize("name", ["map.mrc", "map.mrc.gz"])
def test_large_maps_are_averaged_while_they_are_read(tmp_path: Path, name: str) -> None:
    values = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    write_volume(tmp_path / name, Volume(values, (2.0, 2.0, 2.0), (1.0, 2.0, 3.0)))
    volume, factor = read_reduced(tmp_path / name, most_voxels=5 * 6 * 7)
    assert factor == 4
    np.testing.assert_allclose(volume.density, values.reshape(5, 4, 6, 4, 7, 4).mean((1, 3, 5)), atol=1e-5)
    assert volume.voxel_size_A == (8.0, 8.0, 8.0)
    assert volume.origin_A == (4.0, 5.0, 6.0)
    assert "averaged over 4" in volume.notes[-1]


def test_a_large_map_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    write_volume(path, Volume(np.random.default_rng(0).normal(size=(16,) * 3).astype(np.float32), (1.0,) * 3))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError):
        read_reduced(path, most_voxels=100)


def test_a_trace_leaves_out_what_is_missing(tmp_path: Path) -> None:
    trace = read_trace(write_model(tmp_path / "model.pdb"))
    assert len(trace.ends_A) == 18
    assert trace.chain_names == ("A", "B")
    assert len(read_trace(write_model(tmp_path / "gap.pdb", gap=True)).ends_A) == 16


def test_points_come_from_the_nearest_chain(tmp_path: Path) -> None:
    model = load_reference(write_model(tmp_path / "model.pdb"))
    points = np.array([[[5.0, 2, 0], [5, 38, 0], [5, 300, 0], [np.nan, 0, 0]]])
    assert chain_of_each(model, points).tolist() == [[0, 1, -1, -1]]


def test_a_map_is_a_reference_in_its_place(tmp_path: Path) -> None:
    density = ball(16, 8.0)
    write_volume(tmp_path / "map.mrc", Volume(density.values, (VOXEL_A,) * 3, (100.0, 0.0, -16.0)))
    found = load_reference(tmp_path / "map.mrc").density
    np.testing.assert_allclose(isosurface(found, 0.0).vertices.mean(0), (116.0, 16.0, 0.0), atol=0.1)
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(InputError):
        load_reference(tmp_path / "text.txt")


def test_the_front_ball_is_picked() -> None:
    screen = np.array([[10.0, 10, -5], [11, 10, 5], [80, 80, 9]])
    assert hit_point(screen, 10, 10, 4.0, 1.0) == 1
    assert hit_point(screen, 40, 40, 4.0, 1.0) is None


# ---- the views --------------------------------------------------------------------------------------


@pytest.fixture
def points(qtbot):
    view = PointsView()
    qtbot.addWidget(view)
    view.resize(400, 360)
    view.show()
    QCoreApplication.processEvents()
    yield view
    view.release()


def test_a_click_picks_and_a_drag_does_not(points: PointsView, qtbot) -> None:
    cloud = lopsided(300)[None].astype(np.float32)
    points.set_points(cloud)
    picked: list[np.ndarray] = []
    points.picked.connect(picked.append)
    spin(lambda: points.frame_ms > 0)
    front = points._drawn_A[np.argmax(points.on_screen(points._drawn_A)[:, 2])]
    x, y, _ = points.on_screen(front[None])[0]
    click(points, (x, y), (x, y))
    assert len(picked) == 1
    assert np.linalg.norm(picked[0] - cloud[0], axis=1).min() < 1e-3
    click(points, (x, y), (x + 30, y))
    click(points, (2, 2), (2, 2))
    assert len(picked) == 1


def click(view: PointsView, pressed: tuple[float, float], released: tuple[float, float]) -> None:
    # Through the canvas's own events: handing on Qt's makes vispy use deprecated calls of Qt.
    view.canvas.events.mouse_press(pos=pressed, button=1, modifiers=())
    view.canvas.events.mouse_release(pos=released, button=1, modifiers=())


def test_clipped_points_are_gone(points: PointsView) -> None:
    points.set_points(lopsided(2000)[None].astype(np.float32))
    whole = points.drawn()
    points.set_look(Look(clip="x", clip_at=0.5))
    assert 0 < points.drawn() < whole
    assert points._drawn_A[:, 0].max() <= points.middle_A()[0] + 1e-3


def test_names_have_a_legend(points: PointsView) -> None:
    points.set_points(lopsided(60)[None].astype(np.float32))
    index = np.array([[0, 1, -1] * 20])
    points.set_paint(Names(index, ("B", "A"), "Nearest chain"))
    state = points.overlay.state
    assert [name for name, _ in state.legend] == ["B", "A", "None"]
    assert state.legend_title == "Nearest chain"
    points.set_paint(Names(index[:, :5], ("B",), "too few"))
    assert [name for name, _ in points.overlay.state.legend] == ["Sample 1"]


def test_backgrounds(points: PointsView) -> None:
    points.set_points(lopsided(60)[None].astype(np.float32))
    points.set_look(Look("black"))
    assert pixels(points.screenshot())[2, 2].sum() < 10
    points.set_look(Look("transparent"))
    picture = points.screenshot()
    assert picture.hasAlphaChannel()
    assert picture.pixelColor(2, 2).alpha() == 0


# ---- the window -------------------------------------------------------------------------------------


def feature(window: MainWindow, name: str) -> Feature:
    return window.features[name]


def show_cloud(window: MainWindow) -> np.ndarray:
    cloud = np.stack([lopsided(200), lopsided(200, 1)]).astype(np.float32)
    window.viewer.set_samples(2)
    window.viewer.points.set_points(cloud)
    return cloud


def test_settings_reach_both_views_and_come_back(window: MainWindow, qtbot) -> None:
    show_cloud(window)
    drawer, view = window.viewer.drawer, feature(window, "view3d")
    window.viewer.toggle_drawer()
    assert drawer.isVisible()
    qtbot.mouseClick(drawer.axes, Qt.MouseButton.LeftButton, pos=QPoint(8, drawer.axes.height() // 2))
    drawer.clip.setCurrentIndex(2)
    assert not view.look.axes
    assert window.viewer.points.look_ == window.viewer.volume.volume.look_ == view.look
    window.viewer.points.look({"azimuth": 77.0})
    state = json.loads(json.dumps(view.state()))
    drawer._reset()
    window.viewer.points.look({"azimuth": 0.0})
    assert view.look == Look()
    view.restore(state)
    assert view.look.clip == "x"
    assert window.viewer.points.camera.azimuth == 77.0
    view.restore({"look": 3, "cameras": {"points": {"azimuth": "x"}}, "size": "big"})


def test_a_model_is_laid_over_aligned_and_colours_by_chain(window: MainWindow, tmp_path: Path) -> None:
    cloud = show_cloud(window)
    over, viewer = feature(window, "laid_over"), window.viewer
    over.lay_over(write_model(tmp_path / "model.pdb"))
    spin(lambda: over.reference is not None and not window.background.busy)
    assert not viewer.points.laid.empty
    assert viewer.points.overlay.state.caption == "model.pdb"
    over.set_aligned(True)
    spin(lambda: not window.background.busy)
    assert over.motion is not STAY
    over.set_aligned(False)
    spin(lambda: not window.background.busy)
    assert over.motion is STAY
    viewer.choose_colour("chain")
    spin(lambda: viewer.points.paint is not None)
    assert viewer.points.paint.shape == cloud.shape[:2]
    over.choose("")
    assert viewer.points.laid.empty
    assert viewer.colour == "sample"
    assert viewer.points.paint is None


def test_projections_follow_the_camera(window: MainWindow) -> None:
    page = window.viewer.volume
    window.viewer.show_page("volume")
    window.sds_view.maps.control.show(ball())
    page.set_kind("mip")
    spin(lambda: page.volume.overlay._picture is not None)
    first = page.volume.overlay._picture[0]
    page.volume.camera.azimuth += 40
    spin(lambda: page.volume.overlay._picture[0] is not first and not window.background.busy)
    assert not page.volume._node.visible
    page.set_kind("surface")
    assert page.volume.overlay._picture is None
    assert page.volume._node.visible


def test_a_click_on_a_surface_is_on_it(window: MainWindow) -> None:
    window.viewer.show_page("volume")
    window.sds_view.maps.control.share = 0.1
    window.sds_view.maps.control.show(ball())
    view = window.viewer.volume.volume
    spin(lambda: view.drawn() > 0 and not window.background.busy)
    middle = view.canvas.native.width() / 2, view.canvas.native.height() / 2
    place = view.pick(*middle)
    radius = np.linalg.norm(view.fine.vertices, axis=1).mean()
    np.testing.assert_allclose(place, view.axes()[2] * radius, atol=1.0)
    view.set_look(Look(clip="view", clip_at=0.5))
    assert view.pick(*middle) @ view.axes()[2] < 0
    assert view.pick(1.0, 1.0) is None
    density = Density(ball().values, VOXEL_A, "moved", (10.0, 0.0, 0.0))
    np.testing.assert_allclose(isosurface(density, 0.0).vertices.mean(0), (10, 0, 0), atol=0.1)


def test_gauge_and_stated_error_are_offered_where_a_run_has_written_them(
    window: MainWindow, tmp_path: Path
) -> None:
    cloud, colours = show_cloud(window), feature(window, "laid_over").colours
    results = tmp_path / "run" / "results"
    results.mkdir(parents=True)
    ensemble = Ensemble(
        cloud, "posterior", Frame((0.0, 0.0, 0.0), 1.0), np.zeros((2, 0), np.float32), (), np.arange(2)
    )
    run = StoredRun(results.parent, ensemble=ensemble)
    window.run_view.run_shown.emit(run)
    spin(lambda: not window.background.busy)
    window.viewer.choose_colour("gauge")
    assert window.viewer.colour == "sample"
    np.save(results / "gauge.npy", np.linspace(0.1, 0.7, 200, dtype=np.float32))
    np.save(results / "error.npy", np.linspace(1, 9, 200, dtype=np.float32))
    np.save(results / "point_misfit.npy", np.zeros(7, np.float32))  # of another number of points
    window.run_view.run_shown.emit(run)
    spin(lambda: "gauge" in colours._arrays)
    window.viewer.choose_colour("error")
    overlay = window.viewer.points.overlay
    assert overlay.state.colour_range == (0.0, pytest.approx(8.9, abs=0.2))
    assert "(Å)" in overlay.state.colour_title
    window.viewer.choose_colour("gauge")
    assert overlay.state.colour_range == (0.0, 1.0)  # of its own scale, whatever the values
    assert "prior" in overlay.state.colour_title
    window.viewer.choose_colour("fit")
    assert window.viewer.colour == "gauge"
