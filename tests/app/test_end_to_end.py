"""From a STAR file and its stack to an exported ensemble: the real window, worker and engine process."""

from __future__ import annotations

import json
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import psutil
import pytest

from app.main_window import MainWindow
from app.panels.export import ExportWish
from engine.jobs.run_dir import RunDir
from tests.app import phantom, prior_run
from tests.app.conftest import spin

SECONDS = 120.0


def prepare(window: MainWindow, folder: Path, *, steps: int, points: int = 96) -> None:
    session = window.session
    session.add_files(phantom.write_projections(folder, 3))
    spin(lambda: not session.checking, SECONDS)
    (row,) = session.evidence.values()
    assert row.state == "ready", row.problem
    assert row.kind == "projections"
    session.set_options(row.number, {"points": points})
    session.set_prior({"kind": "gaussian", "sigma": 0.362})
    session.set_sampler({"kind": "proximal", "steps": steps})
    session.set_settings({"samples": 2, "points": points, "seed": 3, "device": "cpu"})
    assert session.missing() == ""
    assert window.run_panel.run_button.isEnabled()


def run_to_the_end(window: MainWindow) -> None:
    window.run_panel.run_button.click()
    assert window.monitor.running
    spin(lambda: not window.monitor.running, SECONDS)
    spin(lambda: window.run_view.stored is not None, SECONDS)


@pytest.mark.timeout(400)
def test_cancel_one_run_then_finish_and_export_another(window: MainWindow, tmp_path: Path) -> None:
    prepare(window, tmp_path, steps=1000)
    seen: list[np.ndarray] = []
    window.monitor.moved.connect(lambda _event, points: seen.append(points))
    ended: list[str] = []
    window.monitor.ended.connect(lambda outcome, _message: ended.append(outcome))

    # The clouds move while the run is on.
    window.run_panel.run_button.click()
    assert not window.run_panel.run_button.isVisible()
    spin(lambda: len(seen) >= 3 or not window.monitor.running, SECONDS)
    assert len(seen) >= 3, window.messages.texts()
    assert all(points.shape == (2, 96, 3) for points in seen)
    assert np.abs(seen[-1] - seen[0]).max() > 0.01
    assert window.viewer.points.drawn() > 0
    assert len(window.energies.values) == 3

    # Cancel ends the run soon, in the run directory too.
    window.run_panel.cancel_button.click()
    assert not window.run_panel.cancel_button.isEnabled()
    spin(lambda: not window.monitor.running, SECONDS)
    assert ended == ["cancelled"]
    cancelled = RunDir.open(window.monitor.folder)
    assert cancelled.outcome().type == "cancelled"

    # Another run, in its own folder, to its end.
    window.session.set_sampler({"kind": "proximal", "steps": 12})
    run_to_the_end(window)
    assert ended == ["cancelled", "completed"]
    stored = window.run_view.stored
    assert stored.folder != cancelled.path
    assert stored.ensemble.points_A.shape == (2, 96, 3)
    np.testing.assert_array_equal(window.viewer.points.points_A, stored.ensemble.points_A)
    assert window.results.export_button.isEnabled()
    # No truth was given: the spread is shown, and no RMSD is claimed.
    assert not window.results.spread.isHidden()
    assert window.results.fsc.isHidden()
    assert {m.label for m in window.results.measures} == {"Misfit to the evidence", "Misfit, 1 as stated"}

    # What the samples agree on lies where the object is.
    truth = phantom.cloud()
    middle = stored.ensemble.points_A.reshape(-1, 3)
    assert np.linalg.norm(middle.mean(0) - truth.mean(0)) < 6.0
    assert 0.7 < middle.std() / truth.std() < 1.3

    # The file formats that other programs read.
    for name, suffix in {"mmcif": ".cif", "pdb": ".pdb", "mrc": ".mrc", "csv": ".csv", "cxc": ".cxc"}.items():
        target = tmp_path / f"{name}_out{suffix}"
        window.saving.export_to(ExportWish(target, name, *((12.0, 3.0) if name == "mrc" else (None, None))))
        spin(lambda: not window.background.busy, SECONDS)
        assert target.exists(), window.messages.texts()
    assert len(gemmi.read_structure(str(tmp_path / "mmcif_out.cif"))) == 2
    assert len(gemmi.read_structure(str(tmp_path / "pdb_out.pdb"))) == 2
    with mrcfile.open(tmp_path / "mrc_out.mrc") as volume:
        assert volume.voxel_size.x == pytest.approx(3.0, rel=0.01)


