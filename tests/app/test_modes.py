"""The window in its modes: what is dropped finds its place, and each mode runs its own description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit

from app.main_window import MainWindow
from app.modes import AVERAGES, RESULT
from app.settings import Settings
from engine.events import Completed, Started
from engine.io.class_averages import read_class_averages
from engine.jobs.run_dir import RunDir
from engine.specs.codec import dump_toml, load_spec
from engine.specs.job import TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec
from tests.app import averages_phantom, phantom
from tests.app.conftest import ReplayWorker, spin
from tests.app.test_sds_session import write_weights


@pytest.fixture
def workers() -> list[ReplayWorker]:
    return []


@pytest.fixture
def window(settings: Settings, workers: list[ReplayWorker], _no_leaks: None) -> Iterator[MainWindow]:
    def make(spec, folder, on_event) -> ReplayWorker:
        workers.append(ReplayWorker(spec, folder, on_event))
        return workers[-1]

    window = MainWindow(settings, make)
    window.features.make_all()
    window.show()
    QCoreApplication.processEvents()
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()


def drop(window: MainWindow, *paths: Path) -> None:
    window.modes.add_files(paths)
    spin(lambda: not window.background.busy)


def test_images_without_poses_are_offered_to_be_reconstructed(window: MainWindow, tmp_path: Path) -> None:
    drop(window, averages_phantom.write_stack(tmp_path, 5))
    (card,) = window.inputs.cards.values()
    assert window.modes.mode == "dps"
    assert card._ab_initio.isVisible()
    card._ab_initio.click()
    spin(lambda: not window.background.busy)
    assert window.modes.mode == "sds"
    assert not window.session.evidence
    assert window.modes.averages.count == 5
    assert window.modes.middle.currentIndex() == AVERAGES
    assert window.modes.gallery.model.rowCount() == 5
    assert window.run_panel.isHidden() or not window.run_panel.isVisible()
    assert window.modes.sds_panel.run_button.isEnabled()
    assert any("without poses" in text for text in window.messages.texts())


def test_what_can_only_be_class_averages_changes_the_mode(window: MainWindow, tmp_path: Path) -> None:
    drop(window, averages_phantom.write_classes(tmp_path, 4))
    assert window.modes.mode == "sds"
    assert window.modes.averages.selection_sentence() == "Selected 4 of 4 (1,000 particles)"
    assert window.modes.gallery._count.text() == "Selected 4 of 4 (1,000 particles)"
    assert not window.session.evidence


def test_in_the_mode_of_volumes_each_file_finds_its_place(window: MainWindow, tmp_path: Path) -> None:
    modes = window.modes
    modes.set_mode("sds")
    drop(window, averages_phantom.write_stack(tmp_path, 4))
    drop(window, phantom.write_map(tmp_path / "map.mrc"))
    assert modes.sds.truth == tmp_path / "map.mrc"
    assert modes.averages_panel._truth.isVisible()
    drop(window, write_weights(tmp_path / "w.safetensors", box=48, mask_A=100.0))
    assert modes.sds.missing() == ""
    spec = modes.sds.spec()
    assert spec.truth == str(tmp_path / "map.mrc")
    assert spec.denoiser.weights == str(tmp_path / "w.safetensors")
    before = len(window.messages.texts())
    drop(window, phantom.write_structure(tmp_path / "a.pdb"))
    assert "of no use" in window.messages.texts()[before]
    drop(window, write_weights(tmp_path / "prior.safetensors"))
    assert "not a 2D denoiser" in window.messages.texts()[-1]
    modes.averages_panel._truth_remove.click()
    assert modes.sds.spec().truth is None
    modes.set_mode("train_denoiser")
    drop(window, tmp_path / "w.safetensors")
    assert modes.training.spec().start_from == str(tmp_path / "w.safetensors")


def test_run_descriptions_open_the_mode_that_they_are_for(window: MainWindow, tmp_path: Path) -> None:
    stack = averages_phantom.write_stack(tmp_path, 4)
    averages = ClassAveragesInput(file=str(stack), select=(1, 2, 4), box=32)
    specs = {
        "a.toml": SdsSpec(averages=averages, symmetry="D2", seed=3),
        "b.toml": TrainDenoiserSpec(averages=averages, minutes=2.0),
    }
    for name, spec in specs.items():
        dump_toml(spec, tmp_path / name)
        drop(window, tmp_path / name)
        spin(lambda: window.modes.averages.shown is not None)
        assert window.modes.mode == spec.kind
        assert window.modes.session.spec() == spec
        target = tmp_path / f"saved_{name}"
        window.dialogs.save_as = lambda *_: target  # noqa: B023 - used at once
        window.save_spec()
        spin(lambda: not window.background.busy)
        assert load_spec(target) == spec
    spec = TrainPriorSpec(clouds=str(stack), hours=2.0, architecture="kernel", width=32)
    dump_toml(spec, tmp_path / "c.toml")
    drop(window, tmp_path / "c.toml")
    spin(lambda: not window.background.busy)
    assert window.modes.mode == "train_prior"
    assert window.modes.session.spec() == spec
    assert "can't be used" in window.modes.session.missing()


def test_the_keyboard_alone_chooses_undoes_and_changes_the_mode(window: MainWindow, tmp_path: Path) -> None:
    modes = window.modes
    window.activateWindow()
    spin(window.isActiveWindow, 5)
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    spin(lambda: modes.mode == "sds", 5)
    drop(window, averages_phantom.write_stack(tmp_path, 6))
    view = modes.gallery.view
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert modes.averages.count == 5
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert modes.averages.spec().select == (3, 4, 5, 6)
    spin(lambda: not window.background.busy)
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert modes.averages.count == 6
    QTest.keyClick(
        view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert modes.averages.count == 5
    QTest.keyClick(view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert modes.averages.count == 6
    QTest.keyClick(view, Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    assert modes.averages.count == 0
    QTest.keyClick(window, Qt.Key.Key_P)
    assert modes.gallery.model.prepared_shown
    QTest.keyClick(window, Qt.Key.Key_G)
    assert modes.middle.currentIndex() == RESULT
    spin(lambda: not window.background.busy)


def test_forms_change_the_description_and_say_what_is_wrong(window: MainWindow, tmp_path: Path) -> None:
    modes = window.modes
    modes.set_mode("sds")
    drop(window, averages_phantom.write_stack(tmp_path, 4, pixel_size_A=0.0))
    panel = modes.averages_panel
    assert panel._size_button.isVisible()
    assert not modes.sds_panel.run_button.isEnabled()
    panel._size.setValue(3.0)
    panel._size_button.click()
    spin(lambda: modes.averages.shown is not None)
    assert not panel._size_button.isVisible()
    assert modes.sds_panel.run_button.isEnabled()
    assert "particles are white" in modes.gallery._facts.text()
    panel.form.field("contrast").setCurrentIndex(2)
    spin(lambda: not window.background.busy)
    assert modes.averages.spec().contrast == "black"
    panel.form.field("box").setValue(8)
    assert "at least 16" in modes.sds_panel._reason.text()
    panel.form.field("box").setValue(24)
    spin(lambda: not window.background.busy)
    assert modes.averages.box == 24
    field = modes.sds_panel.settings_form.field("symmetry")
    field.setText("Q7")
    field.textEdited.emit("Q7")
    assert "no point group" in modes.sds_panel._reason.text()
    modes.sds_panel.preset_chosen.emit("moving")
    spin(lambda: not window.background.busy)
    assert modes.sds.settings["volumes"] == "each"
    assert modes.sds_panel.settings_form.field("volumes").currentData() == "each"
    assert panel.form.field("box").value() == 0


def test_a_finished_training_leads_to_volumes_and_back(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    modes = window.modes
    modes.set_mode("train_denoiser")
    drop(window, averages_phantom.write_stack(tmp_path, 4))
    modes.averages.toggle(0)
    spin(lambda: not window.background.busy)
    trained_on = modes.averages.spec()
    modes.training.set_settings({"title": "β-gal"})
    modes.training_panel.run_button.click()
    spin(lambda: not window.monitor.starting)
    assert isinstance(workers[0].spec, TrainDenoiserSpec)
    assert not modes.switch.button("sds").isEnabled()
    assert modes.middle.currentIndex() == RESULT
    folder = workers[0].folder
    run = RunDir.create(folder, workers[0].spec)
    prepared = modes.averages.shown.prepared
    weights = write_weights(run.results / "denoiser.safetensors", 48, 4.0, 2 * prepared.mask_radius_px * 4.0)
    for event in (Started(kind="train_denoiser", device="CPU", version="0"), Completed(seconds=1.0)):
        workers[0].on_event(event)
    button = modes.training_panel.next_button
    spin(lambda: button.isVisible() and not window.background.busy)
    assert button.text() == "Use this denoiser for volumes"
    modes.averages.select_all()
    button.click()
    spin(lambda: not window.background.busy)
    assert modes.mode == "sds"
    assert modes.sds.missing() == ""
    spec = modes.sds.spec()
    assert spec.averages == trained_on
    assert spec.denoiser.weights == str(weights)
    assert window.settings.recent_runs()[0] == folder

    modes.sds.set_denoiser({"kind": "closed_form"})
    modes.sds_panel.run_button.click()
    spin(lambda: not window.monitor.starting)
    assert isinstance(workers[1].spec, SdsSpec)
    RunDir.create(workers[1].folder, workers[1].spec)
    workers[1].on_event(Completed(seconds=1.0))
    button = modes.sds_panel.next_button
    spin(lambda: button.isVisible() and not window.background.busy)
    button.click()
    assert modes.mode == "train_denoiser"
    assert modes.training.spec().averages == trained_on


def test_the_selection_is_exported(window: MainWindow, tmp_path: Path) -> None:
    window.modes.set_mode("sds")
    drop(window, averages_phantom.write_stack(tmp_path, 4, pixel_size_A=0.0))
    window.modes.averages.set_options({"pixel_size_A": 2.5})
    window.modes.averages.toggle(1)
    window.dialogs.save_as = lambda *_: tmp_path / "chosen"
    window.modes.gallery._export.click()
    spin(lambda: not window.background.busy)
    back = read_class_averages(tmp_path / "chosen.star")
    assert back.pixel_size_A == pytest.approx(2.5)
    np.testing.assert_array_equal(back.images, window.modes.averages.loaded.averages.images[[0, 2, 3]])
    assert "Wrote 3 images" in window.messages.texts()[-1]


def test_every_control_of_the_modes_has_a_name(window: MainWindow, tmp_path: Path) -> None:
    modes = window.modes
    prior = (modes.prior.panel, modes.prior.run_panel)
    for panel in (modes.switch, modes.averages_panel, modes.sds_panel, modes.training_panel, *prior):
        for kind in (QAbstractButton, QComboBox, QLineEdit):
            for control in panel.findChildren(kind):
                if control.objectName().startswith("qt_") or control in _offers(panel):
                    continue
                text = control.text() if isinstance(control, QAbstractButton) else ""
                assert control.accessibleName() or text, (panel, control)


def _offers(panel: object) -> tuple[object, ...]:
    """Buttons that have no text until there is something to offer."""
    return tuple(getattr(panel, name, None) for name in ("next_button", "keep_button"))
