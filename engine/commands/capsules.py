"""``verglas capsule`` and ``verglas rerun``: one zip from which a run can be cited and computed again."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.execution import carry_out
from engine.errors import InputError, RunError, VerglasError
from engine.io.json_files import write_json
from engine.jobs.capsule import write_capsule
from engine.jobs.capsule_archive import CapsuleArchive
from engine.jobs.capsule_results import Comparison, Difference
from engine.jobs.rerun import judge, prepare
from engine.jobs.run_dir import RunDir

_SHOWN = 25
_CANT = 2
_LAST_DIGITS = 0.01  # of what is allowed: not worth a line


def capsule(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="X.zip", help="The zip to write.")],
    inputs: Annotated[
        bool | None,
        typer.Option("--inputs/--no-inputs", help="Embed the input files; by default if below 50 MB."),
    ] = None,
) -> int:
    """Make the paper capsule of a finished run: one zip to publish with the result.

    It holds the run description, inputs, seeds, versions and hashes, figures as SVG, files for
    ChimeraX, a methods paragraph with citations, a table of what was validated, and the numbers by
    which `verglas rerun` compares. Of paths on this machine only file names go in.

    \b
    Examples:
      verglas capsule result --out capsule.zip
      verglas rerun capsule.zip --out again
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if folder.is_dir() and not (folder / "spec.json").is_file():
        inside = sorted(p.parent.name for p in folder.glob("*/spec.json"))
        if inside:
            raise RunError(
                "This folder holds several runs.", f"Choose one of them: {', '.join(inside[:8])}.", folder
            )
    path = write_capsule(RunDir.open(folder), out, inputs=inputs)
    archive = CapsuleArchive(path)  # what was written is read back and checked
    sys.stdout.write(f"{path}: {len(archive.names)} files, {path.stat().st_size / 1e6:.1f} MB\n")
    for note in json.loads(archive.read("manifest.json"))["notes"]:
        sys.stdout.write(f"Note: {note}\n")
    sys.stdout.write(f"Read it before you publish it: methods.txt, validation.md.\n"
                     f"Compute it again: verglas rerun {path} --out DIR\n")  # fmt: skip
    return 0


def rerun(
    zip_file: Annotated[Path, typer.Argument(metavar="CAPSULE.zip", help="Made by `verglas capsule`.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for inputs, the run and rerun.json.")
    ],
    inputs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where files lie that the capsule only names; found by content."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute: auto, cuda, mps or cpu.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print rerun.json at the end, for scripts.")
    ] = False,
) -> int:
    """Compute a capsule's run again, with the same seeds, and compare every number.

    The zip is checked first: hashes, names, sizes. An interrupted rerun goes on by the same command.
    On another device, processor or version tolerances are wider, which is said.

    \b
    Exit status: 0 within tolerance, 1 outside, 2 it can't be computed, 130 cancelled.
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    ready = prepare(zip_file, out, inputs=inputs, device=device)
    for note in ready.notes:
        sys.stderr.write(f"Note: {note}\n")
    if not ready.finished():
        # with --json, standard output is for the JSON alone
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            code = carry_out(ready.spec, ready.run_folder, as_json=False)
        if code:
            return code if code == 130 else _CANT
    try:
        comparison, others = judge(ready)
    except InputError as exc:
        raise VerglasError(f"The rerun's results can't be read: {exc.problem}", "", exc.path) from exc
    record = {"capsule": zip_file.name, "otherwise": others, **comparison.record()}
    write_json(out / "rerun.json", record)
    text = json.dumps(record, indent=1) + "\n" if as_json else "\n".join(_lines(comparison, others)) + "\n"
    sys.stdout.write(text)
    return 0 if not comparison.outside else 1


def _lines(comparison: Comparison, others: list[str]) -> list[str]:
    lines = [""]
    if others:
        lines += ["Other than when the capsule was made:", *(f"  {line}" for line in others), ""]
    count = f"{len(comparison.differences):,} numbers and {comparison.arrays:,} arrays"
    if comparison.identical:
        return [*lines, f"Identical to the last bit: {count}."]
    different = [d for d in comparison.differences if not d.same]
    lines.append(f"Compared {count}; {comparison.same_arrays:,} of the arrays are identical to the last bit.")
    worth = [d for d in different if _excess(d) > _LAST_DIGITS]
    shown = sorted(worth, key=_excess, reverse=True)[:_SHOWN]
    width = max((len(d.name) for d in shown), default=4)
    if shown:
        lines += ["", f"{'':<{width}}  {'run':>12}  {'rerun':>12}  {'allowed ±':>10}"]
    for d in shown:
        mark = "" if d.within else "  outside"
        lines.append(
            f"{d.name:<{width}}  {_shown(d.run):>12}  {_shown(d.rerun):>12}  {d.allowed:>10.3g}{mark}"
        )
    if len(worth) > len(shown):
        lines.append(f"... and {len(worth) - len(shown):,} more, nearer; all are in rerun.json.")
    if len(different) > len(worth):
        lines.append(f"{len(different) - len(worth):,} numbers differ by less than a hundredth of that.")
    outside = len(comparison.outside)
    lines += ["", f"{outside:,} outside of tolerance." if outside else "All within tolerance."]
    return lines


def _excess(d: Difference) -> float:
    if d.run is None or d.rerun is None:
        return float("inf")
    return abs(d.run - d.rerun) / (d.allowed or 1e-300)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
