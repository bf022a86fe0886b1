"""Poses of one image against one map: likely orientations on a grid, and small steps from each.

The score is the correlation of the image with the map's projection, all rings of frequencies weighted by
one over their power, and free of the map's scale: a map that is blurred by motion loses contrast, not rank.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.distillation.polar import PolarGrid, in_plane

APART_DEG = 10.0
"""Orientations nearer than this to a better one are no candidates of their own."""

_BEST_PLACES = 150


def likely_orientations(
    slices: Complex[Tensor, "views rings angles"],
    image: Complex[Tensor, "rings angles"],
    views: Float[Tensor, "views 3 3"],
    weight: Float[Tensor, "rings 1"],
    *,
    count: int,
) -> Float[Tensor, "found 3 3"]:
    """The best orientations of an image over all views and in-plane rotations, mutually apart.

    Parameters
    ----------
    slices : of the map in these views, on the polar grid of the image.
    weight : of each ring.
    count : how many are wanted; fewer may be found.
    """
    angles = image.shape[-1]
    half = angles // 2 + 1
    norms = (slices.abs().square() * weight).sum(dim=(1, 2)).sqrt().clamp_min(1e-12)
    pulled = torch.fft.fft(slices * weight, dim=2)[..., :half].conj()
    turned = torch.fft.fft(image, dim=1)[..., :half]
    scores = torch.fft.irfft((turned * pulled).sum(dim=1), n=angles, dim=1) / norms[:, None]
    _, index = scores.flatten().topk(min(_BEST_PLACES, scores.numel()))
    found = in_plane(index % angles * (2 * math.pi / angles)) @ views.to(slices.real)[index // angles]
    trace = torch.einsum("aij,bij->ab", found, found)
    near = trace > 1 + 2 * math.cos(math.radians(APART_DEG))
    left = torch.ones(len(found), dtype=torch.bool, device=near.device)
    chosen: list[int] = []
    while len(chosen) < count and bool(left.any()):
        best = int(left.float().argmax())
        chosen.append(best)
        left &= ~near[best]
    return found[chosen]


def best_nearby(
    grid: PolarGrid,
    transform: Complex[Tensor, "kx ky kz"],
    image: Complex[Tensor, "rings angles"],
    rotations: Float[Tensor, "m 3 3"],
    shifts_px: Float[Tensor, "m 2"],
    weight: Float[Tensor, "rings 1"],
    *,
    step_deg: float,
    step_px: float = 0.0,
) -> tuple[Float[Tensor, "m 3 3"], Float[Tensor, "m 2"], Float[Tensor, " m"]]:
    """From each of some poses the best of 27 turns about the axes of the view and, if asked for, 9 moves.

    Parameters
    ----------
    transform : of the map, by the grid's projector.
    image : on the grid.
    rotations, shifts_px : the poses; shifts xy.
    weight : of each ring.
    step_deg, step_px : sizes of a turn about one axis and of a move along one; no moves if 0.

    Returns
    -------
    rotations, shifts_px, scores : of the best pose near each; scores are correlations.
    """
    steps = torch.tensor([-1.0, 0.0, 1.0])
    vectors = torch.cartesian_prod(steps, steps, steps).numpy() * math.radians(step_deg)
    turns = torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).to(rotations)
    moves = shifts_px.new_zeros(1, 2)
    if step_px:
        moves = torch.cartesian_prod(steps, steps).to(shifts_px) * step_px
    candidates = turns @ rotations[:, None]
    places = shifts_px[:, None] + moves
    slices = grid.slices(transform, candidates.reshape(-1, 3, 3)).view(
        len(rotations), len(turns), *image.shape
    )
    moved = image * grid.ramp(places.reshape(-1, 2)).view(*places.shape[:2], *image.shape)
    product = torch.einsum("psra,pmra->psm", moved * weight, slices.conj()).real
    norm = (slices.abs().square() * weight).sum(dim=(2, 3)).sqrt().clamp_min(1e-12)
    scores = product / norm[:, None] / (image.abs().square() * weight).sum().sqrt().clamp_min(1e-12)
    top, best = scores.flatten(1).max(dim=1)
    row = torch.arange(len(rotations), device=best.device)
    return candidates[row, best % len(turns)], places[row, best // len(turns)], top
