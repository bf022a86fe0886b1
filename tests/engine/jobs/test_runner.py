"""The runner: whatever happens, one terminal event, and a sentence for the user."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine import errors
from engine.events import TERMINAL, Cancelled, Completed, Event, Failed, Notice, Started
from engine.jobs import runner
from engine.jobs.engine_process import fit_for_more
from engine.jobs.manifest import sha256
from engine.jobs.run_dir import RunDir
from engine.pipelines import train_prior
from engine.pipelines.context import RunContext
from engine.specs.job import TrainPriorSpec

Training = Callable[..., TrainPriorSpec]


@pytest.fixture
def run(tmp_path: Path, training: Training) -> RunDir:
    return RunDir.create(tmp_path / "run", training(max_steps=3))


def _ends(run: RunDir, **how: object) -> Event:
    told: list[Event] = []
    event = runner.run(run.spec(), run, told.append, **how)
    assert run.events() == tuple(told)
    assert [e for e in told if isinstance(e, TERMINAL)] == [told[-1]] == [event]
    assert not run.running
    return event


def test_a_run_completes_and_says_with_what(run: RunDir):
    event = _ends(run)
    assert isinstance(event, Completed)
    started = run.events()[0]
    assert isinstance(started, Started)
    assert started.device.startswith("CPU (")
    manifest = run.manifest()
    assert manifest is not None
    clouds = run.spec().clouds
    assert manifest["inputs"]["clouds"] == {
        "path": clouds, "sha256": sha256(clouds), "bytes": Path(clouds).stat().st_size,
    }  # fmt: skip
    assert manifest["packages"]["torch"] == torch.__version__.split("+")[0] or manifest["packages"]["torch"]
    assert manifest["device"] == started.device
    assert manifest["seed"] == 0


def _raising(exc: BaseException) -> Callable[[object, object], None]:
    def run(spec: object, context: object) -> None:
        raise exc

    return run


@pytest.mark.parametrize(
    ("exc", "message", "fit"),
    [
        (errors.InputError("It is empty.", "Take another.", "a.mrc"), "a.mrc: It is empty. Take ", True),
        (MemoryError(), "ran out of memory. Choose a smaller `batch`", False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "The GPU ran out of memory", False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "The computer ran out", False),
        (ZeroDivisionError("division by zero"), "unexpected error stopped the run (ZeroDivisionError", False),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_words(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, exc: Exception, message: str, fit: bool
):
    monkeypatch.setattr(train_prior, "run", _raising(exc))
    event = _ends(run)
    assert isinstance(event, Failed)
    assert message in event.message
    assert "Traceback" in event.detail
    assert "Traceback" in run.last_log_lines(50)
    assert fit_for_more(event) is fit


@pytest.mark.parametrize("exc", [errors.Cancelled(), KeyboardInterrupt()])
def test_being_stopped_is_no_failure(run: RunDir, monkeypatch: pytest.MonkeyPatch, exc: BaseException):
    monkeypatch.setattr(train_prior, "run", _raising(exc))
    assert isinstance(_ends(run), Cancelled)


def test_a_pipeline_cannot_end_a_run(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    def end(spec: object, context: RunContext) -> None:
        context.emit(Completed(seconds=0.0))

    monkeypatch.setattr(train_prior, "run", end)
    assert isinstance(_ends(run), Failed)


def test_a_missing_input_fails_before_anything_is_computed(tmp_path: Path, training: Training):
    run = RunDir.create(tmp_path / "run", training(clouds=str(tmp_path / "none.npz")))
    event = _ends(run)
    assert isinstance(event, Failed)
    assert "none.npz: There is no such file." in event.message


def test_a_device_that_is_not_there_fails(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    event = _ends(RunDir.create(tmp_path / "run", training(device="cuda")))
    assert isinstance(event, Failed)
    assert "GPU" in event.message


@pytest.mark.parametrize("how", ["file", "callable"])
def test_a_run_can_be_cancelled(tmp_path: Path, training: Training, how: str):
    run = RunDir.create(tmp_path / "run", training())  # endless
    if how == "file":
        run.request_cancel()
        assert isinstance(_ends(run), Cancelled)
    else:
        assert isinstance(_ends(run, cancel=lambda: True), Cancelled)


def test_a_paused_run_waits_and_goes_on(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert len(waits) < 100
        if len(waits) == 3:
            run.request_resume()

    monkeypatch.setattr(runner.time, "sleep", sleep)
    run.request_pause()
    assert isinstance(_ends(run), Completed)
    said = [e.message for e in run.events() if isinstance(e, Notice)]
    assert said[:2] == ["Paused.", "Going on."]
    assert len(waits) == 3


def test_a_run_of_another_process_is_not_touched(run: RunDir):
    with run.locked():
        # The same process may not either: it has one run at a time in a folder.
        with pytest.raises(errors.RunError, match="already being computed"):
            runner.run(run.spec(), run)
        assert run.events() == ()


def test_training_goes_on_from_its_checkpoint(tmp_path: Path, training: Training):
    first = RunDir.create(tmp_path / "run", training(max_steps=3))
    assert isinstance(_ends(first), Completed)
    again = RunDir.create(tmp_path / "run", training(max_steps=5))
    assert isinstance(_ends(again), Completed)
    metrics = json.loads((again.results / "metrics.json").read_text())
    assert metrics["steps"] == 5


def _while_it_runs(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    def run(spec: TrainPriorSpec, context: RunContext) -> None:
        do()
        (context.folder / "checkpoints" / "kept").touch()

    monkeypatch.setattr(train_prior, "run", run)


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_an_input_that_changes_during_a_run_is_told(run: RunDir, monkeypatch: pytest.MonkeyPatch, how: str):
    clouds = Path(run.spec().clouds)
    _while_it_runs(monkeypatch, clouds.unlink if how == "removed" else lambda: clouds.write_bytes(b"other"))
    assert isinstance(_ends(run), Completed)
    warned = [e.message for e in run.events() if isinstance(e, Notice) and e.level == "warning"]
    assert warned == [
        "clouds.npz was changed or removed while the run read it: results may mix two versions. "
        "Run it again in another folder."
    ]


def test_a_run_does_not_go_on_with_another_input(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    clouds = Path(run.spec().clouds)
    before = clouds.read_bytes()
    monkeypatch.setattr(train_prior, "run", _raising(errors.Cancelled()))
    (run.path / "checkpoints" / "kept").touch()
    assert isinstance(_ends(run), Cancelled)
    clouds.write_bytes(b"other")
    again = RunDir.create(run.path, run.spec())
    event = _ends(again)
    assert isinstance(event, Failed)
    assert "clouds.npz: This file is not what it was when the run began." in event.message
    clouds.write_bytes(before)
    assert isinstance(_ends(RunDir.create(run.path, run.spec())), Cancelled)
