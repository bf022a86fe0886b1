"""The window with runs of score distillation and trainings: finished, cut off, and going on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from app.main_window import MainWindow
from app.panels.export import ExportWish
from app.panels.landscape import STOPS
from app.panels.plot import Plot
from app.sds_files import load_member
from engine.events import Cancelled, ImagesSnapshot, MapSnapshot, Metric, Result, Started
from engine.io.atomic import write_npy
from tests.app import sds_run
from tests.app.conftest import ReplayWorker, spin


@pytest.fixture
def workers() -> list[ReplayWorker]:
    return []


@pytest.fixture
def viewed(settings, workers, _no_leaks: None) -> Iterator[MainWindow]:
    def make(spec, folder, on_event) -> ReplayWorker:
        workers.append(ReplayWorker(spec, folder, on_event))
        return workers[-1]

    window = MainWindow(settings, make)
    window.features.make_all()
    window.show()
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()


def shown_tabs(window: MainWindow) -> list[str]:
    tabs = window.tabs
    return [tabs.tabText(i) for i in range(tabs.count()) if tabs.isTabVisible(i)]


def open_run(window: MainWindow, folder: Path) -> None:
    window.open_run(folder)
    spin(lambda: window.run_view.stored is not None and window.run_view.stored.folder == folder)
    spin(lambda: not window.background.busy)


def test_a_finished_run_is_shown_and_explored(viewed: MainWindow, tmp_path: Path) -> None:
    window, panels, page = viewed, viewed.sds_panels, viewed.viewer.volume
    open_run(window, sds_run.write_sds(tmp_path / "run", images=6, box=24))
    assert shown_tabs(window) == ["Results", "Landscape", "Images", "Starts", "Messages"]
    assert window.tabs.currentWidget() is panels.results
    assert window.viewer.page == "volume"
    assert page.volume.drawn() > 100
    assert page.level.profile.share(page.level.level) == pytest.approx(
        page.level.profile.first_share(), rel=0.05
    )
    assert "Da if protein" in page.level.words()
    assert window.actions_.export.isEnabled()
    assert any("hand" in text for text in window.messages.texts())

    # A point of the landscape: its volume and its class average.
    panels.landscape._picked(3)
    spin(lambda: window.sds_view.maps.key == "volume:4" and not window.background.busy)
    np.testing.assert_allclose(
        window.sds_view.maps.control.current.density.values, load_member(window.sds_view.run, 4).values
    )
    assert panels.landscape.strip.count == 3
    assert panels.matches.image == 4
    assert "Class average 4" in panels.landscape._facts.text()

    # A path, interpolated and by the nearest volumes.
    panels.landscape.set_path([0, 5])
    panels.landscape._slider.setValue(STOPS // 2)
    spin(lambda: not window.background.busy)
    assert window.sds_view.maps.key == ""
    assert "Interpolated" in page._caption.text()
    panels.landscape._how.setCurrentIndex(1)
    panels.landscape._place_changed()
    spin(lambda: not window.background.busy)
    assert window.sds_view.maps.key.startswith("volume:")

    # Colour, another map over it, slices, the next map.
    page.toggle_colouring()
    spin(lambda: page.volume.overlay.state.colour_range is not None)
    page._other.setCurrentIndex(page._other.findData("map:Consensus"))
    page.other_chosen.emit("map:Consensus")
    spin(lambda: len(page.volume.other.faces) > 0)
    page.toggle_slices()
    assert page.slices.density is window.sds_view.maps.control.current.density
    page.step(1)
    page.toggle_slices()
    panels.starts._pick(2)
    spin(lambda: window.sds_view.maps.key == "start:2" and not window.background.busy)

    # Out of the window.
    wish = ExportWish(tmp_path / "consensus.mrc", "mrc", which="consensus")
    window.saving.export_to(wish)
    spin(lambda: wish.path.exists())
    with mrcfile.open(wish.path) as stored:
        assert stored.data.shape == (24, 24, 24)
    window.saving.write_plot(panels.results.fsc, "csv", tmp_path / "fsc.csv")
    spin(lambda: (tmp_path / "fsc.csv").exists())
    dialog = window.saving.dialog_for(window.run_view.stored)
    dialog.choose("star", tmp_path / "poses.star")
    assert dialog.wish().which is None
    dialog.deleteLater()


def test_every_plot_can_be_saved_from_its_menu(viewed: MainWindow, tmp_path: Path) -> None:
    asked = []
    viewed.dialogs.save_as = lambda title, suggestion, kinds: asked.append(kinds)
    plots = viewed._columns.findChildren(Plot)
    assert len(plots) >= 9
    for plot in plots:
        plot.save_wanted.emit(plot, "svg")
    assert len(asked) == len(plots)


def test_a_run_that_was_cut_off_says_so(viewed: MainWindow, tmp_path: Path) -> None:
    open_run(viewed, sds_run.write_sds(tmp_path / "run", images=6, box=20, finished=False))
    text = viewed.sds_panels.results._summary.text()
    assert text.startswith("This run was cancelled.")
    assert "3 volumes" in text
    assert viewed.viewer.page == "volume"
    assert viewed.sds_panels.landscape.plot.isHidden() or not viewed.sds_panels.landscape.isVisible()


def test_a_training_is_shown(viewed: MainWindow, tmp_path: Path) -> None:
    open_run(viewed, sds_run.write_training(tmp_path / "training"))
    assert shown_tabs(viewed) == ["Training", "Messages"]
    assert viewed.viewer.page == "images"
    assert viewed.viewer.images.grid.count == 16
    assert len(viewed.sds_panels.training.loss.values) == 40
    assert "does better" in viewed.sds_panels.training.sentence()
    assert not viewed.actions_.export.isEnabled()


def test_maps_of_a_running_job_move(viewed: MainWindow, workers: list[ReplayWorker], tmp_path: Path) -> None:
    folder = sds_run.write_sds(tmp_path / "run", images=4, box=20, finished=False)
    viewed.monitor.start(None, folder)
    spin(lambda: bool(workers) and not viewed.monitor.starting)
    tell, page = workers[-1].on_event, viewed.viewer.volume
    tell(Started(kind="sds", device="CPU (2 cores)", version="0"))
    drawn = []
    for step in (1, 2, 3):
        path = folder / "snapshots" / f"map_{step}.npy"
        write_npy(path, step * sds_run.body(20))
        tell(MapSnapshot(step, 60, 0.5, f"snapshots/{path.name}", 4.0, "start 1 of 4"))
        spin(lambda step=step: f"step {step} of 60" in page._caption.text())
        drawn.append(page.level.level)
    assert drawn[2] == pytest.approx(3 * drawn[0], rel=1e-3)
    assert page._caption.text() == "Start 1 of 4 · step 3 of 60 · σ = 0.5"
    assert viewed.viewer.page == "volume"
    # What the run writes appears while it goes on.
    viewed.sds_view._reload.setInterval(10)
    tell(Result(role="volume", path="results/volumes/volume_0002.mrc"))
    spin(lambda: viewed.sds_view.run is not None)
    assert viewed.sds_panels.starts._table.rowCount() == 4
    tell(ImagesSnapshot(3, "projections", "snapshots/none.npy"))
    tell(Cancelled(seconds=1.0))
    spin(lambda: viewed.run_view.stored is not None and not viewed.background.busy)
    assert viewed.sds_view.maps.key == "map:Consensus"


def test_samples_and_losses_of_a_running_training(
    viewed: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    folder = sds_run.write_training(tmp_path / "run", finished=False)
    viewed.monitor.start(None, folder)
    spin(lambda: bool(workers) and not viewed.monitor.starting)
    tell = workers[-1].on_event
    tell(Started(kind="train_denoiser", device="CPU (2 cores)", version="0"))
    tell(Metric("loss", 1, 0.7))
    tell(ImagesSnapshot(1, "samples", "snapshots/images_002000.npy"))
    spin(lambda: viewed.viewer.images.grid.count == 16)
    assert viewed.viewer.page == "images"
    spin(lambda: not viewed.sds_panels.training.loss.isHidden())
    tell(Cancelled(seconds=1.0))
    spin(lambda: not viewed.monitor.running)
