"""Runs on a real Slurm: a task preempted, a node daemon killed, a run taken back. ``make test-slurm``.

Not named ``test_…``, so that ``make test`` leaves it out: it needs root, Slurm, and minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.events import Cancelled, Completed, Result
from engine.forward.volume_projection import project
from engine.io.mrc import write_images
from engine.io.volumes import SdsResults
from engine.jobs import event_log, lanes, parts, slurm_submission
from engine.jobs.run_dir import RunDir
from engine.numerics.rotations import random_rotations
from engine.specs.codec import dump_toml
from engine.specs.sds import SdsSpec
from engine.types import ImageStack
from tests.engine.sds_run import PIXEL, blob
from tests.slurm.cluster import Cluster, missing

COUNT = 8
STEPS = 250  # some seconds for a volume: long enough to be hit in the middle
LANE = """#!/bin/bash
#SBATCH --job-name={{name}}
#SBATCH --output={{log}}
#SBATCH --open-mode=append
#SBATCH --partition=cheap
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
export OMP_NUM_THREADS=1
exec {{command}}
"""

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    problem = missing()
    if problem:
        pytest.skip(problem)
    with Cluster() as found:
        yield found
    left = [p for p in _processes() if str(found.folder) in p]
    assert not left, left


def _processes() -> list[str]:
    done = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(autouse=True)
def lane(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lanes.Lane:
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    monkeypatch.setenv(lanes.FOLDER_VARIABLE, str(tmp_path / "lanes"))
    (tmp_path / "lanes").mkdir()
    (tmp_path / "lanes" / "cheap.sh").write_text(LANE)
    return lanes.find("cheap")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SdsSpec:
    folder = tmp_path_factory.mktemp("averages")
    rotations = torch.from_numpy(random_rotations(COUNT, np.random.default_rng(2))).float()
    images = project(torch.from_numpy(blob(0.4)), rotations).numpy()
    images += np.random.default_rng(0).normal(size=images.shape).astype(np.float32) * 0.01 * images.std()
    write_images(folder / "classes.mrcs", ImageStack(images, PIXEL))
    values: dict[str, Any] = {
        "averages": {"file": str(folder / "classes.mrcs"), "contrast": "white"}, "volumes": "each",
        "denoiser": {"kind": "closed_form", "angle_step_deg": 15.0, "components": 60}, "restarts": 1,
        "distillation": {"steps": STEPS, "views_first": 4, "views_last": 8}, "refine_rounds": 1,
        "half_sets": False, "device": "cpu",
    }  # fmt: skip
    return SdsSpec.model_validate(values)


@pytest.fixture(scope="module")
def local(spec: SdsSpec, tmp_path_factory: pytest.TempPathFactory) -> SdsResults:
    """The same run in one process on this machine."""
    folder = tmp_path_factory.mktemp("local")
    dump_toml(spec, folder / "job.toml")
    command = [sys.executable, "-m", "engine", "run", str(folder / "job.toml"), "--out", str(folder / "run")]
    subprocess.run([*command, "--now"], check=True, env=dict(os.environ) | {"OMP_NUM_THREADS": "1"})
    return SdsResults(folder / "run")


def wait_for(ready: Callable[[], bool], cluster: Cluster, seconds: float = 420.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            queue = cluster.call("squeue", "-a", "--array", "-t", "all", "-o", "%i %T %r")
            raise AssertionError(f"{queue}\n{cluster.logs()}")
        time.sleep(0.2)


def computing(run: RunDir) -> set[int]:
    """Tasks that are in the middle of their volume."""
    rows = [r for r in slurm_submission.progress(run) if r.stage == parts.PARTS]
    return {r.task for r in rows if r.state == "computing" and _snapshots(run, r.task)}


def _snapshots(run: RunDir, task: int) -> bool:
    events = parts.PartDir(run.path, parts.part_name(parts.PARTS, task)).events()
    return any(event.type == "map_snapshot" for event in events)


def begin_now(cluster: Cluster) -> None:
    """Slurm holds back what it has queued again for two minutes; here it needn't."""
    queue = cluster.call("squeue", "-h", "--array", "-t", "PENDING", "-o", "%i|%r")
    for job, reason in (line.split("|") for line in queue.splitlines()):
        if reason == "BeginTime":
            cluster.call("scontrol", "update", f"JobId={job}", "StartTime=now")


def written(run: RunDir) -> Counter[str]:
    """How often each volume was written, by all attempts of all pieces."""
    files = [*run.path.glob("parts/*/events*.jsonl"), *run.path.glob("events*.jsonl")]
    events = [event for file in files for event in event_log.follow(file).events]
    return Counter(e.path for e in events if isinstance(e, Result) and e.role == "volume")


def restarts(cluster: Cluster, job: str) -> dict[int, int]:
    shown = cluster.call("scontrol", "show", "job", "--oneliner", job)
    fields = [dict(f.split("=", 1) for f in line.split() if "=" in f) for line in shown.splitlines()]
    return {int(f["ArrayTaskId"]): int(f["Restarts"]) for f in fields if f.get("ArrayTaskId", "").isdecimal()}


