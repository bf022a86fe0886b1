"""Projects and sessions in a real window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from app.main_window import MainWindow
from app.project_files import create_project, read_project
from app.project_view import ProjectView
from app.session_state import camera_of, capture
from app.settings import Settings
from engine.events import Completed, Started
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from tests.app import averages_phantom, phantom, sds_run
from tests.app.conftest import ReplayWorker, spin
from tests.app.test_project import make_run
from tests.app.test_sds_session import write_weights


@pytest.fixture
def workers() -> list[ReplayWorker]:
    return []


def make_window(settings: Settings, workers: list[ReplayWorker]) -> MainWindow:
    def make(spec, folder, on_event) -> ReplayWorker:
        workers.append(ReplayWorker(spec, folder, on_event))
        return workers[-1]

    window = MainWindow(settings, make)
    window.features.make_all()
    window.show()
    QCoreApplication.processEvents()
    return window


def close(window: MainWindow) -> None:
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()


@pytest.fixture
def window(settings: Settings, workers: list[ReplayWorker], _no_leaks: None) -> Iterator[MainWindow]:
    window = make_window(settings, workers)
    yield window
    close(window)


def view_of(window: MainWindow) -> ProjectView:
    return window.features["project"]


def opened(window: MainWindow, root: Path) -> ProjectView:
    view = view_of(window)
    view.open(root)
    spin(lambda: view.project.root == root and not window.background.busy)
    spin(lambda: len(view.panel.visible_runs()) == len(list(root.glob("runs/*/spec.json"))))
    return view


def test_a_project_is_worked_with_by_keyboard(window: MainWindow, tmp_path: Path) -> None:
    root = tmp_path / "p"
    create_project(root, "Ribosomes")
    for seed, name in enumerate(("a", "b", "c")):
        make_run(root / "runs" / name, seed=seed, title=f"run {name}")
    view = opened(window, root)
    assert window.session.runs_folder == root / "runs"
    names = [view.panel.row(key).name for key in view.panel.visible_runs()]
    assert names == ["run c", "run b", "run a"]
    window.activateWindow()
    spin(window.isActiveWindow, 5)
    tree = view.panel.tree
    view.panel.select(f"run:{root / 'runs' / 'b'}")
    tree.setFocus()
    QTest.keyClick(tree, Qt.Key.Key_F2)
    spin(lambda: isinstance(QApplication.focusWidget(), QLineEdit), 5)
    field = QApplication.focusWidget()
    QTest.keyClicks(field, "Best of all")
    QTest.keyClick(field, Qt.Key.Key_Return)
    spin(lambda: view.project.name_of("b") == "Best of all", 5)
    assert view.panel.row(f"run:{root / 'runs' / 'b'}").name == "Best of all"
    window.dialogs.note = lambda name, text: "look at the lid"
    view.deeds.note()
    view.panel.search.setText("LID seed")
    assert view.panel.visible_runs() == [f"run:{root / 'runs' / 'b'}"]
    view.panel.search.setText("nothing like this")
    assert view.panel.visible_runs() == []
    view.panel.search.clear()
    tree.setFocus()
    QTest.keyClick(tree, Qt.Key.Key_Delete)
    spin(lambda: len(view.panel.visible_runs()) == 2)
    assert not (root / "runs" / "b").exists()
    window.history.undo()
    spin(lambda: len(view.panel.visible_runs()) == 3)
    spin(lambda: not window.background.busy)
    assert read_project(root).names == {"b": "Best of all"}
    window.history.undo()
    window.history.undo()
    spin(lambda: not window.background.busy)
    assert read_project(root).names == {}
    assert read_project(root).notes == {}
    with run_lock.held(root / "runs" / "a" / "lock"):
        view.panel.select(f"run:{root / 'runs' / 'a'}")
        view.deeds.throw_away()
    assert "Cancel it first" in window.messages.texts()[-1]
    view.panel.select(f"run:{root / 'runs' / 'c'}")
    view.deeds.duplicate()
    spin(lambda: not window.background.busy)
    assert window.session.settings["seed"] == 2
    assert window.session.sampler["kind"] == "unconditional"
    assert not view.panel.isVisible()


def test_two_runs_are_compared_in_a_window(window: MainWindow, tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        make_run(window.settings.runs_folder / name, seed=seed, title="same")
    view = view_of(window)
    view.show_tree()
    spin(lambda: len(view.panel.visible_runs()) == 2)
    view.panel.tree.selectAll()
    view.deeds.compare()
    spin(lambda: view.deeds.comparison is not None)
    dialog = view.deeds.comparison
    assert [row.label for row in dialog.shown_rows()] == ["Seed"]
    dialog.equal.setChecked(True)
    assert len(dialog.shown_rows()) > 10
    dialog.copy.click()
    assert "Settings,Seed,1,0" in QApplication.clipboard().text()
    dialog.hide()


def test_a_hint_leads_to_points_and_the_project_remembers(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    root = tmp_path / "p"
    create_project(root, "p")
    source = sds_run.write_sds(root / "runs" / "sds", images=12, box=32, starts=2)
    view = opened(window, root)
    view.follow("points_at_poses", source)
    spin(lambda: window.modes.mode == "dps" and bool(window.session.evidence))
    spin(lambda: not window.background.busy)
    assert window.session.missing() == ""
    window.start_run()
    spin(lambda: not window.monitor.starting)
    assert workers[0].folder.parent == root / "runs"
    (link,) = view.project.content.links
    assert (link.source, link.step, link.target) == ("sds", "points_at_poses", workers[0].folder.name)
    assert str(source / "next" / "poses.star") in view.project.content.inputs
    view.open(tmp_path)
    assert "A run is going on" in window.messages.texts()[-1]


def test_a_run_that_was_cut_off_goes_on_in_its_folder(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path
) -> None:
    root = tmp_path / "p"
    create_project(root, "p")
    cut = make_run(root / "runs" / "cut", seed=5, ended=False)
    window.modes.add_files([root])
    view = view_of(window)
    spin(lambda: view.project.root == root and len(view.panel.visible_runs()) == 1)
    row = view.panel.row(f"run:{cut}")
    assert row.state == "interrupted"
    assert [child.name for child in row.children] == ["→ Go on where it stopped"]
    view.open_row(row.children[0].key)
    spin(lambda: bool(workers))
    assert workers[0].folder == cut
    assert workers[0].spec.seed == 5
    spin(lambda: not window.background.busy)


def test_who_goes_on_before_the_ended_run_is_read_stays_there(
    window: MainWindow, workers: list[ReplayWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = window.modes
    modes.set_mode("train_denoiser")
    modes.add_files([averages_phantom.write_stack(tmp_path, 4)])
    spin(lambda: not window.background.busy)
    window.start_run()
    spin(lambda: not window.monitor.starting)
    run = RunDir.create(workers[0].folder, workers[0].spec)
    write_weights(run.results / "denoiser.safetensors", 48, 4.0, 100.0)
    shown: list[object] = []
    window.run_view.run_shown.connect(shown.append)
    monkeypatch.setattr(window.monitor, "_show_stored", lambda _generation, run: kept.append(run))
    kept: list[object] = []
    for event in (Started(kind="train_denoiser", device="CPU", version="0"), Completed(seconds=1.0)):
        workers[0].on_event(event)
    button = modes.training_panel.next_button
    spin(lambda: button.isVisible() and bool(kept))
    button.click()
    assert modes.mode == "sds"
    window.monitor.stored.emit(kept[0])
    assert modes.mode == "sds"
    assert window.run_view.stored is kept[0]
    window.run_view.run_shown.emit(kept[0])  # opened again, by its user
    assert modes.mode == "train_denoiser"
    spin(lambda: not window.background.busy)


@pytest.mark.usefixtures("_no_leaks")
def test_a_session_comes_back_in_another_window(settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "p"
    create_project(root, "p")
    run = sds_run.write_sds(root / "runs" / "sds", images=12, box=32, starts=2)
    stack, known = averages_phantom.write_stack(tmp_path, 5), phantom.write_structure(tmp_path / "a.pdb")
    gone = phantom.write_map(tmp_path / "map.mrc")
    first = make_window(settings, [])
    opened(first, root)
    first.session.add_files([known, gone])
    spin(lambda: not first.background.busy)
    row = next(r for r in first.session.evidence.values() if r.paths == (known,))
    first.session.set_role(row.number, "subunit")
    first.session.set_options(row.number, {"mass_fraction": 0.25})
    first.session.set_settings({"samples": 7, "title": "β"})
    first.open_run(run)
    spin(lambda: first.run_view.stored is not None and not first.background.busy)
    first.modes.averages.open(stack)
    spin(lambda: not first.background.busy)
    first.modes.averages.toggle(2)
    first.modes.sds.set_settings({"restarts": 3, "symmetry": "C2"})
    first.modes.set_mode("sds")
    first.tabs.setCurrentWidget(first.sds_panels.landscape)
    first.sds_view.maps.show_key("volume:2")
    spin(lambda: not first.background.busy)
    camera = first.viewer.volume.volume
    camera.touched = True
    camera.camera.azimuth = 77.0
    first.sds_view.maps.control.share = 0.05
    spin(lambda: not first.background.busy)
    before = capture(first)
    close(first)
    gone.unlink()

    second = make_window(settings, [])
    view = view_of(second)
    assert view.session.path is None
    assert not second.session.evidence
    view.resume()
    spin(lambda: second.run_view.stored is not None and not second.background.busy)
    assert view.project.root == root
    after = capture(second)
    rows = before["points"]["evidence"]
    before["points"]["evidence"] = [row for row in rows if row["paths"] != [str(gone)]]
    assert len(rows) == 2
    for part in ("mode", "points", "averages", "volumes", "denoiser", "prior"):
        assert json.dumps(after[part], default=list) == json.dumps(before[part], default=list), part
    for key in ("run", "map", "share", "middle", "tab", "left_tab"):
        assert after["shown"][key] == before["shown"][key], key
    assert camera_of(second.viewer.volume.volume)["azimuth"] == pytest.approx(77.0)
    assert any("map.mrc" in text and "left out" in text for text in second.messages.texts())
    assert not second.history.canUndo()
    assert not settings.restoring
    close(second)


def test_without_a_project_the_session_is_kept_only_when_it_is_wanted(
    window: MainWindow, settings: Settings, tmp_path: Path
) -> None:
    view, file = view_of(window), settings.folder / "session.json"
    window.session.set_settings({"samples": 9})
    settings.restores_session = False
    view.resume()
    assert view.session.path is None
    settings.restores_session = settings.restoring = True
    file.write_text("[")
    view.resume()
    assert any("begins without it" in text for text in window.messages.texts())
    assert view.session.path is None
    view.resume()
    spin(lambda: view.session.path == file and not window.background.busy)
    assert any("put aside" in text for text in window.messages.texts())
    assert not settings.restoring
    window.session.set_settings({"samples": 8})
    spin(lambda: file.exists() and json.loads(file.read_text())["points"]["settings"]["samples"] == 8, 10)
    spin(lambda: not window.background.busy)


@pytest.mark.usefixtures("_no_leaks")
def test_the_second_window_on_a_project_says_so(settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "p"
    create_project(root, "p")
    make_run(root / "runs" / "a")
    first, second = make_window(settings, []), make_window(settings, [])
    opened(first, root)
    view = opened(second, root)
    assert any("Another window has this project open" in text for text in second.messages.texts())
    view.deeds.rename(str(root / "runs" / "a"), "other")
    view.panel.select(f"run:{root / 'runs' / 'a'}")
    view.deeds.throw_away()
    assert view.session.path is None
    assert (root / "runs" / "a").is_dir()
    assert not second.history.canUndo()
    close(second)
    close(first)
    assert not (root / "project.lock").exists()
    assert read_project(root).names == {}
