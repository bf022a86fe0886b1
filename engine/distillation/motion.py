r"""Motion as a few numbers for each image: a low-rank model of the density, at low resolution.

Image i shows ``V_0 + sum_q z_iq V_q`` from its pose, with Gaussian errors whose variance depends on the ring
of frequencies, and ``z_i`` is normally distributed with mean 0 and variance 1: probabilistic principal
component analysis of maps that are seen in projection only (Tipping & Bishop 1999; Tagare et al. 2015;
Punjani & Fleet 2021, J. Struct. Biol. 213, 107702). Expectation-maximisation alternates between the normal
posterior of z, known in closed form, and the maps, :func:`.regress_maps`.

A motion by a large angle is no straight line in the space of densities, so the maps of this model are
blurred. They are not the result: what counts is which images show similar conformations, and coarse
features tell that best. What the posterior covariance of z keeps open is what a view cannot see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from engine.distillation.polar import samples_on_rings
from engine.distillation.pose_search import EPSILON, SMALLEST_VARIANCE, PoseSearch
from engine.forward.fourier_regression import regress_maps
from engine.numerics.symmetry import symmetrise

RIDGE = 0.1
"""Regularisation of the components, as a part of a shell's mean number of images."""


@dataclass(frozen=True)
class Motion:
    """Where each image stands in the motion.

    Attributes
    ----------
    latents : (n, q) posterior means of z, along components of falling strength.
    covariances : (n, q, q) of the posteriors.
    maps : (1 + q, z, y, x) the mean and the components, at low resolution.
    """

    latents: Float[Tensor, "n q"]
    covariances: Float[Tensor, "n q q"]
    maps: Float[Tensor, "maps z y x"]

    def distances(self) -> Float[Tensor, "n n"]:
        """:func:`squared_distances` of the latents."""
        return squared_distances(self.latents, self.covariances)


def squared_distances(
    latents: Float[Tensor, "n q"], covariances: Float[Tensor, "n q q"]
) -> Float[Tensor, "n n"]:
    """Squared distance between all images in units of what is known of both, 0 on the diagonal."""
    floor = 1e-3 * torch.eye(latents.shape[1]).to(latents)
    rows = []
    for latent, covariance in zip(latents, covariances, strict=True):
        difference = latents - latent
        solved = torch.linalg.solve(covariances + covariance + floor, difference)
        rows.append((difference * solved).sum(dim=1).clamp_min(0.0))
    return torch.stack(rows)


@torch.no_grad()
def fit_motion(
    images: PoseSearch,
    rotations: Float[Tensor, "n 3 3"],
    shifts_px: Float[Tensor, "n 2"],
    *,
    components: int,
    k_max: int,
    rounds: int,
    mask: Float[Tensor, "z y x"],
    seed: int,
    start: Motion | None = None,
    symmetry: str = "C1",
    watch: Callable[[int, Motion], None] = lambda number, motion: None,
) -> Motion:
    """Fit the model with poses as they are.

    Parameters
    ----------
    rotations, shifts_px : the pose of each image; shifts xy.
    components : q.
    k_max : largest ring used, cycles per box.
    rounds : of expectation-maximisation, at least one.
    mask : soft, where density may be.
    seed : of the random z to begin with.
    start : latents to begin with instead.
    symmetry : point group that the density keeps as it moves, in the map's own frame. The maps are averaged
        over it: at such low frequencies images are many, and none needs to be used at each element.
    watch : called after each round; may raise to stop.
    """
    if rounds < 1:
        raise ValueError("at least one round is needed")
    count, device = len(images.images), images.images.device
    power = images.power(k_max, samples_on_rings(k_max))
    variance = power.clone()
    if start is None:
        generator = torch.Generator().manual_seed(seed)
        latents = torch.randn(count, components, generator=generator).to(power)
        covariances = latents.new_zeros(count, components, components)
    else:
        latents, covariances = start.latents, start.covariances
    ridge = torch.full((1 + components,), RIDGE, device=device)
    ridge[0] = EPSILON
    motion: Motion | None = None
    for number in range(1, rounds + 1):
        one = latents.new_ones(count, 1)
        mean = torch.cat([one, latents], dim=1)
        second = mean[:, :, None] * mean[:, None]
        second[:, 1:, 1:] += covariances
        maps = regress_maps(
            images.projector, images.images, rotations, mean, second, ridge=ridge, k_max=k_max,
            shifts_px=shifts_px,
        )  # fmt: skip
        if symmetry != "C1":
            maps = torch.from_numpy(np.stack([symmetrise(m, symmetry) for m in maps.cpu().numpy()])).to(maps)
        maps = _standardised(maps * mask.to(maps), latents, covariances)
        latents, covariances, residual = _posterior(images, maps, rotations, shifts_px, variance)
        variance = torch.maximum(residual, SMALLEST_VARIANCE * power)
        motion = Motion(latents, covariances, maps)
        watch(number, motion)
    assert motion is not None
    return motion


def _standardised(maps: Tensor, latents: Tensor, covariances: Tensor) -> Tensor:
    """The same model with z of mean 0 and variance 1, and components apart, the strongest first."""
    mean = latents.mean(dim=0)
    apart = latents - mean
    spread = (apart.T @ apart + covariances.sum(dim=0)) / len(latents)
    root = torch.linalg.cholesky(spread + 1e-6 * torch.eye(len(spread), device=spread.device))
    flat = maps[1:].flatten(1)
    centre = maps[0] + (mean @ flat).view_as(maps[0])
    # of the maps as vectors only their inner products matter, and those are few
    scaled = root.T @ flat
    _, axes = torch.linalg.eigh(scaled @ scaled.T)
    components = axes.flip(1).T @ scaled
    return torch.cat([centre[None], components.view(-1, *maps.shape[1:])])


def _posterior(
    images: PoseSearch,
    maps: Tensor,
    rotations: Tensor,
    shifts_px: Tensor,
    variance: Float[Tensor, " rings"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Means and covariances of z for each image, and the mean squared error that is left in each ring."""
    k_max = len(variance)
    grid, polar = images.polar(k_max, samples_on_rings(k_max))
    polar = polar * grid.ramp(shifts_px)
    slices: Complex[Tensor, "n maps rings angles"] = torch.stack(
        [grid.slices(images.projector.transform(density), rotations) for density in maps], dim=1
    )
    weighted = slices * (grid.independent / (variance * grid.angles))[:, None]
    products = torch.einsum("nbra,ncra->nbc", weighted, slices.conj()).real
    pulled = torch.einsum("nbra,nra->nb", weighted.conj(), polar).real
    precision = products[:, 1:, 1:] + torch.eye(len(maps) - 1, device=products.device)
    covariances = torch.linalg.inv(precision)
    covariances = (covariances + covariances.mT) / 2
    latents = torch.einsum("nij,nj->ni", covariances, pulled[:, 1:] - products[:, 1:, 0])
    mean = torch.cat([latents.new_ones(len(latents), 1), latents], dim=1).to(slices.dtype)
    left = (polar - torch.einsum("nb,nbra->nra", mean, slices)).abs().square().mean(dim=2)
    moving = slices[:, 1:]
    open_still = torch.einsum("nira,nij,njra->nr", moving, covariances.to(moving.dtype), moving.conj())
    return latents, covariances, (left + open_still.real / grid.angles).mean(dim=0)
