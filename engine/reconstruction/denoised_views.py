"""Annealed consensus of denoised views: images and what a denoiser makes of random views, as one problem.

The map V is improved from noise level to noise level. At level t,

1. random views: ``D_j = D(f_j V + t eps)``, what the denoiser takes the view for;
2. the images' own views: an image ``y_i`` with noise s and the map's projection with noise t are two
   measurements of one picture, so what is denoised is their mean weighted by precision, at the level
   ``(1/s² + 1/t²)^(-1/2)``; its answer and the image, weighted by their errors, are what the map must show;
3. both go into one regularised least-squares problem in Fourier space, solved for the *change* of V:
   ``dV = sum w r / (sum w + ridge)`` at each coefficient, r the residuals of all views;
4. density outside the mask and below zero is removed.

In the end the map is fitted to its images alone for some steps, fewer the noisier they are, which leaves
coefficients that no image measured as they are but for what mask and positivity make of them.

Compared with score distillation (:mod:`.score_distillation`) the residuals are the same. New are the weights
(noise is known), the division by how often a coefficient was seen (a step solves where a gradient creeps),
and that noisy images are themselves denoised. Relatives: DiffPIR (Zhu et al. 2023), whose proximal step this
is with a denoiser of 2D views lifted to 3D; DiffusionMBIR (Chung et al., arXiv 2211.10655).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_reconstruction import backproject_with_weights, fold, map_of, shell_radius
from engine.reconstruction.least_squares import StepWatch, data_map
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import RandomViews, ViewDenoiser, level
from engine.specs.known_poses import DenoisedViews

LEAST_LEVEL = 0.3
"""Noise level at which clean images meet what the denoiser knows: lower, it answers with its nearest one."""

START_STEPS = 30
"""Of projected gradients, from the images to the map that the first views are taken of."""


@torch.no_grad()
def denoised_views_map(
    problem: PosedProblem,
    denoiser: ViewDenoiser,
    settings: DenoisedViews,
    *,
    seed: int,
    start: Float[Tensor, "z y x"] | None = None,
    watch: StepWatch = lambda step, steps, volume: None,
) -> Float[Tensor, "z y x"]:
    """Make the map.

    Parameters
    ----------
    start : map to begin with; None begins with what the denoised images say.
    watch : called after each noise level with its number, their number, and the map; may raise to stop.

    Returns
    -------
    Tensor
        (n, n, n) density.
    """
    projector, views = problem.projector, RandomViews(seed, problem.images.device)
    count, order, size = len(problem.images), problem.order, problem.size
    expected = expected_images(problem, denoiser, settings.image_error)
    volume = data_map(replace(problem, images=expected), steps=START_STEPS) if start is None else start
    inside = shell_radius(projector) < size / 2
    trusted = 1 / problem.variance + 1 / settings.image_error**2
    own = problem.images.new_full((count * order,), trusted)
    rotations, shifts = problem.all_rotations, problem.repeated(problem.shifts_px)
    for step in range(settings.steps):
        sigma = level(settings.sigma_first, settings.sigma_last, step, settings.steps)
        turned = views.rotations(settings.views)
        random = projector.views(turned)
        transform = projector.transform(volume)
        seen = projector.images(projector.slices(transform, random), random)
        clean = denoiser.clean(seen, sigma, views.noise(len(seen), size))
        # one of the group's copies speaks for all: the map has the symmetry
        shown = projector.images(projector.slices(transform, problem.views), problem.views)
        expected = expected_images(
            problem, denoiser, settings.image_error, shown[::order], sigma, views.noise(count, size)
        )
        weight = settings.trust / (sigma**2 + settings.view_error**2)
        above, below = backproject_with_weights(
            projector, problem.repeated(expected) - shown, rotations, own, shifts_px=shifts
        )
        more, seen_often = backproject_with_weights(
            projector, clean - seen, turned, own.new_full((len(turned),), weight)
        )
        change = torch.where(inside, fold(above + more) / (fold(below + seen_often) + weight), 0.0)
        volume = problem.allowed(volume + map_of(projector, change))
        if problem.group is not None:
            volume = symmetrised(volume, problem)
        watch(step + 1, settings.steps, volume)
    # what is left of noise must not be fitted: the less the images themselves count, the fewer steps
    fit = round(settings.fit_steps / (1 + problem.variance / settings.image_error**2))
    return data_map(replace(problem, images=expected), steps=fit, start=volume) if fit else volume


@torch.no_grad()
def expected_images(
    problem: PosedProblem,
    denoiser: ViewDenoiser,
    error: float,
    shown: Float[Tensor, "views y x"] | None = None,
    sigma: float = 0.0,
    noise: Float[Tensor, "views y x"] | None = None,
) -> Float[Tensor, "views y x"]:
    """What the images show, noise taken off: image and denoiser's answer, weighted by their errors.

    Parameters
    ----------
    error : standard deviation of what the denoiser's answer differs from the truth by, in a pixel.
    shown : the map's projections at the images' poses; None leaves them out.
    sigma : noise level of the map's projections.
    noise : of unit variance, added to them.
    """
    image, answer = 1 / problem.variance, 1 / error**2
    if shown is None or noise is None:
        mixed, left = problem.images, problem.variance**0.5
    else:
        other = 1 / sigma**2
        total = image + other
        disc = denoiser.scale.disc
        mixed = (image * problem.images + other * (shown + sigma * noise * disc)) / total
        left = total**-0.5
    return (image * problem.images + answer * denoiser.clean(mixed, left)) / (image + answer)


@torch.no_grad()
def misfit(problem: PosedProblem, denoiser: ViewDenoiser) -> Float[Tensor, " views"]:
    """How far images are from all that the denoiser knows, as a share of their contrast, (views,).

    Root mean square difference between an image and its denoised version, less the noise, over the standard
    deviation of the image's signal, both within the mask. A library of the same particle leaves what lies
    between its views and conformations; one of other particles leaves more.
    """
    disc = denoiser.scale.disc
    inside = disc > 0.5
    clean = denoiser.clean(problem.images, max(math.sqrt(problem.variance), LEAST_LEVEL))
    squared = ((problem.images - clean) * disc).square().sum((1, 2)) / disc.square().sum()
    left = (squared - problem.noise**2).clamp_min(0)
    signal = (problem.images[:, inside].var(1) - problem.noise**2).clamp_min(1e-6)
    return (left / signal).sqrt()


def symmetrised(volume: Float[Tensor, "z y x"], problem: PosedProblem) -> Float[Tensor, "z y x"]:
    """Mean of a map over its point group, by trilinear interpolation."""
    assert problem.group is not None
    half = volume.shape[0] // 2
    axis = torch.arange(volume.shape[0], device=volume.device, dtype=volume.dtype) - half
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    places = torch.stack([x, y, z], -1).reshape(-1, 3)
    total = torch.zeros_like(volume)
    for rotation in problem.group.to(volume):
        where = (places @ rotation.T + half) * 2 / (volume.shape[0] - 1) - 1
        grid = where.view(1, *volume.shape, 3)
        total += torch.nn.functional.grid_sample(volume[None, None], grid, align_corners=True)[0, 0]
    return total / problem.order
