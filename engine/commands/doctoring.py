"""``verglas doctor``: prints what :mod:`engine.doctor` finds; with poses, what their conventions are."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

_MARKS = {"ok": "ok     ", "warning": "WARNING", "problem": "PROBLEM"}


def doctor(
    poses: Annotated[
        Path | None, typer.Option(metavar="STAR", help="Poses whose conventions are to be checked.")
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="MRCS", help="The images of these poses.")] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Map, model, cloud or ensemble in the poses' frame.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="Pixel size of the images, Å.")
    ] = None,
    voxel_size: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="Voxel size of the reference, Å.")
    ] = None,
    contrast: Annotated[str, typer.Option(help="Of the images: auto, white or black.")] = "auto",
    most: Annotated[
        int, typer.Option("--most", min=2, max=200, help="Images to look at, spread over directions.")
    ] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for scripts.")] = False,
) -> int:
    """Check this machine, or the conventions of poses and images.

    Without options: GPU, graphics, libraries, versions, disk, prior. Says what is missing and what to do
    about it. Exit status 1 if something is missing that Verglas can't do without.

    With poses, images and a reference: reprojects the reference under the conventions of angles, shifts,
    hand, contrast, rows and pixel size that programs use, and ranks them by how well a few images fit.
    Exit status 0 if what was read fits best, 1 if another convention does, 3 if none beats chance.

    \b
    Examples:
      verglas doctor
      verglas doctor --json > machine.json
      verglas doctor --poses run_data.star --images particles.mrcs --reference map.mrc
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if poses is not None or images is not None or reference is not None:
        from engine.commands.convention_doctor import examine_conventions

        return examine_conventions(
            poses,
            images,
            reference,
            pixel_size=pixel_size,
            voxel_size=voxel_size,
            contrast=contrast,
            most=most,
            as_json=as_json,
        )
    from engine.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            sys.stdout.write(f"{_MARKS[finding.status]}  {finding.what:<12} {finding.found}\n")
            if finding.advice:
                sys.stdout.write(f"         {'':<12} → {finding.advice}\n")
            sys.stdout.flush()
    broken = any(f.status == "problem" for f in findings)
    if as_json:
        sys.stdout.write(
            json.dumps({"ok": not broken, "findings": [asdict(f) for f in findings]}, indent=2) + "\n"
        )
    elif broken:
        sys.stdout.write("\nSomething that Verglas needs is missing: see the lines marked PROBLEM.\n")
    else:
        sys.stdout.write("\nVerglas can work here.\n")
    return 1 if broken else 0
