"""Pause and go on: the button, the words, the tree, and a run that was paused before the window came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.main_window import MainWindow
from app.pausing import PAUSING
from app.run_summary import summary_of
from app.settings import Settings
from engine.events import Completed, Event, Notice, Progress, Started
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec
from tests.app.conftest import ReplayWorker, spin
from tests.app.test_project_window import close, make_window

UNENDED = [Started(kind="dps", device="CPU", version="0"), Progress(stage="sampling", done=1, total=4)]


def make_run(folder: Path, *, events: list[Event]) -> RunDir:
    run = RunDir.create(folder, DpsSpec(sampler={"kind": "unconditional"}))
    with run.writer() as writer:
        for event in events:
            writer.write(event)
    return run


@pytest.fixture
def workers() -> list[ReplayWorker]:
    return []


@pytest.fixture
def window(settings: Settings, workers: list[ReplayWorker], _no_leaks: None) -> Iterator[MainWindow]:
    window = make_window(settings, workers)
    yield window
    close(window)


def watched(window: MainWindow, workers: list[ReplayWorker], folder: Path, *events) -> ReplayWorker:
    window.monitor.start(None, folder)
    spin(lambda: bool(workers) and not window.monitor.starting and not window.background.busy)
    for event in events:
        workers[-1].on_event(event)
    return workers[-1]


def test_a_run_is_paused_and_goes_on(window: MainWindow, workers, settings: Settings) -> None:
    run = make_run(settings.runs_folder / "a", events=UNENDED)
    worker = watched(window, workers, run.path, *UNENDED)
    panel = window.run_panel
    assert panel.pause_button.isVisible()
    assert panel.pause_button.text() == "Pause"
    pausing = window.features["pausing"]
    panel.pause_button.click()
    assert panel._status.text() == PAUSING
    spin(run.pause_requested, 5)
    # the step's own words don't hide that
    worker.on_event(Progress(stage="judging", done=2, total=4))
    spin(lambda: panel._progress.value() == 500, 5)
    assert panel._status.text() == PAUSING
    worker.on_event(Notice(level="info", message="Paused.", time=time.time() - 600))
    spin(lambda: window.monitor.pause == "paused", 5)
    assert panel._status.text().startswith("Paused for 10 min.")
    assert panel.pause_button.text() == "Go on"
    assert all(p.pause_button.text() == "Go on" for p in window.modes.run_panels)
    pausing.action.trigger()
    spin(lambda: not run.pause_requested(), 5)
    assert window.monitor.pause == ""
    worker.on_event(Notice(level="info", message="Going on."))
    worker.on_event(Completed(seconds=1.0))
    spin(lambda: not window.monitor.running, 5)
    assert not panel.pause_button.isVisible()
    assert not pausing.action.isEnabled()


def test_a_run_that_waits_for_its_turn_is_paused_at_once(window: MainWindow, workers, settings) -> None:
    waits = Progress(stage="Waiting for the CPU: b computes", done=0, total=1)
    run = make_run(settings.runs_folder / "a", events=[waits])
    watched(window, workers, run.path, waits)
    spin(lambda: window.monitor.waits, 5)
    window.run_panel.pause_button.click()
    assert window.monitor.pause == "paused"
    spin(lambda: run.pause_requested() and not window.background.busy, 5)


def test_a_run_that_was_paused_before_is_found_so(window: MainWindow, workers, settings) -> None:
    run = make_run(settings.runs_folder / "a", events=UNENDED)
    run.request_pause()
    watched(window, workers, run.path)
    spin(lambda: window.monitor.pause == "pausing", 5)
    for event in (*UNENDED, Notice(level="info", message="Paused.")):
        workers[-1].on_event(event)
    spin(lambda: window.monitor.pause == "paused", 5)
    window.monitor.cancel()
    assert workers[-1].cancelled


def test_a_wish_that_can_t_be_passed_on_is_told(window: MainWindow, workers, tmp_path: Path) -> None:
    watched(window, workers, tmp_path / "gone")
    window.run_panel.pause_button.click()
    spin(lambda: window.monitor.pause == "", 5)
    assert "can't be reached" in window.messages.texts()[-1]


def test_the_tree_tells_what_live_runs_do(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", events=UNENDED)
    assert summary_of(run.path).state == "interrupted"
    with run.locked():
        assert summary_of(run.path).state == "running"
        run.request_pause()
        assert summary_of(run.path).state == "paused"
    assert summary_of(run.path).state == "interrupted"
    waits = make_run(tmp_path / "b", events=[Progress(stage="Waiting for the GPU", done=0, total=1)])
    with run_lock.held(waits.path / "lock"):
        assert summary_of(waits.path).state == "waiting"
