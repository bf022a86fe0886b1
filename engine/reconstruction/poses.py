"""Poses of a few images searched for again, each in a map of the others.

An image that takes part in a map of a handful shows in it at whatever pose it has, and would find itself
there. So its pose is looked for in the map of the *other* images (and of the denoiser, if there is one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from engine.distillation.local_search import best_nearby
from engine.distillation.polar import samples_on_rings
from engine.distillation.pose_search import PoseSearch
from engine.numerics.rotations import angle_between
from engine.reconstruction.problem import PosedProblem

STEPS_DEG = (5.0, 2.5, 1.2, 0.6)
"""Turns about each axis of a view in one search, coarse to fine, each repeated until nothing turns."""

_REPEATS = 3


def without(problem: PosedProblem, images: Sequence[int]) -> PosedProblem:
    """The same problem without some images (from 0)."""
    keep = [i for i in range(len(problem.images)) if i not in set(images)]
    return replace(
        problem,
        images=problem.images[keep],
        rotations=problem.rotations[keep],
        shifts_px=problem.shifts_px[keep],
    )


@torch.no_grad()
def nearby_pose(
    search: PoseSearch,
    problem: PosedProblem,
    image: int,
    volume: Float[Tensor, "z y x"],
    stated: tuple[Float[Tensor, "3 3"], Float[Tensor, " 2"]],
    *,
    range_deg: float,
    range_px: float,
    k_max: int,
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 2"]]:
    """The best pose of an image in a map, near its present one and within bounds of the stated one.

    Parameters
    ----------
    search : of all images.
    volume : a map that the image had no part in.
    stated : the pose that the bounds are about.
    range_deg, range_px : bounds of the turn and of each coordinate of the shift; a step beyond is not taken.
    k_max : highest frequency that is compared, cycles per box.
    """
    angles = samples_on_rings(k_max)
    grid, rings = search.polar(k_max, angles)
    weight = search.whitening(k_max, angles)[:, None]
    transform = search.projector.transform(volume)
    rotation, shift = problem.rotations[image][None], problem.shifts_px[image][None]
    for step in STEPS_DEG:
        if step > range_deg:
            continue
        for _ in range(_REPEATS):
            moved, place, _ = best_nearby(
                grid, transform, rings[image], rotation, shift, weight, step_deg=step,
                step_px=min(1.0, step / 3) if range_px > 0 else 0.0,
            )  # fmt: skip
            turned = angle_deg(moved[0], stated[0])
            far = float((place[0] - stated[1]).abs().max())
            if turned > range_deg or far > range_px + 1e-6:
                break
            same = bool(torch.equal(moved, rotation)) and bool(torch.equal(place, shift))
            rotation, shift = moved, place
            if same:
                break
    return rotation[0], shift[0]


def angle_deg(a: Float[Tensor, "3 3"], b: Float[Tensor, "3 3"]) -> float:
    """Angle of the rotation between two poses, degrees."""
    return math.degrees(float(angle_between(a.cpu().numpy(), b.cpu().numpy())))
