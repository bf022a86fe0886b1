"""Images against what is shown: the numbers against the engine's, the panel with a real window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from app.forensics import Forensics
from app.forensics_words import facts_of, ordinal, pose_words
from app.main_window import MainWindow
from app.panels.matches import to_signed
from app.place_support import AGAINST, FOR, support
from app.style import LIGHT
from app.view_fits import CloudModel, Views, cloud_model, compare, map_model, robust_z
from engine import conventions
from engine.conventions import image_centre
from engine.forward.fourier_slice import project
from engine.forward.gaussians import splat_image
from engine.io.pose_table import make_table, write_poses
from tests.app import sds_run
from tests.app.conftest import spin

BOX, PIXEL = 40, 3.0
PLACE = np.array([5, -3, 2])  # voxels from the middle: where density is added or missing


def a_map() -> np.ndarray:
    rng = np.random.default_rng(0)
    density = np.zeros((BOX,) * 3, np.float32)
    for place in rng.integers(13, 28, (40, 3)):
        density[tuple(place)] += 1
    return gaussian_filter(density, 1.5)


def blob(height: float) -> np.ndarray:
    density = np.zeros((BOX,) * 3, np.float32)
    density[tuple(image_centre(BOX) + PLACE[::-1])] = 1
    found = gaussian_filter(density, 1.5)
    return height * found / found.max()


@pytest.fixture(scope="module")
def views() -> Views:
    """The map with a blob, as the engine projects it, with noise; image 4 is of something else."""
    rng = np.random.default_rng(1)
    rotations, shifts = Rotation.random(12, random_state=3).as_matrix(), rng.uniform(-2, 2, (12, 2))
    whole = torch.from_numpy(a_map() + blob(0.25).astype(np.float32))
    images = project(
        whole,
        torch.tensor(rotations, dtype=torch.float32),
        shifts_px=torch.tensor(shifts, dtype=torch.float32),
    ).numpy()
    images += 0.1 * images.std() * rng.normal(size=images.shape).astype(np.float32)
    images[3] = np.roll(images[3][:, ::-1], 4, axis=0)
    return Views(
        "view", 2.5 * images + 1, rotations, shifts, np.full(12, PIXEL), 0.48 * BOX, np.arange(1, 13),
        np.full(12, 0.9),
    )  # fmt: skip


def test_projections_fit_up_to_a_factor_and_the_odd_one_is_an_outlier(views: Views):
    fits = compare(views, map_model(a_map() + blob(0.25), PIXEL, "the map"))
    good = np.delete(np.arange(12), 3)
    assert fits.correlation[good].min() > 0.98
    np.testing.assert_allclose(fits.factor[good], 2.5, rtol=0.03)
    np.testing.assert_allclose(fits.seen(0), views.images[0], atol=6 * fits.deviation[0] * fits.residual[0])
    assert list(fits.outliers()) == [3]
    assert fits.rank(3) == 12
    assert "robust standard deviations below the median" in fits.reason(3)
    text = facts_of(views, fits, 3, np.full(12, np.nan))
    assert "fits 12th best of 12" in text
    assert "Outlier" in text


def test_few_images_have_no_outliers():
    assert np.isnan(robust_z(np.array([0.9, 0.1, 0.9]))).all()
    assert robust_z(np.full(8, 0.5))[0] == 0


def test_the_pose_is_told_as_relion_writes_it(views: Views):
    rot, tilt, psi = conventions.rotation_to_relion(views.rotations[0])
    x, y = -views.shifts_px[0] * PIXEL
    text = pose_words(views, 0)
    assert f"rot {rot:.1f}°, tilt {tilt:.1f}°, psi {psi:.1f}°" in text
    assert f"origin {x:.1f}, {y:.1f} Å ({x / PIXEL:.1f}" in text


def test_density_that_is_there_is_supported(views: Views):
    fits = compare(views, map_model(a_map() + blob(0.25), PIXEL))
    found = support(PLACE * PIXEL, 3 * PIXEL, views, fits)
    good = np.delete(np.arange(12), 3)
    assert (found.verdict[good] == FOR).sum() >= 9
    assert found.gain[good].mean() > 0
    assert found.change[good].mean() > 0
    assert found.sentence().startswith("Supported by")
    expected = views.rotations[0][:2] @ PLACE + views.shifts_px[0] + BOX // 2
    np.testing.assert_allclose(found.place_px[0], expected)


def test_density_that_is_not_there_is_contradicted(views: Views):
    extra = a_map() + blob(0.25) + np.roll(blob(0.4), (-7, 6, -8), (0, 1, 2))
    found = support((PLACE + [-8, 6, -7]) * PIXEL, 3 * PIXEL, views, compare(views, map_model(extra, PIXEL)))
    good = np.delete(np.arange(12), 3)
    assert (found.verdict[good] == AGAINST).sum() >= 9
    assert "contradicted by views" in found.sentence()


def test_the_part_that_is_taken_is_what_projecting_without_it_takes(views: Views):
    density = a_map()
    fits = compare(views, map_model(density, PIXEL))
    from app import place_support

    part, mass = place_support._part(PLACE * PIXEL, 3 * PIXEL, views, fits)
    axis = (np.arange(BOX) - BOX // 2) * PIXEL
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    away = np.linalg.norm(np.stack([x, y, z], -1) - PLACE * PIXEL, axis=-1)
    weights = place_support._ball(away, 3 * PIXEL)
    without = compare(views, map_model((density * (1 - weights)).astype(np.float32), PIXEL))
    taken = fits.projections - without.projections
    assert np.corrcoef(part.ravel(), taken.ravel())[0, 1] > 0.99
    assert part.sum() == pytest.approx(taken.sum(), rel=0.05)
    assert mass == pytest.approx(float((density * weights).sum() / density.sum()), rel=0.01)


def test_nothing_can_be_said_where_nothing_is(views: Views):
    fits = compare(views, map_model(a_map(), PIXEL))
    found = support(np.array([57.0, 57.0, 57.0]), 4.0, views, fits)
    assert "nothing to test here" in found.sentence()


def test_clouds_are_seen_as_the_engine_sees_them(views: Views):
    points = np.random.default_rng(5).normal(size=(2, 300, 3)) * 12
    fits = compare(views, CloudModel(points, 4.0))
    there = points.reshape(-1, 3) @ views.rotations[2][:2].T + views.shifts_px[2] * PIXEL
    expected = splat_image(there, pixel_size_A=PIXEL, box=BOX, resolution_A=4.0 * np.pi * np.sqrt(2))
    np.testing.assert_allclose(fits.projections[2], expected, atol=1e-7)
    assert 2 < cloud_model(points, PIXEL).sigma_A < 4
    near = support(points[0].mean(axis=0), 8.0, views, fits)
    assert 0 < near.mass < 1


def test_ordinals_and_signed_colours():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 103)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "103rd",
    ]  # fmt: skip
    picture = to_signed(np.array([[-1.0, 0.0, 1.0]]), 1.0, LIGHT)
    assert [picture.pixelColor(x, 0).name() for x in range(3)] == [
        LIGHT.series[0], LIGHT.surface, LIGHT.series[1],
    ]  # fmt: skip


# ---- the window -------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of class averages, with poses of some kind."""
    folder = sds_run.write_sds(tmp_path / "run", images=8, box=24, starts=2)
    rotations = Rotation.random(8, random_state=1).as_matrix()
    table = make_table(
        rotations, np.zeros((8, 2)), sds_run.PIXEL_A, confidence=np.full(8, 0.8), correlation=np.full(8, 0.5)
    )
    write_poses(folder / "results", table, box=24)
    return folder


