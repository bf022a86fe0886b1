"""``verglas lanes``: batch scripts by which runs are handed to Slurm."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from engine.commands.priors import ListsByDefault
from engine.errors import VerglasError
from engine.jobs import lanes

app = typer.Typer(
    cls=ListsByDefault,
    rich_markup_mode=None,
    help="List lanes: batch scripts by which `verglas submit` hands runs to Slurm. Write and check them.\n\n"
    "A lane is a shell file in your folder of lanes, to be edited with any editor. Words in double braces "
    "are filled in, such as {{command}}; all else is the shell's.\n\n"
    "\b\n"
    "Examples:\n"
    "  verglas lanes                   lists them\n"
    "  verglas lanes new gpu --gpu     writes one to be edited\n"
    "  verglas lanes show gpu          checks and prints one",
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The lane's name.")]


@app.command("list")
def list_all() -> int:
    """List the lanes. This happens without a command, too."""
    names = lanes.names()
    for name in names:
        try:
            words = lanes.find(name).summary
        except VerglasError as exc:
            words = f"can't be used: {exc.problem}"
        sys.stdout.write(f"{name:<12} {words}\n")
    if not names:
        sys.stdout.write("There are no lanes yet. `verglas lanes new NAME` writes one to be edited.\n")
    sys.stdout.write(f"\nThey are kept in {lanes.folder()}\n")
    return 0


@app.command("new")
def new(
    name: _Name, gpu: Annotated[bool, typer.Option("--gpu", help="One GPU for each job.")] = False
) -> int:
    """Write a commented batch script to be edited."""
    path = lanes.new(name, gpu=gpu)
    sys.stdout.write(f"{path}\nEdit it: partition, account, time, modules. ")
    sys.stdout.write(f"Then: verglas submit SPEC.toml --lane {name} --out DIR\n")
    return 0


@app.command("show")
def show(name: _Name) -> int:
    """Check a lane and print it."""
    sys.stdout.write(lanes.find(name).text)
    return 0
