"""Motion before the volumes: which class averages show similar conformations, and their poses among these.

The consensus is blurred where the particle moves, and poses found with it err for that reason. Here a
low-rank model says how near the images' conformations are (:mod:`engine.distillation.motion`), each image's
pose is searched for in the map of its neighbours without itself (:mod:`engine.distillation.neighbours`),
and so in turn. All at the resolution of the starts: finer detail misleads more than it tells.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.distillation.ab_initio import directions
from engine.distillation.motion import Motion, fit_motion
from engine.distillation.neighbours import NeighbourSearch, joined, kernel_weights, neighbour_map
from engine.distillation.pose_search import PoseSearch
from engine.io.conformations import NAME, Conformations, read_conformations, write_conformations
from engine.pipelines.sds_consensus import coarse_images
from engine.specs.sds import FEWEST_FOR_MOTION

if TYPE_CHECKING:
    from engine.pipelines.sds import Setting

LATENT_RINGS, COARSE_RINGS, FINE_RINGS, MAP_RINGS = 6, 10, 13, 14
FIRST_ROUNDS, NEXT_ROUNDS = 15, 4
VIEWS = 600
STEP_PX = 0.35
TRIED = 60
"""Images that are left out in turn, to see whether neighbours know more of them than all."""
WIDE = 3.0
"""Times as many neighbours at high frequencies."""

MOST_NEIGHBOURS, MOST_WIDE = 1 / 3, 1 / 2
"""Of all images."""

FEWEST_NEIGHBOURS = 8
"""Where each image is used at all elements of a point group, and fewer of them fill a map."""


@dataclass(frozen=True)
class Among:
    """What a volume begins with: its neighbours, and its pose among them.

    Attributes
    ----------
    near, wide : (n, n), row by row the share of all images in the map of one, at low and high frequencies.
    rotations : (n, 3, 3).
    shifts_px : (n, 2) xy, pixels of the prepared images.
    """

    near: Tensor
    wide: Tensor
    rotations: Tensor
    shifts_px: Tensor

    def start(self, setting: Setting, row: int) -> Tensor:
        """The map of one image's conformation at full resolution."""
        coarse, fine = (
            neighbour_map(
                setting.search, self.rotations, self.shifts_px, weights[row], k_max=setting.box // 2 - 1,
                mask=setting.mask, group=setting.group,
            )
            for weights in (self.near, self.wide)
        )  # fmt: skip
        return joined(coarse, fine, COARSE_RINGS).clamp_min(0.0) * setting.mask


def finished(setting: Setting) -> bool:
    """Whether nothing of it is left to compute: it is there, or this run has none of it."""
    spec = setting.spec
    few = len(setting.images) < FEWEST_FOR_MOTION
    skipped = not spec.motion_rounds or spec.start != "consensus" or few
    return skipped or (setting.results.folder / NAME).is_file()


def make(setting: Setting, metrics: dict[str, Any]) -> Among | None:
    """Find conformations and poses, or take them up; None where volumes are to start from the consensus."""
    spec, count = setting.spec, len(setting.images)
    if not spec.motion_rounds or spec.start != "consensus":
        return None
    if count < FEWEST_FOR_MOTION:
        text = f"{count} class averages are too few to tell how they move; {FEWEST_FOR_MOTION} are needed. "
        text += "Each volume starts from the consensus."
        setting.context.notice(text)
        metrics["notes"].append(text)
        return None
    if (setting.results.folder / NAME).is_file():
        found = read_conformations(setting.results.folder, count)
    else:
        begun = time.monotonic()
        found = _found(setting)
        write_conformations(setting.results.folder, found)
        setting.spent("motion", begun)
    setting.context.result("conformations", setting.results.folder / NAME)
    motion = Motion(
        torch.from_numpy(found.latents), torch.from_numpy(found.covariances), torch.zeros(1, 1, 1, 1)
    )
    neighbours = _neighbours(setting)
    consensus = setting.results.poses().poses.rotations
    trace = np.einsum("nij,nij->n", consensus, found.rotations.astype(np.float64))
    turned = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    by_near, by_all = (float(value) for value in found.left_out.mean(axis=0))
    metrics["motion"] = {
        "components": found.latents.shape[1],
        "neighbours": neighbours,
        "turned_from_consensus_deg": {"median": float(np.median(turned)), "largest": float(turned.max())},
        "left_out_correlation": {"neighbours": by_near, "all": by_all, "images": len(found.left_out)},
        "moves": found.moves(),
    }
    text = f"A class average that is left out correlates with the map of its {neighbours:.0f} neighbours by "
    text += f"{by_near:.3f}, with that of all by {by_all:.3f}: "
    if not found.moves():
        text += "no sign that the particle moves, so each volume starts from the consensus."
        setting.context.notice(text)
        metrics["notes"].append(text)
        return None
    setting.context.notice(text + "the particle moves.")
    distances = motion.distances()
    wide = min(WIDE * neighbours, count * MOST_WIDE)
    return Among(
        kernel_weights(distances, neighbours).to(setting.images),
        kernel_weights(distances, wide).to(setting.images),
        torch.from_numpy(found.rotations).to(setting.images),
        torch.from_numpy(found.shifts_px).to(setting.images),
    )


