"""The worker and its engine process: warm reuse, cancel, sudden death, re-attachment, farewell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.events import TERMINAL, Cancelled, Completed, Event, Failed, Notice, Progress, Started
from engine.jobs import worker
from engine.jobs.engine_process import POOL, EngineProcess
from engine.jobs.run_dir import RunDir
from engine.jobs.worker import Worker
from engine.specs.job import TrainPriorSpec
from tests.engine.jobs.conftest import Listener

Training = Callable[..., TrainPriorSpec]
pytestmark = pytest.mark.usefixtures("no_processes_left")


def _run(job: TrainPriorSpec | RunDir, folder: Path | None, listener: Listener) -> Worker:
    started = Worker(job, folder, listener)
    started.start()
    return started


def _ends_once(events: list[Event]) -> Event:
    assert [e for e in events if isinstance(e, TERMINAL)] == [events[-1]]
    return events[-1]


def test_two_runs_share_a_warm_process_and_a_bad_input_does_not_cost_it(tmp_path: Path, training: Training):
    pids, ends = [], []
    for name, changes in (("a", {}), ("b", {"clouds": "/none.npz"}), ("c", {})):
        listener = Listener()
        job = _run(training(max_steps=3, **changes), tmp_path / name, listener)
        assert job.join(60)
        ends.append(type(_ends_once(listener.events)))
        assert tuple(listener.events) == job.run_dir.events()
        pids.append(job.pid)
    assert ends == [Completed, Failed, Completed]
    assert len(set(pids)) == 1
    assert POOL.idle_pid == pids[0]
    process = psutil.Process(pids[0])
    assert os.getsid(pids[0]) != os.getsid(0)
    worker.shutdown()
    assert POOL.idle_pid is None
    assert not process.is_running()


def test_cancel_stops_a_run_and_keeps_what_is_there(tmp_path: Path, training: Training, listener: Listener):
    job = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Notice)  # the pipeline's first word: it is about to take steps
    job.cancel()
    assert job.join(60)
    assert isinstance(_ends_once(listener.events), Cancelled)
    assert (job.run_dir.results / "prior.safetensors").is_file()
    # The same folder goes on, in the same warm process.
    again = Listener()
    resumed = _run(training(max_steps=10**6), tmp_path / "run", again)
    again.wait_for(Started)
    resumed.cancel()
    assert resumed.join(60)
    assert resumed.pid == job.pid
    assert len(resumed.run_dir.history()) == len(listener.events) + len(again.events)


def test_cancel_before_the_start_counts(tmp_path: Path, training: Training, listener: Listener):
    job = Worker(training(), tmp_path / "run", listener)
    job.cancel()
    job.start()
    assert job.join(60)
    assert isinstance(_ends_once(listener.events), Cancelled)


def test_a_killed_engine_is_a_failure_with_its_last_log_lines(
    tmp_path: Path, training: Training, listener: Listener
):
    job = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Started)
    job.run_dir.log("the last thing that it said")
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    assert job.join(10)
    event = _ends_once(listener.events)
    assert isinstance(event, Failed)
    assert "killed" in event.message
    assert "the last thing that it said" in event.detail
    assert job.run_dir.outcome() == event
    # Another run in the same session starts a new process.
    other = Listener()
    assert _run(training(max_steps=2), tmp_path / "other", other).join(60)
    assert isinstance(_ends_once(other.events), Completed)


def test_an_idle_process_that_dies_unseen_costs_nothing(
    tmp_path: Path, training: Training, listener: Listener, monkeypatch: pytest.MonkeyPatch
):
    assert _run(training(max_steps=2), tmp_path / "a", Listener()).join(60)
    idle = POOL.idle_pid
    assert idle is not None
    os.kill(idle, signal.SIGKILL)
    # As if it had died a moment later: the pool and the worker still take it for alive.
    looks = iter([True, True])
    monkeypatch.setattr(EngineProcess, "alive", property(lambda p: next(looks, p._process.poll() is None)))
    job = _run(training(max_steps=2), tmp_path / "b", listener)
    assert job.join(60)
    assert isinstance(_ends_once(listener.events), Completed)
    assert job.pid != idle


def test_a_forced_cancel_kills_and_counts_as_cancelled(
    tmp_path: Path, training: Training, listener: Listener
):
    job = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Started)
    job.cancel(force=True)
    assert job.join(10)
    assert isinstance(_ends_once(listener.events), Cancelled)


def test_a_second_worker_attaches_and_hears_everything(
    tmp_path: Path, training: Training, listener: Listener
):
    first = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Started)
    first.detach()
    assert first.join(5)
    assert not any(isinstance(e, TERMINAL) for e in listener.events)
    assert first.run_dir.running

    again = Listener()
    second = _run(RunDir.open(tmp_path / "run"), None, again)
    again.wait_for(Started)
    assert second.pid is None  # not its child: attached
    second.cancel()
    assert second.join(60)
    assert isinstance(_ends_once(again.events), Cancelled)
    assert again.events[0] == listener.events[0]


def test_an_attached_run_that_dies_is_reported_once(tmp_path: Path, training: Training, listener: Listener):
    first = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Started)
    first.detach()
    assert first.join(5)
    watchers = [Listener(), Listener()]
    workers = [_run(RunDir.open(tmp_path / "run"), None, w) for w in watchers]
    for w in watchers:
        w.wait_for(Started)
    holder = first.run_dir.holder()
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    for w in workers:
        assert w.join(15)
    ends = [_ends_once(w.events) for w in watchers]
    assert isinstance(ends[0], Failed)
    assert ends[0] == ends[1]
    assert [e for e in first.run_dir.events() if isinstance(e, TERMINAL)] == ends[:1]


def test_a_finished_run_is_told_again(tmp_path: Path, training: Training, listener: Listener):
    assert _run(training(max_steps=2), tmp_path / "run", listener).join(60)
    again = Listener()
    replay = _run(RunDir.open(tmp_path / "run"), None, again)
    assert replay.join(5)
    assert again.events == listener.events
    assert replay.pid is None


def test_a_run_that_a_power_cut_ended_is_a_failure(tmp_path: Path, training: Training, listener: Listener):
    run = RunDir.create(tmp_path / "run", training())
    with run.writer() as writer:
        writer.write(Started(kind="train_prior", device="CPU", version="0"))
    assert _run(run, None, listener).join(5)
    assert isinstance(_ends_once(listener.events), Failed)


def test_a_damaged_folder_fails_in_words(tmp_path: Path, training: Training, listener: Listener):
    run = RunDir.create(tmp_path / "run", training())
    (run.path / "spec.json").write_text("{}")
    assert _run(run, None, listener).join(60)
    event = _ends_once(listener.events)
    assert isinstance(event, Failed)
    assert "spec.json" in event.message


def test_a_listener_that_raises_stops_nothing(tmp_path: Path, training: Training):
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        raise ValueError("a bug in the window")

    job = Worker(training(max_steps=2), tmp_path / "run", listen)
    job.start()
    assert job.join(60)
    assert isinstance(_ends_once(heard), Completed)


def test_relaying_costs_little(tmp_path: Path, training: Training, listener: Listener):
    job = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Started)
    job.pause()
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(2.0)
    spent = time.process_time() - before
    job.cancel()
    assert job.join(60)
    assert spent < 0.2  # 10 % of one core would already be felt; about 1 % is usual


def test_events_come_on_the_workers_thread(tmp_path: Path, training: Training):
    threads: set[str] = set()
    job = Worker(
        training(max_steps=2), tmp_path / "a name", lambda e: threads.add(threading.current_thread().name)
    )
    job.start()
    assert job.join(60)
    assert threads == {"run a name"}


def test_closing_the_window_stops_no_run(tmp_path: Path, training: Training, listener: Listener):
    """A whole program starts a run, says farewell and ends; the run goes on, then its process ends too."""
    spec = tmp_path / "spec.json"
    spec.write_text(training(max_steps=10**6).model_dump_json())
    program = textwrap.dedent(
        """
        import sys, threading
        from engine.events import Started
        from engine.jobs.worker import Worker, shutdown
        from engine.specs.codec import load_spec
        begun = threading.Event()
        Worker(load_spec(sys.argv[1]), sys.argv[2], lambda e: isinstance(e, Started) and begun.set()).start()
        assert begun.wait(60)
        assert "torch" not in sys.modules
        shutdown()
        """
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program, str(spec), str(tmp_path / "run")], check=True, timeout=90)
    run = RunDir.open(tmp_path / "run")
    holder = run.holder()
    assert holder is not None
    assert run.running, f"the run ended with its window after {time.monotonic() - began:.1f} s"
    attached = _run(run, None, listener)
    listener.wait_for(Started)
    count = len([e for e in listener.events if isinstance(e, Progress)])
    attached.cancel()
    assert attached.join(60)
    assert isinstance(_ends_once(listener.events), Cancelled)
    assert count >= 0
    psutil.wait_procs([psutil.Process(holder.pid)] if psutil.pid_exists(holder.pid) else [], timeout=10)
    assert not psutil.pid_exists(holder.pid) or psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE


def test_an_idle_process_ends_when_its_parent_is_killed(tmp_path: Path):
    program = (
        "import time\nfrom engine.jobs.engine_process import EngineProcess\n"
        "idle = EngineProcess()\nprint(idle.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    idle = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs([idle], timeout=30)
    assert not alive or idle.status() == psutil.STATUS_ZOMBIE


def test_a_folder_that_is_moved_ends_its_run_there_and_it_goes_on_where_it_is(
    tmp_path: Path, training: Training, listener: Listener
):
    job = _run(training(), tmp_path / "run", listener)
    listener.wait_for(Notice)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = RunDir.open(tmp_path / "moved")
    deadline = time.monotonic() + 60
    while moved.outcome() is None or moved.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert isinstance(moved.outcome(), Failed)
    assert "moved or removed" in moved.outcome().message
    assert job.join(60)
    assert isinstance(listener.events[-1], Failed)
    again = Listener()
    resumed = _run(training(max_steps=10**6), tmp_path / "moved", again)
    again.wait_for(Started)
    resumed.cancel()
    assert resumed.join(60)
    assert not (tmp_path / "run").exists()
