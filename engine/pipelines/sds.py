"""From class averages to volumes: starts, their tournament, consensus and poses, one volume per average.

Each stage writes what it finished, and a run that goes on takes that up: no start and no volume is
computed twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.distillation.pose_search import PoseSearch
from engine.distillation.volume_sds import ImageScale
from engine.errors import InputError, RunError, SpecError
from engine.events import ImagesSnapshot, Progress
from engine.io.atomic import write_npy
from engine.io.averages import PreparedAverages, averages_record, prepare, rank, soft_disc
from engine.io.class_averages import read_class_averages
from engine.io.json_files import read_json, write_json
from engine.io.mrc import read_volume
from engine.io.volumes import REFERENCE, SdsResults, write_map, write_prepared
from engine.metrics.volumes import aligned_fsc, soft_sphere
from engine.numerics.symmetry import point_group
from engine.pipelines import sds_consensus, sds_motion, sds_volumes
from engine.pipelines.context import RunContext
from engine.pipelines.telling import Telling, correlations
from engine.priors.empirical import EmpiricalDenoiser
from engine.priors.image_checkpoint import load_image_denoiser
from engine.protocols import Denoiser
from engine.specs.sds import SdsSpec

FEWEST = 3
SECONDS = "seconds.json"


@dataclass
class Setting(Telling):
    """What all stages of a run share.

    Attributes
    ----------
    prepared : the class averages, normalised.
    scale : between density and normalised images.
    images : (n, y, x) normalised, on the device.
    search : poses, of the images as density.
    group : rotations of the point group; None for C1.
    seconds : spent, by stage.
    """

    spec: SdsSpec
    context: RunContext
    prepared: PreparedAverages
    scale: ImageScale
    images: Tensor
    search: PoseSearch
    group: Tensor | None
    seconds: dict[str, float]
    _kept: Denoiser | None = None

    @property
    def results(self) -> SdsResults:
        """The run's result files."""
        return SdsResults(self.context.folder)

    @property
    def box(self) -> int:
        """Side of images and maps."""
        return self.search.box

    @property
    def pixel_size_A(self) -> float:
        """Of the prepared images."""
        return self.prepared.stack.pixel_size_A

    @cached_property
    def mask(self) -> Tensor:
        """(z, y, x) soft sphere, where density may be."""
        return self.sphere(self.box)

    def sphere(self, box: int) -> Tensor:
        """The same on another grid over the same field of view; its soft edge stays inside the box."""
        radius = self.prepared.mask_radius_px * box / self.box
        return torch.from_numpy(soft_sphere(box, min(radius, box // 2 - 4.0))).to(self.images)

    def denoiser(self) -> Denoiser:
        """What the spec names, made when first needed."""
        if self._kept is None:
            self._kept = _denoiser(self.spec, self.prepared, self.context)
        return self._kept

    def spent(self, stage: str, begun: float) -> None:
        """The same, and keep them: a run that goes on knows them."""
        super().spent(stage, begun)
        write_json(self.results.folder / SECONDS, self.seconds)

    def correlation(self, a: Tensor, b: Tensor) -> NDArray[np.float64]:
        """Pearson's correlation of each image of one stack with that of another, inside the mask, (n,)."""
        return correlations(a, b, self.scale.disc > 0.5)

    def show_images(self, images: NDArray[np.float32], step: int, role: str) -> None:
        """Let the window see images."""
        name = f"snapshots/images_{role}_{step:05d}.npy"
        write_npy(self.context.folder / name, images)
        self.context.emit(ImagesSnapshot(step, role, name))


def _denoiser(spec: SdsSpec, prepared: PreparedAverages, context: RunContext) -> Denoiser:
    wanted = spec.denoiser
    if wanted.kind == "trained":
        network, card = load_image_denoiser(wanted.weights, context.device)
        stack = prepared.stack
        card.require(stack.images.shape[-1], stack.pixel_size_A, prepared.mask_radius_px, path=wanted.weights)
        return network
    return EmpiricalDenoiser.fit(
        prepared.stack.images,
        mask_radius_px=prepared.mask_radius_px,
        angle_step_deg=wanted.angle_step_deg,
        components=wanted.components,
        shift_px=wanted.shift_px,
        device=context.device,
    )


def _prepare(spec: SdsSpec, context: RunContext) -> Setting:
    begun = time.monotonic()
    context.emit(Progress(stage="reading class averages", done=0, total=1))
    averages = read_class_averages(spec.averages.file, pixel_size_A=spec.averages.pixel_size_A)
    prepared = prepare(averages, spec.averages)
    if len(prepared.used) < FEWEST:
        raise InputError(
            f"Only {len(prepared.used)} class averages are used; volumes need at least {FEWEST}.",
            "Select more of them.",
            spec.averages.file,
        )
    for note in (*averages.notes, *prepared.notes, prepared.contrast):
        context.notice(note)
    context.check()
    record = averages_record(averages, prepared, rank(averages.images[prepared.used]))
    folder = context.folder / "results"
    written = write_prepared(
        folder, prepared.stack, record["images"], mask_radius_px=prepared.mask_radius_px,
        contrast=prepared.contrast, notes=prepared.notes,
    )  # fmt: skip
    for role, path in zip(("prepared", "averages"), written, strict=True):
        context.result(role, path)
    box = prepared.stack.images.shape[-1]
    images = torch.from_numpy(prepared.stack.images).float().to(context.device)
    disc = torch.from_numpy(np.asarray(soft_disc(box, prepared.mask_radius_px), np.float32))
    scale = ImageScale(float(prepared.background), disc.to(context.device))
    group = None if spec.symmetry == "C1" else torch.from_numpy(point_group(spec.symmetry)).float()
    setting = Setting(
        spec, context, prepared, scale, images, PoseSearch(scale.to_density(images)),
        None if group is None else group.to(context.device), _earlier_seconds(folder / SECONDS),
    )  # fmt: skip
    setting.spent("prepare", begun)
    return setting


def _earlier_seconds(path: Path) -> dict[str, float]:
    """What an earlier attempt spent on each stage; a file that isn't what it should be counts as none."""
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except InputError:
        return {}
    return {str(k): float(v) for k, v in found.items() if isinstance(v, int | float) and 0 <= v < 1e9}


def prepare_parts(spec: SdsSpec, context: RunContext) -> None:
    """What all volumes share: the consensus with its poses, and which images are alike.

    A run that is divided (:mod:`engine.jobs.parts`) does this once, before any part. Raises as :func:`run`.
    """
    setting = _prepare(spec, context)
    sds_volumes.wanted(setting)
    metrics: dict[str, Any] = {"notes": []}
    sds_consensus.make(setting, metrics)
    sds_motion.make(setting, metrics)


def run_part(spec: SdsSpec, context: RunContext, numbers: Sequence[int]) -> None:
    """Compute only these images' volumes, counted from 1, into ``results/volumes/``; those there are kept.

    They are what :func:`run` computes, which finds them there and judges all.

    Raises
    ------
    SpecError
        If the run makes no volumes of these images.
    RunError
        If what all volumes share isn't finished: :func:`prepare_parts` comes first.
    VerglasError
        As :func:`run`.
    """
    if spec.volumes != "each":
        raise SpecError("This run makes one volume, and has no parts.", "Set `volumes` to `each`.")
    setting = _prepare(spec, context)
    wanted = sds_volumes.wanted(setting)
    if not sds_consensus.finished(setting) or not sds_motion.finished(setting):
        raise RunError(
            "The consensus isn't finished, from which volumes start.",
            "Prepare the run first.",
            context.folder,
        )
    if strange := sorted(set(numbers) - set(wanted)):
        raise SpecError(
            f"Image {strange[0]} gets no volume in this run.", "Count from 1 among the images used."
        )
    metrics: dict[str, Any] = {"notes": []}
    sds_consensus.make(setting, metrics)
    sds_volumes.compute(setting, sorted(set(numbers)), sds_motion.make(setting, metrics))


def run(spec: SdsSpec, context: RunContext) -> None:
    """Reconstruct, judge, and write ``results/``.

    Raises
    ------
    VerglasError
        With advice: a file, a setting or the numbers are at fault. ``Cancelled`` if asked to stop; what
        was finished is kept, and the run goes on from there.
    """
    # what can be wrong with these is said now, not after the computing
    truth = None if spec.truth is None else read_volume(spec.truth)
    setting = _prepare(spec, context)
    wanted = sds_volumes.wanted(setting)
    if spec.denoiser.kind == "trained" and (spec.volumes == "each" or not spec.refine_rounds):
        setting.denoiser()
    metrics: dict[str, Any] = {"kind": "sds", "symmetry": spec.symmetry, "volumes": 0, "notes": []}
    sds_consensus.make(setting, metrics)
    if spec.volumes == "each":
        sds_volumes.make(setting, wanted, metrics)
    if truth is not None:
        context.emit(Progress(stage="comparing with the reference", done=0, total=1))
        consensus = setting.results.consensus()
        curve, moved = aligned_fsc(consensus.density, setting.pixel_size_A, truth, None)
        metrics["fsc_truth"] = curve.as_dict()
        path = setting.results.folder / REFERENCE
        write_map(path, moved, setting.pixel_size_A)
        context.result("reference", path)
    metrics["seconds"] = {k: round(v, 2) for k, v in setting.seconds.items()}
    path = context.folder / "results" / "metrics.json"
    write_json(path, metrics)
    context.result("metrics", path)
