"""Poses and map by expectation-maximisation: explicit search over all orientations, then back-projection.

Model: class average i shows the map from an unknown direction, moved by an unknown small shift, with
independent Gaussian errors whose variance depends on the ring of frequencies only. Each round computes the
posterior of every image's orientation over the whole sphere of views (expectation) and the regularised
map of all images at their likely orientations (maximisation), and estimates the errors' variance from what
is left over: Scheres 2012 (J. Mol. Biol. 415, 406), for class averages and without a starting map. As the
map improves, the variance falls and the orientations sharpen by themselves; resolution grows from round
to round, so that coarse features find their place first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int64
from torch import Tensor

from engine.distillation.polar import PolarGrid, in_plane
from engine.forward.fourier_reconstruction import backproject_with_weights, shell_radius, wiener
from engine.forward.fourier_slice import SliceProjector

PADDING = 2.0
EPSILON = 0.03
"""Regularisation: what is added to each shell's denominator, as a part of its mean."""

SMALLEST_VARIANCE = 1e-3
"""Of a ring, as a part of the images' own: no map explains class averages better than that."""

_SCORES_AT_ONCE = 2**24
_GRIDS_KEPT = 3


@dataclass(frozen=True)
class PosteriorPoses:
    """The likeliest poses of each image, the likeliest first.

    Attributes
    ----------
    rotations : (n, k, 3, 3), ``x_view = R @ x``.
    shifts_px : (n, k, 2) xy: where the object's origin appears relative to pixel ``n // 2``.
    weights : (n, k) posterior probabilities among those kept, summing to 1.
    correlation : (n,) of the image with the map's projection at the first pose, rings weighted alike.
    residual : (rings,) mean squared difference at the first pose.
    log_evidence : (n,) log of the summed likelihood over all poses, up to a constant.
    """

    rotations: Float[Tensor, "n k 3 3"]
    shifts_px: Float[Tensor, "n k 2"]
    weights: Float[Tensor, "n k"]
    correlation: Float[Tensor, " n"]
    residual: Float[Tensor, " rings"]
    log_evidence: Float[Tensor, " n"]


