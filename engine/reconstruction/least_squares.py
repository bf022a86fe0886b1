"""Maps from images of known pose without knowledge of shapes: the baselines that a prior has to beat.

* :func:`wiener_map`: regularised least squares in Fourier space, coefficient by coefficient (Scheres 2012).
* :func:`data_map`: least squares with density inside the mask and above zero, by projected gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_reconstruction import wiener
from engine.forward.map_posterior import shell_sums
from engine.reconstruction.problem import PosedProblem

StepWatch = Callable[[int, int, Tensor], None]


def unwatched(step: int, steps: int, volume: Tensor) -> None:
    """Nobody looks on."""


def volume_power(problem: PosedProblem) -> Float[Tensor, " shells"]:
    """Expected ``|F|²`` of the map's unnormalised transform in each shell, read off the images' rings.

    By the central slice theorem a ring of a projection is a circle of the map's shell, so its mean power
    is the shell's; that of white noise is subtracted, and what is left is never less than a thousandth.
    """
    power, count = shell_sums(problem.images, problem.images, 2)
    power = power / count.clamp_min(1)
    noise = problem.variance * problem.size**2
    return (power - noise).clamp_min(1e-3 * power)


@torch.no_grad()
def wiener_map(problem: PosedProblem) -> Float[Tensor, "z y x"]:
    """Regularised least squares in Fourier space, gridding-corrected; empty where no image measured."""
    numerator, denominator = problem.weights()
    precision = 1.0 / (problem.variance * problem.size**2)
    return wiener(problem.projector, numerator * precision, denominator * precision, volume_power(problem))


@torch.no_grad()
def data_map(
    problem: PosedProblem,
    *,
    steps: int,
    start: Float[Tensor, "z y x"] | None = None,
    watch: StepWatch = unwatched,
) -> Float[Tensor, "z y x"]:
    """Least squares with density inside the mask and above zero: accelerated projected gradients (FISTA).

    Source: Beck & Teboulle 2009, SIAM J. Imaging Sci. 2, 183. Noise is not fitted further than the number
    of steps lets it: the steps are the regularisation.
    """
    volume = torch.zeros_like(problem.mask) if start is None else problem.allowed(start)
    ahead, t = volume, 1.0
    length = 1.0 / (problem.size * overlap(problem))
    for step in range(steps):
        moved = ahead + length * problem.pull(problem.missing(ahead))
        new = problem.allowed(moved)
        t_new = 0.5 * (1 + (1 + 4 * t * t) ** 0.5)
        ahead = new + (t - 1) / t_new * (new - volume)
        volume, t = new, t_new
        watch(step + 1, steps, volume)
    return volume


def overlap(problem: PosedProblem) -> float:
    """Largest eigenvalue of ``f^T f / n`` over all views: all of them share at least the zero frequency."""
    return float(len(problem.images) * problem.order)