def feature(window: MainWindow) -> Forensics:
    try:
        return window.features["forensics"]
    except KeyError:
        return Forensics(window)


def test_images_places_and_leaving_out_in_the_window(window: MainWindow, run: Path):
    shown = feature(window)
    window.open_run(run)
    spin(lambda: window.run_view.stored is not None and not window.background.busy)
    assert shown.fits is None  # nothing is worked out while the tab is closed
    shown.show_image(5)
    spin(lambda: shown.fits is not None and not window.background.busy)
    panel = shown.panel
    assert panel.image == 5
    assert panel.strip.count == 3
    assert "best of 8" in panel._facts.text()
    assert "Pose (RELION, ZYZ)" in panel._facts.text()

    panel.table.select([2, 5])
    assert panel.table._leave.text() == "Leave out 2"
    panel.table.chosen.emit(2)
    assert panel.image == 3

    shown.open_place()
    window.viewer.volume.volume.picked.emit(np.array([4.0, 0.0, -4.0]))
    spin(lambda: shown.support is not None and not window.background.busy)
    assert panel.place.text.startswith("(4, 0, -4) Å: ")
    assert panel.place.pictures.count == 8
    assert any(column[0] == "Place" for column in panel.table._model.columns)

    window.sds_view.maps.show_key("volume:2")
    before = shown.fits
    spin(lambda: shown.fits is not before and not window.background.busy)
    assert "volume 2" in panel._facts.text()


