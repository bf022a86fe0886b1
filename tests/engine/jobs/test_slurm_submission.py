"""Runs handed to a batch system: what is submitted, what waits for what, and what goes wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import cli
from engine.errors import InputError, RunError, SpecError
from engine.events import Cancelled
from engine.io.mrc import write_images
from engine.jobs import lanes, parts, slurm, slurm_submission
from engine.jobs.parts import FINISH, PARTS, PREPARE
from engine.jobs.run_dir import RunDir
from engine.jobs.slurm import JobState
from engine.specs.codec import dump_toml
from engine.specs.job import DpsSpec, TrainPriorSpec
from engine.specs.sds import SdsSpec
from engine.types import ImageStack
from tests.engine.jobs import fake_slurm
from tests.engine.sds_run import PIXEL, blob, quick_spec

COUNT = 4


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A batch system and a lane named `cpu`; the folder of its states."""
    folder = tmp_path / "batch"
    binaries = fake_slurm.install(folder)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(lanes.FOLDER_VARIABLE, str(tmp_path / "lanes"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lanes.new("cpu")
    yield folder / "state"
    (folder / "state" / "down").unlink(missing_ok=True)
    fake_slurm.end_all(folder / "state")


@pytest.fixture
def averages(tmp_path: Path) -> Path:
    images = np.stack([blob(0.4).sum(axis) for axis in (0, 1, 2)] + [blob(0.4).sum(0).T])
    write_images(tmp_path / "classes.mrcs", ImageStack(images.astype(np.float32), PIXEL))
    return tmp_path / "classes.mrcs"


@pytest.fixture
def spec(averages: Path) -> SdsSpec:
    return quick_spec(averages, steps=3)


def wait_for(ready: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def options(state: Path, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / f"{job}.json").read_text())
    return found


def test_numbers_are_dealt_out_whole() -> None:
    assert parts.split((1, 2, 3, 4, 5), 2) == ((1, 3, 5), (2, 4))
    assert parts.split((7, 9), 8) == ((7,), (9,))
    for many in range(1, 12):
        dealt = parts.split(range(1, 10), many)
        assert sorted(n for one in dealt for n in one) == list(range(1, 10))
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    with pytest.raises(SpecError, match="0 parts"):
        parts.split((1,), 0)


def test_what_can_be_computed_separately(spec: SdsSpec, clouds: Path) -> None:
    assert parts.numbers_wanted(spec) == (1, 2, 3, 4)
    assert parts.numbers_wanted(spec.model_copy(update={"only": (3, 1, 3)})) == (1, 3)
    assert parts.numbers_wanted(spec.model_copy(update={"volumes": "one"})) == ()
    view = {"kind": "coarse_points", "file": "map.npy"}
    points = {"kind": "dps", "observations": [view], "samples": 3}
    steered = points | {"sampler": {"kind": "proximal", "steering": 0.5}}
    assert parts.numbers_wanted(DpsSpec.model_validate(points)) == (1, 2, 3)
    assert parts.numbers_wanted(DpsSpec.model_validate(steered)) == ()  # they displace each other
    assert parts.numbers_wanted(TrainPriorSpec(clouds=str(clouds))) == ()


def test_jobs_wait_for_each_other_and_are_taken_back(
    state: Path, spec: SdsSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "hold").touch()
    dump_toml(spec, tmp_path / "job.toml")
    out = tmp_path / "a run"
    command = ["submit", str(tmp_path / "job.toml"), "--lane", "cpu", "--out", str(out)]
    assert cli.main([*command, "--tasks", "3", "--at-once", "2", "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert [(j["stage"], j["tasks"]) for j in jobs] == [(PREPARE, 0), (PARTS, 3), (FINISH, 0)]
    first, array, last = (options(state, j["job"]) for j in jobs)
    assert "dependency" not in first
    assert (array["array"], array["dependency"]) == ("1-3%2", f"afterok:{jobs[0]['job']}")
    # a part that fails, or that never begins, must not keep the end waiting
    assert (last["dependency"], array["kill-on-invalid-dep"]) == (f"afterany:{jobs[1]['job']}", "yes")
    assert parts.read_plan(RunDir.open(out)) == ((1, 4), (2,), (3,))

    assert cli.main(command) == 2
    assert "in the queue already" in capsys.readouterr().err
    assert cli.main(["status", str(out), "--all"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("waiting") == 6  # five pieces, and the last line
    assert "0 of 4 finished; 3 parts: 3 waiting." in shown

    run = RunDir.open(out)
    assert cli.main(["pause", str(out)]) == 0
    assert run.pause_requested()
    assert cli.main(["resume", str(out)]) == 0  # lets the parts go on, and doesn't compute here
    assert not run.pause_requested()
    assert cli.main(["resume", str(out)]) == 2
    assert "in the queue already" in capsys.readouterr().err
    slurm_submission.cancel(run)
    assert run.cancel_requested()
    assert isinstance(run.outcome(), Cancelled)
    assert {s.word for s in slurm.states([j["job"] for j in jobs]).values()} == {"CANCELLED"}
    assert {row.state for row in slurm_submission.progress(run)} == {"stopped"}


def test_inputs_of_a_training_to_come(
    state: Path, spec: SdsSpec, training: Callable[..., TrainPriorSpec], tmp_path: Path
) -> None:
    (state / "hold").touch()
    lane, first = lanes.find("cpu"), tmp_path / "training"
    weights = {"kind": "trained", "weights": str(first / "results" / "denoiser.safetensors")}
    later = SdsSpec.model_validate(spec.model_dump() | {"denoiser": weights})
    with pytest.raises(InputError, match=r"no such file \(`denoiser, weights`\).*--after"):
        slurm_submission.submit(later, lane, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    RunDir.create(first, training())
    with pytest.raises(RunError, match="wasn't submitted"):
        slurm_submission.submit(later, lane, tmp_path / "run", after=first)
    trained = slurm_submission.submit(training(), lane, first)
    assert [job.stage for job in trained.jobs] == [FINISH]
    found = slurm_submission.submit(later, lane, tmp_path / "run", after=first)
    assert options(state, found.jobs[0].number)["dependency"] == f"afterok:{trained.last}"
    elsewhere = later.model_copy(update={"truth": str(tmp_path / "none.mrc")})
    with pytest.raises(InputError, match="`truth`"):
        slurm_submission.submit(elsewhere, lane, tmp_path / "other", after=first)
    slurm.cancel([trained.last])
    with pytest.raises(RunError, match="didn't finish"):
        slurm_submission.submit(later, lane, tmp_path / "third", after=first)


def test_a_batch_system_that_refuses_is_quoted(state: Path, spec: SdsSpec, tmp_path: Path) -> None:
    (state / "refuse").write_text(
        "Batch job submission failed: Invalid account or account/partition combination"
    )
    with pytest.raises(RunError, match=r"`sbatch` refused: .*Invalid account.*Correct the lane"):
        slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "run")
    (state / "refuse").unlink()
    assert slurm_submission.find(RunDir.open(tmp_path / "run")) is None
    (state / "hold").touch()
    slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "run")  # the folder can be used


def test_a_refused_second_job_takes_back_the_first(
    state: Path, spec: SdsSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "hold").touch()
    taken, real = [], slurm.submit

    def submit(*given: Any, **named: Any) -> str:
        if taken:
            raise RunError("`sbatch` refused: too many jobs.")
        taken.append(real(*given, **named))
        return taken[0]

    monkeypatch.setattr(slurm, "submit", submit)
    with pytest.raises(RunError, match="too many jobs"):
        slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "run")
    assert slurm.states(taken)[taken[0]] == JobState("CANCELLED")


def test_without_slurm_and_with_one_that_is_down(
    state: Path, spec: SdsSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "hold").touch()
    slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "run")
    run = RunDir.open(tmp_path / "run")
    (state / "down").write_text("Unable to contact slurm controller (connect failure)")
    with pytest.raises(RunError, match=r"`squeue` refused.*Unable to contact.*Ask again"):
        slurm.states(["1"])
    # the parts' own events still tell; and a cancel reaches them by its file
    assert {row.state for row in slurm_submission.progress(run)} == {"unknown"}
    with pytest.raises(RunError, match="`scancel` refused"):
        slurm_submission.cancel(run)
    assert run.cancel_requested()
    (state / "down").unlink()
    with monkeypatch.context() as nothing:
        nothing.setenv("PATH", str(tmp_path))
        with pytest.raises(RunError, match=r"no Slurm here: `sbatch` isn't installed.*--workers"):
            slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "other")


def test_answers_in_odd_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "lua: welcome\n17;cluster-2\n"
    monkeypatch.setattr(slurm, "_call", lambda *given: said)
    assert slurm.submit(tmp_path / "x.sh", folder=tmp_path) == "17"
    said = "Submitted to the void"
    with pytest.raises(RunError, match="named no job"):
        slurm.submit(tmp_path / "x.sh", folder=tmp_path)
    for answer, seconds in {
        "59": 59.0, "1:05": 65.0, "2:00:01": 7201.0, "3-00:00:00": 259200.0, "UNLIMITED": None, "": None,
        "INVALID": None,
    }.items():  # fmt: skip
        said = answer
        assert slurm.time_left_s("1") == seconds
    said = "1|RUNNING|None\n2_3|CANCELLED by 0|None\nnonsense\n4_[5-9]|PENDING|x\n"
    found = slurm.states(["1", "2"])
    assert found == {"1": JobState("RUNNING"), "2_3": JobState("CANCELLED by 0")}
    assert [s.ended for s in found.values()] == [False, True]
