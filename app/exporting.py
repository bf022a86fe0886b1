"""Exporting an ensemble, away from the GUI thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.panels.export import ExportWish
from app.run_files import StoredRun
from engine.types import Ensemble


def export(run: StoredRun, wish: ExportWish) -> list[Path]:
    """Write what was asked for; the files written.

    Raises
    ------
    VerglasError
        If a file can't be written or the ensemble doesn't fit the format.
    """
    from engine.io.export import export_ensemble

    if run.ensemble is None:
        raise ValueError("nothing to export")
    return export_ensemble(
        run.ensemble,
        wish.path,
        wish.format,
        resolution_A=wish.resolution_A,
        voxel_size_A=wish.voxel_size_A,
        spread=run.spread,
    )


def typical_spacing_A(ensemble: Ensemble) -> float:
    """Distance between neighbouring points if the cloud were a ball filled evenly, Å."""
    cloud = ensemble.points_A[0]
    radius = float(np.sqrt(((cloud - cloud.mean(0)) ** 2).sum(1).mean())) * np.sqrt(5 / 3)
    return max(0.1, float(radius * (4 / 3 * np.pi / len(cloud)) ** (1 / 3)))