def test_worst_images_are_left_out_of_the_next_run_and_brought_back(
    window: MainWindow, run: Path, monkeypatch
):
    shown = feature(window)
    window.open_run(run)
    spin(lambda: window.run_view.stored is not None and not window.background.busy)
    averages = window.modes.averages
    asked: list[tuple[list[int], bool]] = []
    monkeypatch.setattr(averages, "select", lambda rows, *, on: asked.append((list(rows), on)))
    monkeypatch.setattr(averages, "loaded", object())
    monkeypatch.setattr(averages, "path", Path(shown._run.spec.averages.file).absolute())
    shown.leave_out([0, 3])
    assert asked == [([int(shown.views.rows[0]) - 1, int(shown.views.rows[3]) - 1], False)]
    assert "Undo brings them back" in window.messages.texts()[-1]


def test_a_projection_of_the_evidence_leads_to_its_fit(window: MainWindow, tmp_path: Path, views: Views):
    from engine.io import star
    from engine.io.ensemble import write_ensemble
    from engine.io.mrc import write_images
    from engine.jobs.run_dir import RunDir
    from engine.specs.components import ProjectionImages
    from engine.specs.job import DpsSpec
    from engine.types import Ensemble, Frame, ImageStack, Poses

    count = len(views.images)
    write_images(tmp_path / "v.mrcs", ImageStack(views.images, PIXEL))
    poses = Poses(
        views.rotations, views.shifts_px * PIXEL, ("v.mrcs",) * count, np.arange(count, dtype=np.int32), PIXEL
    )
    star.write_poses(tmp_path / "v.star", poses, box=BOX)
    observation = ProjectionImages(images=str(tmp_path / "v.mrcs"), poses=str(tmp_path / "v.star"))
    spec = DpsSpec(observations=(observation,), samples=2)
    folder = RunDir.create(tmp_path / "points", spec).path
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(2, 64, 3)).astype(np.float32) * 15
    energies = np.full((2, count), 0.01, np.float32)
    names = tuple(f"view {i}" for i in range(1, count + 1))
    (folder / "results").mkdir(exist_ok=True)
    write_ensemble(
        folder / "results" / "ensemble.npz",
        Ensemble(clouds, "posterior", Frame((0, 0, 0), 50.0), energies, names, np.arange(2)),
    )
    shown = feature(window)
    window.session.add_files([tmp_path / "v.star"])
    spin(lambda: len(window.session.evidence) == 1 and not window.session.checking)
    number, row = next(iter(window.session.evidence.items()))
    window.inputs.cards[number].image_clicked.emit(1)
    assert "no result yet" in window.messages.texts()[-1]

    window.open_run(folder)
    spin(lambda: shown.views is not None and not window.background.busy)
    window.inputs.cards[number].image_clicked.emit(1)
    spin(lambda: shown.fits is not None and not window.background.busy)
    assert shown.visible
    assert shown.panel.image == 2
    assert "all 2 samples" in shown.panel._facts.text()
    assert "5 Å apart" in shown.panel._facts.text()  # the root of 0.01, times 50 Å
    window.viewer.step_sample(1)
    spin(lambda: "sample 1" in shown.panel._facts.text())

    shown.leave_out([0, 3])
    assert row.options["select"] == (2, 3, *range(5, 13))
    window.history.undo()
    assert not window.session.evidence[number].options.get("select")


def test_measured_points_are_seen_beside_the_object_s_points(tmp_path: Path):
    from app.forensics_files import load_views
    from app.forensics_words import dots_of
    from app.run_files import StoredRun
    from engine.io.points import write_points
    from engine.specs.components import ProjectionPoints
    from engine.specs.job import DpsSpec
    from engine.types import PointCloud

    cloud = np.random.default_rng(2).normal(size=(1, 80, 3)) * [20, 12, 6]
    turn = Rotation.from_euler("zyz", [30, 50, 70], degrees=True)
    seen = cloud[0] @ turn.as_matrix()[:2].T + [4.0, -3.0]
    write_points(tmp_path / "side.csv", PointCloud(seen))
    x, y, z, w = turn.as_quat()
    side = ProjectionPoints(file=str(tmp_path / "side.csv"), rotation=(w, x, y, z), shift_A=(4.0, -3.0))
    found = load_views(StoredRun(tmp_path, DpsSpec(observations=(side,))))
    assert found.names == ("side",)
    fits = compare(found, cloud_model(cloud, float(found.pixel_A[0])))
    assert fits.correlation[0] > 0.9
    measured, own = dots_of(found, fits, 0)
    np.testing.assert_allclose(measured, own, atol=1e-4)
    assert ((measured > 0) & (measured < 1)).all()
