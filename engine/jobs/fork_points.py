"""What a run keeps that a branch can begin from, and which settings each of these bears changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.io.conformations import NAME as CONFORMATIONS
from engine.io.kept_samples import SAMPLES, numbers_in, sample_file
from engine.io.streams import head
from engine.io.volumes import CONSENSUS, HALVES, PROJECTIONS, TOURNAMENT, SdsResults
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.sds import SdsSpec, TrainDenoiserSpec

BEGINNING: Final = "beginning"
TRAINING: Final = Path("checkpoints") / "training.safetensors"
MILESTONES: Final = Path("checkpoints") / "milestones"

_ANYWAY = {"title", "device", "truth"}
_SAMPLES = {"samples", "batch", "fine_points", "control", "density_map", "map_voxel_A"}
_VOLUMES = {"volumes", "only"}
_MOTION = {"start", "motion_rounds", "motion_components", "neighbours"}
_DISTILLED = {"distillation", "denoiser"}
_STARTS = {
    "averages.select", "averages.mask_diameter_A", "symmetry", "refine_rounds", "half_sets", "restarts",
}  # fmt: skip
_ARCHITECTURE = {
    "architecture", "width", "layers", "start_from", "averages.box", "averages.pixel_size_A",
    "averages.mask_diameter_A", "kind",
}  # fmt: skip
_TRAINED = set(TrainPriorSpec.model_fields) | set(TrainDenoiserSpec.model_fields)
_CONSENSUS_FILES = (
    CONSENSUS, *HALVES, PROJECTIONS, TOURNAMENT, "consensus.json", "poses.star", "poses.csv", "seconds.json",
)  # fmt: skip
_MAX_HEADER = 16 << 20


@dataclass(frozen=True)
class ForkPoint:
    """A kept state of a run.

    Attributes
    ----------
    name : one word, for commands.
    words : the same for people.
    stage : of the run that it belongs to: ``sampling``, ``starts``, ``consensus``, ``volumes``, ``training``.
    step : how far that is, in its own count: samples, starts, volumes or steps; 0 for the beginning.
    time : when it was written, seconds since the epoch; 0 for the beginning.
    bears : settings that may be changed without it becoming invalid, with all below them.
    but : and those among them that may not.
    """

    name: str
    words: str
    stage: str
    step: int
    time: float
    bears: frozenset[str] = frozenset()
    but: frozenset[str] = frozenset()


def bears(point: ForkPoint, field: str) -> bool:
    """Whether a state stays valid when this setting is changed."""
    if point.name == BEGINNING:
        return True
    return _within(field, point.bears | _ANYWAY) and not _within(field, point.but)


def _within(field: str, names: frozenset[str] | set[str]) -> bool:
    return any(field == name or field.startswith(f"{name}.") for name in names)


def points_of(run: RunDir, spec: JobSpec) -> tuple[ForkPoint, ...]:
    """All of a run, latest first."""
    found: list[ForkPoint] = []
    if isinstance(spec, DpsSpec):
        found = _of_samples(run, spec)
    elif isinstance(spec, SdsSpec):
        found = _of_volumes(run, spec)
    elif isinstance(spec, TrainPriorSpec | TrainDenoiserSpec):
        found = _of_training(run)
    return (*found, ForkPoint(BEGINNING, "the beginning: nothing is taken over", "", 0, 0.0))


def _of_samples(run: RunDir, spec: DpsSpec) -> list[ForkPoint]:
    kept = numbers_in(run.path / SAMPLES)
    if not kept:
        return []
    words = f"{len(kept)} of {spec.samples} samples, finished"
    time = max(_time(sample_file(run.path, number)) for number in kept)
    return [ForkPoint("samples", words, "sampling", len(kept), time, frozenset(_SAMPLES))]


def _of_volumes(run: RunDir, spec: SdsSpec) -> list[ForkPoint]:
    results, found = SdsResults(run.path), []
    # without rounds of pose search the starts themselves are distilled
    distilled = _DISTILLED if spec.refine_rounds else set()
    volumes, starts = results.volumes(), results.starts()
    finished = results.folder / "consensus.json"
    if volumes and finished.is_file():
        time = max(_time(path) for path in (results.folder / "volumes").iterdir())
        words = f"the consensus and {len(volumes)} volumes"
        found.append(ForkPoint("volumes", words, "volumes", len(volumes), time, frozenset(_VOLUMES)))
    if finished.is_file():
        bearing = frozenset(_VOLUMES | _MOTION | distilled)
        words = "the consensus with its poses"
        found.append(ForkPoint("consensus", words, "consensus", 1, _time(finished), bearing))
    if starts:
        time = max(_time(path) for path in (results.folder / "tournament").iterdir())
        bearing = frozenset(_STARTS | _VOLUMES | _MOTION | distilled)
        words = f"{len(starts)} of {spec.restarts} starts"
        found.append(ForkPoint("starts", words, "starts", len(starts), time, bearing))
    return found


def _of_training(run: RunDir) -> list[ForkPoint]:
    found: dict[int, ForkPoint] = {}
    for path in (*sorted((run.path / MILESTONES).glob("*.safetensors")), run.path / TRAINING):
        step = _steps(path)
        if step is not None:
            words = f"the training after {step} steps"
            found[step] = ForkPoint(
                f"step-{step}", words, "training", step, _time(path), frozenset(_TRAINED),
                frozenset(_ARCHITECTURE),
            )  # fmt: skip
    return [found[step] for step in sorted(found, reverse=True)]


def _steps(path: Path) -> int | None:
    """Steps of a training's checkpoint; None if there is none, or it is damaged."""
    try:
        length = struct.unpack("<Q", head(path, 8))[0]
        header = json.loads(head(path, 8 + min(length, _MAX_HEADER))[8:])
        end = max(int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__")
        whole = path.stat().st_size == 8 + length + end
        return int(json.loads(header["__metadata__"]["facts"])["steps"]) if whole else None
    except Exception:  # whatever a damaged file holds
        return None


def files_of(
    run: RunDir, spec: JobSpec, point: ForkPoint, changed: tuple[str, ...]
) -> Iterator[tuple[Path, str]]:
    """Files that a branch takes over, with their names in its folder.

    Parameters
    ----------
    spec : of the branch.
    changed : settings that differ.
    """
    found: list[tuple[Path, str]] = []
    if point.stage == "sampling" and isinstance(spec, DpsSpec):
        numbers = [n for n in numbers_in(run.path / SAMPLES) if n <= spec.samples]
        found = [(sample_file(run.path, n), f"{SAMPLES.as_posix()}/{n:04d}.npz") for n in numbers]
    elif point.stage in ("starts", "consensus", "volumes"):
        results = run.path / "results"
        names = [p.relative_to(results).as_posix() for p in sorted((results / "tournament").glob("start_*"))]
        if point.stage != "starts":
            names += _CONSENSUS_FILES
            names += () if any(_within(name, _MOTION) for name in changed) else (CONFORMATIONS,)
        if point.stage == "volumes":
            names += [
                p.relative_to(results).as_posix() for p in sorted((results / "volumes").glob("volume_*"))
            ]
        found = [(results / name, f"results/{name}") for name in names]
    elif point.stage == "training":
        places = (*sorted((run.path / MILESTONES).glob("*.safetensors")), run.path / TRAINING)
        chosen = next(path for path in places if _steps(path) == point.step)
        found = [(chosen, TRAINING.as_posix())]
        found.append((run.path / "results" / "learning_curve.csv", "results/learning_curve.csv"))
        if "clouds" not in changed:
            built = sorted((run.path / "clouds").glob("clouds*"))
            found += [(path, f"clouds/{path.name}") for path in built]
    return ((path, name) for path, name in found if path.is_file())


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
