"""Least squares with small total variation: the classical prior for few views.

Minimises ``sum_v |f_v V - y_v|² / (2 n views) + strength * level * TV(V)`` over density inside the mask and
above zero, with TV the isotropic total variation (Rudin, Osher & Fatemi 1992, Physica D 60, 259), by the
primal-dual splitting of Condat 2013 (J. Optim. Theory Appl. 158, 460), Algorithm 3.1: the data term by its
gradient, the total variation by its dual, the constraints by projection.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from engine.reconstruction.least_squares import StepWatch, _nothing, overlap
from engine.reconstruction.problem import PosedProblem

_DUAL = 0.5
_GRADIENT_NORM = 12.0  # of the forward differences along three axes, squared


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
    watch: StepWatch = _nothing,
) -> Float[Tensor, "z y x"]:
    """The map with the least data misfit and total variation.

    Parameters
    ----------
    strength : of the total variation, in units of the images' contrast: the same for maps of any scale.
    steps : of the primal-dual solver.
    start : map to begin with.
    """
    count = overlap(problem)
    weight = strength * problem.contrast
    volume = torch.zeros_like(problem.mask) if start is None else problem.allowed(start)
    dual = volume.new_zeros(3, *volume.shape)
    # the data term divided by n and the number of views has a gradient whose Lipschitz constant is 1
    primal = 0.99 / (0.5 + _DUAL * _GRADIENT_NORM)
    for step in range(steps):
        slope = -problem.pull(problem.missing(volume)) / (problem.size * count)
        new = volume - primal * (slope + gradient_adjoint(dual))
        new = problem.allowed(new)
        dual = dual + _DUAL * gradient(2 * new - volume)
        length = dual.square().sum(0).sqrt()
        dual = dual / (length / weight).clamp_min(1.0)
        volume = new
        watch(step + 1, steps, volume)
    return volume
