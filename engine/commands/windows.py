"""``verglas app`` and ``verglas demo``: the window is another program, started beside this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from engine.errors import SpecError


def has_display() -> bool:
    """Whether a window can be shown."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_window(arguments: list[str]) -> int:
    """Start the window in a process of its own and wait for it; its exit status."""
    return subprocess.run([sys.executable, "-m", "app.main", *arguments], check=False).returncode


def app(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]...", help="Inputs, a run description or a run's folder."),
    ] = None,
) -> int:
    """Open the window.

    \b
    Examples:
      verglas app
      verglas app projections.mrcs poses.star
      verglas app result                       a finished run's folder
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if not has_display():
        sys.stderr.write(
            "Error: There is no display. Log in with a desktop, or use `verglas run` on the command line.\n"
        )
        return 2
    return open_window([str(f) for f in files or []])


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the demo's files.")
    ] = Path("demo-output"),
    no_window: Annotated[bool, typer.Option("--no-window", help="Don't open the window at the end.")] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="dps|sds", help="Only points from projections, or only volumes from averages."),
    ] = None,
) -> int:
    """Reconstruct a real complex from simulated images that come with Verglas.

    First points from three projections at known poses, then a map from 40 class averages without poses.
    Takes some minutes on two CPU cores. Prints RMSDs beside those of maximum likelihood, and how far the
    map agrees with its halves and with the truth; writes PDB, mmCIF, MRC, STAR, CSV, ChimeraX files and
    figures, and opens the window on the points when there is a display.

    \b
    Examples:
      verglas demo
      verglas demo --out my-demo --no-window
      verglas demo --only sds
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if only not in (None, "dps", "sds"):
        raise SpecError(f"`--only` is {only!r}.", "Give dps or sds.")
    # Here, not above: it imports torch.
    from engine.commands.demonstration import run_demo

    result = run_demo(out, typer.echo, cast(Literal["dps", "sds"] | None, only))
    if no_window:
        return 0
    if not has_display():
        typer.echo(f"No display here, so no window. On a desktop: verglas app {result}")
        return 0
    return open_window([str(result)])
