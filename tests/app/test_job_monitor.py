from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.background import Background
from app.job_monitor import JobMonitor
from engine.errors import RunError
from engine.events import Completed, Failed, Notice, Snapshot
from tests.app.conftest import ReplayWorker, a_run, spin


@pytest.fixture
def background() -> Iterator[Background]:
    found = Background(2)
    yield found
    found.close()


class Made:
    def __init__(self) -> None:
        self.workers: list[ReplayWorker] = []

    def __call__(self, spec, folder, on_event) -> ReplayWorker:
        self.workers.append(ReplayWorker(spec, folder, on_event))
        return self.workers[-1]


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def monitor(background: Background, made: Made) -> Iterator[JobMonitor]:
    found = JobMonitor(background, made)
    yield found
    found.leave()


def write_snapshot(folder: Path, number: int) -> Snapshot:
    (folder / "snapshots").mkdir(exist_ok=True)
    path = folder / "snapshots" / f"{number}.npy"
    np.save(path, np.full((2, 5, 3), number, np.float32))
    return Snapshot(step=number, total=99, sigma=1.0, path=f"snapshots/{number}.npy")


def begin(monitor: JobMonitor, made: Made, folder: Path) -> ReplayWorker:
    monitor.start(None, folder)
    spin(lambda: bool(made.workers) and made.workers[-1].started)
    spin(lambda: not monitor.starting)
    return made.workers[-1]


def from_a_thread(worker: ReplayWorker, events) -> None:
    thread = threading.Thread(target=lambda: [worker.on_event(e) for e in events])
    thread.start()
    thread.join()


def test_events_of_a_thread_become_signals_here(monitor, made, tmp_path: Path) -> None:
    write_snapshot(tmp_path, 1)
    heard: list[str] = []
    here = threading.get_ident()

    def hear(name: str):
        return lambda *_args: heard.append(name if threading.get_ident() == here else "elsewhere")

    for name in ("started", "progressed", "energies", "moved", "ended"):
        getattr(monitor, name).connect(hear(name))
    worker = begin(monitor, made, tmp_path)
    from_a_thread(worker, a_run()[:-1])
    spin(lambda: "moved" in heard)
    from_a_thread(worker, a_run()[-1:])
    spin(lambda: "ended" in heard)
    assert sorted(heard) == ["ended", "energies", "energies", "moved", "progressed", "started"]
    assert not monitor.running


def test_only_the_newest_snapshots_are_read_and_not_too_often(monitor, made, tmp_path: Path) -> None:
    seen: list[int] = []
    monitor.moved.connect(lambda event, points: seen.append(event.step))
    worker = begin(monitor, made, tmp_path)
    from_a_thread(worker, [write_snapshot(tmp_path, i) for i in range(50)])
    spin(lambda: bool(seen) and seen[-1] == 49)
    assert len(seen) <= 3
    assert seen == sorted(seen)


def test_a_vanished_snapshot_is_no_error(monitor, made, tmp_path: Path) -> None:
    seen: list[int] = []
    notices: list[str] = []
    monitor.moved.connect(lambda event, points: seen.append(event.step))
    monitor.noticed.connect(lambda _level, message: notices.append(message))
    worker = begin(monitor, made, tmp_path)
    from_a_thread(worker, [Snapshot(step=1, total=2, sigma=1.0, path="snapshots/gone.npy")])
    from_a_thread(worker, [write_snapshot(tmp_path, 2)])
    spin(lambda: seen == [2])
    assert notices == []


def test_events_of_an_older_run_are_dropped(monitor, made, tmp_path: Path) -> None:
    ended: list[str] = []
    notices: list[str] = []
    monitor.ended.connect(lambda outcome, _message: ended.append(outcome))
    monitor.noticed.connect(lambda _level, message: notices.append(message))
    first = begin(monitor, made, tmp_path)
    monitor.leave()
    assert first.detached
    second = begin(monitor, made, tmp_path)
    from_a_thread(first, [Notice(level="info", message="old"), Failed(message="old")])
    from_a_thread(second, [Notice(level="info", message="new"), Completed(seconds=1)])
    spin(lambda: ended == ["completed"])
    assert notices == ["new"]


def test_cancel_before_the_worker_stands_is_kept(monitor, made, tmp_path: Path) -> None:
    monitor.start(None, tmp_path)
    monitor.cancel()
    spin(lambda: bool(made.workers) and made.workers[-1].cancelled)
    assert monitor.cancelling


def test_a_worker_that_cannot_be_made_is_a_failed_run(background, tmp_path: Path) -> None:
    def refuse(spec, folder, on_event):
        raise RunError("The folder is not empty.", "Choose another.", folder)

    monitor = JobMonitor(background, refuse)
    ended: list[tuple[str, str]] = []
    monitor.ended.connect(lambda outcome, message: ended.append((outcome, message)))
    monitor.start(None, tmp_path)
    spin(lambda: bool(ended))
    assert ended == [("failed", "The folder is not empty. Choose another.")]
    assert not monitor.running


def test_two_jobs_at_once_are_refused(monitor, made, tmp_path: Path) -> None:
    begin(monitor, made, tmp_path)
    with pytest.raises(RuntimeError):
        monitor.start(None, tmp_path)


def test_background_answers_here_and_drops_what_is_late(background: Background) -> None:
    here, answers = threading.get_ident(), []
    gate = threading.Event()
    worked: list[int] = []

    def work() -> int:
        worked.append(threading.get_ident())
        gate.wait(5)
        return 7

    late = background.submit(work, lambda value: answers.append(("late", value)), answers.append)
    kept = background.submit(
        work, lambda value: answers.append((value, threading.get_ident() == here)), answers.append
    )
    late.drop()
    gate.set()
    spin(lambda: bool(answers) and not background.busy)
    assert answers == [(7, True)]
    assert here not in worked
    assert not kept.dropped
    failed: list[Exception] = []
    background.submit(lambda: 1 / 0, answers.append, failed.append)
    spin(lambda: bool(failed))
    assert isinstance(failed[0], ZeroDivisionError)


def test_worker_threads_hold_no_callbacks(background: Background) -> None:
    """A widget in a callback must be finalised here, never in a thread."""

    class Thing:
        def take(self, value: object) -> None:
            died.append(threading.get_ident())

        def __del__(self) -> None:
            died.append(threading.get_ident())

    died: list[int] = []
    gate = threading.Event()
    thing = Thing()
    ticket = background.submit(gate.wait, thing.take, thing.take)
    ticket.drop()
    del thing
    gate.set()
    spin(lambda: not background.busy)
    gc.collect()
    assert died == [threading.get_ident()]
