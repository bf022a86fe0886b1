"""Runs handed to Slurm: what was submitted, how far each piece is, and taking it back.

``slurm.json`` in the run directory says which jobs there are. Everything else is as in any run: results,
requests and events are files of the shared folder, so that a window on any machine that sees it can watch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from engine.errors import InputError, RunError
from engine.events import Cancelled, Completed, Event, Failed, Notice, Progress
from engine.io.atomic import write_text
from engine.io.json_files import read_json, write_json
from engine.jobs import event_log, parts, slurm
from engine.jobs.lanes import Lane
from engine.jobs.parts import FINISH, PARTS, PREPARE, PartDir
from engine.jobs.run_dir import RunDir
from engine.jobs.slurm import JobState
from engine.specs.codec import input_files, resolve_paths
from engine.specs.job import JobSpec
from engine.specs.sds import SdsSpec

NAME: Final = "slurm.json"
SCRIPTS: Final = "slurm"
MOST_TASKS: Final = 100
"""Array tasks where nobody says how many: each begins with seconds of reading what all share."""

_SILENT: Final = JobState("UNKNOWN")


@dataclass(frozen=True)
class Job:
    """One of Slurm's jobs.

    Attributes
    ----------
    stage : see :data:`engine.jobs.parts.STAGES`.
    number : Slurm's.
    tasks : of its array; 0 for a job without one.
    """

    stage: str
    number: str
    tasks: int = 0

    def names(self) -> list[str]:
        """Its tasks as Slurm names them."""
        return [f"{self.number}_{k}" for k in range(1, self.tasks + 1)] or [self.number]


@dataclass(frozen=True)
class Submission:
    """What was handed to Slurm for one run."""

    lane: str
    jobs: tuple[Job, ...] = ()

    @property
    def last(self) -> str:
        """The job after which all is done; empty if none was taken."""
        return self.jobs[-1].number if self.jobs else ""

    @property
    def numbers(self) -> list[str]:
        """Of all its jobs."""
        return [job.number for job in self.jobs]


@dataclass(frozen=True)
class Row:
    """How far one piece of a run is.

    Attributes
    ----------
    stage : see :data:`engine.jobs.parts.STAGES`.
    task : of the array, from 1; 0 for a whole stage.
    numbers : samples or volumes that it computes, and how many of them are finished.
    state : ``waiting``, ``computing``, ``finished``, ``stopped``, ``failed``, ``lost``, ``unknown``
        (the queue doesn't answer) or ``not begun``.
    words : the queue's reason, what it does now, or what went wrong.
    attempts : how often it was begun.
    job : Slurm's name for it; empty without Slurm.
    """

    stage: str
    task: int
    numbers: tuple[int, ...]
    finished: int
    state: str
    words: str
    attempts: int
    job: str = ""


def find(run: RunDir) -> Submission | None:
    """What was submitted for a run; None if nothing was. Raises RunError if the file is damaged."""
    path = run.path / NAME
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        jobs = tuple(Job(str(j["stage"]), str(j["number"]), int(j["tasks"])) for j in content["jobs"])
        return Submission(str(content["lane"]), jobs)
    except (InputError, KeyError, TypeError, ValueError, OverflowError) as exc:
        raise RunError(
            "What was submitted can't be read.", "Look at the queue with `squeue --me`.", path
        ) from exc


def _keep(run: RunDir, submission: Submission) -> None:
    write_json(run.path / NAME, asdict(submission))


def submit(
    spec: JobSpec,
    lane: Lane,
    out: Path,
    *,
    tasks: int | None = None,
    at_once: int = 0,
    after: Path | None = None,
) -> Submission:
    """Make the run directory and hand its jobs to Slurm: what all need, an array of parts, the judging.

    A run that was stopped or has failed goes on: only what is missing is submitted.

    Parameters
    ----------
    tasks : of the array; None takes one for each volume or sample, at most :data:`MOST_TASKS`.
    at_once : at most so many of them at a time; 0 leaves it to Slurm.
    after : the run directory of a training that was submitted before; its results may still be missing.

    Raises
    ------
    VerglasError
        If an input is missing, the folder can't take this run, or Slurm refuses; nothing stays queued then.
    """
    spec = resolve_paths(spec, Path.cwd())
    waits_for = _training(after) if after is not None else ()
    _require_inputs(spec, after if waits_for else None)
    if (Path(out) / NAME).is_file():
        require_no_jobs(RunDir(Path(out).absolute()))
    run = RunDir.create(out, spec)
    kept = parts.numbers_kept(run, spec)
    missing = [n for n in parts.numbers_wanted(spec) if n not in kept]
    plan = parts.split(missing, tasks or min(len(missing), MOST_TASKS)) if missing else ()
    if len(missing) == 1:
        plan = ()  # one piece is no array
    _forget_earlier(run)
    parts.write_plan(run, plan)
    submission = Submission(lane.name)
    _keep(run, submission)  # before the first job: none is ever in the queue and unknown here
    before, last = tuple(waits_for), False
    try:
        for stage in _stages(spec, plan):
            many = len(plan) if stage == PARTS else 0
            array = f"1-{many}" + (f"%{at_once}" if at_once else "") if many else ""
            number = slurm.submit(
                _script(run, lane, stage, many > 0),
                folder=run.path,
                array=array,
                after=before,
                after_any=last,
            )
            submission = replace(submission, jobs=(*submission.jobs, Job(stage, number, many)))
            _keep(run, submission)
            # a part that failed doesn't stop the rest: what is missing, the last stage computes
            before, last = (number,), stage == PARTS
    except BaseException:
        slurm.cancel(submission.numbers)
        (run.path / NAME).unlink(missing_ok=True)
        raise
    return submission


def _stages(spec: JobSpec, plan: Sequence[object]) -> Iterator[str]:
    if plan:
        if isinstance(spec, SdsSpec):
            yield PREPARE
        yield PARTS
    yield FINISH


def _script(run: RunDir, lane: Lane, stage: str, array: bool) -> Path:
    command = [sys.executable, "-m", "engine", "run-part", str(run.path), "--stage", stage]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{run.path.name}-{stage}")
    log = run.path / SCRIPTS / f"{stage}-{'%A_%a' if array else '%j'}.log"
    path = run.path / SCRIPTS / f"{stage}.sh"
    write_text(path, lane.script(command=command, name=name, log=str(log), folder=run.path))
    return path


def _forget_earlier(run: RunDir) -> None:
    """Parts of an earlier submission are others: their events and logs move aside."""
    folder = run.path / parts.FOLDER
    if folder.is_dir():
        number = len(list(run.path.glob(f"{parts.FOLDER}.*"))) + 1
        folder.rename(run.path / f"{parts.FOLDER}.{number:03d}")


def _training(after: Path) -> tuple[str, ...]:
    """The job to wait for; none where the training has finished."""
    run = RunDir.open(after)
    if isinstance(run.outcome(), Completed):
        return ()
    submission = find(run)
    if submission is None or not submission.last:
        raise RunError(
            "This run isn't finished and wasn't submitted.",
            "Submit it first, with `verglas submit`.",
            run.path,
        )
    state = slurm.states([submission.last]).get(submission.last)
    if state is None or state.ended:
        raise RunError("This run was submitted, but didn't finish.", "Submit it again: it goes on.", run.path)
    return (submission.last,)


def _require_inputs(spec: JobSpec, after: Path | None) -> None:
    to_come = None if after is None else (after.absolute() / "results").resolve()
    for key, value in input_files(spec).items():
        path = Path(value)
        if not path.exists() and (to_come is None or to_come not in path.resolve().parents):
            advice = "Check its name in the run description."
            if to_come is None:
                advice += " If a submitted training is to write it, name that with `--after`."
            raise InputError(f"There is no such file (`{key}`).", advice, path)


def require_no_jobs(run: RunDir) -> None:
    """Raise RunError if jobs of this run are in the queue, or that can't be known."""
    submission = find(run)
    found = {} if submission is None else slurm.states(submission.numbers)
    if any(not state.ended for state in found.values()):
        raise RunError(
            "The run is in the queue already.",
            "`verglas status` shows it; `verglas cancel` takes it out.",
            run.path,
        )


def cancel(run: RunDir) -> None:
    """Ask all parts to stop, and take the jobs out of the queue. What is finished is kept.

    Raises
    ------
    RunError
        If Slurm doesn't answer; parts stop all the same, at their next step.
    """
    run.request_cancel()
    submission = find(run)
    if submission is None:
        return
    slurm.cancel(submission.numbers)
    try:
        run.end_unfinished(Cancelled(seconds=0.0))
    except RunError:
        pass  # its last stage is computing, and says so itself


def progress(run: RunDir) -> tuple[Row, ...]:
    """How far each piece is, from its events and the queue.

    Raises
    ------
    RunError
        If what was submitted can't be read. A queue that doesn't answer only leaves its states out.
    """
    spec, plan, submission = run.spec(), parts.read_plan(run), find(run)
    states: dict[str, JobState] | None
    try:
        states = _states(submission)
    except RunError:
        states = None
    kept = parts.numbers_kept(run, spec)
    jobs = {job.stage: job for job in submission.jobs} if submission is not None else {}
    # side by side on one machine, the run itself prepares
    stages = [job.stage for job in jobs.values()] or [s for s in _stages(spec, plan) if s != PREPARE]
    rows = []
    for stage in stages:
        job = jobs.get(stage)
        for task in range(1, len(plan) + 1) if stage == PARTS else (0,):
            name = "" if job is None else f"{job.number}_{task}" if job.tasks else job.number
            piece = run if stage == FINISH else PartDir(run.path, parts.part_name(stage, task))
            numbers = plan[task - 1] if stage == PARTS else ()
            queue = _SILENT if states is None else states.get(name)
            rows.append(_row(piece, stage, task, numbers, kept, queue, name))
    return tuple(rows)


def _states(submission: Submission | None) -> dict[str, JobState]:
    if submission is None:
        return {}
    found = slurm.states(submission.numbers)
    forgotten = [job.number for job in submission.jobs if any(name not in found for name in job.names())]
    return slurm.past_states(forgotten) | found


def _row(
    piece: RunDir,
    stage: str,
    task: int,
    numbers: tuple[int, ...],
    kept: set[int],
    queue: JobState | None,
    job: str,
) -> Row:
    events = event_log.follow(piece.events_file).events
    state, words = _said(events, piece.running, queue, bool(job))
    return Row(stage, task, numbers, len(kept.intersection(numbers)), state, words, piece.attempts, job)


def _said(events: tuple[Event, ...], alive: bool, queue: JobState | None, submitted: bool) -> tuple[str, str]:
    last = events[-1] if events else None
    if isinstance(last, Completed):
        return "finished", ""
    if queue is _SILENT and not isinstance(last, Failed | Cancelled):
        return ("computing", _doing(events)) if alive else ("unknown", "The queue doesn't answer.")
    if queue is not None and queue is not _SILENT and not queue.ended:
        if queue.word in ("RUNNING", "COMPLETING", "STOPPED", "SUSPENDED"):
            return "computing", _doing(events) or queue.word.lower()
        return "waiting", queue.reason or queue.word.lower()
    if isinstance(last, Failed):
        return "failed", last.message
    if isinstance(last, Cancelled):
        return "stopped", ""
    if alive:
        return "computing", _doing(events)
    if events:
        return "lost", f"Slurm says {queue.word}." if queue is not None else "It ended without a word."
    if queue is not None:
        return "stopped" if queue.word.startswith("CANCELLED") else "lost", f"Slurm says {queue.word}."
    return ("lost", "The queue doesn't know it.") if submitted else ("not begun", "")


def _doing(events: tuple[Event, ...]) -> str:
    for event in reversed(events):
        if isinstance(event, Progress):
            return f"{event.stage}, {event.done} of {event.total}"
        if isinstance(event, Notice) and event.message == "Paused.":
            return "paused"
    return ""
