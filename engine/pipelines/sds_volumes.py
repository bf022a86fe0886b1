"""One volume per class average, by score distillation from the consensus or from nothing; the landscape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.distillation.volume_sds import distil
from engine.errors import SpecError
from engine.io.landscape_file import NAME, write_landscape
from engine.io.volumes import write_volume_result
from engine.metrics.landscape import Aligned, align_all, landscape

if TYPE_CHECKING:
    from engine.pipelines.sds import Setting

FEWEST_FOR_LANDSCAPE = 3


def make(setting: Setting, wanted: list[int], metrics: dict[str, Any]) -> None:
    """Write ``volumes/`` of the wanted images as each is finished, then the landscape; fill ``metrics``."""
    spec, results, begun = setting.spec, setting.results, time.monotonic()
    done = results.volumes()
    missing = [image for image in wanted if image not in done]
    if done:
        setting.context.notice(f"{len(wanted) - len(missing)} volumes were finished before; going on.")
    consensus = poses = None
    if spec.start == "consensus":
        consensus = torch.from_numpy(results.consensus().density.copy()).to(setting.images)
        poses = results.poses().poses
    for count, image in enumerate(missing, 1):
        volume, facts = _one(setting, image, consensus, poses)
        path = write_volume_result(
            results.folder, image, volume.cpu().numpy(), setting.pixel_size_A, facts
        )  # fmt: skip
        setting.context.result("volume", path)
        setting.progress("volumes of the class averages", count, len(missing), begun)
    facts_of = results.volumes()
    made = [image for image in wanted if image in facts_of]
    metrics["volumes"] = len(made)
    for key in ("seconds", "seconds_projector", "seconds_denoiser"):
        name = "volumes" + key.removeprefix("seconds")
        setting.seconds[name] = float(sum(facts_of[image].get(key, 0.0) for image in made))
    _landscape(setting, made)


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


def _one(setting: Setting, image: int, consensus: Tensor | None, poses: Any) -> tuple[Tensor, dict[str, Any]]:
    spec, begun = setting.spec, time.monotonic()
    row, seed = image - 1, spec.seed * 100_000 + image
    pose = shift = None  # without a pose nobody knows where a point group's axes are
    if poses is not None:
        pose = torch.from_numpy(poses.rotations[row]).to(setting.images)
        shift = torch.from_numpy(poses.shifts_A[row] / setting.pixel_size_A).to(setting.images)

    def watch(step: int, sigma: float, volume: Tensor) -> None:
        setting.context.check()
        setting.show(volume, step, spec.distillation.steps, sigma, f"volume {image}")

    made = distil(
        setting.denoiser(), setting.scale, setting.images[row], spec.distillation,
        projector=setting.search.projector, mask=setting.mask, seed=seed, start=consensus, pose=pose,
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
    found = landscape(volumes, images=images, voxel_size_A=setting.pixel_size_A, low_pass_voxels=4.0)
    write_landscape(setting.results.folder, found)
    setting.context.result("landscape", setting.results.folder / NAME)
    setting.seconds["landscape"] = time.monotonic() - begun