class PoseSearch:
    """Expectation and maximisation for one set of images.

    Parameters
    ----------
    images : (n, box, box), zero where nothing is.
    """

    def __init__(self, images: Float[Tensor, "n y x"]) -> None:
        self.images = images
        self.projector = SliceProjector(images.shape[-1], padding=PADDING, device=images.device)
        self._shells = torch.round(shell_radius(self.projector)).long()
        self._polar: dict[tuple[int, int], tuple[PolarGrid, Complex[Tensor, "n rings angles"]]] = {}

    @property
    def box(self) -> int:
        """Side of images and map."""
        return self.images.shape[-1]

    def polar(self, k_max: int, angles: int) -> tuple[PolarGrid, Complex[Tensor, "n rings angles"]]:
        """The images on a polar grid; the last ones asked for are kept."""
        kept = self._polar.pop((k_max, angles), None)
        if kept is None:
            grid = PolarGrid(self.projector, k_max, angles)
            kept = grid, grid.images(self.images)
        self._polar[k_max, angles] = kept
        for old in list(self._polar)[:-_GRIDS_KEPT]:
            del self._polar[old]
        return kept

    def power(self, k_max: int, angles: int) -> Float[Tensor, " rings"]:
        """What differs between the images and with the angle, per ring: their mean tells no orientation."""
        _, images = self.polar(k_max, angles)
        return (images - images.mean(dim=(0, 2), keepdim=True)).abs().square().mean(dim=(0, 2))

    def whitening(self, k_max: int, angles: int) -> Float[Tensor, " rings"]:
        """Weights that let every ring count by its independent coefficients alone, whatever its power."""
        grid, _ = self.polar(k_max, angles)
        return grid.independent / self.power(k_max, angles)

    @torch.no_grad()
    def expect(
        self,
        volume: Float[Tensor, "z y x"],
        views: Float[Tensor, "views 3 3"],
        variance: Float[Tensor, " rings"],
        *,
        angles: int,
        shifts_px: Float[Tensor, "shifts 2"] | None = None,
        keep: int = 8,
        rows: Int64[Tensor, " rows"] | None = None,
    ) -> PosteriorPoses:
        """Posterior of the poses of some images, given a map.

        Parameters
        ----------
        views : orientations up to rotation in the plane, which is searched in ``angles`` steps.
        variance : (k_max,) of the errors in each ring, for unnormalised Fourier coefficients.
        shifts_px : shifts to try; None means none.
        keep : poses kept of each image.
        rows : which images; None means all.
        """
        grid, images = self.polar(len(variance), angles)
        images = images if rows is None else images[rows]
        shifts = images.real.new_zeros(1, 2) if shifts_px is None else shifts_px.to(images.real)
        slices = grid.slices(self.projector.transform(volume), views)
        weight = (grid.independent / (variance * angles))[:, None]
        half = angles // 2 + 1
        pulled = torch.fft.fft(slices * weight, dim=2)[..., :half].conj()
        power = 0.5 * (slices.abs().square() * weight).sum(dim=(1, 2))
        ramps = grid.ramp(shifts)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        step = max(1, _SCORES_AT_ONCE // (len(shifts) * len(views) * angles))
        for some in torch.split(images, step):
            moved = torch.fft.fft(some[:, None] * ramps, dim=3)[..., :half]
            products = torch.einsum("nsra,mra->nsma", moved, pulled)
            scores = torch.fft.irfft(products, n=angles, dim=3) - power[:, None]
            flat = scores.reshape(len(some), -1)
            top, index = flat.topk(min(keep, flat.shape[1]), dim=1)
            found.append((top, index, torch.logsumexp(flat, dim=1)))
        top, index, evidence = (torch.cat(part) for part in zip(*found, strict=True))
        turn, view = index % angles, index // angles % len(views)
        shift = index // (angles * len(views))
        rotations = in_plane(turn * (2 * math.pi / angles)) @ views.to(slices.real)[view]
        best = _turned(slices[view[:, 0]], turn[:, 0])
        there = images * ramps[shift[:, 0]]
        explained = 0.5 * (images.abs().square() * weight).sum(dim=(1, 2))
        return PosteriorPoses(
            rotations,
            shifts[shift],
            torch.softmax(top, dim=1),
            _correlation(there, best, self.whitening(grid.k_max, angles)),
            (there - best).abs().square().mean(dim=(0, 2)),
            evidence - explained,
        )

    @torch.no_grad()
    def maximise(
        self,
        poses: PosteriorPoses,
        *,
        k_max: int,
        group: Float[Tensor, "order 3 3"] | None = None,
        rows: Int64[Tensor, " rows"] | None = None,
    ) -> Float[Tensor, "z y x"]:
        """The regularised map of some images at their likely poses, without frequencies beyond ``k_max``.

        Parameters
        ----------
        group : rotations of a point group in its standard setting; every image is used at all of them.
        """
        count, kept = poses.weights.shape
        rows = torch.arange(count, device=self.images.device) if rows is None else rows
        used = (poses.weights > 1e-3).reshape(-1)
        which = rows[:, None].expand(count, kept).reshape(-1)[used]
        rotations = poses.rotations.reshape(-1, 3, 3)[used]
        shifts, weights = poses.shifts_px.reshape(-1, 2)[used], poses.weights.reshape(-1)[used]
        above: Tensor | None = None
        below: Tensor | None = None
        for element in group if group is not None else [None]:
            turned = rotations if element is None else rotations @ element.to(rotations)
            for part in torch.split(torch.arange(len(which), device=which.device), 256):
                top, bottom = backproject_with_weights(
                    self.projector, self.images[which[part]], turned[part], weights[part],
                    shifts_px=shifts[part],
                )  # fmt: skip
                above = top if above is None else above + top
                below = bottom if below is None else below + bottom
        assert above is not None
        assert below is not None
        return wiener(self.projector, above, below, self._tau2(below, k_max))

    def _tau2(self, denominator: Tensor, k_max: int) -> Float[Tensor, " shells"]:
        """One over a part of each shell's mean denominator; none beyond ``k_max``."""
        inner = denominator[-self._shells.shape[0] - 2 : -2]
        shells = self.box // 2 + 1
        index = self._shells.clamp_max(shells).reshape(-1)
        total = torch.zeros(shells + 1, device=inner.device, dtype=inner.dtype)
        count = torch.zeros_like(total)
        total.index_add_(0, index, inner.reshape(-1))
        count.index_add_(0, index, torch.ones_like(inner).reshape(-1))
        mean = (total / count.clamp_min(1))[:shells]
        tau2 = 1 / (EPSILON * mean.clamp_min(1e-12))
        return torch.where(torch.arange(shells, device=tau2.device) <= k_max, tau2, torch.zeros_like(tau2))


def _turned(
    slices: Complex[Tensor, "n rings angles"], steps: Int64[Tensor, " n"]
) -> Complex[Tensor, "n rings angles"]:
    angles = slices.shape[2]
    index = (torch.arange(angles, device=slices.device)[None] - steps[:, None]) % angles
    return torch.gather(slices, 2, index[:, None].expand(-1, slices.shape[1], -1))


def _correlation(
    a: Complex[Tensor, "n rings angles"],
    b: Complex[Tensor, "n rings angles"],
    weight: Float[Tensor, " rings"],
) -> Float[Tensor, " n"]:
    w = weight[:, None]
    product = ((a * b.conj()).real * w).sum(dim=(1, 2))
    norms = (a.abs().square() * w).sum(dim=(1, 2)) * (b.abs().square() * w).sum(dim=(1, 2))
    return product / norms.clamp_min(1e-30).sqrt()
