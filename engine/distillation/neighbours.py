"""A map for each image from the images whose conformation is near, and poses by such maps.

Kernel regression in the latent space of :mod:`.motion`: the map of image i is back-projected from all
images, each weighted by ``exp(-d_ij² / 2h²)``; h is chosen for each image so that a wanted number of
images counts. A pose is searched for against the map *without* the image itself: with a few tens of
images, a map shows its own members at whatever pose they have, and no pose would ever change.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from engine.distillation.local_search import best_nearby, likely_orientations
from engine.distillation.pose_search import PoseSearch, PosteriorPoses

SMALLEST = 0.02
"""Weights below this part of the largest are left out."""

CANDIDATES = 6
STEPS_DEG = (3.0, 1.5)
_HALVINGS = 50


def kernel_weights(
    distances: Float[Tensor, "n n"], effective: float, *, own: bool = True
) -> Float[Tensor, "n n"]:
    """Weights of all images in the map of each.

    Parameters
    ----------
    distances : squared, row by row of one image to all.
    effective : ``(sum w)² / sum w²`` of each row, from 1 to below n.
    own : whether an image counts in its own row, with weight 1; otherwise its weight is 0.

    Raises
    ------
    ValueError
        If there are not as many images.
    """
    count = len(distances)
    if not 1 <= effective < count:
        raise ValueError(f"{count} images can't count as {effective:.0f}")
    nearest = distances + torch.diag(distances.new_full((count,), torch.inf))
    # the nearest neighbour has weight 1, so that images far from all others have neighbours too
    apart = distances - nearest.amin(dim=1, keepdim=True)
    apart = apart.clamp_min(0.0)
    low = distances.new_full((count, 1), 1e-6).log()
    high = distances.new_full((count, 1), 1e9).log()

    def weights(log_width: Tensor) -> Tensor:
        found = torch.exp(-apart / (2 * log_width.exp()))
        return found.fill_diagonal_(1.0 if own else 0.0)

    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = weights(middle)
        enough = found.sum(1, keepdim=True) ** 2 / found.square().sum(1, keepdim=True) >= effective
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return weights(high)


def neighbour_map(
    images: PoseSearch,
    rotations: Float[Tensor, "n 3 3"],
    shifts_px: Float[Tensor, "n 2"],
    weights: Float[Tensor, " n"],
    *,
    k_max: int,
    mask: Float[Tensor, "z y x"],
    group: Float[Tensor, "order 3 3"] | None = None,
) -> Float[Tensor, "z y x"]:
    """The regularised map of all images, so weighted; density only inside the mask, none below zero."""
    rows = torch.nonzero(weights > SMALLEST * weights.max())[:, 0]
    poses = PosteriorPoses(
        rotations[rows, None], shifts_px[rows, None], weights[rows, None], weights[rows],
        weights.new_zeros(1), weights[rows],
    )  # fmt: skip
    volume = images.maximise(poses, k_max=k_max, rows=rows, group=group)
    return volume.clamp_min(0.0) * mask.to(volume)


def joined(coarse: Float[Tensor, "z y x"], fine: Float[Tensor, "z y x"], k: float) -> Float[Tensor, "z y x"]:
    """One map from the frequencies of another below and of a third above ``k`` cycles per box.

    The finer a shell, the more images it takes to fill it, and the less of it moves coherently: what
    few, near neighbours give at low frequencies takes more of them at high ones.
    """
    size = coarse.shape[-1]
    axis = torch.fft.fftfreq(size, 1 / size, device=coarse.device, dtype=coarse.dtype)
    half = torch.arange(size // 2 + 1, device=coarse.device, dtype=coarse.dtype)
    radius = torch.sqrt((axis * axis)[:, None, None] + (axis * axis)[:, None] + half * half)
    below = torch.sigmoid(k - radius)
    both = torch.fft.rfftn(coarse) * below + torch.fft.rfftn(fine) * (1 - below)
    joint: Tensor = torch.fft.irfftn(both, s=coarse.shape)
    return joint


class NeighbourSearch:
    """Searches for poses of single images, each against a map that doesn't contain it.

    Parameters
    ----------
    images : all of them.
    views : (views, 3, 3) orientations up to rotation in the plane, for the search over all of them.
    k_coarse, k_fine : largest ring of that search, and of the steps from the best.
    """

    def __init__(
        self, images: PoseSearch, views: Float[Tensor, "views 3 3"], *, k_coarse: int, k_fine: int
    ) -> None:
        self.images, self.views = images, views
        self._transform = images.projector.transform
        self._coarse, self._coarse_images = images.polar(k_coarse, 4 * k_coarse + 8)
        self._fine, self._fine_images = images.polar(k_fine, 4 * k_fine)
        self._coarse_weight, self._fine_weight = (
            images.whitening(grid.k_max, grid.angles)[:, None] for grid in (self._coarse, self._fine)
        )
        # the same for all maps, and most of the work
        self._taps = self._coarse.taps(views)

    @torch.no_grad()
    def __call__(
        self,
        row: int,
        volume: Float[Tensor, "z y x"],
        rotation: Float[Tensor, "3 3"],
        shift_px: Float[Tensor, " 2"],
        *,
        step_px: float,
    ) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 2"], float]:
        """The pose of one image, searched for over all orientations.

        Parameters
        ----------
        row : the image.
        volume : a map without it.
        rotation, shift_px : its pose so far, a candidate as well; its shift is where the search begins.
        step_px : of moves, in the first of the steps; half of it in the next.

        Returns
        -------
        rotation, shift_px, correlation.
        """
        transform = self._transform(volume)
        there = self._coarse_images[row] * self._coarse.ramp(shift_px[None])[0]
        slices = self._coarse.slices_at(transform, self._taps)
        found = likely_orientations(slices, there, self.views, self._coarse_weight, count=CANDIDATES)
        rotations = torch.cat([rotation[None], found])
        shifts = shift_px.expand(len(rotations), 2)
        scores = rotations.new_zeros(len(rotations))
        for number, step in enumerate(STEPS_DEG):
            rotations, shifts, scores = best_nearby(
                self._fine, transform, self._fine_images[row], rotations, shifts, self._fine_weight,
                step_deg=step, step_px=step_px / 2**number,
            )  # fmt: skip
            best = scores.topk(min(3, len(scores))).indices
            rotations, shifts, scores = rotations[best], shifts[best], scores[best]
        return rotations[0], shifts[0], float(scores[0])
