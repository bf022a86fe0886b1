"""One volume per class average, by score distillation from similar ones or from nothing; the landscape."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.distillation.volume_sds import distil
from engine.errors import InputError, SpecError
from engine.io.landscape_file import NAME, write_landscape
from engine.io.volumes import write_volume_result
from engine.metrics.landscape import Aligned, align_all, landscape
from engine.pipelines import sds_motion

if TYPE_CHECKING:
    from engine.pipelines.sds import Setting

FEWEST_FOR_LANDSCAPE = 3


def make(setting: Setting, wanted: list[int], metrics: dict[str, Any]) -> None:
    """Write ``volumes/`` of the wanted images as each is finished, then the landscape; fill ``metrics``."""
    compute(setting, wanted, sds_motion.make(setting, metrics))
    results = setting.results
    facts_of = results.volumes()
    made = [image for image in wanted if image in facts_of]
    metrics["volumes"] = len(made)
    for key in ("seconds", "seconds_projector", "seconds_denoiser"):
        name = "volumes" + key.removeprefix("seconds")
        setting.seconds[name] = float(sum(facts_of[image].get(key, 0.0) for image in made))
    _landscape(setting, made)


def compute(setting: Setting, wanted: Sequence[int], among: sds_motion.Among | None) -> None:
    """Write those of the wanted volumes that aren't there yet, each as it is finished."""
    results, begun = setting.results, time.monotonic()
    done = results.volumes()
    missing = [image for image in wanted if image not in done]
    if len(missing) < len(wanted):
        setting.context.notice(f"{len(wanted) - len(missing)} volumes were finished before; going on.")
    for count, image in enumerate(missing, 1):
        volume, facts = _one(setting, image, among)
        path = write_volume_result(
            results.folder, image, volume.cpu().numpy(), setting.pixel_size_A, facts
        )  # fmt: skip
        setting.context.result("volume", path)
        setting.progress("volumes of the class averages", count, len(missing), begun)


def wanted(setting: Setting) -> list[int]:
    """Images that get a volume of their own, counted from 1. Raises SpecError if one isn't there."""
    count = len(setting.images)
    chosen = sorted(set(setting.spec.only)) or list(range(1, count + 1))
    if chosen[0] < 1 or chosen[-1] > count:
        raise SpecError(
            f"`only` names image {chosen[-1] if chosen[-1] > count else chosen[0]}, but {count} are used.",
            "Count from 1 among the images used.",
        )
    return chosen


@dataclass(frozen=True)
class _Begin:
    """What a volume starts from; nothing where all is None."""

    volume: Tensor | None = None
    pose: Tensor | None = None
    shift_px: Tensor | None = None


def _begin(setting: Setting, row: int, among: sds_motion.Among | None) -> _Begin:
    """The map of similar images, or the consensus, with the image's pose in it."""
    if among is not None:
        return _Begin(among.start(setting, row), among.rotations[row], among.shifts_px[row])
    if setting.spec.start == "nothing":
        return _Begin()
    poses = setting.results.poses().poses
    return _Begin(
        torch.from_numpy(setting.results.consensus().density.copy()).to(setting.images),
        torch.from_numpy(poses.rotations[row]).to(setting.images),
        torch.from_numpy(poses.shifts_A[row] / setting.pixel_size_A).to(setting.images),
    )


def _one(setting: Setting, image: int, among: sds_motion.Among | None) -> tuple[Tensor, dict[str, Any]]:
    spec, begun = setting.spec, time.monotonic()
    row, seed = image - 1, spec.seed * 100_000 + image
    begin = _begin(setting, row, among)
    # without a pose nobody knows where a point group's axes are
    pose, shift = begin.pose, begin.shift_px

    def watch(step: int, sigma: float, volume: Tensor) -> None:
        setting.context.check()
        setting.show(volume, step, spec.distillation.steps, sigma, f"volume {image}")

    made = distil(
        setting.denoiser(), setting.scale, setting.images[row], spec.distillation,
        projector=setting.search.projector, mask=setting.mask, seed=seed, start=begin.volume, pose=pose,
        shift_px=shift, group=None if pose is None else setting.group, watch=watch,
    )  # fmt: skip
    turned = torch.eye(3)[None] if pose is None else pose[None]
    moved = None if shift is None else shift[None]
    density = setting.search.projector.project(made.volume, turned, shifts_px=moved)
    seen = setting.scale.to_denoiser(density)
    correlation = setting.correlation(seen, setting.images[row][None])
    return made.volume, {
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 3),
        "seconds_projector": round(made.seconds_projector, 3),
        "seconds_denoiser": round(made.seconds_denoiser, 3),
        "correlation": float(correlation[0]),
        "residual": made.residual,
    }


def _landscape(setting: Setting, images: list[int]) -> None:
    if len(images) < FEWEST_FOR_LANDSCAPE:
        return
    begun = time.monotonic()
    setting.progress("landscape", 0, 1, begun)
    volumes: Any = setting.results.densities(images)
    if setting.spec.start == "nothing":
        # nothing holds such volumes in one orientation or hand
        volumes = Aligned(volumes, align_all(volumes, np.asarray(volumes[0])))
    try:
        found = landscape(volumes, images=images, voxel_size_A=setting.pixel_size_A, low_pass_voxels=4.0)
    except InputError as error:  # volumes that don't differ; they are finished all the same
        setting.context.notice(error.problem, warning=True)
        return
    write_landscape(setting.results.folder, found)
    setting.context.result("landscape", setting.results.folder / NAME)
    setting.spent("landscape", begun)
