"""Runs in parts: by processes of this machine or a batch system, always the volumes of an ordinary run."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from engine import cli
from engine.errors import RunError, SpecError
from engine.events import Cancelled, Completed, Event, Progress, Result
from engine.forward.volume_projection import project
from engine.io.json_files import write_json
from engine.io.mrc import write_images
from engine.io.volumes import SdsResults
from engine.jobs import event_log, lanes, parts, run_lock, runner, slurm_submission
from engine.jobs.local_parts import Place, divided, places
from engine.jobs.parts import PARTS, PartDir
from engine.jobs.run_dir import RunDir
from engine.numerics.rotations import random_rotations
from engine.specs.sds import SdsSpec
from engine.types import ImageStack
from tests.engine.jobs import fake_slurm
from tests.engine.sds_run import PIXEL, blob, quick_spec

COUNT = 4


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SdsSpec:
    path = tmp_path_factory.mktemp("averages") / "classes.mrcs"
    rotations = torch.from_numpy(random_rotations(COUNT, np.random.default_rng(2))).float()
    write_images(path, ImageStack(project(torch.from_numpy(blob(0.4)), rotations).numpy(), PIXEL))
    return quick_spec(path, steps=60)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that are started: sums are then taken in the same order."""
    before, named = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    yield
    torch.set_num_threads(before)
    os.environ.pop("OMP_NUM_THREADS") if named is None else os.environ.update(OMP_NUM_THREADS=named)


@pytest.fixture(scope="module")
def ordinary(spec: SdsSpec, tmp_path_factory: pytest.TempPathFactory) -> SdsResults:
    folder = tmp_path_factory.mktemp("ordinary") / "run"
    assert isinstance(runner.run(spec, RunDir.create(folder, spec)), Completed)
    return SdsResults(folder)


def same(run: RunDir, ordinary: SdsResults) -> None:
    found = SdsResults(run.path)
    assert sorted(found.volumes()) == list(range(1, COUNT + 1))
    for image in range(1, COUNT + 1):
        np.testing.assert_array_equal(found.volume(image).density, ordinary.volume(image).density)
    ours, theirs = (dict(r.metrics() or {}) for r in (found, ordinary))
    assert ours.pop("seconds")
    assert theirs.pop("seconds")
    assert ours == theirs


def written(run: RunDir) -> Counter[str]:
    """How often each volume was written, by all attempts of all pieces."""
    files = [*run.path.glob("parts*/*/events*.jsonl"), *run.path.glob("events*.jsonl")]
    events = [event for file in files for event in event_log.follow(file).events]
    return Counter(e.path for e in events if isinstance(e, Result) and e.role == "volume")


def test_processes_side_by_side_are_stopped_and_go_on(
    spec: SdsSpec, ordinary: SdsResults, tmp_path: Path
) -> None:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    wanted = [Place(cores=(cores[k % len(cores)],)) for k in range(2)]
    run = RunDir.create(tmp_path / "run", spec)

    def one_is_there() -> bool:
        return len(SdsResults(run.path).volumes()) >= 1

    ended = runner.run(spec, run, cancel=one_is_there, compute=divided(spec, wanted))
    assert isinstance(ended, Cancelled)
    kept = set(SdsResults(run.path).volumes())
    assert 1 <= len(kept) < COUNT
    assert not [p for p in psutil.Process().children() if "run-part" in " ".join(p.cmdline())]
    for task in (1, 2):
        part = PartDir(run.path, parts.part_name(PARTS, task))
        assert isinstance(part.outcome(), Cancelled | Completed)
        assert part.holder() is None

    told: list[Event] = []
    run = RunDir.create(run.path, spec)
    ended = runner.run(spec, run, told.append, compute=divided(spec, wanted[:1]))
    assert isinstance(ended, Completed)
    assert sorted(n for numbers in parts.read_plan(run) for n in numbers) == sorted(
        set(range(1, COUNT + 1)) - kept
    )
    shares = [e for e in told if isinstance(e, Progress) and e.stage.startswith("volumes, by")]
    assert shares[-1].done == shares[-1].total == COUNT - len(kept)
    assert set(written(run).values()) == {1}
    same(run, ordinary)


def test_a_task_of_an_array_is_preempted(
    spec: SdsSpec,
    ordinary: SdsResults,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = tmp_path / "batch" / "state"
    monkeypatch.setenv("PATH", f"{fake_slurm.install(state.parent)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(lanes.FOLDER_VARIABLE, str(tmp_path / "lanes"))
    lanes.new("cpu")
    try:
        submission = slurm_submission.submit(spec, lanes.find("cpu"), tmp_path / "run", tasks=2)
        run = RunDir.open(tmp_path / "run")
        array = submission.jobs[1].number

        def hit() -> bool:
            events = PartDir(run.path, "0001").events()
            return any(e.type == "map_snapshot" for e in events)

        _wait_for(hit)
        fake_slurm.preempt(state, f"{array}_1")
        _wait_for(lambda: run.outcome() is not None)
        assert isinstance(run.outcome(), Completed), run.last_log_lines()
        _wait_for(lambda: not list(state.glob("*.serving")))
    finally:
        fake_slurm.end_all(state)
    assert PartDir(run.path, "0001").attempts == 2
    assert sorted(written(run).values()) == [1] * COUNT
    same(run, ordinary)
    assert cli.main(["status", str(run.path), "--all"]) == 0
    shown = capsys.readouterr().out
    assert "finished (attempt 2)" in shown
    assert "4 of 4 finished; 2 parts: 2 finished." in shown
    slurm_output = "".join(p.read_text() for p in (run.path / "slurm").glob("parts-*.log"))
    assert "Stopping after this step" in slurm_output
    assert "Traceback" not in slurm_output


def _wait_for(ready: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_lock_of_another_machine_is_freed_for_the_same_job_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, folder = tmp_path / "lock", tmp_path / "0001"
    gone = {"pid": 17, "host": "a-node-that-is-gone", "started": 1.0}
    folder.mkdir()
    for job, freed in (("8", False), ("7", True)):
        write_json(lock, gone)
        write_json(folder / "attempt.json", {"job": "7", "host": gone["host"], "pid": 17})
        monkeypatch.setenv("SLURM_JOB_ID", job)
        parts.let_go_of_earlier_attempt(lock, folder)
        assert lock.exists() != freed
        if not freed:
            with pytest.raises(RunError, match="a-node-that-is-gone"), run_lock.held(lock):
                pass


def test_places_are_named_and_counted(spec: SdsSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places(None, "cuda:0, cuda:2") == (Place(0), Place(2))
    monkeypatch.setattr("engine.jobs.local_parts._cores", lambda: [0, 1, 2, 5, 7])
    assert places(2, None) == (Place(cores=(0, 2, 7)), Place(cores=(1, 5)))
    for given, words in (
        ((6, None), "6 workers have only 5 cores"),
        ((None, "cuda"), "`cuda` is no device"),
        ((3, "cuda:0"), "3 workers can't have 1 devices"),
    ):
        with pytest.raises(SpecError, match=words):
            places(*given)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="one piece"):
        divided(spec.model_copy(update={"volumes": "one"}), places(2, None))
