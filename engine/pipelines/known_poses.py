"""A few images at known poses to one volume, what of it was measured, and how good it is."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.distillation.pose_search import PoseSearch
from engine.errors import InputError
from engine.events import Progress
from engine.io.mrc import read_volume
from engine.io.posed_images import read_posed
from engine.io.posed_preparation import prepare_posed
from engine.io.volumes import write_prepared
from engine.pipelines.context import RunContext
from engine.pipelines.known_pose_results import on_run_grid, write_least_squares, write_results, write_splats
from engine.pipelines.known_pose_setting import KnownPoseSetting, make_problem
from engine.reconstruction.coverage import calibrated_trust
from engine.reconstruction.denoised_views import denoised_views_map, misfit
from engine.reconstruction.least_squares import data_map, wiener_map
from engine.reconstruction.models import MapModel, SplatModel, VoxelModel
from engine.reconstruction.poses import angle_deg, nearby_pose, without
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.score_distillation import Known, distil_at_poses
from engine.reconstruction.total_variation import total_variation_map
from engine.specs.known_poses import (
    ASKS_DENOISER,
    FEWEST_FOR_POSES,
    DataOnly,
    DenoisedViews,
    GaussianSplats,
    InlinePrior,
    KnownPosesSpec,
    PosedSds,
    TotalVariation,
    Wiener,
)

IMPLIED_STEPS = 30
"""Gradient steps of the least-squares map that tells IPSM what images imply, and that methods begin with."""

ENOUGH = 24
"""Images from which least squares alone makes a map good enough to search in."""

STRANGE = 0.35
"""Misfit of images and denoiser from which it is told. On phantoms of the right class it is below 0.2, of the
wrong one above 0.4 (without noise; at SNR 1 above 0.26)."""

FOLDS = 8
LEAST_FIT = 0.3
"""Correlation with the images below which a map to begin with is none of theirs."""


def run(spec: KnownPosesSpec, context: RunContext) -> None:
    """Reconstruct, judge, and write ``results/``.

    Raises
    ------
    VerglasError
        With advice: a file, a setting or the numbers are at fault. ``Cancelled`` if asked to stop; what
        was finished is kept.
    """
    # what can be wrong with these is said now, not after the computing
    truth = None if spec.truth is None else read_volume(spec.truth)
    setting = _prepare(spec, context)
    _check_refinement(setting)
    start = _start(setting)
    library_misfit: float | None = None
    if spec.method.kind in ASKS_DENOISER:
        begun = time.monotonic()
        context.emit(Progress(stage="making the denoiser", done=0, total=1))
        library_misfit = _library_misfit(setting)
        setting.spent("denoiser", begun)
    begun = time.monotonic()
    baseline = wiener_map(setting.problem)
    setting.spent("least squares", begun)
    setting.show(baseline, 0, 1, 0.0, "least squares", now=True)
    # a run that is stopped keeps at least this
    write_least_squares(setting, baseline)
    stated = setting.problem
    for round_ in range(spec.refinement.rounds):
        setting.problem = _refined(setting, stated, round_)
    begun = time.monotonic()
    volume, residual = make_volume(setting, setting.problem, start)
    setting.spent("volume", begun)
    metrics: dict[str, Any] = {
        "kind": "known_poses", "method": spec.method.kind, "representation": spec.representation.kind,
        "symmetry": spec.symmetry, "images": len(setting.problem.images), "noise": setting.problem.noise,
        "residual": None if np.isnan(residual) else residual, "notes": list(setting.prepared.notes),
        "library_misfit": library_misfit,
    }  # fmt: skip
    if library_misfit is not None and library_misfit > STRANGE:
        metrics["notes"].append(_strange(library_misfit))
    if spec.refinement.rounds:
        metrics["pose_change_deg"] = [
            round(angle_deg(a, b), 3)
            for a, b in zip(setting.problem.rotations, stated.rotations, strict=True)
        ]
        baseline = wiener_map(setting.problem)
    write_results(setting, volume, baseline, truth, metrics)


def _prepare(spec: KnownPosesSpec, context: RunContext) -> KnownPoseSetting:
    begun = time.monotonic()
    context.emit(Progress(stage="reading images", done=0, total=1))
    posed = read_posed(spec.images, context.notice)
    prepared = prepare_posed(posed, spec.images)
    for note in (*prepared.notes, posed.contrast):
        context.notice(note)
    problem = make_problem(spec, prepared, context.device, spec.images.poses)
    setting = KnownPoseSetting(spec, context, posed, prepared, problem)
    entries = [
        {
            "row": int(row) + 1, "file": file, "count": None,
            "shift_px": [0.0, 0.0], "score": 1.0, "junk": False, "duplicate_of": None,
        }
        for row, file in zip(posed.rows, posed.files, strict=True)
    ]  # fmt: skip
    written = write_prepared(
        setting.folder, prepared.stack, entries, mask_radius_px=prepared.mask_radius_px,
        contrast=posed.contrast, notes=prepared.notes,
    )  # fmt: skip
    for role, path in zip(("prepared", "averages"), written, strict=True):
        context.result(role, path)
    if spec.library is None and spec.method.kind in ASKS_DENOISER:
        if spec.denoiser.kind != "trained" and len(problem.images) < 16:
            context.notice(
                f"The denoiser knows only the {len(problem.images)} images themselves. Class averages of "
                "such particles, given as the library, tell it what other views look like; without them, "
                "method `data` does as well or better.",
                warning=True,
            )
    setting.spent("prepare", begun)
    return setting


def _library_misfit(setting: KnownPoseSetting) -> float:
    """How far the images are from what the denoiser knows, as a share of their contrast; far is told."""
    found = float(misfit(setting.problem, setting.view_denoiser).median())
    if found > STRANGE:
        setting.context.notice(_strange(found), warning=True)
    return round(found, 4)


def _strange(share: float) -> str:
    return (
        f"The images differ from all that the denoiser knows by {share:.0%} of their contrast: it may know "
        "other particles, other sizes or another contrast. Where nothing was measured, the volume would "
        "follow it all the same: compare with least squares."
    )


def _check_refinement(setting: KnownPoseSetting) -> None:
    problem, spec = setting.problem, setting.spec
    count = len(problem.images) * problem.order
    if spec.refinement.rounds and count < FEWEST_FOR_POSES:
        raise InputError(
            f"Poses of {count} images can't be refined: in a map of so few others, wrong poses fit as well.",
            f"Give at least {FEWEST_FOR_POSES} images (copies by symmetry count), or 0 rounds.",
            spec.images.poses,
        )


def _start(setting: KnownPoseSetting) -> Tensor | None:
    """The map to begin with, in the problem's frame and units."""
    if setting.spec.start is None:
        return None
    given = on_run_grid(setting, read_volume(setting.spec.start), setting.spec.start, centred=True)
    found = fitted_start(setting.problem, torch.from_numpy(given).to(setting.problem.images))
    if found is None:
        raise InputError(
            "The map to begin with doesn't fit the images at all.",
            "Give a map in the frame of the poses, white on black.",
            setting.spec.start,
        )
    return found