def _neighbours(setting: Setting) -> float:
    """How many images count in the map of one: as many as asked for, all elements of a group together."""
    order = 1 if setting.group is None else len(setting.group)
    wanted = max(FEWEST_NEIGHBOURS, setting.spec.neighbours / order)
    return min(wanted, len(setting.images) * MOST_NEIGHBOURS)


def _found(setting: Setting) -> Conformations:
    spec, begun = setting.spec, time.monotonic()
    images = coarse_images(setting)
    scale = images.box / setting.box
    poses = setting.results.poses().poses
    rotations = torch.from_numpy(poses.rotations).to(setting.images)
    shifts = torch.from_numpy(poses.shifts_A / setting.pixel_size_A * scale).to(setting.images)
    mask = setting.sphere(images.box)
    largest = images.box // 2 - 2
    latent_rings = min(LATENT_RINGS, largest)
    total = FIRST_ROUNDS + spec.motion_rounds * (len(setting.images) + NEXT_ROUNDS)
    done = 0

    def step(number: int = 0, motion: Motion | None = None) -> None:
        nonlocal done
        done += 1
        setting.progress("how the class averages move", done, total, begun)

    motion = fit_motion(
        images, rotations, shifts, components=spec.motion_components, k_max=latent_rings, rounds=FIRST_ROUNDS,
        mask=mask, seed=spec.seed, symmetry=spec.symmetry, watch=step,
    )  # fmt: skip
    neighbours = _neighbours(setting)
    for _ in range(spec.motion_rounds):
        weights = kernel_weights(motion.distances(), neighbours, own=False)
        rotations, shifts = _poses(setting, images, weights, rotations, shifts, mask, step)
        motion = fit_motion(
            images, rotations, shifts, components=spec.motion_components, k_max=latent_rings,
            rounds=NEXT_ROUNDS, mask=mask, seed=spec.seed, start=motion, symmetry=spec.symmetry, watch=step,
        )  # fmt: skip
    left_out = _left_out(setting, images, motion, rotations, shifts, mask)
    return Conformations(
        motion.latents.cpu().numpy(), motion.covariances.cpu().numpy(), rotations.cpu().numpy(),
        (shifts / scale).cpu().numpy(), left_out,
    )  # fmt: skip


def _poses(
    setting: Setting,
    images: PoseSearch,
    weights: Tensor,
    rotations: Tensor,
    shifts: Tensor,
    mask: Tensor,
    step: Any,
) -> tuple[Tensor, Tensor]:
    """New poses of all images, each found with the others' old ones."""
    largest = images.box // 2 - 2
    search = _search(images)
    found = []
    for row in range(len(rotations)):
        volume = neighbour_map(
            images, rotations, shifts, weights[row], k_max=min(MAP_RINGS, largest), mask=mask,
            group=setting.group,
        )  # fmt: skip
        rotation, shift, _ = search(row, volume, rotations[row], shifts[row], step_px=STEP_PX)
        found.append((rotation, shift))
        step()
        voxel_size_A = setting.pixel_size_A * setting.box / images.box
        setting.show(
            volume, row + 1, len(rotations), 0.0, f"neighbours of {row + 1}", voxel_size_A=voxel_size_A
        )
    return torch.stack([r for r, _ in found]), torch.stack([s for _, s in found])


def _search(images: PoseSearch) -> NeighbourSearch:
    largest = images.box // 2 - 2
    return NeighbourSearch(
        images, directions(VIEWS).to(images.images), k_coarse=min(COARSE_RINGS, largest),
        k_fine=min(FINE_RINGS, largest),
    )  # fmt: skip


def _left_out(
    setting: Setting, images: PoseSearch, motion: Motion, rotations: Tensor, shifts: Tensor, mask: Tensor
) -> NDArray[np.float32]:
    """How well some images are met by the map of their neighbours, and by that of all, (m, 2).

    Both are made without the image, and it is searched for in both alike. Without motion the map of all
    wins: it is made of more.
    """
    count, largest = len(rotations), images.box // 2 - 2
    search, begun = _search(images), time.monotonic()
    near = kernel_weights(motion.distances(), _neighbours(setting), own=False)
    rows = np.unique(np.linspace(0, count - 1, min(count, TRIED)).astype(int)).tolist()
    found = []
    for done, row in enumerate(rows):
        setting.progress("whether it moves", done, len(rows), begun)
        others = torch.ones_like(near[row])
        others[row] = 0.0
        scores = []
        for weights in (near[row], others):
            volume = neighbour_map(
                images, rotations, shifts, weights, k_max=min(MAP_RINGS, largest), mask=mask,
                group=setting.group,
            )  # fmt: skip
            scores.append(search(row, volume, rotations[row], shifts[row], step_px=STEP_PX)[2])
        found.append(scores)
    return np.array(found, np.float32)
