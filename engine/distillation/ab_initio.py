"""A map and poses from nothing: rounds of pose search at growing resolution, then a local refinement.

Random poses give a first blob; each round searches all orientations and puts the images back together.
Early rounds use a random part of the images and directions turned at random, so that starts with different
seeds explore different ways, and a wrong turn taken with few images can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engine.distillation.local_search import best_nearby
from engine.distillation.polar import samples_on_rings
from engine.distillation.pose_search import SMALLEST_VARIANCE, PoseSearch, PosteriorPoses
from engine.numerics.rotations import random_rotations

EXPLORING = 0.7
"""Share of the rounds that use only a part of the images."""

KEPT = 8
"""Likely poses of each image that a round uses, without symmetry."""


@dataclass(frozen=True)
class Schedule:
    """How the rounds go.

    Attributes
    ----------
    rounds : of expectation and maximisation.
    k_first, k_last : largest ring of the first and of the last rounds, cycles per box.
    views : directions on the sphere.
    angles : in-plane rotations of each.
    share : of the images used in a round while exploring.
    shift_px : a grid of -1, 0 and 1 times this is tried in x and y; 0 tries none.
    turned : whether the directions are turned at random in each round.
    symmetric_from : share of the rounds after which a point group is imposed.
    """

    rounds: int
    k_first: int
    k_last: int
    views: int
    angles: int
    share: float = 1.0
    shift_px: float = 0.0
    turned: bool = True
    symmetric_from: float = 0.0


@dataclass(frozen=True)
class Round:
    """What is known after a round.

    Attributes
    ----------
    number, total : counted from 1.
    volume : (z, y, x).
    poses : of the images of this round.
    k_max : largest ring used.
    """

    number: int
    total: int
    volume: Float[Tensor, "z y x"]
    poses: PosteriorPoses
    k_max: int


Watch = Callable[[Round], None]


def directions(count: int) -> Float[Tensor, "count 3 3"]:
    """Orientations whose viewing directions lie evenly on the sphere (a spiral), in-plane angle arbitrary."""
    i = np.arange(count) + 0.5
    theta, phi = np.arccos(1 - 2 * i / count), np.pi * (1 + np.sqrt(5)) * i
    view = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    up = np.where(np.abs(view[:, 2:]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    x = np.cross(up, view)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return torch.from_numpy(np.stack([x, np.cross(view, x), view], axis=1)).float()


def random_poses(count: int, rng: np.random.Generator, device: torch.device | str = "cpu") -> PosteriorPoses:
    """One uniformly random orientation for each image."""
    return PosteriorPoses(
        torch.from_numpy(random_rotations(count, rng)).float()[:, None].to(device),
        torch.zeros(count, 1, 2, device=device),
        torch.ones(count, 1, device=device),
        torch.zeros(count, device=device),
        torch.zeros(1, device=device),
        torch.zeros(count, device=device),
    )


@torch.no_grad()
def search(
    images: PoseSearch,
    schedule: Schedule,
    *,
    seed: int,
    mask: Float[Tensor, "z y x"],
    group: Float[Tensor, "order 3 3"] | None = None,
    start: Float[Tensor, "z y x"] | None = None,
    watch: Watch = lambda found: None,
) -> Round:
    """Run the rounds.

    Parameters
    ----------
    images : density that vanishes where nothing is.
    seed : of random poses, parts and turns.
    mask : soft, where density may be.
    group : point group imposed in each round, in the map's own frame.
    start : a map to begin with; None begins with random poses.
    watch : called after each round; may raise to stop.

    Returns
    -------
    The last round, with all images.
    """
    rng = np.random.default_rng(seed)
    device, count = images.images.device, len(images.images)
    volume = start
    if volume is None:
        poses = random_poses(count, rng, device)
        volume = _kept(images.maximise(poses, k_max=schedule.k_first), mask)
    spread = directions(schedule.views).to(device)
    steps = torch.tensor([-1.0, 0.0, 1.0]) * schedule.shift_px
    shifts = torch.cartesian_prod(steps, steps) if schedule.shift_px else None
    variance = torch.zeros(0)
    found: Round | None = None
    for number in range(1, schedule.rounds + 1):
        share = (number - 1) / max(1, schedule.rounds - 1)
        k_max = round(schedule.k_first + (schedule.k_last - schedule.k_first) * min(1.0, share / 0.8))
        views = spread
        if schedule.turned and number < schedule.rounds:
            views = spread @ torch.from_numpy(random_rotations(1, rng)[0]).to(spread)
        rows = None
        if share < EXPLORING and schedule.share < 1:
            few = max(min(count, 20), round(schedule.share * count))
            rows = torch.from_numpy(np.sort(rng.permutation(count)[:few])).to(device)
        power = images.power(k_max, schedule.angles)
        variance = torch.cat([variance.to(power)[:k_max], power[len(variance) :]])
        symmetry = group if share >= schedule.symmetric_from else None
        # each pose is put back once for every element of the group
        keep = KEPT if symmetry is None else max(2, KEPT // len(symmetry))
        poses = images.expect(
            volume, views, variance, angles=schedule.angles, shifts_px=shifts, keep=keep, rows=rows
        )
        variance = torch.maximum(poses.residual, SMALLEST_VARIANCE * power)
        volume = _kept(images.maximise(poses, k_max=k_max, group=symmetry, rows=rows), mask)
        found = Round(number, schedule.rounds, volume, poses, k_max)
        watch(found)
    if found is None:
        raise ValueError("at least one round is needed")
    return found


@torch.no_grad()
def refine_locally(
    images: PoseSearch,
    found: Round,
    *,
    step_deg: float,
    shift_px: float,
    mask: Float[Tensor, "z y x"],
    group: Float[Tensor, "order 3 3"] | None = None,
    k_max: int | None = None,
) -> Round:
    """One round in which each image tries small turns and moves of its best pose, and keeps the best.

    27 turns about the three axes of the view, and 9 moves; what is kept is one pose for each image.
    """
    k_max = k_max or found.k_max
    grid, polar = images.polar(k_max, samples_on_rings(k_max))
    weight = images.whitening(k_max, grid.angles)[:, None]
    transform = images.projector.transform(found.volume)
    rotations, shifts, scores = [], [], []
    for i, image in enumerate(polar):
        turned, moved, score = best_nearby(
            grid, transform, image, found.poses.rotations[i, :1], found.poses.shifts_px[i, :1], weight,
            step_deg=step_deg, step_px=shift_px,
        )  # fmt: skip
        rotations.append(turned)
        shifts.append(moved)
        scores.append(score)
    poses = replace(
        found.poses,
        rotations=torch.stack(rotations),
        shifts_px=torch.stack(shifts),
        weights=torch.ones(len(polar), 1, device=polar.device),
        correlation=torch.cat(scores),
    )
    volume = _kept(images.maximise(poses, k_max=k_max, group=group), mask)
    return Round(found.number, found.total, volume, poses, k_max)


def _kept(volume: Tensor, mask: Tensor) -> Tensor:
    """Density inside the mask, none below zero: images were made to vanish where nothing is."""
    return volume.clamp_min(0.0) * mask.to(volume)
