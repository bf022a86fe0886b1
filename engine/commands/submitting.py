"""``verglas submit`` and ``status``, and what a batch job itself runs."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.display import RunDisplay
from engine.commands.execution import Interrupts
from engine.errors import InputError
from engine.events import Cancelled, Completed, Failed
from engine.jobs import lanes, parts, slurm, slurm_submission
from engine.jobs.run_dir import RunDir
from engine.jobs.slurm_submission import Row
from engine.specs import codec

_ENOUGH_TIME_S = 300.0  # a job that is stopped with less than this left was stopped because of it
_MOST_RESTARTS = 200
_SHOWN = 30


def submit(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What to compute: a run description.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="The run's folder, on a disk that all nodes see."),
    ],
    lane: Annotated[
        str, typer.Option(metavar="NAME", help="How to hand it over; `verglas lanes` lists them.")
    ],
    tasks: Annotated[
        int | None, typer.Option(min=1, help="Array tasks. Usually one per volume or sample, at most 100.")
    ] = None,
    at_once: Annotated[
        int, typer.Option(min=0, help="At most so many tasks at a time; 0: as Slurm likes.")
    ] = 0,
    after: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A submitted training whose result this run needs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs as JSON, for scripts.")] = False,
) -> int:
    """Hand a run to Slurm.

    Volumes of class averages and samples of structures become tasks of one array over the run's folder;
    what they share comes before, what judges them after. All else is one job. A task that is preempted, or
    whose node fails, goes on where it was. The same command goes on with a run that was stopped: only what is
    missing is submitted.

    \b
    Examples:
      verglas lanes new gpu --gpu                       writes a batch script to be edited
      verglas submit job.toml --lane gpu --out result
      verglas submit train.toml --lane gpu --out denoiser
      verglas submit job.toml --lane gpu --out result --after denoiser
      verglas status result                             how far everything is
      verglas cancel result
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    taken = lanes.find(lane)
    description = codec.load_spec(spec)
    submission = slurm_submission.submit(
        description, taken, out, tasks=tasks, at_once=at_once, after=after
    )  # fmt: skip
    if as_json:
        jobs = [{"stage": j.stage, "job": j.number, "tasks": j.tasks} for j in submission.jobs]
        sys.stdout.write(
            json.dumps({"folder": str(out.absolute()), "lane": lane, "jobs": jobs}, indent=2) + "\n"
        )
        return 0
    for job in submission.jobs:
        array = f", {job.tasks} tasks" if job.tasks else ""
        sys.stdout.write(f"{_stage_words(job.stage, len(submission.jobs)):<10} job {job.number}{array}\n")
    sys.stdout.write(f"`verglas status {out}` shows how far it is.\n")
    return 0


def _stage_words(stage: str, stages: int = 2) -> str:
    return "run" if stage == parts.FINISH and stages == 1 else stage


def status(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.")],
    every: Annotated[bool, typer.Option("--all", help="Also list parts that are finished or wait.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for scripts.")] = False,
) -> int:
    """Show how far a run is, with all its parts: also one that Slurm computes.

    Exit status: 0, unless the folder holds no run.
    """
    found = RunDir.open(run)
    rows = slurm_submission.progress(found)
    submission = slurm_submission.find(found)
    lane = submission.lane if submission is not None else None
    if as_json:
        report = {
            "folder": str(found.path),
            "lane": lane,
            "parts": [asdict(r) for r in rows],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 0
    pieces = [row for row in rows if row.stage == parts.PARTS]
    listed = [
        row for row in rows if row.stage != parts.PARTS or every or row.state not in ("finished", "waiting")
    ]
    sys.stdout.write("\n".join(_line(row, len(rows)) for row in listed[:_SHOWN]) + "\n")
    if len(listed) > _SHOWN:
        sys.stdout.write(f"… and {len(listed) - _SHOWN} more (--json lists all)\n")
    if pieces:
        counts = ", ".join(f"{n} {state}" for state, n in Counter(row.state for row in pieces).most_common())
        done, wanted = sum(r.finished for r in pieces), sum(len(r.numbers) for r in pieces)
        sys.stdout.write(f"{done} of {wanted} finished; {len(pieces)} parts: {counts}.\n")
    return 0


def _line(row: Row, rows: int) -> str:
    # without a batch system one process does all that comes before and after
    name = f"part {row.task}" if row.task else _stage_words(row.stage, rows if row.job else 1)
    again = f" (attempt {row.attempts})" if row.attempts > 1 else ""
    done = f"{row.finished}/{len(row.numbers)}" if row.numbers else ""
    return f"{name:<10} {row.job:<10} {done:>7}  {row.state}{again}  {' '.join(row.words.split())}".rstrip()


def run_part(
    run: Annotated[Path, typer.Argument(metavar="DIR")],
    stage: Annotated[str, typer.Option()],
    task: Annotated[int | None, typer.Option()] = None,
    parent: Annotated[int | None, typer.Option()] = None,
    cores: Annotated[str, typer.Option()] = "",
) -> int:
    """Compute one stage or part of a divided run: what batch jobs and `verglas run --workers` start."""
    if stage not in parts.STAGES:
        raise InputError(f"There is no stage `{stage}`.", f"There are {', '.join(parts.STAGES)}.")
    if cores and hasattr(os, "sched_setaffinity"):  # before torch counts them
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    found = RunDir.open(run)
    number = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")) if task is None else task
    kept = parts.numbers_kept(found, found.spec())
    with RunDisplay() as display:
        interrupts = Interrupts(display)
        with interrupts.caught():
            from engine.jobs.part_runner import run_stage

            event = run_stage(
                found, stage, number, display,
                lambda: interrupts.asked or (parent is not None and os.getppid() != parent),
            )  # fmt: skip
    if isinstance(event, Failed):
        sys.stderr.write(f"Error: {' '.join(event.message.split())}\n")
        return 1
    if isinstance(event, Cancelled):
        if interrupts.asked and not found.cancel_requested():
            more = stage != parts.PARTS or parts.numbers_kept(found, found.spec()) != kept
            _queue_again(more)
        return 130
    assert isinstance(event, Completed)
    return 0


def _queue_again(more: bool) -> None:
    """A job whose time is up goes back into the queue, if it got further; a preempted one does anyway."""
    job, restarts = os.environ.get("SLURM_JOB_ID"), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    left = slurm.time_left_s(job) if job is not None and more and restarts < _MOST_RESTARTS else None
    if job is not None and left is not None and left <= _ENOUGH_TIME_S:
        sys.stderr.write("The job's time is up: it goes back into the queue.\n")
        slurm.requeue(job)
