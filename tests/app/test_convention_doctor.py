"""A wrong convention among the evidence is noticed, shown, put right; and undo takes it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.convention_doctor import ConventionDoctor
from app.main_window import MainWindow
from engine.io import star
from engine.io.mrc import write_images, write_volume
from engine.io.pose_readings import Convention
from engine.types import ImageStack, Poses, Volume
from tests.app.conftest import spin
from tests.engine.io.test_convention_check import BOX, PIXEL, a_map, truth, written_wrongly

__all__ = ["truth"]  # a fixture


def feature(window: MainWindow) -> ConventionDoctor:
    try:
        return window.features["conventions"]
    except KeyError:
        return ConventionDoctor(window)


def add(window: MainWindow, folder: Path, posed) -> None:
    """Images with poses, and the map that they are of as the reference."""
    posed = posed.some(range(8))
    write_images(folder / "images.mrcs", ImageStack(posed.images, posed.pixel_A))
    poses = Poses(
        posed.rotations, posed.shifts_A, ("images.mrcs",) * 8, np.arange(8, dtype=np.int32), posed.pixel_A
    )
    star.write_poses(folder / "images.star", poses, box=BOX)
    write_volume(folder / "reference.mrc", Volume(a_map(), (PIXEL,) * 3))
    session = window.session
    session.add_files([folder / "images.star", folder / "reference.mrc"])
    # the stack is fetched and paired in steps: wait for what comes out of them
    wanted = ["coarse_map", "projection_images"]
    spin(lambda: sorted(str(r.role) for r in session.evidence.values()) == wanted and not session.checking)
    number = next(n for n, row in session.evidence.items() if row.role == "coarse_map")
    session.set_role(number, "truth")
    spin(lambda: not session.checking)
    assert [row.state for row in session.evidence.values()] == ["ready", "ready"]


def settle(window: MainWindow, found: ConventionDoctor) -> None:
    found._timer.stop()
    found._check_quickly()
    spin(lambda: not window.background.busy)


def test_a_wrong_convention_is_noticed_and_put_right(window: MainWindow, tmp_path: Path, truth):
    doctor = feature(window)
    white = replace(truth, images=truth.images - truth.images.min())
    add(window, tmp_path, written_wrongly(white, Convention(angles="inverse", shifts="-")))
    settle(window, doctor)
    assert "Inverse rotations" in doctor.caution.text

    doctor.open()
    panel = doctor.panel
    spin(lambda: doctor.found is not None and not window.background.busy)
    assert "Another convention fits better" in panel.verdict
    assert panel.row == 0
    assert panel.pictures.count == 12
    before = {n: row.paths for n, row in window.session.evidence.items()}
    panel.use_wanted.emit(0)
    spin(lambda: not window.background.busy and not window.session.checking)
    row = doctor.projections()[0]
    assert [p.name for p in row.paths] == ["images-corrected.mrcs", "images-corrected.star"]
    assert row.paths[0].parent == window.session.runs_folder / "corrected"
    right = star.read_poses(row.paths[1])
    np.testing.assert_allclose(right.rotations, truth.rotations[:8], atol=1e-5)
    np.testing.assert_allclose(right.shifts_A, truth.shifts_A[:8], atol=1e-4)
    settle(window, doctor)
    assert doctor.caution.text == ""

    window.history.undo()
    assert {row.paths for row in window.session.evidence.values()} == set(before.values())


def test_contrast_and_pixel_size_become_settings(window: MainWindow, tmp_path: Path, truth):
    doctor = feature(window)
    add(window, tmp_path, written_wrongly(truth, Convention(scale=0.9)))
    doctor.open()
    spin(lambda: doctor.found is not None and not window.background.busy)
    doctor.use(0)
    spin(lambda: not window.background.busy and not window.session.checking)
    row = doctor.projections()[0]
    assert row.options["pixel_size_A"] == pytest.approx(PIXEL, rel=0.012)
    assert row.paths[0].name == "images.mrcs"


def test_what_is_right_raises_no_caution(window: MainWindow, tmp_path: Path, truth):
    doctor = feature(window)
    add(window, tmp_path, truth)
    settle(window, doctor)
    assert doctor.caution.text == ""


def test_without_images_it_says_what_is_missing(window: MainWindow):
    doctor = feature(window)
    doctor.open()
    assert "Add images with their poses first" in doctor.panel.verdict
