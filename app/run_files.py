"""Reading what runs wrote, away from the GUI thread. Plain functions and plain answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, RunError
from engine.events import Event
from engine.io.ensemble import read_ensemble
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec
from engine.types import Ensemble

MAX_SNAPSHOT_BYTES = 2_000_000_000


@dataclass(frozen=True)
class StoredRun:
    """A run directory's content.

    Attributes
    ----------
    ensemble : None until the run has finished.
    spread : (points,) Å, or None.
    metrics : what the run measured; empty if nothing.
    running : whether a living process computes it.
    """

    folder: Path
    spec: JobSpec | None = None
    events: tuple[Event, ...] = ()
    ensemble: Ensemble | None = None
    spread: NDArray[np.float32] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    running: bool = False


def load_points(path: Path) -> NDArray[np.float32]:
    """A snapshot: (n, points, 3), Å, xyz.

    Raises
    ------
    InputError
        If the file is missing or isn't a snapshot.
    """
    try:
        if path.stat().st_size > MAX_SNAPSHOT_BYTES:
            raise InputError("The snapshot is too large to show.", "", path)
        points = _read_npy(path)
    except (OSError, ValueError, EOFError) as exc:
        raise InputError(f"The snapshot can't be read ({exc}).", "", path) from exc
    if points.ndim != 3 or points.shape[-1] != 3 or points.dtype.kind != "f":
        raise InputError("This file holds no point clouds.", "", path)
    return np.asarray(points, np.float32)


def load_run(path: Path) -> StoredRun:
    """A run directory, or an ensemble file on its own.

    Raises
    ------
    VerglasError
        If it is neither, or damaged.
    """
    path = Path(path).absolute()
    if path.is_file():
        if (path.parent.parent / "spec.json").is_file():
            return load_run(path.parent.parent)
        return StoredRun(path, ensemble=read_ensemble(path))
    run = RunDir.open(path)
    ensemble_file = run.results / "ensemble.npz"
    return StoredRun(
        path,
        run.spec(),
        run.events(),
        read_ensemble(ensemble_file) if ensemble_file.exists() else None,
        _load_spread(run.results / "spread.npy"),
        _load_metrics(run.results / "metrics.json"),
        run.running,
    )


def load_last_snapshot(path: Path) -> NDArray[np.float32] | None:
    """The newest snapshot of an unfinished run, if there is one."""
    files = sorted((path / "snapshots").glob("*.npy"))
    return load_points(files[-1]) if files else None


def neighbour_spread(points_A: NDArray[np.float32], *, others: int = 8) -> NDArray[np.float32]:
    """How far each point is from its nearest neighbour in the other samples, root mean square, Å.

    Needs no correspondence between samples, so it can be shown while a run is on. At most
    ``others`` other samples are compared with.

    Parameters
    ----------
    points_A : (n, points, 3).

    Returns
    -------
    (n, points); zeros for a single sample.
    """
    from scipy.spatial import cKDTree

    count = len(points_A)
    total = np.zeros(points_A.shape[:2], np.float32)
    if count < 2:
        return total
    trees = [cKDTree(cloud) for cloud in points_A]
    for i in range(count):
        chosen = [(i + k) % count for k in range(1, min(others, count - 1) + 1)]
        for j in chosen:
            total[i] += trees[j].query(points_A[i])[0] ** 2
        total[i] /= len(chosen)
    return np.sqrt(total)


def _read_npy(path: Path) -> NDArray[Any]:
    """One array; not ``np.load``, which also takes archives and pickles apart."""
    with open(path, "rb") as handle:
        array: NDArray[Any] = np.lib.format.read_array(handle, allow_pickle=False)
    return array


def _load_spread(path: Path) -> NDArray[np.float32] | None:
    try:
        spread = _read_npy(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as exc:
        raise RunError(f"The spread can't be read ({exc}).", "", path) from exc
    return np.asarray(spread, np.float32).ravel()


def _load_metrics(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise RunError(f"The metrics can't be read ({exc}).", "", path) from exc
    return content if isinstance(content, dict) else {}
