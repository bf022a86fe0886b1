"""A stand-in for Slurm's commands: jobs really run, as processes of this machine, two at a time.

``install`` puts sbatch, squeue and scancel into a folder for the PATH. Arrays, dependencies, requeueing and
cancelling are there as far as Verglas uses them; states are files. A file ``refuse`` or ``down`` in the state
folder makes sbatch or all commands fail with its text; while there is one named ``hold``, nothing begins.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

AT_ONCE = 2
DONE = {"COMPLETED", "FAILED", "CANCELLED"}


def install(folder: Path) -> Path:
    """Write the commands into ``folder/bin``; their state lies in ``folder/state``."""
    (folder / "bin").mkdir(parents=True)
    (folder / "state").mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        file = folder / "bin" / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder / "state"} {name} "$@"\n')
        file.chmod(0o755)
    return folder / "bin"


def end_all(state: Path) -> None:
    """Cancel everything and wait until no process is left."""
    _scancel(state, [p.stem for p in state.glob("*.json")])
    deadline = time.monotonic() + 30
    while any(True for _ in state.glob("*.serving")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(state.glob("*.serving"))


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    os.replace(aside, path)


def _state(state: Path, task: str) -> str:
    return (state / f"{task}.state").read_text()


def _tasks(state: Path, job: str) -> list[str]:
    return list(json.loads((state / f"{job}.json").read_text())["tasks"])


def _sbatch(state: Path, arguments: list[str]) -> int:
    if (state / "refuse").exists():
        sys.stderr.write(f"sbatch: error: {(state / 'refuse').read_text()}\n")
        return 1
    options = dict(a.lstrip("-").split("=", 1) if "=" in a else (a.lstrip("-"), "") for a in arguments[:-1])
    script = Path(arguments[-1])
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    output = next(line.split("=", 1)[1] for line in lines if "--output=" in line)
    job = str(1 + len(list(state.glob("*.json"))))
    array = re.fullmatch(r"1-(\d+)(%\d+)?", options.get("array", ""))
    tasks = [f"{job}_{k}" for k in range(1, int(array[1]) + 1)] if array else [job]
    for task in tasks:
        _write(
            state / f"{task}.state", "PENDING|Dependency" if options.get("dependency") else "PENDING|Priority"
        )
    facts = {"tasks": tasks, "script": str(script), "output": output} | options
    _write(state / f"{job}.json", json.dumps(facts))
    (state / f"{job}.serving").touch()
    subprocess.Popen(
        [sys.executable, __file__, str(state), "serve", job], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sys.stdout.write(f"{job}\n")
    return 0


def _serve(state: Path, job: str) -> int:
    facts = json.loads((state / f"{job}.json").read_text())
    try:
        if _may_begin(state, facts):
            _run_all(state, facts)
    finally:
        (state / f"{job}.serving").unlink()
    return 0


def _may_begin(state: Path, facts: dict[str, object]) -> bool:
    kind, _, jobs = str(facts.get("dependency", "")).partition(":")
    waits = [t for job in jobs.split(":") if job for t in _tasks(state, job)]
    tasks = [str(t) for t in facts["tasks"]]  # type: ignore[union-attr, attr-defined]
    while True:
        if all(_state(state, t).split("|")[0] in DONE for t in tasks):  # cancelled while waiting
            return False
        words = {_state(state, t).split("|")[0] for t in waits}
        if words <= DONE and not (state / "hold").exists():
            if kind == "afterok" and words != {"COMPLETED"}:
                for task in tasks:
                    _write(state / f"{task}.state", "CANCELLED|DependencyNeverSatisfied")
                return False
            return True
        time.sleep(0.05)


def _run_all(state: Path, facts: dict[str, object]) -> None:
    waiting = [str(t) for t in facts["tasks"]]  # type: ignore[union-attr, attr-defined]
    running: dict[str, subprocess.Popen[bytes]] = {}
    restarts: dict[str, int] = {}
    while waiting or running:
        waiting = [t for t in waiting if _state(state, t).split("|")[0] not in DONE]
        while waiting and len(running) < AT_ONCE:
            task = waiting.pop(0)
            job, _, index = task.partition("_")
            output = str(facts["output"]).replace("%A", job).replace("%a", index).replace("%j", job)
            environment = dict(os.environ) | {"SLURM_JOB_ID": f"9{job}{index}", "SLURM_CPUS_PER_TASK": "1"}
            environment |= {"SLURM_ARRAY_TASK_ID": index} if index else {}
            environment |= {"SLURM_RESTART_COUNT": str(restarts.get(task, 0))}
            with open(output, "ab") as log:
                running[task] = subprocess.Popen(
                    ["/bin/bash", str(facts["script"])], cwd=str(facts["chdir"]), stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, env=environment,
                )  # fmt: skip
            _write(state / f"{task}.state", "RUNNING|None")
            _write(state / f"{task}.pid", str(running[task].pid))
        for task, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[task]
            again = state / f"{task}.requeue"
            if again.exists() and not _state(state, task).startswith("CANCELLED"):
                again.unlink()
                restarts[task] = restarts.get(task, 0) + 1
                _write(state / f"{task}.state", "PENDING|BeginTime")
                waiting.append(task)
            elif not _state(state, task).startswith("CANCELLED"):
                _write(state / f"{task}.state", "COMPLETED|None" if code == 0 else "FAILED|NonZeroExitCode")
        time.sleep(0.05)


def preempt(state: Path, task: str) -> None:
    """Take a running task's place away: it is told to end, and queued again."""
    (state / f"{task}.requeue").touch()
    os.kill(int((state / f"{task}.pid").read_text()), signal.SIGTERM)


def _squeue(state: Path, arguments: list[str]) -> int:
    options = dict(a.lstrip("-").split("=", 1) for a in arguments if "=" in a)
    jobs = [job for job in options["jobs"].split(",") if (state / f"{job}.json").exists()]
    if not jobs:
        sys.stderr.write("slurm_load_jobs error: Invalid job id specified\n")
        return 1
    if options["format"] == "%L":
        sys.stdout.write("1:00:00\n")
        return 0
    for job in jobs:
        for task in _tasks(state, job):
            sys.stdout.write(f"{task}|{_state(state, task)}\n")
    return 0


def _scancel(state: Path, arguments: list[str]) -> int:
    for job in (a for a in arguments if not a.startswith("-")):
        for task in _tasks(state, job):
            word = _state(state, task).split("|")[0]
            if word in DONE:
                continue
            _write(state / f"{task}.state", "CANCELLED|None")
            if word == "RUNNING":
                try:
                    os.kill(int((state / f"{task}.pid").read_text()), signal.SIGTERM)
                except ProcessLookupError:
                    pass
    return 0


def main(arguments: list[str]) -> int:
    """One of the commands."""
    state, name, rest = Path(arguments[0]), arguments[1], arguments[2:]
    if (state / "down").exists() and name != "serve":
        sys.stderr.write(f"{name}: error: {(state / 'down').read_text()}\n")
        return 1
    if name == "serve":
        return _serve(state, rest[0])
    return {"sbatch": _sbatch, "squeue": _squeue, "scancel": _scancel}[name](state, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
