"""What can stand in a tile: parts of runs and members of a run that is being computed. Plain answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.maps_view import _load
from app.run_files import StoredRun
from app.sds_measures import agreement_of
from app.surfaces import Density

LIVE = "live"


def split(key: str) -> tuple[str, str, str]:
    """Folder (or :data:`LIVE`), what it is, and its number or name, of ``folder|what:number``."""
    folder, _, part = key.rpartition("|")
    what, _, number = part.partition(":")
    return folder, what, number


def parts_of(run: StoredRun) -> list[tuple[str, str]]:
    """(``what:number``, name) of all that can be compared of a run."""
    if run.ensemble is not None:
        return [(f"sample:{i + 1}", f"Sample {i + 1}") for i in range(len(run.ensemble.points_A))]
    if run.sds is None:
        return []
    return [
        *((f"map:{name}", name) for name in run.sds.maps),
        *((f"start:{n}", f"Start {n}") for n in run.sds.starts),
        *((f"volume:{n}", f"Volume {n}") for n in run.sds.volumes),
    ]


def entries_of(runs: dict[Path, StoredRun]) -> list[tuple[str, str]]:
    """(key, name) of all that can be compared of several runs."""
    found: list[tuple[str, str]] = []
    for folder, run in runs.items():
        prefix = f"{folder.name} · " if len(runs) > 1 else ""
        found += [(f"{folder}|{what}", prefix + name) for what, name in parts_of(run)]
    return found


def read_map(run: StoredRun, what: str, number: str) -> Density:
    """A map of a run; not for the GUI thread.

    Raises
    ------
    VerglasError
        If it can't be read.
    """
    assert run.sds is not None  # noqa: S101 - for the type checker
    return _load(run.sds, f"{what}:{number}")


def residual_of(run: StoredRun, row: int) -> str:
    """Root mean square residual of a sample, Å, over its evidence."""
    ensemble = run.ensemble
    if ensemble is None or not ensemble.energies.size:
        return ""
    mean: NDArray[Any] = ensemble.energies[row].mean()
    return f"residual {float(np.sqrt(mean)) * ensemble.frame.scale_A:.2f} Å"


def facts_of(run: StoredRun, what: str, number: str) -> str:
    """What is known of a part of a run, in words."""
    if what == "sample":
        return residual_of(run, int(number) - 1)
    sds = run.sds
    if sds is None or not number.isdigit():
        return ""
    facts = (sds.starts if what == "start" else sds.volumes).get(int(number), {})
    if what == "volume":
        fit = facts.get("correlation")
        return f"fits its average {fit:.2f}" if isinstance(fit, int | float) else ""
    score = facts.get("score")
    return f"score {score:.3g}" if isinstance(score, int | float) else ""


def stored_agreement(run: StoredRun, number: str) -> tuple[int, int, float] | None:
    """How many starts a start agrees with (itself counted), of how many, and from which correlation."""
    sds = run.sds
    if sds is None or not number.isdigit() or agreement_of(sds.tournament) is None:
        return None
    groups, threshold = sds.tournament.get("groups"), sds.tournament.get("threshold")
    if not isinstance(groups, list):
        return None
    size = next((len(g) for g in groups if isinstance(g, list) and int(number) in g), 1)
    return size, len(sds.starts), float(threshold) if isinstance(threshold, int | float) else 0.85
