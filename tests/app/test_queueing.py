"""The queue in the tree: shown, added to, changed; runs that have gone on without the window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox

from app.dialogs import Dialogs
from app.leaving import may_close
from app.main_window import MainWindow
from app.settings import Settings
from engine.events import Completed, Progress, Started
from engine.jobs import device_queue
from engine.jobs.device_queue import Turn
from engine.jobs.run_dir import RunDir
from tests.app.conftest import spin
from tests.app.test_pausing import UNENDED, make_run, watched, window, workers
from tests.app.test_project_window import view_of

__all__ = ["window", "workers"]  # fixtures

WAITS = [Progress(stage="Waiting for the CPU: a computes", done=0, total=1)]


@pytest.fixture
def line(settings: Settings) -> Iterator[dict[str, RunDir]]:
    """Three runs of this process's: a computes, b and c wait."""
    with ExitStack() as held:
        runs = {}
        for name in ("a", "b", "c"):
            run = make_run(settings.runs_folder / name, events=UNENDED if name == "a" else WAITS)
            held.enter_context(run.locked())
            turn = held.enter_context(Turn(run.path, "cpu"))
            if name == "a":
                assert turn.wait(lambda _words: None, lambda: True, lambda: False) == 0
            runs[name] = run
        yield runs


def shown(window: MainWindow, *expected: tuple[str, str]) -> None:
    queue = window.features["queue"]

    def fits() -> bool:
        return [(Path(row.target).name, row.state) for row in queue.rows()] == list(expected)

    queue.look()
    spin(fits, 10)


def test_the_line_is_shown_and_changed(window: MainWindow, line: dict[str, RunDir]) -> None:
    queue, view = window.features["queue"], view_of(window)
    view.show_tree()
    shown(window, ("a", "running"), ("b", "waiting"), ("c", "waiting"))
    panel = view.panel
    assert panel.row(f"queue:{line['c'].path}").lines == ("· 2nd for the CPU",)
    panel.select(f"queue:{line['c'].path}")
    texts = [action.text() for action in view.actions.menu().actions()]
    assert "&Earlier in the queue" in texts
    queue._earlier.trigger()
    shown(window, ("a", "running"), ("c", "waiting"), ("b", "waiting"))
    assert [entry.priority for entry in device_queue.line()] == [0, 1, 0]
    spin(lambda: panel.row(f"queue:{line['c'].path}").lines == ("· next for the CPU · priority +1",), 10)
    panel.select(f"queue:{line['c'].path}")
    spin(queue._pause.isEnabled, 10)
    queue._pause.trigger()
    spin(line["c"].pause_requested, 20)
    shown(window, ("a", "running"), ("c", "paused"), ("b", "waiting"))
    spin(lambda: queue._pause.text() == "Let &go on", 5)
    queue._pause.trigger()
    spin(lambda: not line["c"].pause_requested(), 5)
    panel.select(f"queue:{line['b'].path}")
    queue._remove.trigger()
    spin(line["b"].cancel_requested, 5)
    assert not line["c"].cancel_requested()


def test_a_run_is_added_to_the_line_and_watched(window: MainWindow, line, workers) -> None:
    queue = window.features["queue"]
    window.session.set_sampler({"kind": "unconditional", "steps": 2})
    window.session.set_prior({"kind": "gaussian", "sigma": 0.3})
    window.session.set_settings({"title": "next", "device": "cpu"})
    assert window.session.missing() == ""
    queue.look()
    spin(lambda: window.run_panel.run_button.text() == "Add to queue", 10)
    window.run_panel.run_button.click()
    spin(lambda: bool(workers) and workers[-1].started, 5)
    assert not window.monitor.running
    assert not workers[-1].detached
    workers[-1].on_event(WAITS[0])
    assert workers[-1].detached
    toasts = window.features["toasts"].shown
    spin(lambda: bool(toasts) and toasts[-1].title == "Added to the queue", 5)
    assert "3 before it" in toasts[-1].sentence
    # a double click watches a live run; another one leaves it going
    view_of(window).open_row(f"queue:{line['b'].path}")
    spin(lambda: window.monitor.folder == line["b"].path and not window.monitor.starting, 10)
    view_of(window).open_row(f"queue:{line['a'].path}")
    assert workers[-1].detached
    spin(lambda: window.monitor.folder == line["a"].path and not window.monitor.starting, 10)
    assert window.monitor.running


def test_another_run_is_prepared_while_one_goes_on(window: MainWindow, line, workers) -> None:
    worker = watched(window, workers, line["a"].path, *UNENDED)
    panel = window.run_panel
    assert not panel._page.isEnabled()
    panel.other_button.click()
    assert worker.detached
    assert not worker.cancelled
    assert panel._page.isEnabled()
    assert panel.run_button.isVisible()
    assert not panel.pause_button.isVisible()
    assert not window.features["queue"].other.isEnabled()


def test_the_next_run_is_offered_when_one_has_ended(window: MainWindow, workers, settings) -> None:
    first = make_run(settings.runs_folder / "first", events=UNENDED)
    second = make_run(settings.runs_folder / "second", events=UNENDED)
    worker = watched(window, workers, first.path, *UNENDED)
    with second.locked(), Turn(second.path, "cpu") as turn:
        assert turn.wait(lambda _words: None, lambda: True, lambda: False) == 0
        worker.on_event(Completed(seconds=1.0))
        toasts = window.features["toasts"].shown
        spin(lambda: any(t.title == "Next in the queue" for t in toasts), 10)
        card = next(t for t in toasts if t.title == "Next in the queue")
        next(b for b in card.buttons if b.text() == "Watch").click()
        spin(lambda: window.monitor.folder == second.path and not window.monitor.starting, 10)


def test_runs_that_went_on_are_found_at_the_start(window: MainWindow, line, workers) -> None:
    assert not window.monitor.running
    view_of(window).session.restored.emit()
    toasts = window.features["toasts"].shown
    spin(lambda: any(t.title == "Still going on" for t in toasts), 10)
    words = next(t.sentence for t in toasts if t.title == "Still going on")
    assert words.startswith("3 runs have gone on without the window: a (computing), ")
    spin(lambda: window.monitor.folder == line["a"].path and not window.monitor.starting, 10)
    # once, not each time that something is put back
    count = len(toasts)
    view_of(window).session.restored.emit()
    spin(lambda: not window.background.busy, 5)
    assert len(toasts) == count


def test_a_closing_window_asks_until_it_is_told_not_to(
    window: MainWindow, workers, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert may_close(window)
    run = make_run(settings.runs_folder / "a", events=[Started(kind="dps", device="CPU", version="0")])
    watched(window, workers, run.path)
    asked: list[str] = []

    def answer(box: QMessageBox) -> int:
        asked.append(box.text())
        if len(asked) == 2:
            box.checkBox().setChecked(True)
        wanted = "Stay here" if len(asked) == 1 else "Keep running"
        next(b for b in box.buttons() if b.text() == wanted).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", answer)
    window.dialogs = Dialogs(window)
    assert not may_close(window)
    assert may_close(window)
    assert settings.leaves_running
    assert may_close(window)
    assert len(asked) == 2
    asks = window.features["rejoining"].asks
    asks.setChecked(False)
    asks.trigger()
    assert not settings.leaves_running
    assert not workers[-1].cancelled
