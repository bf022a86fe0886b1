"""Starts of a run of score distillation, their tournament, and the refined consensus with its poses."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.distillation.ab_initio import Round, Schedule, refine_locally, search
from engine.distillation.pose_search import PoseSearch, PosteriorPoses
from engine.distillation.volume_sds import distil
from engine.io.image_resampling import resampled
from engine.io.json_files import read_json, write_json
from engine.io.pose_table import make_table, write_poses
from engine.io.volumes import CONSENSUS, HALVES, TOURNAMENT, write_map, write_projections, write_start
from engine.metrics.agreement import compare_starts
from engine.metrics.volumes import volume_fsc
from engine.numerics.fourier_sampling import fourier_resample
from engine.numerics.symmetry import find_symmetry_axes
from engine.numerics.volume_alignment import apply_alignment

if TYPE_CHECKING:
    from engine.pipelines.sds import Setting

START_BOX, START_ROUNDS, START_RINGS = 32, 24, (4, 10)
START_VIEWS, START_ANGLES, START_SHARE = 300, 48, 0.6
REFINE_VIEWS, REFINE_ANGLES = 800, 72
LOCAL_STEPS_DEG = (3.0, 1.5, 0.75)
CONFIDENT_DEG = 15.0
HALF_START_A = 40.0
FEWEST_FOR_HALVES = 8
_MANY = 40
FINISHED = "consensus.json"
"""Written when all of this is done: what is said of the consensus in the metrics."""


def make(setting: Setting, metrics: dict[str, Any]) -> None:
    """Write ``tournament``, ``consensus.mrc``, poses, projections and half maps; fill ``metrics``."""
    path = setting.results.folder / FINISHED
    if finished(setting):
        # a run that goes on: this stage depends on the spec alone, and was written last
        metrics.update(read_json(path))
        return
    known = set(metrics)
    _make(setting, metrics)
    write_json(path, {key: value for key, value in metrics.items() if key not in known or key == "notes"})


def finished(setting: Setting) -> bool:
    """Whether an earlier attempt, or another process, has made all of it."""
    return (setting.results.folder / FINISHED).is_file()


def _make(setting: Setting, metrics: dict[str, Any]) -> None:
    results = setting.results
    _starts(setting)
    tournament = _tournament(setting)
    metrics["agreement"] = tournament
    if tournament["starts"] > 1 and not tournament["agree"]:
        setting.context.notice(tournament["sentence"], warning=True)
    start = results.start(tournament["medoid"]).density
    # sums along fewer, larger voxels gave the same images
    density = fourier_resample(start, setting.box) * (len(start) / setting.box)
    medoid = torch.from_numpy(np.array(density, np.float32)).to(setting.images).clamp_min(0)
    made_with = results.starts()[tournament["medoid"]].get("symmetry", setting.spec.symmetry)
    if setting.group is not None and made_with != setting.spec.symmetry:
        # a branch takes starts over from a run of another point group: its axes are found first
        axes = find_symmetry_axes(medoid.cpu().numpy(), setting.spec.symmetry, work_size=32)
        turned = apply_alignment(medoid.cpu().numpy(), axes)
        medoid = torch.from_numpy(np.asarray(turned, np.float32)).to(medoid).clamp_min(0)
    if not setting.spec.refine_rounds:
        write_map(results.folder / CONSENSUS, medoid.cpu().numpy(), setting.pixel_size_A)
        setting.context.result("consensus", results.folder / CONSENSUS)
        return
    found, confidence = _refined(setting, setting.search, medoid, "refining the consensus")
    _write_consensus(setting, found, confidence, metrics)
    metrics["confidence"] = {"median": float(np.median(confidence))}
    if setting.spec.half_sets:
        _halves(setting, found, metrics)


# ---- starts -------------------------------------------------------------------------------------


def _starts(setting: Setting) -> None:
    spec, begun = setting.spec, time.monotonic()
    done = setting.results.starts()
    coarse = coarse_images(setting)
    voxel_size_A = setting.pixel_size_A
    if spec.refine_rounds:
        voxel_size_A *= setting.box / coarse.box
    for number in range(1, spec.restarts + 1):
        if number in done:
            continue
        started = time.monotonic()
        seed = spec.seed * 1000 + number
        label = f"start {number} of {spec.restarts}"
        if spec.refine_rounds:
            volume, score = _searched(setting, coarse, seed, label)
        else:
            volume, score = _distilled(setting, seed, label)
        facts = {
            "seed": seed, "score": score, "seconds": round(time.monotonic() - started, 2),
            "symmetry": spec.symmetry,
        }  # fmt: skip
        path = write_start(
            setting.results.folder, number, volume.cpu().numpy(), voxel_size_A, facts
        )  # fmt: skip
        setting.context.result("start", path)
        setting.progress("starts from nothing", number, spec.restarts, begun)
    setting.spent("starts", begun)


def coarse_images(setting: Setting) -> PoseSearch:
    """The images at the resolution of the starts, which don't see beyond it anyway."""
    images = setting.search.images
    box = min(setting.box, START_BOX)
    if box == setting.box:
        return setting.search
    small = resampled(images.cpu().numpy(), box)
    return PoseSearch(torch.from_numpy(np.asarray(small, np.float32)).to(images.device))


