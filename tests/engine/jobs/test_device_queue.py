"""The line of a device: one at a time, by priority, nobody stuck behind the dead or the paused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.events import Cancelled, Completed, Notice, Progress
from engine.jobs import device_queue, runner
from engine.jobs.device_queue import CPU, GPU, Turn, device_of, line, queue_folder, set_priority, waiting
from engine.jobs.run_dir import RunDir
from engine.specs.job import TrainPriorSpec
from tests.engine.jobs.conftest import Listener

Training = Callable[..., TrainPriorSpec]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(device_queue.FOLDER_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(device_queue, "POLL_S", 0.01)
    return tmp_path / "state"


class Queued:
    """A thread that waits for its turn and then holds it until told."""

    def __init__(self, folder: Path, device: str = CPU, priority: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.told = folder, []
        self.index: int | None = None
        self.done, self.stop = threading.Event(), threading.Event()
        self.turn = Turn(folder, device, priority)
        self.turn.__enter__()
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        def ready() -> bool:
            return not (self.folder / "pause").exists()

        try:
            self.index = self.turn.wait(self.told.append, ready, self.stop.is_set)
            if self.index >= 0:
                self.done.wait(20)
        finally:
            self.turn.__exit__()

    @property
    def running(self) -> bool:
        return self.index is not None and self.index >= 0 and not self.done.is_set()

    def end(self) -> None:
        self.done.set()
        self.stop.set()
        self.thread.join(20)


@pytest.fixture
def queued() -> Iterator[Callable[..., Queued]]:
    made: list[Queued] = []

    def make(*what: object) -> Queued:
        made.append(Queued(*what))
        return made[-1]

    yield make
    for one in made:
        one.end()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_one_computes_and_the_next_is_the_one_of_highest_priority(tmp_path: Path, queued):
    first = queued(tmp_path / "a")
    until(lambda: first.running)
    second, third = queued(tmp_path / "b"), queued(tmp_path / "c", CPU, 3)
    until(lambda: bool(second.told) and bool(third.told))
    assert [w.folder.name for w in line()] == ["a", "c", "b"]
    place = waiting(tmp_path / "b")
    assert place is not None
    assert [p.name for p in place.running] == ["a"]
    assert [p.name for p in place.before] == ["c"]
    until(lambda: second.told[-1] == "Waiting for the CPU: a computes, 1 waits before this one.")
    assert not second.running
    assert waiting(tmp_path / "a") is None
    first.end()
    until(lambda: third.running)
    assert not second.running
    third.end()
    until(lambda: second.running)


def test_a_priority_changes_the_order_of_those_who_wait(tmp_path: Path, queued):
    first = queued(tmp_path / "a")
    until(lambda: first.running)
    second, third = queued(tmp_path / "b"), queued(tmp_path / "c")
    assert set_priority(tmp_path / "c", 1)
    assert [w.folder.name for w in line()] == ["a", "c", "b"]
    assert not set_priority(tmp_path / "elsewhere", 1)
    with pytest.raises(RunError, match="beyond -9 to 9"):
        set_priority(tmp_path / "c", 10)
    first.end()
    until(lambda: third.running)
    assert not second.running


def test_the_cpu_and_each_gpu_have_a_turn_of_their_own(tmp_path: Path, queued, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    runs = [queued(tmp_path / name, GPU) for name in "abc"]
    cpu = queued(tmp_path / "d", CPU)
    until(lambda: sum(r.running for r in runs) == 2 and cpu.running)
    assert sorted(r.index for r in runs if r.running) == [0, 1]
    left = next(r for r in runs if r.running and r.index == 0)
    waits = next(r for r in runs if not r.running)
    left.end()
    until(lambda: waits.running)
    assert waits.index == 0
    assert device_of("auto") == GPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert (device_of("auto"), device_of("cpu"), device_of("cuda")) == (CPU, CPU, GPU)


def test_a_dead_process_and_a_damaged_ticket_hold_nobody_up(tmp_path: Path, queued):
    """A process that was killed while it had its turn."""
    code = (
        "import sys, pathlib; from engine.jobs.device_queue import Turn\n"
        "t = Turn(pathlib.Path(sys.argv[1]), 'cpu').__enter__()\n"
        "print(t.wait(print, lambda: True, lambda: False), flush=True)\n"
        "sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "dead")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdin, other.stdout:
        assert other.stdout.readline() == b"0\n"
        mine = queued(tmp_path / "a")
        until(lambda: bool(mine.told))
        assert not mine.running
        other.kill()
        other.wait()
    (queue_folder() / "half.json").write_text('{"folder": "x')
    until(lambda: mine.running)
    assert [w.folder.name for w in line()] == ["a"]


def test_a_paused_run_lets_others_go_first(tmp_path: Path, queued):
    first = queued(tmp_path / "a")
    until(lambda: first.running)
    second, third = queued(tmp_path / "b"), queued(tmp_path / "c")
    (tmp_path / "b" / "pause").touch()
    first.end()
    until(lambda: third.running)
    assert not second.running
    (tmp_path / "b" / "pause").unlink()
    third.end()
    until(lambda: second.running)


def test_a_run_waits_in_its_line_and_gives_its_turn_up_while_paused(
    tmp_path: Path, training: Training, queued
):
    other = queued(tmp_path / "other")
    until(lambda: other.running)
    run, listener = RunDir.create(tmp_path / "run", training(max_steps=10**7)), Listener()
    thread = threading.Thread(target=runner.run, args=(run.spec(), run, listener), kwargs={"priority": 0})
    thread.start()
    try:
        said = listener.wait_for(Progress)
        assert isinstance(said, Progress)
        assert said.stage == "Waiting for the CPU: other computes"
        other.end()
        until(lambda: [w.folder for w in line() if w.running] == [run.path])
        run.request_pause()
        third = queued(tmp_path / "third")
        until(lambda: third.running)
        assert [e.message for e in listener.events if isinstance(e, Notice)][-1] == "Paused."
        run.request_resume()
        until(lambda: any("third computes" in e.stage for e in listener.events if isinstance(e, Progress)))
        third.end()
        until(lambda: any(isinstance(e, Notice) and e.message == "Going on." for e in listener.events))
    finally:
        run.request_cancel()
        thread.join(30)
    assert isinstance(run.outcome(), Cancelled)
    assert line() == ()


def test_a_run_that_waits_can_be_cancelled(tmp_path: Path, training: Training, queued):
    other = queued(tmp_path / "other")
    until(lambda: other.running)
    run = RunDir.create(tmp_path / "run", training(max_steps=3))
    run.request_cancel()
    assert isinstance(runner.run(run.spec(), run, priority=0), Cancelled)
    assert other.running


def test_without_a_folder_for_tickets_a_run_begins_at_once_and_says_so(
    tmp_path: Path, training: Training, state: Path
):
    state.write_text("a file, where a folder should be")
    run = RunDir.create(tmp_path / "run", training(max_steps=3))
    assert isinstance(runner.run(run.spec(), run, priority=0), Completed)
    warned = [e.message for e in run.events() if isinstance(e, Notice) and e.level == "warning"]
    assert any("The queue can't be used, so the run begins at once." in words for words in warned)


def test_the_command_shows_and_changes_the_line(tmp_path: Path, queued, capsys: pytest.CaptureFixture[str]):
    from engine.cli import main

    assert main(["queue"]) == 0
    assert "No run computes or waits" in capsys.readouterr().out
    first = queued(tmp_path / "a")
    until(lambda: first.running)
    queued(tmp_path / "b")
    assert main(["queue", str(tmp_path / "b"), "--priority", "4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(Path(r["folder"]).name, r["running"], r["priority"]) for r in rows] == [
        ("a", True, 0), ("b", False, 4),
    ]  # fmt: skip
    assert main(["queue"]) == 0
    assert "computes" in capsys.readouterr().out
    assert main(["queue", str(tmp_path / "c"), "--priority", "4"]) == 2
    assert "doesn't wait for a device" in capsys.readouterr().err
    assert main(["queue", str(tmp_path / "b")]) == 2
