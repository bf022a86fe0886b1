"""The map of directions: what it shows, when, and from whose poses."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from scipy.spatial.transform import Rotation

from app.coverage import CoverageMap, from_mollweide, mollweide
from app.coverage_meter import CoverageMeter, Judged
from app.main_window import MainWindow
from app.panels.coverage import GRID, HEIGHT, WIDTH, CoverageCard, place_words
from app.view_coverage import words_of
from engine.io.mrc import write_images
from engine.types import ImageStack
from tests.app import averages_phantom, phantom, sds_run
from tests.app.conftest import ImmediateBackground, spin

FOUR = Rotation.from_rotvec(np.radians([[a, 0, 0] for a in (10, 40, 70, 100)])).as_matrix()
EVERY = np.ones(4, bool)


def meter_of(rotations: np.ndarray, symmetry: str = "C1") -> tuple[CoverageMeter, list[Judged]]:
    found: list[Judged] = []
    meter = CoverageMeter(ImmediateBackground(), found.append)
    meter.set_poses(rotations, symmetry, np.ones(len(rotations), bool))
    return meter, found


def at(picture: np.ndarray, direction: np.ndarray) -> float:
    """What the map says at a direction."""
    x, y = mollweide(np.asarray(direction, float)[None])[0]
    row = min(GRID[1] - 1, int((1 - y) / 2 * GRID[1]))
    return float(picture[row, min(GRID[0] - 1, int((x + 2) / 4 * GRID[0]))])


def test_the_map_says_at_each_place_how_far_the_nearest_view_is() -> None:
    meter, found = meter_of(FOUR)
    picture, views = found[-1].nearest_deg, found[-1].views
    assert picture.shape == (GRID[1], GRID[0])
    rows, columns = np.indices(picture.shape)
    places = np.stack([(columns + 0.5) / GRID[0] * 4 - 2, 1 - (rows + 0.5) / GRID[1] * 2], -1).reshape(-1, 2)
    directions, inside = from_mollweide(places)
    assert (np.isfinite(picture).ravel() == inside).all()
    true = np.degrees(np.arccos(np.clip(np.abs(directions @ views.T).max(1), 0, 1)))
    assert np.abs(picture.ravel() - true)[inside].max() < 4  # as fine as the directions are spread
    for direction in FOUR[:, 2]:
        assert at(picture, direction) < 4
        assert at(picture, -direction) < 4  # seen from behind
    meter.judge(np.array([True, False, False, False]))
    assert at(found[-1].nearest_deg, FOUR[3, 2]) == pytest.approx(90, abs=4)
    assert (found[-1].coverage.views, len(found[-1].views)) == (1, 1)


def test_new_poses_are_worked_out_once_and_old_answers_are_dropped() -> None:
    background = ImmediateBackground()
    found: list[Judged] = []
    meter = CoverageMeter(background, found.append)
    background.held = []
    meter.set_poses(FOUR, "C1", EVERY)
    other = FOUR[::-1].copy()
    meter.set_poses(other, "C1", ~EVERY)
    while background.held:
        background.held.pop(0)()
    assert [len(judged.views) for judged in found] == [0]
    meter.set_poses(other, "C1", ~EVERY)
    assert not background.held  # nothing is new
    meter.set_poses(other, "C1", EVERY)
    while background.held:
        background.held.pop(0)()
    assert len(found[-1].views) == 4
    assert meter.nearest_image(np.array([0.0, 0, -1])) == 3  # the first of FOUR, seen from behind
    meter.drop()
    assert meter.nearest_image(np.array([0.0, 0, 1])) == -1


def test_symmetry_mates_are_covered() -> None:
    _, alone = meter_of(FOUR[:1] @ Rotation.from_euler("y", 50, degrees=True).as_matrix())
    _, mates = meter_of(FOUR[:1] @ Rotation.from_euler("y", 50, degrees=True).as_matrix(), "C4")
    assert mates[-1].coverage.fraction == pytest.approx(4 * alone[-1].coverage.fraction, rel=0.15)


def test_thousands_of_images_are_judged_soon() -> None:
    rotations = Rotation.random(5000, rng=0).as_matrix()
    found = CoverageMap(rotations)
    began = time.process_time()
    found.of(np.ones(5000, bool))
    assert time.process_time() - began < 0.3  # in the background; the window only paints


def test_the_card_shows_says_and_points(qtbot) -> None:
    _, found = meter_of(FOUR)
    card = CoverageCard()
    qtbot.addWidget(card)
    card.resize(500, 80)
    words = words_of(found[-1].coverage, 2)
    assert "4 views cover" in words
    assert "2 selected images have no pose" in words
    assert words_of(found[-1].coverage, 0).count("no pose") == 0
    card.set_coverage(found[-1].nearest_deg, found[-1].views, words, "Careful.", "from a.star")
    card.show()
    assert (card.words, card.warning) == (words, "Careful.")
    assert card.map.accessibleDescription() == f"{words} Careful."
    began = time.process_time()
    picture = card.map.grab().toImage()
    assert time.process_time() - began < 0.1
    ratio = picture.width() / card.map.width()
    beside = picture.pixelColor(int(1 * ratio), int(1 * ratio))
    middle = picture.pixelColor(int((1 + 0.75 * WIDTH) * ratio), int((1 + HEIGHT / 2 + 2) * ratio))
    assert beside != middle
    went: list[tuple[float, float, float]] = []
    card.direction_clicked.connect(lambda *d: went.append(d))
    QTest.mouseClick(card.map, Qt.MouseButton.LeftButton, pos=QPoint(1 + WIDTH // 2, 2))
    assert went[0][2] > 0.9  # z is up
    QTest.mouseClick(card.map, Qt.MouseButton.LeftButton, pos=QPoint(2, 2))  # beside the map
    assert len(went) == 1


def test_places_are_told_by_rot_and_tilt() -> None:
    assert place_words(np.array([0.0, 1.0, 0.0]), 12.3) == (
        "rot 90°, tilt 90°; the nearest selected view is 12° away"
    )


def ready(window: MainWindow, path: Path) -> None:
    assert window.features["coverage"] is not None
    window.modes.open_averages(path)
    spin(lambda: window.modes.averages.quality is not None and not window.background.busy)


def test_without_poses_there_is_no_map(window: MainWindow, tmp_path: Path) -> None:
    ready(window, averages_phantom.write_stack(tmp_path, 5))
    assert window.modes.gallery.coverage.isHidden()
    assert window.modes.averages.coverage is None


def test_poses_of_the_file_fill_the_map_while_selecting(window: MainWindow, tmp_path: Path) -> None:
    _, star = phantom.write_projections(tmp_path, 8)
    ready(window, star)
    averages, gallery = window.modes.averages, window.modes.gallery
    card = gallery.coverage
    spin(lambda: not card.isHidden() and averages.coverage is not None)
    assert "8 views cover" in card.words
    everything = averages.coverage.fraction
    averages.select(range(2, 8), on=False)
    spin(lambda: averages.coverage.views == 2)
    assert averages.coverage.fraction < everything
    assert "2 views cover" in card.words
    assert "Fourier" in card.warning
    # It is among what to know before Run, too, and goes when it no longer holds.
    seen = window.features["presets"]._seen(window.modes.sds.spec())
    assert seen.coverage == card.warning
    gallery.block_changed.emit(np.array([2, 3]), True)  # while a block is being spanned
    spin(lambda: "4 views" in card.words)
    assert averages.coverage.views == 2
    gallery.block_changed.emit(np.array([], int), True)
    spin(lambda: "2 views" in card.words)
    window.history.undo()
    spin(lambda: averages.coverage.views == 8)
    # A click on the map goes to the image that looks from there.
    direction = averages.loaded.rotations[5, 2]
    card.direction_clicked.emit(*direction)
    assert gallery.model.image_of(gallery.view.currentIndex()) == 5
    averages.close()
    assert card.isHidden()


def test_poses_that_a_run_has_found_are_used(window: MainWindow, tmp_path: Path) -> None:
    folder = sds_run.write_sds(tmp_path / "run", images=8, box=24, starts=2, with_volumes=False)
    box = phantom.BOX
    write_images(tmp_path / "averages.mrcs", ImageStack(np.random.default_rng(0).normal(
        size=(10, box, box)).astype(np.float32), phantom.PIXEL_A))  # fmt: skip
    ready(window, tmp_path / "averages.mrcs")
    card = window.modes.gallery.coverage
    assert card.isHidden()
    window.open_run(folder)
    spin(lambda: not card.isHidden())
    assert "8 views cover" in card.words
    assert "2 selected images have no pose" in card.words  # the run didn't use them
    assert "found by the run run" in card._words.toolTip()
    window.modes.averages.select([0, 9], on=False)
    spin(lambda: "7 views" in card.words)
    assert "1 selected image has no pose" in card.words


def test_the_projections_of_points_have_a_map(window: MainWindow, tmp_path: Path) -> None:
    stack, star = phantom.write_projections(tmp_path, 3)
    assert window.features["coverage"] is not None
    window.session.add_files([stack, star])
    card = window.features["coverage"].evidence_card
    spin(lambda: not card.isHidden())
    assert "3 views cover" in card.words
    assert card.warning == ""
    window.modes.set_mode("sds")
    assert card.isHidden()
    window.modes.set_mode("dps")
    spin(lambda: not card.isHidden())
    for number in list(window.session.evidence):
        window.session.remove(number)
    spin(lambda: card.isHidden())
