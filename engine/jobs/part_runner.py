"""Compute one stage or part of a run that is divided, in this process."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import RunError
from engine.events import Cancelled, Completed, Emit, Failed
from engine.jobs import parts, runner
from engine.jobs.parts import FINISH, PARTS, PREPARE, PartDir
from engine.jobs.run_dir import RunDir
from engine.pipelines.context import RunContext
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.sds import SdsSpec

Terminal = Completed | Cancelled | Failed


def run_stage(
    run: RunDir,
    stage: str,
    task: int = 0,
    emit: Emit = lambda event: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Terminal:
    """Compute a stage, or array task `task` (from 1) of the parts. What is finished is never computed again.

    Raises
    ------
    RunError
        If another process computes the same, or there is no such stage or part.
    """
    spec = run.spec()
    part = PartDir(run.path, parts.part_name(stage, task))
    if stage == FINISH:
        return _finish(run, spec, part, emit, cancel)
    part.folder.mkdir(parents=True, exist_ok=True)
    parts.let_go_of_earlier_attempt(part.lock_file, part.folder)
    part.begin()
    if stage == PREPARE:
        return runner.run(spec, part, emit, cancel, compute=_prepare)
    plan = parts.read_plan(run)
    if stage != PARTS or not 1 <= task <= len(plan):
        raise RunError(f"The run has no part {task} of stage `{stage}`.", "Submit the run again.", run.path)

    def compute(spec: JobSpec, context: RunContext) -> None:
        _part(spec, context, plan[task - 1])

    return runner.run(spec, part, emit, cancel, compute=compute)


def _finish(run: RunDir, spec: JobSpec, part: PartDir, emit: Emit, cancel: Callable[[], bool]) -> Terminal:
    parts.let_go_of_earlier_attempt(run.path / "lock", part.folder)
    ended = run.outcome()
    if isinstance(ended, Completed):  # begun again although all was done
        return ended
    if run.cancel_requested():
        return run.end_unfinished(Cancelled(seconds=0.0))
    return runner.run(spec, RunDir.create(run.path, spec), emit, cancel)


def _prepare(spec: JobSpec, context: RunContext) -> None:
    if isinstance(spec, SdsSpec):
        from engine.pipelines import sds

        sds.prepare_parts(spec, context)


def _part(spec: JobSpec, context: RunContext, numbers: tuple[int, ...]) -> None:
    if isinstance(spec, DpsSpec):
        from engine.pipelines import dps

        dps.run_part(spec, context, numbers)
    elif isinstance(spec, SdsSpec):
        from engine.pipelines import sds

        sds.run_part(spec, context, numbers)
