"""Priors in the window: chosen by name, their cards read, new ones trained, kept and used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication

from app.main_window import MainWindow
from app.modes import RESULT
from app.panels.keep_prior import KeepDialog
from app.panels.model_card import markdown
from app.panels.prior_choice import FILE, GAUSSIAN
from app.panels.prior_training import PriorPlots
from app.prior_files import SAMPLE_DISTANCE_A, side_by_side
from app.prior_session import TRAINING, VALIDATION
from app.settings import Settings
from engine.events import Cancelled, Failed
from engine.io import prior_library
from engine.io.prior_library import PriorEntry
from engine.jobs.run_dir import RunDir
from engine.specs.components import NetworkPrior
from engine.specs.job import DpsSpec, TrainPriorSpec
from engine.specs.samplers import Unconditional
from tests.app import prior_run
from tests.app.conftest import ReplayWorker, spin
from tests.app.test_sds_session import write_weights as write_other_weights


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
    spin(lambda: not window.background.busy)
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()


def settle(window: MainWindow) -> None:
    QCoreApplication.processEvents()
    spin(lambda: not window.background.busy)


def drop(window: MainWindow, *paths: Path) -> None:
    window.modes.add_files(paths)
    settle(window)


def offered(window: MainWindow) -> list[str]:
    box = window.run_panel.prior.box
    return [box.itemText(i) for i in range(box.count())]


def choose(window: MainWindow, key: str) -> None:
    box = window.run_panel.prior.box
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())
    settle(window)


# ---- priors by name -----------------------------------------------------------------------------


def test_priors_of_the_library_are_chosen_by_name(window: MainWindow, library: Path, tmp_path: Path) -> None:
    prior_library.keep(prior_run.write_weights(tmp_path / "p.safetensors"), "file")
    (library / "broken.safetensors").write_bytes(b"nothing at all")
    window.shelf.refresh()
    settle(window)
    names = offered(window)
    assert names[0].startswith("Shipped prior")
    assert "file" in names
    assert "broken" not in " ".join(names)
    assert any("broken.safetensors can't be used" in text for text in window.messages.texts())
    choose(window, "file")
    assert window.session.prior == NetworkPrior(weights="file").model_dump()
    window.session.set_sampler(Unconditional().model_dump())
    assert "from the prior “file” alone" in window.session.sentence()
    choose(window, GAUSSIAN)
    assert window.session.prior["kind"] == "gaussian"
    assert not window.run_panel.prior.info.isEnabled()
    window.dialogs.weights = lambda *_: tmp_path / "p.safetensors"
    choose(window, FILE)
    assert window.session.prior["weights"] == str(tmp_path / "p.safetensors")
    assert window.run_panel._weights_row.isVisible()


def test_a_name_that_is_not_in_the_library_is_said_before_the_run(window: MainWindow, tmp_path: Path) -> None:
    window.modes.load(DpsSpec(prior=NetworkPrior(weights="gone"), sampler=Unconditional()))
    settle(window)
    assert "gone (missing)" in offered(window)
    assert "no prior named “gone”" in window.session.missing()
    assert not window.run_panel.run_button.isEnabled()
    prior_library.keep(prior_run.write_weights(tmp_path / "p.safetensors"), "gone")
    window.shelf.refresh()
    settle(window)
    assert window.session.missing() == ""
    assert "gone (missing)" not in offered(window)


def test_the_model_card_opens(window: MainWindow, tmp_path: Path) -> None:
    window.run_panel.prior.info.click()
    settle(window)
    card = window.modes.prior._card
    assert card.isVisible()
    text = card.browser.toPlainText()
    assert "never seen" in text
    assert prior_library.find("shipped").sha256 in text
    prior_run.write_weights(tmp_path / "own.safetensors")
    window.modes.prior.show_card(str(tmp_path / "own.safetensors"))
    settle(window)
    assert window.modes.prior._card is card
    assert "4,500 clouds of 1024 points" in card.browser.toPlainText()
    window.modes.prior.show_card(str(tmp_path / "none.safetensors"))
    settle(window)
    assert "no such file" in window.messages.texts()[-1]


def test_a_card_from_a_file_is_shown_as_plain_text() -> None:
    odd = "<img src='x'> **bold** | [link](http://a)"
    text = markdown(PriorEntry("p", Path("p"), card={"trained": {"clouds": odd}}), "")
    assert "\\<img" in text
    assert "\\*\\*bold" in text
    assert "\\[link\\]" in text


# ---- preparing a training -----------------------------------------------------------------------


def test_folders_and_files_find_their_places(window: MainWindow, tmp_path: Path) -> None:
    window.modes.switch.button("train_prior").click()
    prior, session = window.modes.prior, window.modes.prior.session
    assert window.modes.middle.currentIndex() == RESULT
    assert "folder of structures" in session.missing()
    drop(window, prior_run.write_structures(tmp_path / "structures"))
    assert "3 structures" in prior.panel.cards[TRAINING]._title.text()
    assert "1 other file is left aside." in prior.panel.cards[TRAINING]._lines.text()
    assert "too few" in session.missing()
    validation = prior_run.write_clouds(tmp_path / "val.npz", 4)
    drop(window, validation)
    assert session.missing() == ""
    assert session.sentence().startswith("Builds clouds from 3 structures, then trains the equivariant")
    assert session.spec().validation == str(validation)
    for role in (TRAINING, VALIDATION):
        prior.panel.cards[role].remove_button.click()
    drop(window, validation, prior_run.write_clouds(tmp_path / "train.npz"))
    assert session.spec().clouds == str(tmp_path / "train.npz")
    assert session.spec().validation == str(validation)
    assert "12 clouds of 64 points" in session.sentence()


def test_what_can_not_be_used_is_said_in_words(window: MainWindow, tmp_path: Path) -> None:
    window.modes.set_mode("train_prior")
    prior, session = window.modes.prior, window.modes.prior.session
    (tmp_path / "empty").mkdir()
    drop(window, tmp_path / "empty")
    assert "no PDB or mmCIF file" in prior.panel.cards[TRAINING]._problem.text()
    assert not prior.run_panel.run_button.isEnabled()
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    prior.panel.cards[TRAINING].remove_button.click()
    drop(window, tmp_path / "bad.npz")
    assert "can't be read as npz" in prior.panel.cards[TRAINING]._problem.text()
    (tmp_path / "one.pdb").touch()
    drop(window, tmp_path / "one.pdb")
    assert "Drop the folder" in window.messages.texts()[-1]
    drop(window, write_other_weights(tmp_path / "d.safetensors", box=32))
    assert "not a prior" in window.messages.texts()[-1]
    window.dialogs.clouds = lambda *_: prior_run.write_clouds(tmp_path / "few.npz", 5)
    prior.panel.file_button.click()
    settle(window)
    assert "too few to hold some out" in session.missing()


def test_settings_and_the_prior_to_start_from(window: MainWindow, library: Path, tmp_path: Path) -> None:
    prior_library.keep(prior_run.write_weights(tmp_path / "p.safetensors"), "rings")
    window.modes.set_mode("train_prior")
    settle(window)
    prior = window.modes.prior
    drop(window, prior_run.write_clouds(tmp_path / "c.npz"))
    form = prior.run_panel.settings_form
    assert form.field("hours").isVisible()
    for name in ("learning_rate", "precision", "width"):
        assert not form.field(name).isVisible()
    prior.run_panel.advanced.setChecked(True)
    assert form.field("learning_rate").isVisible()
    form.field("hours").setValue(2.5)
    form.field("width").setText("4")
    form.field("width").textEdited.emit("4")
    assert "at least 8" in prior.run_panel._reason.text()
    form.field("width").setText("")
    form.field("width").textEdited.emit("")
    assert prior.session.spec().hours == 2.5
    box = prior.run_panel.start.box
    box.setCurrentIndex(box.findData("rings"))
    box.activated.emit(box.currentIndex())
    assert prior.session.spec().start_from == str(library / "rings.safetensors")
    drop(window, tmp_path / "p.safetensors")
    assert prior.session.spec().start_from == str(tmp_path / "p.safetensors")
    assert prior.run_panel.start.key == FILE
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert prior.session.spec().start_from is None


# ---- a training ---------------------------------------------------------------------------------


def test_a_training_is_watched_kept_and_used(
    window: MainWindow, workers: list[ReplayWorker], library: Path, tmp_path: Path
) -> None:
    window.modes.set_mode("train_prior")
    drop(window, prior_run.write_clouds(tmp_path / "ring shapes.npz"))
    prior, plots = window.modes.prior, window.sds_panels.prior
    prior.run_panel.run_button.click()
    spin(lambda: not window.monitor.starting)
    spec, folder = workers[0].spec, workers[0].folder
    assert isinstance(spec, TrainPriorSpec)
    assert not prior.panel.folder_button.isEnabled()
    run = RunDir.create(folder, spec)
    for event in prior_run.events_of(folder, 400):
        workers[0].on_event(event)
    spin(lambda: "step 400" in window.viewer._caption.text())
    assert len(window.viewer.points.points_A) == 3
    assert not window.viewer._colour.isVisible()
    assert window.tabs.currentWidget() is plots
    spin(lambda: plots.levels.isVisible())
    assert len(plots.levels.values) == len(prior_run.SIGMAS)
    assert len(plots.loss.values) == 20
    assert "denoising" in plots.sentence()
    assert not prior.run_panel.keep_button.isVisible()

    # Cancelled: what was learnt so far can be kept.
    prior.run_panel.cancel_button.click()
    assert workers[0].cancelled
    prior_run.write_weights(run.results / "prior.safetensors")
    workers[0].on_event(Cancelled(seconds=3.0))
    spin(lambda: prior.run_panel.keep_button.isVisible())
    settle(window)
    assert len(window.viewer.points.points_A) == 3
    assert plots._shapeless

    # Without a name it is used by its file.
    asked = []
    window.dialogs.prior_name = lambda suggestion, problem: asked.append(suggestion)
    prior.run_panel.keep_button.click()
    assert asked == ["ring shapes"]
    assert not library.exists()
    window.dialogs.prior_name = lambda suggestion, problem: suggestion
    prior.run_panel.keep_button.click()
    settle(window)
    assert (library / "ring shapes.safetensors").is_file()
    assert not prior.run_panel.keep_button.isEnabled()
    prior.run_panel.next_button.click()
    settle(window)
    assert window.modes.mode == "dps"
    assert window.session.prior == NetworkPrior(weights="ring shapes").model_dump()
    assert window.run_panel.prior.key == "ring shapes"


def test_a_stored_training_is_shown_and_can_be_used(window: MainWindow, tmp_path: Path) -> None:
    folder = prior_run.write_training(tmp_path / "runs" / "done")
    window.open_run(folder)
    spin(lambda: window.run_view.stored is not None)
    settle(window)
    plots = window.sds_panels.prior
    assert window.modes.mode == "train_prior"
    assert window.tabs.currentWidget() is plots
    assert "It knows shapes at noise levels σ = 0.02" in plots.sentence()
    assert len(window.viewer.points.points_A) == 3
    assert not window.actions_.export.isEnabled()
    window.modes.prior.run_panel.next_button.click()
    settle(window)
    weights = folder / "results" / "prior.safetensors"
    assert window.session.prior["weights"] == str(weights)
    assert window.run_panel.prior.key == FILE
    # Another run takes the offer back, and the colours by spread return.
    window.open_run(prior_run.write_training(tmp_path / "runs" / "cut", finished=False))
    spin(lambda: window.run_view.stored.folder.name == "cut")
    settle(window)
    assert not window.modes.prior.run_panel.keep_button.isVisible()
    assert any("was cancelled" in text for text in window.messages.texts())


def test_a_training_that_fails_offers_nothing(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    window.modes.set_mode("train_prior")
    drop(window, prior_run.write_clouds(tmp_path / "c.npz"))
    window.start_run()
    spin(lambda: not window.monitor.starting)
    workers[0].on_event(Failed(message="The loss left the finite numbers at step 3."))
    spin(lambda: not window.monitor.running)
    assert "finite numbers" in window.messages.texts()[-1]
    assert window.tabs.currentWidget() is window.messages
    assert not window.modes.prior.run_panel.keep_button.isVisible()


def test_the_dialog_refuses_names_that_are_taken(tmp_path: Path) -> None:
    prior_library.keep(prior_run.write_weights(tmp_path / "p.safetensors"), "rings")
    dialog = KeepDialog("rings", prior_library.name_problem, None)
    assert not dialog.keep_button.isEnabled()
    assert "named `rings` already" in dialog._problem.text()
    dialog.name.setText("rings 2")
    assert dialog.keep_button.isEnabled()
    dialog.deleteLater()


def test_samples_stand_side_by_side_and_curves_go_back_to_a_checkpoint() -> None:
    points = np.random.default_rng(0).normal(size=(3, 8, 3)).astype(np.float32)
    moved = side_by_side(points)
    np.testing.assert_array_equal(moved[..., 1:], points[..., 1:])
    np.testing.assert_allclose((moved - points)[:, :, 0].mean(1), np.array([-1, 0, 1]) * SAMPLE_DISTANCE_A)
    plots = PriorPlots()
    for step, value in ((1, 0.9), (2, 0.8), (2, 0.7)):
        assert plots.add("validation RMSE/σ at σ=0.2", step, value)
    assert plots.levels.values == {0.2: [(1, 0.9), (2, 0.7)]}
    assert not plots.add("validation RMSE/σ at σ=0.2", 3, float("nan"))
    assert not plots.add("something else", 3, 1.0)
    plots.deleteLater()
