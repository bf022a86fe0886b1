"""What ``verglas evaluate`` and ``verglas export`` do with runs of score distillation."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import SpecError
from engine.io.export_volumes import FORMATS, Which, export_volumes

FORMATS_HELP = "; ".join(f"{name}: {words.rstrip('.')}" for name, (_, words) in FORMATS.items())
_STEMS = {"mrc": "consensus", "star": "poses", "cxc": "volumes", "csv": "volumes", "mmcif": "gaussians"}


def evaluate(folder: Path, truth: Path | None, truth_voxel_size_A: float | None, *, as_json: bool) -> int:
    """Measure the volumes of a run; prints sentences, or everything as JSON. The exit status.

    Raises
    ------
    VerglasError
        As :func:`engine.pipelines.evaluate_volumes.evaluate_run`.
    """
    if truth_voxel_size_A is not None and not 0 < truth_voxel_size_A <= 100:
        raise SpecError(f"`--truth-voxel-size` is {truth_voxel_size_A:g}, but must be between 0 and 100 Å.")
    # Here, not above: it imports torch.
    from engine.pipelines import evaluate_volumes

    report = evaluate_volumes.evaluate_run(
        folder, truth, truth_voxel_size_A=truth_voxel_size_A, progress=_progress
    )
    text = json.dumps(report, indent=2) if as_json else evaluate_volumes.format_report(report)
    sys.stdout.write(text + "\n")
    return 0


def _progress(done: int, total: int) -> None:
    if total > 20 and (done % 20 == 0 or done == total):
        sys.stderr.write(f"Compared {done} of {total} volumes.\n")


def export(
    folder: Path, format_name: str, out: Path | None, which: str | None, *, unusable: Sequence[str] = ()
) -> int:
    """Write results of a run for other programs and print the files' names. The exit status.

    Parameters
    ----------
    out : file to write; None: into ``export`` in the run's folder.
    which : ``consensus``, ``all``, or numbers and ranges of class averages; None leaves the choice.
    unusable : options that were given and mean nothing here.

    Raises
    ------
    SpecError
        If an option can't be used.
    VerglasError
        As :func:`engine.io.export_volumes.export_volumes`.
    """
    if format_name not in FORMATS:
        raise SpecError(
            f"There is no format `{format_name}` for score distillation.",
            f"Choose one of: {', '.join(FORMATS)}.",
        )
    if unusable:
        raise SpecError(f"`{unusable[0]}` is for point clouds; maps have their voxels.", "Leave it out.")
    chosen = _which(which)
    stem = _STEMS[format_name]
    if format_name == "mrc" and chosen == "all":
        stem = "volumes"
    elif format_name == "mrc" and chosen is not None and not isinstance(chosen, str):
        stem = "volumes" if len(chosen) > 1 else f"volume_{chosen[0]:04d}"
    target = folder / "export" / f"{stem}{FORMATS[format_name][0]}" if out is None else out
    for path in export_volumes(folder, target, format_name, which=chosen):
        sys.stdout.write(f"{path}\n")
    return 0


def _which(text: str | None) -> Which | None:
    """``3,7-9`` as (3, 7, 8, 9)."""
    if text is None:
        return None
    if text == "consensus" or text == "all":
        return "consensus" if text == "consensus" else "all"
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            low, high = 1, 0
        if not 1 <= low <= high <= 1_000_000:
            raise SpecError(
                f"`--which` is {text!r}, which names no class averages.",
                "Give consensus, all, or e.g. 3,7-9.",
            )
        numbers += range(low, high + 1)
    return tuple(dict.fromkeys(numbers))
