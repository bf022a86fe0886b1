"""``verglas pause``, ``resume``, ``cancel`` and ``fork``: runs that wait, go on, end, and branch."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer
from tomlkit.exceptions import TOMLKitError

from engine.commands.execution import carry_out
from engine.errors import RunError, SpecError
from engine.events import Completed
from engine.jobs import fork as forks
from engine.jobs import slurm_submission
from engine.jobs.run_dir import RunDir

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")]


def pause(run: Folder) -> int:
    """Let a run wait after its current step, until `verglas resume`.

    Others in the line get the device meanwhile. What is paused is also safe from a shutdown: `resume` goes on
    with what was kept.
    """
    found = RunDir.open(run)
    if not found.running and slurm_submission.find(found) is None:
        raise RunError("Nothing computes this run, so nothing can be paused.", "", found.path)
    found.request_pause()
    return _say(f"Paused after its current step. `verglas resume {run}` lets it go on.")


def resume(
    run: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")] = False,
) -> int:
    """Let a paused run go on; or carry on with one that was cancelled, failed or killed, in its folder.

    \b
    Examples:
      verglas resume result        goes on where it was
      verglas fork result --out other --set sampler.steps=60     goes on elsewhere, with changes
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    found = RunDir.open(run)
    if found.running:
        if not found.pause_requested():
            raise RunError("The run is being computed, and isn't paused.", "", found.path)
        found.request_resume()
        return _say("Goes on.")
    if slurm_submission.find(found) is not None:
        if found.pause_requested():  # its parts wait, wherever they compute
            found.request_resume()
            return _say("Goes on.")
        slurm_submission.require_no_jobs(found)
    if isinstance(found.outcome(), Completed):
        raise RunError(
            "The run is finished.", "`verglas fork` begins another from what it has kept.", found.path
        )
    return carry_out(found.spec(), found.path, as_json=as_json)


def cancel(run: Folder) -> int:
    """Stop a run after its current step, wherever it computes; what is finished is kept.

    Also takes a run out of the line, and one that was submitted out of Slurm's queue.
    """
    found = RunDir.open(run)
    submitted = slurm_submission.find(found) is not None
    if not submitted and not found.running:
        raise RunError("Nothing computes this run, so nothing can be cancelled.", "", found.path)
    if submitted:
        slurm_submission.cancel(found)
    else:
        found.request_cancel()
    return _say(f"Stops after its current step. `verglas resume {run}` goes on with it.")


def fork(
    run: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the branch, new or empty.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Where to branch off; without it, the latest that fits."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting to change; may be given many times."),
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="Only list what it can branch off from.")] = False,
    later: Annotated[bool, typer.Option("--later", help="Only make the folder; don't compute yet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for scripts.")] = False,
) -> int:
    """Begin a new run from what another has kept, with some settings changed.

    What doesn't depend on the changed settings is taken over; the rest is computed anew. The other run stays
    as it is, and may even be running.

    \b
    Examples:
      verglas fork result --points                                lists what it can branch off from
      verglas fork result --out more --set samples=20             keeps its samples, and draws more
      verglas fork volumes --out d2 --at starts --set symmetry=D2
      verglas fork training --out slower --at step-2000 --set learning_rate=1e-4 --set hours=4
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    source = RunDir.open(run)
    if points:
        found = forks.kept_points(source)
        if as_json:
            rows = [{k: v for k, v in asdict(p).items() if k not in ("bears", "but")} for p in found]
            sys.stdout.write(json.dumps(rows, indent=2) + "\n")
            return 0
        for point in found:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(point.time)) if point.time else ""
            sys.stdout.write(f"{point.name:<12} {when:<17} {point.words}\n")
        return 0
    if out is None:
        raise RunError("A branch needs a folder of its own (`--out DIR`).", "Or list points with `--points`.")
    branch = forks.fork(source, out, dict(map(_change, changes or ())), at)
    parent = forks.parent_of(branch)
    if later:
        return _say(f"{parent.words if parent else ''} `verglas resume {out}` computes it.")
    return carry_out(branch.spec(), branch.path, as_json=as_json)


def _change(text: str) -> tuple[str, Any]:
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not name:
        raise SpecError(f"`{text}` sets nothing.", "Write it like this: `--set sampler.steps=60`.")
    if value == "none":
        return name, None
    try:
        return name, tomlkit.parse(f"x = {value}").unwrap()["x"]
    except TOMLKitError:
        return name, value  # a word, or a path


def _say(words: str) -> int:
    sys.stdout.write(words.strip() + "\n")
    return 0
