"""Forks: a run's kept samples are taken over, settings changed, and the branch stands below its parent."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from app.main_window import MainWindow
from app.run_list import branched
from app.run_summary import RunSummary
from engine.jobs.fork import BEGINNING, kept_points, parent_of
from engine.jobs.run_dir import RunDir
from tests.app.conftest import spin
from tests.app.test_end_to_end import SECONDS, prepare


def finished(window: MainWindow) -> RunDir:
    spin(lambda: not window.monitor.running and window.run_view.stored is not None, SECONDS)
    folder = window.monitor.folder
    assert folder is not None
    spin(lambda: not window.background.busy, SECONDS)
    run = RunDir.open(folder)
    assert run.outcome().type == "completed", window.messages.texts()
    return run


@pytest.mark.timeout(300)
def test_a_finished_run_gets_a_branch_with_more_samples(window: MainWindow, tmp_path: Path) -> None:
    prepare(window, tmp_path, steps=3, points=64)
    window.run_panel.run_button.click()
    parent = finished(window)
    assert [p.name for p in kept_points(parent)] == ["samples", BEGINNING]
    forking, view = window.features["forking"], window.features["project"]
    asked: list[list[str]] = []
    window.dialogs.choose = lambda _title, _text, items: asked.append(items) or 0
    view.show_tree()
    spin(lambda: bool(view.panel.visible_runs()), 10)
    view.panel.select(f"run:{parent.path}")
    assert forking.action in view.actions.menu().actions()
    forking.action.trigger()
    spin(lambda: forking.wish is not None and not window.session.checking, SECONDS)
    assert asked[0][0].startswith("2 of 2 samples")
    panel = window.run_panel
    assert panel._banner.isVisible()
    assert panel._banner_words.text().startswith(f"Forking {parent.path.name} at: 2 of 2 samples")
    # what the point doesn't bear is refused in words, and can be put back
    window.session.set_sampler({"kind": "proximal", "steps": 4})
    window.start_run()
    spin(lambda: "depends on `sampler.steps`" in window.messages.texts()[-1], 10)
    assert not window.monitor.running
    assert forking.wish is not None
    window.session.set_sampler({"kind": "proximal", "steps": 3})
    window.session.set_settings({"samples": 3})
    window.start_run()
    spin(lambda: window.monitor.running, SECONDS)
    assert not panel._banner.isVisible()
    branch = finished(window)
    assert branch.path != parent.path
    found = parent_of(branch)
    assert found is not None
    assert (found.run, found.at, found.changed) == (str(parent.path), "samples", {"samples": (2, 3)})
    view.show_tree()
    keys = [f"run:{parent.path}", f"run:{branch.path}"]
    view.list.refresh()
    spin(lambda: view.panel.visible_runs() == keys, 10)
    assert [view.panel.row(key).depth for key in keys] == [0, 1]
    assert "samples: 2 → 3" in view.panel.row(keys[1]).tip
    # and its capsule
    capsules, toasts = window.features["capsules"], window.features["toasts"]
    window.dialogs.save_as = lambda _title, _suggestion, _kinds: tmp_path / "paper"
    capsules.action.trigger()
    spin(lambda: any(t.title == "Capsule written" for t in toasts.shown), SECONDS)
    with zipfile.ZipFile(tmp_path / "paper.zip") as found_zip:
        assert {"spec.toml", "methods.txt", "validation.md"} <= set(found_zip.namelist())
    window.dialogs.save_as = lambda _title, _suggestion, _kinds: tmp_path / "paper.txt"
    capsules.action.trigger()
    spin(lambda: any(t.title == "No capsule" for t in toasts.shown), 10)
    assert "A capsule is a zip file" in window.messages.texts()[-1]


def test_branches_stand_below_their_parents(tmp_path: Path) -> None:
    def run(name: str, parent: str = "") -> RunSummary:
        return RunSummary(tmp_path / name, parent=parent)

    runs = [
        run("e", "b"),
        run("d", "gone"),
        run("c", "a"),
        run("b", "a"),
        run("a"),
        run("x", "y"),
        run("y", "x"),
    ]
    order = [(r.folder.name, depth) for r, depth in branched(runs)]
    assert order == [("d", 0), ("a", 0), ("c", 1), ("b", 1), ("e", 2), ("x", 0), ("y", 0)]


def test_a_fork_that_isn_t_wanted_leaves_an_ordinary_run(window: MainWindow, tmp_path: Path) -> None:
    forking = window.features["forking"]
    assert not forking.action.isEnabled()
    prepare(window, tmp_path, steps=3, points=64)
    run = RunDir.create(tmp_path / "runs" / "a", window.session.spec())
    window.dialogs.choose = lambda *_question: 0
    forking._ask(run.path, (run.spec(), kept_points(run)))
    assert forking.wish is not None
    assert forking.wish.point.name == BEGINNING
    window.run_panel._banner_drop.click()
    assert forking.wish is None
    assert not window.run_panel._banner.isVisible()
    assert not forking.take(run.spec(), tmp_path / "runs" / "b")
