"""Score distillation of a volume from a denoiser of images.

Algorithm 1 of *Score-based random tomography of dynamic structures*. In each step the volume V is
projected in one known direction, in which it must look like its own class average (the anchor), and in
random directions, in which it must look like something that the denoiser D knows:
``r_m = x_m - D(x_m + t eps, t)`` with ``x_m = f(V, R_m)``. The residuals go back by the adjoint of f,
``V <- V - alpha mean_m f^T r_m``; no gradient passes through the denoiser. Here f is the sum along the view
over ``sqrt(n)``, n the box, so that ``f f^T`` is the identity on a slice and any ``alpha < 2`` is stable;
where a heavy anchor makes the weights exceed the number of views, steps are shortened to keep it so.

What differs from the paper, each by a setting: the noise level falls from step to step, the anchor keeps a
fixed share of the random views' weight (its share of the mean would fall as 1/M), density stays inside a mask
and above zero, and V may begin with a consensus.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_slice import SliceProjector
from engine.numerics.rotations import random_rotations
from engine.protocols import Denoiser
from engine.specs.sds import Distillation

STABLE = 1.98
"""Longest step times the sum of the views' weights: at 2, what all views share would swing for ever."""


@dataclass(frozen=True)
class ImageScale:
    """How density in a projection becomes what the denoiser knows, whose images have mean 0.

    Attributes
    ----------
    background : value of empty surroundings inside the disc, below zero.
    disc : (y, x) soft circular mask in [0, 1].
    """

    background: float
    disc: Float[Tensor, "y x"]

    def to_denoiser(self, density: Float[Tensor, "n y x"]) -> Float[Tensor, "n y x"]:
        """Projections of density to normalised images."""
        return (density + self.background) * self.disc

    def to_density(self, images: Float[Tensor, "n y x"]) -> Float[Tensor, "n y x"]:
        """Normalised images, already cut by the disc, to density that vanishes where nothing is."""
        return images - self.background * self.disc


@dataclass(frozen=True)
class Distilled:
    """A volume and what its making cost.

    Attributes
    ----------
    volume : (z, y, x) density.
    residual : root mean square of what the denoiser still changed in the last step.
    seconds_projector, seconds_denoiser : time in projections and back-projections, and in the denoiser.
    """

    volume: Float[Tensor, "z y x"]
    residual: float
    seconds_projector: float
    seconds_denoiser: float


StepWatch = Callable[[int, float, Tensor], None]


@torch.no_grad()
def distil(
    denoiser: Denoiser,
    scale: ImageScale,
    average: Float[Tensor, "y x"],
    settings: Distillation,
    *,
    projector: SliceProjector,
    mask: Float[Tensor, "z y x"],
    seed: int,
    start: Float[Tensor, "z y x"] | None = None,
    pose: Float[Tensor, "3 3"] | None = None,
    shift_px: Float[Tensor, " 2"] | None = None,
    group: Float[Tensor, "order 3 3"] | None = None,
    watch: StepWatch = lambda step, sigma, volume: None,
) -> Distilled:
    """Make the volume of one class average.

    Parameters
    ----------
    denoiser : of normalised images.
    average : (y, x), normalised as for the denoiser.
    mask : soft, where density may be.
    start : density to begin with; None begins with nothing.
    pose, shift_px : of the class average in the volume's frame; None is the identity, as in the paper.
    group : the anchor also holds from all directions that a point group makes of the pose.
    watch : called after each step with its number, noise level and the volume; may raise to stop.
    """
    device = projector.device
    rng = np.random.default_rng(seed)
    noise = torch.Generator().manual_seed(seed)
    size = projector.size
    volume = torch.zeros(size, size, size, device=device) if start is None else start.to(device).clone()
    own = torch.eye(3, device=device)[None] if pose is None else pose.to(device)[None]
    own = own if group is None else own @ group.to(own)
    offset = torch.zeros(1, 2, device=device) if shift_px is None else shift_px.to(device)[None]
    spent_projector = spent_denoiser = 0.0
    residual = float("nan")
    for step in range(settings.steps):
        share = step / max(1, settings.steps - 1)
        views = round(settings.views_first * (settings.views_last / settings.views_first) ** share)
        sigma = settings.sigma_first * (settings.sigma_last / settings.sigma_first) ** share
        random = torch.from_numpy(random_rotations(max(1, views - 1), rng)).to(own)
        rotations = torch.cat([own, random])
        shifts = torch.cat([offset.expand(len(own), 2), torch.zeros(len(random), 2, device=device)])
        begun = time.perf_counter()
        ready = projector.views(rotations, shifts_px=shifts)
        density = projector.images(projector.slices(projector.transform(volume), ready), ready)
        spent_projector += time.perf_counter() - begun
        seen = scale.to_denoiser(density)
        anchored, free = seen[: len(own)] - average, seen[len(own) :]
        begun = time.perf_counter()
        eps = torch.randn(free.shape, generator=noise).to(device)
        noisy = free + sigma * eps * scale.disc
        clean = denoiser(noisy, torch.full((len(free),), sigma, device=device))
        spent_denoiser += time.perf_counter() - begun
        pulls = free - clean
        weight = max(1.0, settings.anchor * len(free)) / len(own)
        begun = time.perf_counter()
        gradient = projector.transform_adjoint(
            projector.insert(projector.coefficients(torch.cat([weight * anchored, pulls]), ready), ready)
        )
        spent_projector += time.perf_counter() - begun
        length = min(settings.step_size / (1 + len(free)), STABLE / (weight * len(own) + len(free)))
        volume = volume - (length / size) * gradient
        if settings.solvent:
            volume = volume.clamp_min(0.0) * mask
        residual = float(pulls.square().mean().sqrt())
        watch(step + 1, sigma, volume)
    return Distilled(volume, residual, spent_projector, spent_denoiser)
