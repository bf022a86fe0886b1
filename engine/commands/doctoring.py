"""``verglas doctor``: prints what :mod:`engine.doctor` finds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

_MARKS = {"ok": "ok     ", "warning": "WARNING", "problem": "PROBLEM"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for scripts.")] = False,
) -> int:
    """Check this machine: GPU, graphics, libraries, versions, disk, prior.

    Says what is missing and what to do about it. Exit status 1 if something is missing that Verglas
    can't do without.

    \b
    Examples:
      verglas doctor
      verglas doctor --json > machine.json
    """  # noqa: D301 - \b is click's mark for "don't wrap"
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