def _searched(setting: Setting, images: PoseSearch, seed: int, label: str) -> tuple[Tensor, float]:
    """Pose search from random poses at low resolution; a point group is imposed in the second half."""
    largest = images.box // 2 - 2
    first, last = (min(k, largest) for k in START_RINGS)
    mask = setting.sphere(images.box)
    many = len(setting.images) >= _MANY
    plan = Schedule(
        START_ROUNDS, first, last, START_VIEWS, START_ANGLES, share=START_SHARE if many else 1.0
    )  # fmt: skip

    def watch(found: Round) -> None:
        setting.context.check()
        voxel_size_A = setting.pixel_size_A * setting.box / images.box
        setting.show(found.volume, found.number, found.total, 0.0, label, voxel_size_A=voxel_size_A)

    if setting.group is None:
        found = search(images, plan, seed=seed, mask=mask, watch=watch)
    else:
        free = search(images, replace(plan, rounds=START_ROUNDS // 2), seed=seed, mask=mask, watch=watch)
        axes = find_symmetry_axes(free.volume.cpu().numpy(), setting.spec.symmetry, work_size=32)
        turned = torch.from_numpy(apply_alignment(free.volume.cpu().numpy(), axes)).to(free.volume)
        found = search(
            images, replace(plan, k_first=free.k_max // 2), seed=seed + 500, mask=mask,
            group=setting.group, start=turned.clamp_min(0), watch=watch,
        )  # fmt: skip
    return found.volume, float(found.poses.correlation.mean())


def _distilled(setting: Setting, seed: int, label: str) -> tuple[Tensor, float]:
    """Score distillation from nothing, anchored to one class average: the paper's way, without poses."""
    row = seed % len(setting.images)
    steps = setting.spec.distillation.steps

    def watch(step: int, sigma: float, volume: Tensor) -> None:
        setting.context.check()
        setting.show(volume, step, steps, sigma, label)

    made = distil(
        setting.denoiser(), setting.scale, setting.images[row], setting.spec.distillation,
        projector=setting.search.projector, mask=setting.mask, seed=seed, watch=watch,
    )  # fmt: skip
    return made.volume, -made.residual


def _tournament(setting: Setting) -> dict[str, Any]:
    results, path = setting.results, setting.results.folder / TOURNAMENT
    facts = results.starts()
    if path.is_file():
        known = read_json(path)
        if isinstance(known, dict) and known.get("starts") == len(facts):
            return known
    begun = time.monotonic()
    numbers = sorted(facts)
    volumes = [results.start(number).density for number in numbers]
    found = compare_starts(
        volumes, [float(facts[number]["score"]) for number in numbers],
        progress=lambda done, total: setting.progress("comparing the starts", done, total, begun),
    )  # fmt: skip
    table = found.as_dict()
    write_json(path, table)
    setting.context.result("tournament", path)
    setting.spent("tournament", begun)
    return table


# ---- consensus ----------------------------------------------------------------------------------


def _refined(
    setting: Setting, images: PoseSearch, start: Tensor, stage: str, rounds: int | None = None
) -> tuple[Round, Any]:
    """Global rounds up to high resolution, then local ones; the confidence of each image's pose."""
    begun = time.monotonic()
    rounds = rounds or setting.spec.refine_rounds
    largest = setting.box // 2 - 2
    first = min(START_RINGS[1], largest)
    plan = Schedule(
        rounds,
        first,
        max(first, round(0.85 * largest)),
        REFINE_VIEWS,
        REFINE_ANGLES,
        shift_px=0.7,
        turned=False,
    )
    total = rounds + len(LOCAL_STEPS_DEG)

    def watch(found: Round) -> None:
        setting.progress(stage, found.number, total, begun)
        setting.show(found.volume, found.number, total, 0.0, stage)

    found = search(
        images, plan, seed=setting.spec.seed, mask=setting.mask, group=setting.group, start=start, watch=watch
    )
    confidence = _confidence(found.poses, setting.group)
    for i, step in enumerate(LOCAL_STEPS_DEG, rounds + 1):
        found = refine_locally(
            images, found, step_deg=step, shift_px=step / 6, mask=setting.mask, group=setting.group,
            k_max=setting.box // 2 - 1,
        )  # fmt: skip
        setting.progress(stage, i, total, begun)
        setting.show(found.volume, i, total, 0.0, stage, now=True)
    key = "consensus" if images is setting.search else "half sets"
    setting.spent(key, begun)
    return found, confidence


def _confidence(poses: PosteriorPoses, group: Tensor | None) -> Any:
    """Posterior probability that the pose is within 15° of the best one, over the poses kept, (n,)."""
    best = poses.rotations[:, :1]
    elements = torch.eye(3).to(best)[None] if group is None else group.to(best)
    equivalent = torch.einsum("nkij,gjl->nkgil", best, elements)
    trace = torch.einsum("nkij,nmgij->nkg", poses.rotations, equivalent)
    near = (trace.amax(dim=2) - 1) / 2 >= np.cos(np.deg2rad(CONFIDENT_DEG))
    return (poses.weights * near).sum(dim=1).cpu().numpy()


def _write_consensus(setting: Setting, found: Round, confidence: Any, metrics: dict[str, Any]) -> None:
    folder, pixel = setting.results.folder, setting.pixel_size_A
    poses = found.poses
    density = setting.search.projector.project(
        found.volume, poses.rotations[:, 0], shifts_px=poses.shifts_px[:, 0]
    )
    projections = setting.scale.to_denoiser(density)
    correlation = setting.correlation(projections, setting.images)
    metrics["correlation"] = {"median": float(np.median(correlation))}
    write_map(folder / CONSENSUS, found.volume.cpu().numpy(), pixel)
    table = make_table(
        poses.rotations[:, 0].cpu().numpy().astype(np.float64),
        poses.shifts_px[:, 0].cpu().numpy().astype(np.float64) * pixel,
        pixel, confidence=confidence, correlation=correlation,
    )  # fmt: skip
    star, _ = write_poses(folder, table, box=setting.box, counts=setting.results.counts())
    path = write_projections(folder, projections.cpu().numpy(), pixel)
    for role, file in (("consensus", folder / CONSENSUS), ("poses", star), ("projections", path)):
        setting.context.result(role, file)
    setting.show_images((setting.images - projections).cpu().numpy(), 0, "residuals")


def _halves(setting: Setting, found: Round, metrics: dict[str, Any]) -> None:
    count = len(setting.images)
    if count < FEWEST_FOR_HALVES:
        metrics["notes"].append(f"{count} class averages are too few for half sets.")
        return
    # What both halves share is blurred away, so that agreement beyond it is their own.
    order = np.random.default_rng(setting.spec.seed).permutation(count)
    field = setting.box * setting.pixel_size_A
    small = max(8, 2 * int(field / HALF_START_A))
    blurred = fourier_resample(found.volume.cpu().numpy(), small) if small < setting.box else None
    start = found.volume
    if blurred is not None:
        start = torch.from_numpy(np.asarray(fourier_resample(blurred, setting.box), np.float32)).to(start)
    halves = []
    density = setting.search.images
    for name, part in zip(HALVES, (order[: count // 2], order[count // 2 :]), strict=True):
        images = PoseSearch(density[torch.from_numpy(np.sort(part)).to(density.device)])
        half, _ = _refined(setting, images, start.clamp_min(0), "refining the half sets", rounds=4)
        path = setting.results.folder / name
        write_map(path, half.volume.cpu().numpy(), setting.pixel_size_A)
        setting.context.result("half map", path)
        halves.append(half.volume.cpu().numpy())
    against = f"the other half of the class averages, both begun from the consensus at {HALF_START_A:.0f} Å"
    metrics["fsc_half"] = volume_fsc(
        halves[0], halves[1], setting.pixel_size_A, "sphere", against=against
    ).as_dict()
