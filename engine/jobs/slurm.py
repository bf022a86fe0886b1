"""Slurm by its own commands: sbatch, squeue, sacct, scancel, scontrol. No library, no plugin, no JSON.

Every failure is a :class:`~engine.errors.RunError` that names the command and what to do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import RunError

TIMEOUT_S = 60.0
"""A busy controller answers slowly; one that is down, not at all."""

_JOB = re.compile(r"(\d+)(;[\w.-]+)?")
_ENDED: Final = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "REVOKED", "TIMEOUT",
}  # fmt: skip


@dataclass(frozen=True)
class JobState:
    """What the queue says about a job or an array task.

    Attributes
    ----------
    word : Slurm's, e.g. ``PENDING``, ``RUNNING``, ``COMPLETED``.
    reason : why it waits, or where it failed; empty where there is none.
    """

    word: str
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether it is over, well or badly."""
        return self.word.split()[0].rstrip("+") in _ENDED if self.word else False


def submit(
    script: Path, *, folder: Path, array: str = "", after: Sequence[str] = (), after_any: bool = False
) -> str:
    """Hand a batch script to Slurm; the job's number.

    Parameters
    ----------
    folder : where the job begins.
    array : numbers of the array's tasks, e.g. ``1-8``, with ``%4`` for at most four at a time.
    after : jobs that must have ended first: well, or `after_any` how.

    Raises
    ------
    RunError
        If there is no Slurm, or it doesn't take the job; in Slurm's own words.
    """
    options = ["--parsable", f"--chdir={folder}"]
    if array:
        options.append(f"--array={array}")
    if after:
        options.append(f"--dependency={'afterany' if after_any else 'afterok'}:{':'.join(after)}")
        # otherwise a job whose turn can never come would wait for ever
        options.append(f"--kill-on-invalid-dep={'no' if after_any else 'yes'}")
    said = _call(
        ["sbatch", *options, str(script)], "Correct the lane: `verglas lanes show` prints it.", script
    )
    found = [m for line in said.splitlines() if (m := _JOB.fullmatch(line.strip()))]
    if not found:
        raise RunError(
            f"`sbatch` named no job; it said `{said.strip()[:200]}`.", "Look at the queue with `squeue --me`."
        )
    return found[-1][1]


def states(jobs: Sequence[str]) -> dict[str, JobState]:
    """What the queue says of jobs and their array tasks (``12``, ``13_4``); those long ended are missing.

    Raises
    ------
    RunError
        If there is no Slurm or it doesn't answer.
    """
    if not jobs:
        return {}
    command = [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        "--format=%i|%T|%r",
        f"--jobs={','.join(jobs)}",
    ]
    try:
        said = _call(command, "Ask again in a moment: the controller may be down for a while.")
    except RunError as exc:
        if "Invalid job id" in exc.problem:  # of a single job that the queue has forgotten
            return {}
        raise
    return _parsed(said)


def past_states(jobs: Sequence[str]) -> dict[str, JobState]:
    """What the accounting says of jobs that the queue has forgotten; empty where there is no accounting."""
    if not jobs or shutil.which("sacct") is None:
        return {}
    command = [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--delimiter=|",
        "--format=JobID,State,Reason",
    ]
    try:
        return _parsed(_call([*command, f"--jobs={','.join(jobs)}"], ""))
    except RunError:
        return {}


def _parsed(said: str) -> dict[str, JobState]:
    found = {}
    for line in said.splitlines():
        fields = [word.strip() for word in line.split("|")]
        if len(fields) == 3 and re.fullmatch(r"\d+(_\d+)?", fields[0]) and fields[1]:
            found[fields[0]] = JobState(fields[1], "" if fields[2] in ("None", "(null)") else fields[2])
    return found


def cancel(jobs: Sequence[str]) -> None:
    """Take jobs out of the queue, and stop those that run; ones that have ended are none of its business."""
    if jobs:
        _call(["scancel", "--quiet", *jobs], "Try again, or `scancel` them by hand.")


def requeue(job: str) -> None:
    """Put a running job back into the queue."""
    _call(["scontrol", "requeue", job], "Submit the run again: it goes on.")


def time_left_s(job: str) -> float | None:
    """Until a running job's time is up; None where it has no limit or can't be known."""
    try:
        said = _call(["squeue", "--noheader", f"--jobs={job}", "--format=%L"], "").strip()
    except RunError:
        return None
    match = re.fullmatch(
        r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", said.splitlines()[-1].strip() if said else ""
    )
    if match is None:
        return None
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups())
    return ((days * 24.0 + hours) * 60 + minutes) * 60 + seconds


def _call(command: list[str], advice: str, path: Path | None = None) -> str:
    name = command[0]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as exc:
        raise RunError(
            f"There is no Slurm here: `{name}` isn't installed.",
            "Use a login node of the cluster, or `verglas run --workers` for this machine alone.",
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise RunError(
            f"`{name}` didn't answer within {TIMEOUT_S:.0f} s.",
            "The controller may be down: try again later.",
        ) from exc
    except OSError as exc:
        raise RunError(f"`{name}` can't be run ({exc.strerror or exc}).", "Check its rights.") from exc
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise RunError(f"`{name}` refused: {words[:500]}.".replace("..", "."), advice, path)
    return done.stdout
