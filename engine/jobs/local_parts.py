"""A divided run on one machine, without a batch system: a process for each GPU, or several on the CPU."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import RunError, SpecError
from engine.events import Failed, Progress
from engine.jobs import parts
from engine.jobs.parts import PARTS, PartDir
from engine.jobs.run_dir import RunDir
from engine.pipelines.context import RunContext
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.sds import SdsSpec

POLL_S: Final = 0.2
TOLD_S: Final = 2.0
_ENDS_WITHIN_S = 30.0
_DEVICE = re.compile(r"(?:cuda|gpu):(\d+)|cpu")


@dataclass(frozen=True)
class Place:
    """Where a process computes.

    Attributes
    ----------
    gpu : NVIDIA's number of it; None for the CPU.
    cores : processors it may use; empty for all.
    """

    gpu: int | None = None
    cores: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """For people."""
        return f"GPU {self.gpu}" if self.gpu is not None else f"{len(self.cores) or 'all'} cores"


def places(workers: int | None, devices: str | None) -> tuple[Place, ...]:
    """Where to compute: so many processes on the CPU, or one on each of the devices named.

    Raises
    ------
    SpecError
        If there are none, or a device isn't named as ``cuda:0``.
    """
    if devices is not None:
        found = []
        for name in (word.strip().lower() for word in devices.split(",")):
            match = _DEVICE.fullmatch(name)
            if match is None:
                raise SpecError(f"`{name}` is no device.", "Name them like this: `--devices cuda:0,cuda:1`.")
            found.append(Place(int(match[1]) if match[1] else None))
        if workers is not None and workers != len(found):
            raise SpecError(
                f"{workers} workers can't have {len(found)} devices.",
                "Give one of `--workers` and `--devices`.",
            )
        return tuple(found)
    cores = _cores()
    count = workers or 1
    if count > len(cores):
        raise SpecError(
            f"{count} workers have only {len(cores)} cores.", "Give fewer: each needs one at least."
        )
    return tuple(Place(cores=tuple(cores[k::count])) for k in range(count))


def _cores() -> list[int]:
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def divided(spec: JobSpec, wanted: Sequence[Place]) -> Callable[[JobSpec, RunContext], None]:
    """What the executor is to compute: parts in processes of their own, then what judges them in this one.

    Raises
    ------
    SpecError
        If the run is one piece.
    """
    if not parts.numbers_wanted(spec):
        raise SpecError(
            "This run is one piece: only samples, and volumes of class averages, are computed side by side.",
            "Leave out `--workers` and `--devices`; `torchrun` shares a training among GPUs.",
        )

    def compute(spec: JobSpec, context: RunContext) -> None:
        run = RunDir(context.folder)
        if isinstance(spec, SdsSpec):
            from engine.pipelines import sds

            sds.prepare_parts(spec, context)
        kept = parts.numbers_kept(run, spec)
        missing = [n for n in parts.numbers_wanted(spec) if n not in kept]
        plan = parts.split(missing, len(wanted)) if missing else ()
        parts.write_plan(run, plan)
        if plan:
            with _Processes(run, wanted[: len(plan)]) as processes:
                _watch(run, spec, context, processes, missing)
        _rest(spec, context)

    return compute


def _rest(spec: JobSpec, context: RunContext) -> None:
    if isinstance(spec, DpsSpec):
        from engine.pipelines import dps

        dps.run(spec, context)
    elif isinstance(spec, SdsSpec):
        from engine.pipelines import sds

        sds.run(spec, context)


class _Processes:
    """One process per place; all are told to stop when the block ends, and none outlives it."""

    def __init__(self, run: RunDir, wanted: Sequence[Place]) -> None:
        self._run = run
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self._places = wanted

    def __enter__(self) -> _Processes:
        for task, place in enumerate(self._places, 1):
            self.running[task] = _start(self._run.path, task, place)
        return self

    def __exit__(self, *what: object) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)  # whole volumes are kept
        deadline = time.monotonic() + _ENDS_WITHIN_S
        for process in self.running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ended(self) -> dict[int, int]:
        """Processes that have ended since the last time, by task, with their exit status."""
        found = {task: code for task, p in self.running.items() if (code := p.poll()) is not None}
        for task in found:
            del self.running[task]
        return found


def _start(folder: Path, task: int, place: Place) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine", "run-part", str(folder), "--stage", PARTS, "--task", str(task)]
    command += ["--parent", str(os.getpid())]
    if place.cores:
        command += ["--cores", ",".join(map(str, place.cores))]
    environment = dict(os.environ)
    environment["OMP_NUM_THREADS"] = str(len(place.cores) or 1)
    if place.gpu is not None:
        # counted among those that this process sees
        visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        environment["CUDA_VISIBLE_DEVICES"] = (
            visible[place.gpu] if place.gpu < len(visible) else str(place.gpu)
        )
    output = PartDir(folder, parts.part_name(PARTS, task)).folder / "output.txt"
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output, "ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _watch(
    run: RunDir, spec: JobSpec, context: RunContext, processes: _Processes, missing: Sequence[int]
) -> None:
    begun, told, done = time.monotonic(), 0.0, -1
    many = len(processes.running)
    stage = f"{'samples' if isinstance(spec, DpsSpec) else 'volumes'}, by {many} processes"
    while processes.running:
        context.check()
        for task, code in processes.ended().items():
            if code:
                context.notice(_reason(run, task, code), warning=True)
        now = time.monotonic()
        if now - told >= TOLD_S or not processes.running:
            told = now
            now_done = len(parts.numbers_kept(run, spec).intersection(missing))
            if now_done != done:
                done = now_done
                left = (now - begun) / done * (len(missing) - done) if done else None
                context.emit(Progress(stage=stage, done=done, total=len(missing), eta_s=left))
        time.sleep(POLL_S)
    if not parts.numbers_kept(run, spec).intersection(missing):
        raise RunError("None of the processes computed anything.", _first_reason(run, many), run.path)


def _reason(run: RunDir, task: int, code: int) -> str:
    ended = PartDir(run.path, parts.part_name(PARTS, task)).outcome()
    if isinstance(ended, Failed):
        return f"Process {task} failed: {ended.message} What it leaves is computed at the end."
    how = f"by signal {-code}" if code < 0 else f"with status {code}"
    return f"Process {task} ended {how}. What it leaves is computed at the end."


def _first_reason(run: RunDir, many: int) -> str:
    for task in range(1, many + 1):
        ended = PartDir(run.path, parts.part_name(PARTS, task)).outcome()
        if isinstance(ended, Failed):
            return ended.message
    return "The files `parts/*/output.txt` say why."
