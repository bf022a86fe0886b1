"""Exporting an ensemble, or volumes, away from the GUI thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from app.panels.export import ExportWish
from app.run_files import StoredRun
from app.sds_files import SdsRun
from engine.io.point_values import PointValues, read_point_values
from engine.types import Ensemble


def export(run: StoredRun, wish: ExportWish) -> list[Path]:
    """Write what was asked for; the files written.

    Raises
    ------
    VerglasError
        If a file can't be written or the ensemble doesn't fit the format.
    """
    if run.sds is not None:
        from engine.io.export_volumes import export_volumes

        return export_volumes(run.folder, wish.path, wish.format, which=wish.which)
    from engine.io.export import export_ensemble

    if run.ensemble is None:
        raise ValueError("nothing to export")
    return export_ensemble(
        run.ensemble,
        wish.path,
        wish.format,
        resolution_A=wish.resolution_A,
        voxel_size_A=wish.voxel_size_A,
        values=values_of(run),
        b_factors=wish.b_factors,
    )


def values_of(run: StoredRun) -> PointValues:
    """What the run says about each of its points."""
    if run.ensemble is None:
        return PointValues()
    results = run.folder.parent if run.folder.is_file() else run.folder / "results"
    return read_point_values(results, run.ensemble.points_A.shape[1])


def choices_of(run: SdsRun, shown: str) -> list[tuple[str, Any]]:
    """What of a run can be written as maps, in words; ``shown`` is the key of the map in the middle."""
    found: list[tuple[str, Any]] = []
    if run.consensus is not None:
        found.append(
            (f"The {run.main.lower()}" if run.kind == "known_poses" else "The consensus map", "consensus")
        )
    kind, _, number = shown.partition(":")
    if kind == "volume" and int(number) in run.volumes:
        found.append((f"Volume {number}, which is shown", (int(number),)))
    if run.volumes:
        found.append((f"All {len(run.volumes)} volumes", "all"))
    return found


def typical_spacing_A(ensemble: Ensemble) -> float:
    """Distance between neighbouring points if the cloud were a ball filled evenly, Å."""
    cloud = ensemble.points_A[0]
    radius = float(np.sqrt(((cloud - cloud.mean(0)) ** 2).sum(1).mean())) * np.sqrt(5 / 3)
    return max(0.1, float(radius * (4 / 3 * np.pi / len(cloud)) ** (1 / 3)))
