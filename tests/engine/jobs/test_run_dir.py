"""Run directories: created once, locked, resumed, never overwritten."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import RunError, SpecError
from engine.events import Cancelled, Completed, Failed, Notice
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from engine.specs.components import CoarsePoints
from engine.specs.job import DpsSpec, TrainPriorSpec

Training = Callable[..., TrainPriorSpec]


def _ended(run: RunDir, event: Completed | Cancelled | Failed) -> None:
    with run.writer() as writer:
        writer.write(event)


def test_a_spec_survives_the_folder(tmp_path: Path, training: Training):
    spec = training(title="β-galactosidase", hours=2.5)
    run = RunDir.create(tmp_path / "run", spec)
    assert RunDir.open(tmp_path / "run").spec() == spec
    assert {p.name for p in run.path.iterdir()} == {"spec.json", "checkpoints", "snapshots", "results"}


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    spec = DpsSpec(observations=(CoarsePoints(file="a.csv"),))
    run = RunDir.create("run", spec)
    monkeypatch.chdir("/")
    assert run.spec().observations[0].file == str(tmp_path / "a.csv")


def test_a_finished_run_is_not_overwritten(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    _ended(run, Completed(seconds=1.0))
    with pytest.raises(RunError, match="finished run"):
        RunDir.create(tmp_path / "run", training())
    assert isinstance(run.outcome(), Completed)


def test_finished_training_goes_on_with_more_time_only(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training(hours=1.0))
    _ended(run, Completed(seconds=1.0))
    with pytest.raises(RunError, match="more time"):
        RunDir.create(tmp_path / "run", training(hours=0.5))
    again = RunDir.create(tmp_path / "run", training(hours=2.0))
    assert again.outcome() is None
    assert again.spec().hours == 2.0


@pytest.mark.parametrize("event", [Cancelled(seconds=1.0, time=0.0), Failed("why", time=0.0)])
def test_an_unfinished_run_goes_on_in_its_folder(
    tmp_path: Path, training: Training, event: Cancelled | Failed
):
    run = RunDir.create(tmp_path / "run", training())
    (run.path / "checkpoints" / "a").write_text("kept")
    run.request_cancel()
    run.request_pause()
    _ended(run, event)
    again = RunDir.create(tmp_path / "run", training())
    assert again.outcome() is None
    assert again.events() == ()
    assert again.history() == (event,)
    assert not again.cancel_requested()
    assert not again.pause_requested()
    assert (run.path / "checkpoints" / "a").read_text() == "kept"


def test_another_run_is_not_mixed_in(tmp_path: Path, training: Training):
    RunDir.create(tmp_path / "run", training(seed=1))
    with pytest.raises(RunError, match="different: seed"):
        RunDir.create(tmp_path / "run", training(seed=2))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, training: Training):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("important")
    with pytest.raises(RunError, match="not empty"):
        RunDir.create(tmp_path / "run", training())
    with pytest.raises(RunError, match="a file"):
        RunDir.create(tmp_path / "run" / "thesis.tex", training())
    assert (tmp_path / "run" / "thesis.tex").read_text() == "important"


def test_opening_what_is_no_run(tmp_path: Path):
    with pytest.raises(RunError, match="no such folder"):
        RunDir.open(tmp_path / "none")
    with pytest.raises(RunError, match="holds no Verglas run"):
        RunDir.open(tmp_path)


def test_a_damaged_spec_says_so(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    (run.path / "spec.json").write_text('{"kind": "train_prior"')
    with pytest.raises(SpecError, match=r"spec\.json.*not valid JSON"):
        run.spec()
    (run.path / "spec.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError):
        run.spec()


# ---- the lock -----------------------------------------------------------------------------------


def _hold(folder: str, ready: object, release: object) -> None:
    with RunDir(Path(folder)).locked():
        ready.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_two_processes_cannot_share_a_run(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(run.path), ready, release))
    other.start()
    try:
        assert ready.wait(30)
        assert run.running
        with pytest.raises(RunError, match=f"process {other.pid}"), run.locked():
            pass
        with pytest.raises(RunError, match="being computed"):
            RunDir.create(run.path, training())
    finally:
        release.set()
        other.join(10)
    assert not run.running
    with run.locked():
        assert run.running


def test_a_dead_process_loses_its_lock(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(run.path), ready, release))
    other.start()
    assert ready.wait(30)
    other.kill()
    other.join(10)
    assert run.holder() is not None
    assert not run.running
    with run.locked() as holder:
        assert holder.pid == os.getpid()
    assert run.holder() is None


def test_a_process_number_that_came_back_is_another_process(tmp_path: Path):
    own = run_lock.this_process()
    file = tmp_path / "lock"
    file.write_text(json.dumps({"pid": own.pid, "host": own.host, "started": own.started - 1000.0}))
    with run_lock.held(file) as holder:
        assert holder == own


def test_another_machine_is_believed(tmp_path: Path):
    file = tmp_path / "lock"
    file.write_text(json.dumps({"pid": 1, "host": "another-node", "started": 0.0}))
    with pytest.raises(RunError, match="on another-node.*delete the file `lock`"), run_lock.held(file):
        pass
    assert file.exists()


def test_a_damaged_lock_is_nobodys(tmp_path: Path):
    file = tmp_path / "lock"
    file.write_text("{half")
    with run_lock.held(file):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_end_is_told_once(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    with run.writer() as writer:
        writer.write(Notice("info", "a", time=0.0))
    first = run.end_unfinished(Failed("gone", time=0.0))
    second = run.end_unfinished(Failed("gone too", time=1.0))
    assert first == second == Failed("gone", time=0.0)
    assert run.events() == (Notice("info", "a", time=0.0), first)


def test_the_last_log_lines(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training())
    assert run.last_log_lines() == ""
    run.log_file.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % i for i in range(50_000)))
    assert run.last_log_lines(2) == "line 49998\nline 49999"