def fitted_start(problem: PosedProblem, density: Tensor) -> Tensor | None:
    """A map to begin with, cut as the problem allows and scaled to the images; None if it has little of them.

    Parameters
    ----------
    density : (n, n, n) in the problem's frame, in any units.
    """
    density = problem.allowed(density)
    seen, images = problem.seen(density), problem.repeated(problem.images)
    size = float((seen * images).sum() / seen.square().sum().clamp_min(1e-12))
    return density * size if size * float(seen.norm()) >= LEAST_FIT * float(images.norm()) else None


def make_volume(
    setting: KnownPoseSetting, problem: PosedProblem, start: Tensor | None, *, told: bool = True
) -> tuple[Tensor, float]:
    """The map by the method that the description names, and what a denoiser still changed (NaN for none)."""
    spec, method, label = setting.spec, setting.spec.method, setting.spec.method.kind
    begun = time.monotonic()

    def watch(step: int, steps: int, volume: Tensor, sigma: float = 0.0) -> None:
        setting.context.check()
        if told:
            setting.progress(f"volume ({label})", step, steps, begun)
            setting.show(volume, step, steps, sigma, label, now=step == steps)

    if isinstance(method, Wiener):
        return wiener_map(problem), float("nan")
    if isinstance(method, TotalVariation):
        found = total_variation_map(
            problem, strength=method.strength, steps=method.steps, start=start, watch=watch
        )
        return found, float("nan")
    if isinstance(method, DenoisedViews):
        found = denoised_views_map(
            problem, setting.view_denoiser, method, seed=spec.seed, start=start, watch=watch
        )
        return found, float("nan")
    if isinstance(method, DataOnly) and spec.representation.kind == "voxels":
        return data_map(problem, steps=method.steps, start=start, watch=watch), float("nan")
    begin = data_map(problem, steps=IMPLIED_STEPS) if start is None else start
    model: MapModel = VoxelModel(problem, begin)
    if isinstance(spec.representation, GaussianSplats):
        if told and not problem.positive:
            setting.context.notice(
                "The images go far below their background, and Gaussians can't: voxels fit them better.",
                warning=True,
            )
        model = SplatModel(problem, begin, spec.representation, spec.seed)
    known = implied_views(problem, spec.seed) if isinstance(method, InlinePrior) else None
    asked = method if isinstance(method, PosedSds | InlinePrior) else None
    residual = distil_at_poses(
        problem, model, None if asked is None else setting.view_denoiser, asked,
        seed=spec.seed, steps=method.steps, known=known,
        watch=lambda step, steps, now: watch(step, steps, now.volume() if told else begin),
    )  # fmt: skip
    if isinstance(model, SplatModel) and told:
        write_splats(setting, model)
    return model.volume(), residual


