"""From poses and a stack to a volume and what was measured of it: the real window, worker and engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox

from app.main_window import MainWindow
from app.panels.export import ExportWish
from app.sds_files import load_sds
from engine.io import volumes
from engine.specs.known_poses import KnownPosesSpec
from tests.app import averages_phantom, known_poses_run
from tests.app.conftest import spin
from tests.app.sds_run import body

SECONDS = 120.0
BOX = 24


def choose(box: QComboBox, key: str) -> None:
    """By the keyboard, as its popup does."""
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


def run_to_the_end(window: MainWindow) -> Path:
    window.modes.known.run_panel.run_button.click()
    assert window.monitor.running
    spin(lambda: not window.monitor.running, SECONDS)
    spin(lambda: window.run_view.stored is not None and not window.background.busy, SECONDS)
    folder = window.run_view.stored.folder
    assert window.run_view.stored.completed, window.messages.texts()
    return folder


@pytest.mark.timeout(400)
def test_two_methods_one_after_the_other(window: MainWindow, tmp_path: Path) -> None:
    density = body(BOX)
    truth = volumes.write_map(tmp_path / "truth.mrc", density, known_poses_run.PIXEL_A)
    poses = known_poses_run.write_posed(tmp_path / "data", images=8, box=BOX)
    library = averages_phantom.write_stack(tmp_path, 12)
    modes, mode = window.modes, window.modes.known
    QTest.mouseClick(modes.switch.button("known_poses"), Qt.MouseButton.LeftButton)
    modes.add_files([poses, truth])
    spin(lambda: mode.session.look is not None and "truth" in mode.session.files)
    modes.add_files([library])
    spin(lambda: mode.session.library is not None)
    assert modes.session.missing() == ""
    mode.session.set_settings({"device": "cpu"})

    # Least squares alone: seconds, no denoiser.
    choose(mode.run_panel.method, "wiener")
    first = run_to_the_end(window)
    stored = window.run_view.stored
    assert isinstance(stored.spec, KnownPosesSpec)
    assert stored.spec.method.kind == "wiener"
    found = load_sds(first)
    assert {"Volume", "Least squares", "Reference"} <= set(found.maps)
    assert found.prior_fraction is not None
    assert 0 <= found.prior_fraction.values.min() <= found.prior_fraction.values.max() <= 1
    assert found.correlation is not None
    assert np.median(found.correlation) > 0.95
    agreement = np.corrcoef(found.consensus.values.ravel(), density.ravel())[0, 1]
    assert agreement > 0.8
    panels = window.sds_panels
    spin(lambda: panels.coverage.card.words.startswith("8 views"))
    shells = json.loads((first / "results" / "fourier_coverage.json").read_text())
    _, rows = panels.coverage.plot.table()
    assert len(rows) == len(shells["frequency_per_A"]) - 1  # all but the one at zero
    assert [row.label for row in panels.results.rows][:2] == [
        "FSC, reference",
        "FSC, reference, least squares",
    ]

    # The same images as Gaussians, told by the images alone; they go out as pseudo-atoms.
    choose(mode.run_panel.method, "data")
    choose(mode.run_panel.representation, "gaussians")
    mode.session.set_part("method", {"kind": "data", "steps": 8})
    mode.session.set_part(
        "representation", {"kind": "gaussians", "count": 40, "most": 60, "anisotropic": False}
    )
    second = run_to_the_end(window)
    assert second != first
    wish = ExportWish(tmp_path / "splats.cif", "mmcif")
    window.saving.export_to(wish)
    spin(wish.path.exists)

    # With the library asked about random views; the picture moves while it computes.
    moved: list[int] = []
    window.monitor.map_moved.connect(lambda event, _values: moved.append(event.step))
    choose(mode.run_panel.method, "denoised_views")
    mode.session.set_part("method", mode.session.parts["method"] | {"steps": 4, "views": 6})
    third = run_to_the_end(window)
    assert moved
    page = window.viewer.volume
    page.toggle_colouring()
    spin(lambda: page.volume.overlay.state.colour_range == (0.0, 1.0))
    assert json.loads((third / "results" / "metrics.json").read_text())["method"] == "denoised_views"
    project = window.features["project"]
    window._columns.left_tabs.setCurrentIndex(1)
    project.list.refresh()
    spin(lambda: len(project.list.runs) == 3)
    assert {run.kind for run in project.list.runs.values()} == {"known_poses"}