@pytest.mark.timeout(400)
def test_a_truth_brings_rmsd_and_fsc(window: MainWindow, tmp_path: Path) -> None:
    prepare(window, tmp_path, steps=8)
    window.session.add_files([phantom.write_structure(tmp_path / "truth.pdb")])
    spin(lambda: not window.session.checking, SECONDS)
    number = next(n for n, row in window.session.evidence.items() if row.kind == "structure")
    assert "Choose what this is" in window.session.missing()
    window.session.set_role(number, "truth")
    run_to_the_end(window)
    labels = [m.label for m in window.results.measures]
    assert "RMSD, points, aligned" in labels
    assert "RMSD, points, unaligned" in labels
    assert not window.results.fsc.isHidden()
    assert window.run_view.stored.spec.truth == str(tmp_path / "truth.pdb")

    # The same run, opened again from its folder, shows the same.
    folder = window.run_view.stored.folder
    shown = window.viewer.points.points_A.copy()
    window.viewer.points.clear()
    window.open_run(folder)
    spin(lambda: len(window.viewer.points.points_A) > 0, SECONDS)
    np.testing.assert_array_equal(window.viewer.points.points_A, shown)
    assert [m.label for m in window.results.measures] == labels
    assert window.settings.recent_runs()[0] == folder


@pytest.mark.timeout(400)
def test_a_closed_window_leaves_the_run_going_and_finds_it_again(
    window: MainWindow, settings, tmp_path: Path
) -> None:
    from engine.jobs import worker

    prepare(window, tmp_path, steps=1000)
    window.run_panel.run_button.click()
    spin(lambda: window.viewer.points.drawn() > 0, SECONDS)
    folder = window.monitor.folder
    window.dialogs.leave_running = lambda: "stay"
    assert not window.close()
    assert window.monitor.running
    window.dialogs.leave_running = lambda: "keep"
    assert window.close()
    worker.shutdown()
    run = RunDir.open(folder)
    assert run.running
    pid = run.holder().pid

    second = MainWindow(settings)
    second.show()
    second.open_run(folder)
    spin(lambda: second.monitor.running, SECONDS)
    spin(lambda: second.viewer.points.drawn() > 0, SECONDS)
    second.cancel_run()
    spin(lambda: not second.monitor.running, SECONDS)
    assert run.outcome().type == "cancelled"
    second.close()
    second.deleteLater()
    worker.shutdown()
    spin(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 20)


@pytest.mark.timeout(400)
def test_a_run_that_fails_says_why(window: MainWindow, tmp_path: Path) -> None:
    prepare(window, tmp_path, steps=4)
    weights = tmp_path / "none.safetensors"
    window.session.set_prior({"kind": "network", "weights": str(weights)})
    ended: list[tuple[str, str]] = []
    window.monitor.ended.connect(lambda outcome, message: ended.append((outcome, message)))
    window.start_run()
    spin(lambda: bool(ended), SECONDS)
    assert ended[0][0] == "failed"
    assert "none.safetensors" in ended[0][1]
    assert window.tabs.currentWidget() is window.messages
    assert any("none.safetensors" in text for text in window.messages.texts())


@pytest.mark.timeout(400)
def test_a_prior_is_trained_kept_and_draws_points(window: MainWindow, library: Path, tmp_path: Path) -> None:
    window.modes.set_mode("train_prior")
    window.modes.add_files([prior_run.write_clouds(tmp_path / "rings.npz", 12, 64)])
    prior = window.modes.prior
    spin(lambda: prior.session.sources["training"].state == "ready", SECONDS)
    prior.session.set_settings({
        "architecture": "kernel", "width": 8, "layers": 1, "max_steps": 3, "batch": 2, "min_points": 64,
        "device": "cpu",
    })  # fmt: skip
    prior.session.loaded.emit()
    assert prior.session.missing() == ""
    ended: list[str] = []
    window.monitor.ended.connect(lambda outcome, message: ended.append(outcome or message))
    prior.run_panel.run_button.click()
    spin(lambda: bool(ended), SECONDS)
    assert ended == ["completed"], window.messages.texts()
    spin(lambda: window.run_view.stored is not None, SECONDS)
    assert window.run_view.stored.prior.trained["steps"] == 3
    plots = window.sds_panels.prior
    assert len(plots.levels.values) == 6
    assert plots.loss.values[-1][0] == 3
    window.dialogs.prior_name = lambda suggestion, problem: suggestion
    prior.run_panel.keep_button.click()
    spin(lambda: window.shelf.entry("rings") is not None, SECONDS)
    prior.run_panel.next_button.click()
    window.session.set_sampler({"kind": "unconditional", "steps": 2})
    window.session.set_frame({"centre_A": (0.0, 0.0, 0.0), "scale_A": 80.0})
    window.session.set_settings({"samples": 2, "points": 64, "device": "cpu"})
    assert window.session.missing() == ""
    window.run_panel.run_button.click()
    spin(lambda: not window.monitor.running, SECONDS)
    assert ended == ["completed", "completed"], window.messages.texts()
    spin(lambda: window.run_view.stored is not None, SECONDS)
    run = RunDir.open(window.run_view.stored.folder)
    assert run.spec().prior.weights == "rings"
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["prior"]["path"] == str(library / "rings.safetensors")
    assert manifest["prior"]["sha256"] == window.shelf.entry("rings").sha256