def implied_views(problem: PosedProblem, seed: int) -> Known:
    """What the images imply of unseen views: those of their least-squares map, and how far they are right."""
    trust = calibrated_trust(problem, steps=IMPLIED_STEPS, seed=seed)
    implied = data_map(problem, steps=IMPLIED_STEPS)

    def known(rotations: Tensor) -> tuple[Tensor, Tensor]:
        seen = problem.projector.project(implied, rotations)
        return seen, trust.of_views(rotations, problem.all_rotations, problem.size)

    return known


def _refined(setting: KnownPoseSetting, stated: PosedProblem, number: int) -> PosedProblem:
    """One round: each image's pose in a map that it had no part in, some images left out at a time."""
    problem, spec = setting.problem, setting.spec
    begun, count = time.monotonic(), len(problem.images)
    search = PoseSearch(problem.images)
    rotations, shifts = problem.rotations.clone(), problem.shifts_px.clone()
    folds = [list(range(first, count, FOLDS)) for first in range(min(FOLDS, count))]
    for done, fold in enumerate(folds, 1):
        rest = without(problem, fold)
        if len(rest.images) * problem.order < ENOUGH and spec.method.kind == "denoised_views":
            volume, _ = make_volume(setting, rest, None, told=False)
        else:
            volume = data_map(rest, steps=IMPLIED_STEPS)
        for image in fold:
            rotations[image], shifts[image] = nearby_pose(
                search, problem, image, volume, (stated.rotations[image], stated.shifts_px[image]),
                range_deg=spec.refinement.range_deg, range_px=spec.refinement.range_px,
                k_max=problem.size // 3,
            )  # fmt: skip
        stage = f"refining poses, round {number + 1} of {spec.refinement.rounds}"
        setting.progress(stage, done, len(folds), begun)
    setting.spent("poses", begun)
    return replace(problem, rotations=rotations, shifts_px=shifts)
