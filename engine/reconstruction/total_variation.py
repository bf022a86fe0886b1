"""Least squares with small total variation: the classical prior for few views.

Minimises ``sum_v |f_v V - y_v|² / (2 n views) + strength * s * TV(V)``, s the images' noise, over density
where it may be, with TV the isotropic total variation (Rudin, Osher & Fatemi 1992, Physica D 60, 259).
Accelerated proximal gradients (Beck & Teboulle 2009, SIAM J. Imaging Sci. 2, 183), whose proximal step is
solved in its dual with the constraints inside (the same authors, IEEE Trans. Image Process. 18, 2419), from
the last step's dual.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from engine.reconstruction.least_squares import StepWatch, overlap, unwatched
from engine.reconstruction.problem import PosedProblem

_GRADIENT_NORM = 12.0  # of the forward differences along three axes, squared
_DUAL_STEPS = 8


def gradient(volume: Float[Tensor, "z y x"]) -> Float[Tensor, "3 z y x"]:
    """Forward differences along z, y, x; 0 at the far faces."""
    out = volume.new_zeros(3, *volume.shape)
    out[0, :-1] = volume[1:] - volume[:-1]
    out[1, :, :-1] = volume[:, 1:] - volume[:, :-1]
    out[2, :, :, :-1] = volume[:, :, 1:] - volume[:, :, :-1]
    return out


def gradient_adjoint(field: Float[Tensor, "3 z y x"]) -> Float[Tensor, "z y x"]:
    """Exact adjoint of :func:`gradient`: minus the divergence."""
    out = torch.zeros_like(field[0])
    out[:-1] -= field[0, :-1]
    out[1:] += field[0, :-1]
    out[:, :-1] -= field[1, :, :-1]
    out[:, 1:] += field[1, :, :-1]
    out[:, :, :-1] -= field[2, :, :, :-1]
    out[:, :, 1:] += field[2, :, :, :-1]
    return out


def total_variation(volume: Float[Tensor, "z y x"]) -> float:
    """Sum over voxels of the length of the gradient."""
    return float(gradient(volume).square().sum(0).sqrt().sum())


@torch.no_grad()
def total_variation_map(
    problem: PosedProblem,
    *,
    strength: float,
    steps: int,
    start: Float[Tensor, "z y x"] | None = None,
    watch: StepWatch = unwatched,
) -> Float[Tensor, "z y x"]:
    """The map with the least data misfit and total variation.

    Parameters
    ----------
    strength : of the total variation, in units of the images' noise: the same for maps of any scale.
    steps : projections of the map.
    start : map to begin with.
    """
    count = overlap(problem)
    weight = strength * math.sqrt(problem.variance)
    volume = torch.zeros_like(problem.mask) if start is None else problem.allowed(start)
    ahead, t = volume, 1.0
    dual = volume.new_zeros(3, *volume.shape)
    for step in range(steps):
        # the data term divided by n and the number of views has a gradient whose Lipschitz constant is 1
        moved = ahead + problem.pull(problem.missing(ahead)) / (problem.size * count)
        new, dual = _flattened(problem, moved, weight, dual)
        t_new = 0.5 * (1 + math.sqrt(1 + 4 * t * t))
        ahead = new + (t - 1) / t_new * (new - volume)
        volume, t = new, t_new
        watch(step + 1, steps, volume)
    return volume


def _flattened(
    problem: PosedProblem, moved: Tensor, weight: float, dual: Tensor
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "3 z y x"]]:
    """``argmin |V - moved|² / 2 + weight TV(V)`` where density may be, and its dual."""
    for _ in range(_DUAL_STEPS):
        primal = problem.allowed(moved - weight * gradient_adjoint(dual))
        dual = dual + gradient(primal) / (_GRADIENT_NORM * weight)
        dual = dual / dual.square().sum(0).sqrt().clamp_min(1.0)
    return problem.allowed(moved - weight * gradient_adjoint(dual)), dual