def same(run: RunDir, local: SdsResults) -> None:
    found = SdsResults(run.path)
    assert sorted(found.volumes()) == sorted(local.volumes()) == list(range(1, COUNT + 1))
    for image in range(1, COUNT + 1):
        np.testing.assert_array_equal(found.volume(image).density, local.volume(image).density)
    np.testing.assert_array_equal(found.consensus().density, local.consensus().density)
    metrics = [dict(r.metrics() or {}) for r in (found, local)]
    for one in metrics:
        one.pop("seconds")
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("steps_too", [True, False], ids=["node lost", "daemon alone"])
def test_a_task_preempted_and_a_node_daemon_killed(
    steps_too: bool, cluster: Cluster, lane: lanes.Lane, spec: SdsSpec, local: SdsResults, tmp_path: Path
) -> None:
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {what}")

    submission = slurm_submission.submit(spec, lane, tmp_path / "run")
    run = RunDir.open(tmp_path / "run")
    array = submission.jobs[1].number
    wait_for(lambda: len(computing(run)) == 2, cluster)
    say(f"computing {computing(run)}")

    cluster.call("sbatch", "-p", "urgent", "-n1", "--output=/dev/null", "--wrap=sleep 2")
    wait_for(lambda: sum(restarts(cluster, array).values()) == 1, cluster)
    preempted = {task for task, n in restarts(cluster, array).items() if n}
    say(f"preempted {preempted}")
    wait_for(lambda: len(computing(run) - preempted) >= 2, cluster)
    before, done = computing(run), len(SdsResults(run.path).volumes())
    say(f"computing {before}, {done} volumes finished; the node daemon is killed")

    cluster.kill_node(steps_too=steps_too)
    wait_for(lambda: cluster.node_state().startswith("down"), cluster)
    say("the node is down")
    if steps_too:  # without their daemon, steps go on, and tell the controller themselves when they are done
        wait_for(lambda: sum(restarts(cluster, array).values()) >= 2, cluster)
    cluster.start_node()
    wait_for(lambda: cluster.node_state() in ("idle", "alloc", "mix"), cluster)
    say(f"the node is back; restarts {restarts(cluster, array)}")

    def finished() -> bool:
        begin_now(cluster)
        return isinstance(run.outcome(), Completed)

    wait_for(finished, cluster)
    say(f"finished; volumes written: {dict(written(run))}")
    assert done < COUNT
    assert sorted(written(run).values()) == [1] * COUNT
    same(run, local)
    rows = slurm_submission.progress(run)
    assert {row.state for row in rows} == {"finished"}
    again = sum(row.attempts - 1 for row in rows if row.stage == parts.PARTS)
    assert again >= (2 if steps_too else 1)
    assert not list(run.path.rglob("lock"))


def test_a_run_is_taken_back_and_submitted_again(
    cluster: Cluster, lane: lanes.Lane, spec: SdsSpec, local: SdsResults, tmp_path: Path
) -> None:
    submission = slurm_submission.submit(spec, lane, tmp_path / "run", tasks=4)
    run = RunDir.open(tmp_path / "run")
    wait_for(lambda: len(SdsResults(run.path).volumes()) >= 2, cluster)
    slurm_submission.cancel(run)
    wait_for(lambda: not cluster.call("squeue", "-h"), cluster)
    assert isinstance(run.outcome(), Cancelled)
    kept = sorted(SdsResults(run.path).volumes())
    assert 2 <= len(kept) < COUNT
    assert {row.state for row in slurm_submission.progress(run)} <= {"finished", "stopped"}
    times = {image: SdsResults(run.path).volumes()[image] for image in kept}

    again = slurm_submission.submit(spec, lane, tmp_path / "run", tasks=2)
    assert again.last != submission.last
    assert sorted(n for numbers in parts.read_plan(run) for n in numbers) == sorted(
        set(range(1, 9)) - set(kept)
    )
    wait_for(lambda: isinstance(run.outcome(), Completed), cluster)
    assert {image: SdsResults(run.path).volumes()[image] for image in kept} == times  # not computed again
    same(run, local)


def test_what_cannot_be_prepared_is_told_by_the_run(
    cluster: Cluster, lane: lanes.Lane, spec: SdsSpec, tmp_path: Path
) -> None:
    copy = tmp_path / "classes.mrcs"
    shutil.copy(spec.averages.file, copy)
    moved = spec.model_copy(update={"averages": spec.averages.model_copy(update={"file": str(copy)})})
    slurm_submission.submit(moved, lane, tmp_path / "run")
    copy.unlink()
    run = RunDir.open(tmp_path / "run")
    wait_for(lambda: run.outcome() is not None, cluster)
    assert "classes.mrcs" in json.dumps(getattr(run.outcome(), "message", ""))
    wait_for(lambda: not cluster.call("squeue", "-h"), cluster)  # nothing waits for ever


def test_a_task_whose_time_is_up_goes_back_into_the_queue(
    cluster: Cluster, spec: SdsSpec, tmp_path: Path
) -> None:
    text = LANE.replace(
        "#SBATCH --requeue", "#SBATCH --requeue\n#SBATCH --time=2\n#SBATCH --signal=B:TERM@60"
    )
    (lanes.folder() / "short.sh").write_text(text)
    longer = spec.model_dump() | {"distillation": spec.distillation.model_dump() | {"steps": 2 * STEPS}}
    submission = slurm_submission.submit(
        SdsSpec.model_validate(longer), lanes.find("short"), tmp_path / "run", tasks=1
    )  # fmt: skip
    run = RunDir.open(tmp_path / "run")
    array = submission.jobs[1].number

    def finished() -> bool:
        begin_now(cluster)
        return isinstance(run.outcome(), Completed)

    wait_for(lambda: sum(restarts(cluster, array).values()) >= 1, cluster)
    kept = len(SdsResults(run.path).volumes())
    print(f"time was up after {kept} volumes")
    assert 1 <= kept < COUNT
    wait_for(finished, cluster, 900.0)
    assert sorted(written(run).values()) == [1] * COUNT
    said = "".join(p.read_text() for p in (run.path / "slurm").glob("parts-*.log"))
    assert "time is up: it goes back into the queue" in said
