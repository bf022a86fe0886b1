"""``verglas queue``: the runs that compute or wait on this machine, and their priorities."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import RunError
from engine.jobs import device_queue
from engine.jobs.device_queue import Waiting


def queue(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A waiting run, to give it another priority.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(help="Of that run, -9 to 9; higher ones go first, 0 is the usual one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the line as JSON, for scripts.")] = False,
) -> int:
    """Show which runs compute on this machine and which wait for their turn.

    One run computes on a device at a time. A run that is paused lets others go first.

    \b
    Examples:
      verglas queue                        shows the line
      verglas queue result --priority 5    lets a waiting run go first
      verglas cancel result                takes it out of the line
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if (run is None) != (priority is None):
        raise RunError("A run and its new priority belong together.", "Example: `queue RUN --priority 5`.")
    if run is not None and priority is not None and not device_queue.set_priority(run, priority):
        raise RunError("This run doesn't wait for a device.", "`verglas queue` shows those that do.", run)
    found = device_queue.line()
    if as_json:
        sys.stdout.write(json.dumps([_row(w) for w in found], indent=2) + "\n")
        return 0
    if not found:
        sys.stdout.write("No run computes or waits on this machine.\n")
    for place, one in enumerate(found, 1):
        state = "computes" if one.running else "paused" if one.paused else "waits"
        number = f" {one.index}" if one.index else ""
        sys.stdout.write(
            f"{place:>3}  {one.device.upper() + number:<6} {state:<9} {one.priority:>+3}  {one.folder}\n"
        )
    return 0


def _row(one: Waiting) -> dict[str, object]:
    return {
        "folder": str(one.folder), "device": one.device, "index": one.index, "priority": one.priority,
        "running": one.running, "pid": one.holder.pid,
    }  # fmt: skip
