"""Parts of a run: some of its samples or volumes, computed by a process of their own in the shared folder.

First comes what all need (:data:`PREPARE`), then the parts in any order, then what judges them
(:data:`FINISH`), an ordinary run that finds everything there and computes itself what is missing. Each part
has a folder in the run directory, ``parts/0003/``, with its own lock, events and log; results lie where an
ordinary run puts them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.errors import RunError, SpecError
from engine.io.json_files import read_json, write_json
from engine.io.kept_samples import SAMPLES, numbers_in
from engine.io.volumes import SdsResults
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.sds import SdsSpec

PREPARE, PARTS, FINISH = "prepare", "parts", "finish"
STAGES: Final = (PREPARE, PARTS, FINISH)
FOLDER: Final = "parts"
TAKEN_OVER_WITHIN_S = 60.0
_ATTEMPT = "attempt.json"


def numbers_wanted(spec: JobSpec) -> tuple[int, ...]:
    """What can be computed separately, counted from 1: samples, or class averages that get a volume.

    Empty for runs that are one piece: trainings, single maps, samples that displace each other.

    Raises
    ------
    VerglasError
        If the class averages can't be read.
    """
    if isinstance(spec, DpsSpec):
        return () if spec.steered else tuple(range(1, spec.samples + 1))
    if isinstance(spec, SdsSpec) and spec.volumes == "each":
        if spec.only:
            return tuple(sorted(set(spec.only)))
        from engine.io.averages import prepare
        from engine.io.class_averages import read_class_averages

        averages = read_class_averages(spec.averages.file, pixel_size_A=spec.averages.pixel_size_A)
        return tuple(range(1, len(prepare(averages, spec.averages).used) + 1))
    return ()


def numbers_kept(run: RunDir, spec: JobSpec) -> set[int]:
    """Which of them are finished."""
    if isinstance(spec, DpsSpec):
        return set(numbers_in(run.path / SAMPLES))
    if isinstance(spec, SdsSpec) and spec.volumes == "each":
        return set(SdsResults(run.path).volumes())
    return set()


def split(numbers: Sequence[int], parts: int) -> tuple[tuple[int, ...], ...]:
    """Deal numbers out to at most so many parts, of almost equal size.

    Raises
    ------
    SpecError
        If there are to be fewer than one.
    """
    if parts < 1:
        raise SpecError(f"A run can't be divided into {parts} parts.", "Give 1 or more.")
    parts = min(parts, len(numbers))
    return tuple(tuple(numbers[k::parts]) for k in range(parts))


def write_plan(run: RunDir, plan: Sequence[Sequence[int]]) -> None:
    """Keep which part computes what, before any begins."""
    write_json(run.path / FOLDER / "plan.json", {"parts": [list(numbers) for numbers in plan]})


def read_plan(run: RunDir) -> tuple[tuple[int, ...], ...]:
    """Which part computes what; empty where the run isn't divided.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    path = run.path / FOLDER / "plan.json"
    if not path.is_file():
        return ()
    try:
        return tuple(tuple(int(n) for n in numbers) for numbers in read_json(path)["parts"])
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise RunError("The plan of the parts is damaged.", "Submit the run again.", path) from exc


class PartDir(RunDir):
    """One part's view of the run directory: spec, requests and results are the run's, all else its own.

    Parameters
    ----------
    path : the run directory.
    name : of the part's folder, see :func:`part_name`.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path)
        self.folder = path / FOLDER / name

    @property
    def events_file(self) -> Path:
        """Events of the part's current attempt."""
        return self.folder / "events.jsonl"

    @property
    def log_file(self) -> Path:
        """What the part printed."""
        return self.folder / "log.txt"

    @property
    def lock_file(self) -> Path:
        """Names the process that computes the part."""
        return self.folder / "lock"

    def begin(self) -> None:
        """Make the folder; events of an earlier attempt move aside."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._set_events_aside()


def part_name(stage: str, task: int) -> str:
    """The folder of an array task, counted from 1, or of a stage: ``0003``, ``prepare``."""
    return f"{task:04d}" if stage == PARTS else stage


def let_go_of_earlier_attempt(lock: Path, attempt_folder: Path) -> None:
    """Free a lock that an earlier attempt of this very Slurm job still holds.

    Slurm begins a job again only when the attempt before has ended or its node is gone. On this machine its
    process may take a moment to end, which is waited for. Another machine can't be asked: a lock from there
    would be believed for ever, so it is taken away, if it is the same job's.
    """
    attempt_folder.mkdir(parents=True, exist_ok=True)
    record = attempt_folder / _ATTEMPT
    job = os.environ.get("SLURM_JOB_ID", "")
    deadline = time.monotonic() + TAKEN_OVER_WITHIN_S
    while (holder := run_lock.read_holder(lock)) is not None and holder.alive:
        before = read_json(record) if record.is_file() else {}
        if job and before.get("job") == job and before.get("host") == holder.host and not holder.here:
            lock.unlink(missing_ok=True)
            break
        if not holder.here or time.monotonic() > deadline:
            break  # taking the lock says what is wrong
        time.sleep(0.2)
    own = run_lock.this_process()
    write_json(record, {"job": job, "host": own.host, "pid": own.pid})
