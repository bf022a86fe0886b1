"""``verglas data build``: clouds for training from structures; its options are the settings' fields."""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from engine.commands.display import RunDisplay
from engine.commands.execution import Interrupts
from engine.commands.options import options_of
from engine.errors import Cancelled, InputError, RunError, SpecError
from engine.events import Metric, Progress
from engine.jobs import run_lock
from engine.specs.clouds import CloudSettings
from engine.specs.problems import sentences

if TYPE_CHECKING:
    from engine.pipelines.build_clouds import BuildReport

_LOCK = ".building"
_SHOWN = 20  # reasons on the terminal; the table has all
_HELP = """Make training clouds from a folder of structures.

DIR is searched with its sub-folders for PDB and mmCIF files, plain or gzipped. Each structure becomes
one cloud: its atoms are reduced to points, centred on their mean and divided by the largest coordinate.
Chains with one CA or P atom per residue have eight atoms drawn about each, as for the shipped prior.

\b
Examples:
  verglas data build structures --out clouds.npz
  verglas data build structures --out clouds.npz --split 0.9,0.05,0.05 --min-chains 2
  verglas train prior clouds.train.npz --validation clouds.val.npz --out my-prior

\b
Beside clouds.npz there will be
  clouds.csv            name, file, sha256, source, title, licence, sizes, cluster, split
  clouds.rejected.csv   files without a cloud, and why
  clouds.train.npz ...  with --split; near-duplicates, which form clusters, are never split up

Ctrl-C stops it, and also after a crash the same command goes on where it was: results of single files
are kept in clouds.npz.parts until all is written (and after that with --keep-parts).

Exit status: 0 when every file was used or left out by a filter; 1 when clouds were built, but some
files could not be used (unreadable, crashed or timed out); 2 when there is no cloud, or options
can't be used; 130 when stopped.
"""


def _settings(values: dict[str, Any]) -> CloudSettings:
    try:
        return CloudSettings(**values)
    except ValidationError as exc:
        problem, advice = sentences(exc, values)
        raise SpecError(problem, advice) from exc


def _build(folder: Path, out: Path, as_json: bool = False, **given: Any) -> int:
    settings = _settings(given)
    from engine.pipelines import build_clouds  # scikit-learn takes its time to import

    with RunDisplay() as display:
        interrupts = Interrupts(display)
        begin: list[float] = []
        first: list[int] = []

        def report(done: int, total: int, rejected: int) -> None:
            if not begin:  # what was kept took no time
                begin.append(time.monotonic())
                first.append(done)
            fresh = done - first[0]
            left = (time.monotonic() - begin[0]) / fresh * (total - done) if fresh else None
            if rejected:
                display(Metric("rejected", done, rejected))
            display(Progress("Clouds", done, total, left))

        def cancel() -> None:
            if interrupts.asked:
                raise Cancelled

        with interrupts.caught(), _alone(build_clouds.parts_folder(out)):
            made = build_clouds.build(folder, out, settings, report=report, cancel=cancel)
    _tell(made, as_json)
    return 1 if made.unusable else 0


@contextmanager
def _alone(parts: Path) -> Iterator[None]:
    """Keep a second build of the same file out."""
    lock = parts.with_name(f"{parts.name}{_LOCK}")
    try:
        parts.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"This folder can't be made ({exc.strerror or exc}).", "Choose another one.", parts.parent
        ) from exc
    try:
        with run_lock.held(lock):
            yield
    except RunError as exc:
        holder = run_lock.read_holder(lock)
        if exc.path != lock.parent or holder is None:
            raise
        raise InputError(
            f"Process {holder.pid} on {holder.host} is building these clouds.",
            f"Wait for it, or choose another name. If that is no longer so, delete {lock.name}.",
            lock.parent,
        ) from exc


def _tell(made: BuildReport, as_json: bool) -> None:
    from engine.pipelines.build_clouds import beside

    table = beside(made.out, "rejected.csv")
    if as_json:
        content = {
            "out": str(made.out),
            "clouds": made.clouds,
            "clusters": made.clusters,
            "splits": dict(made.splits),
            "kept": made.kept,
            "rejected": [
                {"file": file, "kind": r.kind, "reason": r.problem, "advice": r.advice}
                for file, r in made.rejected
            ],
            "other_files": made.others,
            "notes": list(made.notes),
        }
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return
    for file, reason in made.rejected[:_SHOWN]:
        sys.stderr.write(f"Left out: {file}: {reason.problem}\n")
    if len(made.rejected) > _SHOWN:
        sys.stderr.write(f"… and {len(made.rejected) - _SHOWN} more: {table}\n")
    for note in made.notes:
        sys.stderr.write(f"{note}\n")
    filtered = len(made.rejected) - made.unusable
    words = [f"{made.clouds} clouds of {made.clusters} different shapes"]
    words += [f"{made.unusable} files could not be used"] if made.unusable else []
    words += [f"{filtered} left out by the filters"] if filtered else []
    words += [f"{made.others} other files"] if made.others else []
    sys.stdout.write(f"{', '.join(words)}: {made.out}\n")
    if made.splits:
        sys.stdout.write(", ".join(f"{name} {count}" for name, count in made.splits) + "\n")


def _command() -> Callable[..., int]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of structures.")]
    out = Annotated[Path, typer.Option("--out", "-o", metavar="CLOUDS.npz", help="The file of clouds.")]
    as_json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")]
    parameters = [
        inspect.Parameter("folder", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=folder),
        inspect.Parameter("out", keyword, annotation=out),
        *options_of(CloudSettings),
        inspect.Parameter("as_json", keyword, default=False, annotation=as_json),
    ]

    def command(folder: Path, out: Path, **given: Any) -> int:
        return _build(folder, out, **given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = _HELP
    return command


build = _command()
