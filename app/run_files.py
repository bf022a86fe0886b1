"""Reading what runs wrote, away from the GUI thread. Plain functions and plain answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.sds_files import SdsRun, load_sds
from app.snapshots import LOADERS, AnySnapshot, read_npy
from engine.errors import InputError, PriorError, RunError
from engine.events import Event, ImagesSnapshot, MapSnapshot, Snapshot
from engine.io import hand
from engine.io.ensemble import read_ensemble
from engine.io.prior_library import PriorEntry, describe
from engine.io.volumes import OF_VOLUMES
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec
from engine.types import Ensemble

# What a run may have left that is worth opening, also when it was cut off.
_RESULTS = (
    "ensemble.npz", "prepared.mrcs", "consensus.mrc", "denoiser.safetensors", "prior.safetensors"
)  # fmt: skip


@dataclass(frozen=True)
class StoredRun:
    """A run directory's content.

    Attributes
    ----------
    ensemble : None until the run has finished.
    spread : (points,) Å, or None.
    metrics : what the run measured; empty if nothing.
    running : whether a living process computes it.
    sds : maps, images and poses, as far as they are there; None for runs that make no volumes.
    prior : the card of the prior that the run trained, or None.
    """

    folder: Path
    spec: JobSpec | None = None
    events: tuple[Event, ...] = ()
    ensemble: Ensemble | None = None
    spread: NDArray[np.float32] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    running: bool = False
    sds: SdsRun | None = None
    prior: PriorEntry | None = None

    @property
    def kind(self) -> str:
        """The kind of its description; an ensemble on its own is from DPS."""
        return self.spec.kind if self.spec is not None else "sds" if self.sds is not None else "dps"

    @property
    def completed(self) -> bool:
        """Whether it came to its end."""
        return any(event.type == "completed" for event in self.events)

    @property
    def exportable(self) -> bool:
        """Whether there is something for other programs."""
        return self.ensemble is not None or (
            self.sds is not None and (self.sds.consensus is not None or bool(self.sds.volumes))
        )


def has_results(folder: Path) -> bool:
    """Whether a run has left something to show."""
    return any((folder / "results" / name).exists() for name in _RESULTS)


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
    spec = run.spec()
    sds = load_sds(path) if spec.kind in OF_VOLUMES else None
    return StoredRun(
        path,
        spec,
        run.events(),
        _in_hand(ensemble_file, path) if ensemble_file.exists() else None,
        _load_spread(run.results / "spread.npy"),
        _load_metrics(run.results / "metrics.json") if sds is None else sds.metrics,
        run.running,
        sds,
        _load_prior(run.results / "prior.safetensors") if spec.kind == "train_prior" else None,
    )


def _in_hand(file: Path, run: Path) -> Ensemble:
    ensemble = read_ensemble(file)
    return hand.mirrored_ensemble(ensemble) if hand.flipped(run) else ensemble


def _load_prior(path: Path) -> PriorEntry | None:
    if not path.exists():
        return None
    try:
        return describe(path)
    except PriorError:
        return None  # cut off while it was copied, or no prior: then there is none to be had


def load_last_snapshot(run: StoredRun) -> tuple[AnySnapshot, NDArray[np.float32]] | None:
    """The newest picture of an unfinished run that is still there, with its event."""
    for event in reversed(run.events):
        if isinstance(event, Snapshot | MapSnapshot | ImagesSnapshot):
            try:
                return event, LOADERS[type(event)](run.folder / event.path)
            except InputError:
                continue  # tidied away, or cut off: an older one may be whole
    return None


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


def _load_spread(path: Path) -> NDArray[np.float32] | None:
    try:
        spread = read_npy(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise RunError(f"The spread can't be read ({exc}).", "", path) from exc
    return np.asarray(spread, np.float32).ravel()


def _load_metrics(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as exc:
        raise RunError(f"The metrics can't be read ({exc}).", "", path) from exc
    return content if isinstance(content, dict) else {}
