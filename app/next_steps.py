"""What usually comes after a run: the one list of hints, and how each prepares the next run.

A hint's preparation runs in the background and gives a run description, which is then shown in its
mode, filled in, for the user to look at and start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import RunError
from engine.specs.components import NetworkPrior, ProjectionImages
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import (
    FEWEST_FOR_POSES,
    KnownPosesSpec,
    PosedImages,
    PoseRefinement,
    copies,
)
from engine.specs.samplers import Unconditional
from engine.specs.sds import SdsSpec, TrainDenoiserSpec, TrainedDenoiser

EXPORT, COMPARE, GO_ON = "export", "compare", "go_on"
NEXT = "next"  # folder in a run for files that the next one begins with
REFINE_ROUNDS = 2  # of poses that a run has found itself, where there are enough
MOST_VIEWS = 10
"""Projections that a run of points begins with; more make it slower, and hardly better."""


@dataclass(frozen=True)
class NextStep:
    """A hint.

    Attributes
    ----------
    key : kept in the project, to say how a run came about.
    title, tip : what the button says.
    fits : whether it makes sense after a run, by its description and folder. Looks at names of files only.
    prepare : the description of the next run. Raises VerglasError. May write into the run's ``next`` folder.
        None: the window does something with the run itself.
    reads : whether that reads or writes files, and so belongs into the background.
    """

    key: str
    title: str
    tip: str
    fits: Callable[[Any, Path], bool]
    prepare: Callable[[Any, Path], JobSpec] | None
    reads: bool = False


def steps_for(spec: Any, folder: Path) -> list[NextStep]:
    """What may come after a run, the most usual first."""
    return [step for step in STEPS if step.fits(spec, folder)]


def step(key: str) -> NextStep:
    """The hint of that key; KeyError if there is none."""
    return next(step for step in STEPS if step.key == key)


# ---- what fits --------------------------------------------------------------------------------------


def _denoiser_is_there(spec: Any, folder: Path) -> bool:
    return isinstance(spec, TrainDenoiserSpec) and denoiser_of(folder).is_file()


def _closed_form(spec: Any, _folder: Path) -> bool:
    return isinstance(spec, SdsSpec) and spec.denoiser.kind == "closed_form"


def _one_volume(spec: Any, folder: Path) -> bool:
    return (
        isinstance(spec, SdsSpec) and spec.volumes == "one" and (folder / "results/consensus.mrc").is_file()
    )


def _poses_are_there(spec: Any, folder: Path) -> bool:
    results = folder / "results"
    return isinstance(spec, SdsSpec | KnownPosesSpec) and all(
        (results / name).is_file() for name in ("poses.csv", "prepared.mrcs")
    )


def _refinable(spec: Any, folder: Path) -> bool:
    return isinstance(spec, SdsSpec) and _poses_are_there(spec, folder)


def _map_of_points(spec: Any, folder: Path) -> bool:
    if not isinstance(spec, DpsSpec) or not (folder / "results/map.mrc").is_file():
        return False
    return sum(isinstance(o, ProjectionImages) for o in spec.observations) == 1


def _closed_form_of_library(spec: Any, _folder: Path) -> bool:
    return isinstance(spec, KnownPosesSpec) and spec.library is not None and spec.denoiser.kind != "trained"


def _prior_is_there(spec: Any, folder: Path) -> bool:
    return isinstance(spec, TrainPriorSpec) and prior_of(folder).is_file()


def _ensemble_is_there(spec: Any, folder: Path) -> bool:
    return isinstance(spec, DpsSpec) and (folder / "results/ensemble.npz").is_file()


# ---- what is prepared -------------------------------------------------------------------------------


def _volumes_with_it(spec: TrainDenoiserSpec, folder: Path) -> JobSpec:
    return SdsSpec(
        title=spec.title,
        averages=spec.averages,
        denoiser=TrainedDenoiser(weights=str(denoiser_of(folder))),
        volumes="each",
    )


def _denoiser_of_these(spec: SdsSpec, _folder: Path) -> JobSpec:
    return TrainDenoiserSpec(title=spec.title, averages=spec.averages)


def _volume_of_each(spec: SdsSpec, _folder: Path) -> JobSpec:
    values = spec.model_dump() | {"volumes": "each"}
    values["refine_rounds"] = max(1, spec.refine_rounds)
    return SdsSpec.model_validate(values)


def _points_at_its_poses(spec: SdsSpec | KnownPosesSpec, folder: Path) -> JobSpec:
    from engine.io.export_volumes import export_volumes
    from engine.io.volumes import SdsResults

    table = SdsResults(folder).poses()
    if not len(table.poses.rotations):
        raise RunError("The run has no poses.", "Run it again.", folder)
    star_path = folder / NEXT / "poses.star"
    export_volumes(folder, star_path, "star")
    count = len(table.poses.rotations)
    rows = spread_views(table.poses.rotations, table.confidence)
    return DpsSpec(
        title=spec.title,
        observations=(
            ProjectionImages(
                images=str(star_path.with_suffix(".mrcs")),
                poses=str(star_path),
                select=() if len(rows) == count else tuple(int(r) + 1 for r in rows),
                contrast="white",
            ),
        ),
    )


def _refined_at_its_poses(spec: SdsSpec, folder: Path) -> JobSpec:
    # class averages are normalised one by one, and their poses are estimates
    from engine.io.mrc import read_header

    count = int(read_header(folder / "results" / "prepared.mrcs").shape[0]) * copies(spec.symmetry)
    return KnownPosesSpec(
        title=spec.title,
        images=PosedImages(poses=str(folder), equal_contrast=True),
        library=spec.averages,
        denoiser=spec.denoiser,
        symmetry=spec.symmetry,
        refinement=PoseRefinement(rounds=REFINE_ROUNDS if count >= FEWEST_FOR_POSES else 0),
    )


def _volume_at_its_poses(spec: DpsSpec, folder: Path) -> JobSpec:
    (given,) = (o for o in spec.observations if isinstance(o, ProjectionImages))
    return KnownPosesSpec(
        title=spec.title,
        images=PosedImages(
            poses=given.poses,
            images=given.images,
            select=given.select,
            pixel_size_A=given.pixel_size_A,
            contrast=given.contrast,
        ),
        start=str(folder / "results" / "map.mrc"),
    )


def _denoiser_of_library(spec: KnownPosesSpec, _folder: Path) -> JobSpec:
    assert spec.library is not None  # noqa: S101 - else it isn't offered
    return TrainDenoiserSpec(title=spec.title, averages=spec.library)


def _samples_of_it(spec: TrainPriorSpec, folder: Path) -> JobSpec:
    weights = str(prior_of(folder))
    return DpsSpec(title=spec.title, prior=NetworkPrior(weights=weights), sampler=Unconditional())


def spread_views(rotations: Any, confidence: Any, most: int = MOST_VIEWS) -> list[int]:
    """Rows of views that look from as different directions as possible, the surest pose first.

    Opposite directions show mirror images, so they count as the same. Poses that the run itself was
    unsure of (the lower half by confidence) come only where there are too few others.
    """
    directions = np.asarray(rotations, np.float64)[:, 2, :]
    sure = np.nan_to_num(np.asarray(confidence, np.float64), nan=1.0)
    if len(sure) <= most:
        return list(range(len(sure)))
    usable = np.flatnonzero(sure >= np.median(sure)) if len(sure) >= 2 * most else np.arange(len(sure))
    chosen = [int(usable[np.argmax(sure[usable])])]
    nearest = np.abs(directions @ directions[chosen[0]])
    while len(chosen) < min(most, len(usable)):
        rest = [int(u) for u in usable if u not in chosen]
        best = min(rest, key=lambda row: (round(float(nearest[row]), 9), row))
        chosen.append(best)
        nearest = np.maximum(nearest, np.abs(directions @ directions[best]))
    return sorted(chosen)


def denoiser_of(folder: Path) -> Path:
    """Weights that a training of a denoiser leaves."""
    return folder / "results" / "denoiser.safetensors"


def prior_of(folder: Path) -> Path:
    """Weights that a training of a prior leaves."""
    return folder / "results" / "prior.safetensors"


STEPS: tuple[NextStep, ...] = (
    NextStep(
        "volumes_with_denoiser", "Use this denoiser for volumes",
        "Prepares volumes from the same class averages with it", _denoiser_is_there, _volumes_with_it,
    ),
    NextStep(
        "train_denoiser", "Train a denoiser on these averages",
        "A trained denoiser may bring out more detail", _closed_form, _denoiser_of_these,
    ),
    NextStep(
        "volume_of_each", "Make a volume for each class average",
        "Prepares the same run with a volume for each class average: shows what moves", _one_volume,
        _volume_of_each,
    ),
    NextStep(
        "refine_at_poses", "Refine at known poses",
        "Prepares one volume from the class averages at the poses that were found, searched for again where "
        "images are enough; the denoiser is made of all the class averages",
        _refinable, _refined_at_its_poses, reads=True,
    ),
    NextStep(
        "points_at_poses", "Use its poses for points",
        f"Writes the class averages with their poses as MRCS and STAR, and prepares points from up to "
        f"{MOST_VIEWS} views that differ most", _poses_are_there, _points_at_its_poses, reads=True,
    ),
    NextStep(
        "denoiser_of_library", "Train a denoiser on the library",
        "A trained denoiser may know more of the particle than the closed form", _closed_form_of_library,
        _denoiser_of_library,
    ),
    NextStep(
        "samples_of_prior", "Draw shapes from this prior",
        "Prepares samples of the prior alone: what it believes before it sees any data", _prior_is_there,
        _samples_of_it,
    ),
    NextStep(
        EXPORT, "Export the ensemble…", "Opens the run and asks for a format: ChimeraX, PDB, mmCIF, MRC, CSV",
        _ensemble_is_there, None,
    ),
    NextStep(
        COMPARE, "Compare with the run before…", "Settings and measures beside the last run of the same kind",
        _ensemble_is_there, None,
    ),
    NextStep(
        "volume_at_poses", "Volume at the same poses",
        "Prepares a volume from the same images and poses that begins with the density map of the points",
        _map_of_points, _volume_at_its_poses,
    ),
)  # fmt: skip
"""Order: the most usual first."""

RESUME = NextStep(
    GO_ON, "Go on where it stopped",
    "Runs it again in its folder: what is finished is taken up, its settings stay as they were",
    lambda _spec, _folder: False, None,
)  # fmt: skip
"""Of runs that were cancelled, failed, or whose process went away; not of finished ones."""
