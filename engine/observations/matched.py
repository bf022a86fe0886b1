"""Evidence as points: the one form that projections, coarse maps and subunits share.

Möbius & Habeck 2024, eqs. 10 to 14: the energy of a measurement is the squared distance between the
object's points, seen through a linear map ``H``, and the measured points, after the best one-to-one
correspondence. Fewer measured points than object points are tiled (their ``U``); fewer still, a
subunit, claims only some of the object's points.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from engine.assignment.exact import Correspondence, assign_points, side_by_side
from engine.errors import SamplingError
from engine.protocols import Chosen, Match, Points


def multiplicities(weights: NDArray[np.floating], total: int, seed: int = 0) -> NDArray[np.int64]:
    """How often each measured point is used so that the counts sum to ``total``.

    Largest remainders; ties, as for equal weights, are broken by ``seed``. This is the paper's ``U``
    without its redrawing: drawing with replacement leaves an energy floor even at the truth.

    Parameters
    ----------
    weights : (m,).

    Raises
    ------
    SamplingError
        If no weight is positive or one is negative or not finite.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise SamplingError(
            "The weights of measured points must be positive numbers.", "Check the points' file."
        )
    share = weights / weights.sum() * total
    counts: NDArray[np.int64] = np.floor(share + 1e-9).astype(np.int64)
    remainder = share - counts
    order = np.lexsort((np.random.default_rng(seed).permutation(len(weights)), -np.round(remainder, 9)))
    counts[order[: total - counts.sum()]] += 1
    return counts


def cell_variance(targets: NDArray[np.floating], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Expected variance per coordinate (m,) of the mean of the points that share a measured point (m, d).

    A coarse point stands for the part of the object that is nearest to it. A cell as wide as the
    distance a to the nearest other points has variance a²/12 per coordinate; the mean of k points in it
    has one k-th of that. A point that stands for one object point has none.
    """
    if len(targets) < 2:
        return np.zeros(len(targets))
    neighbours = min(len(targets) - 1, 2 * targets.shape[1])
    distance, _ = cKDTree(targets).query(targets, k=neighbours + 1)
    cell: NDArray[np.float64] = distance[:, 1:].mean(axis=1)
    k = np.maximum(counts, 1)
    return np.asarray(cell**2 / 12 * (1 - 1 / k) / k)


class MatchedPoints:
    """Measured points seen through a linear map; an :class:`~engine.protocols.Observation`.

    Parameters
    ----------
    name : shown in tables and plots.
    projector : (d, 3) H; two rows of a rotation for a projection, the identity in 3D.
    targets : (m, d) measured points, normalised coordinates.
    points : N, points of the object.
    weights : (m,) relative masses of the measured points; None for equal masses.
    weight : of this observation among others.
    partial : the m targets are a known part: they claim m of the N points, one each.
    seed : of ties in the tiling.
    """

    def __init__(
        self,
        name: str,
        projector: NDArray[np.floating],
        targets: NDArray[np.floating],
        points: int,
        *,
        weights: NDArray[np.floating] | None = None,
        weight: float = 1.0,
        partial: bool = False,
        seed: int = 0,
    ) -> None:
        targets = np.asarray(targets, dtype=np.float64)
        if not np.isfinite(targets).all():
            raise SamplingError(f"{name}: some measured points are not finite.", "Check the points' file.")
        if partial:
            if len(targets) > points:
                raise SamplingError(
                    f"{name}: the known part has {len(targets)} points, the whole only {points}.",
                    "Give the part fewer points, or the whole more.",
                )
            rows, variance = np.arange(len(targets)), np.zeros(len(targets))
            self.correspondence: Correspondence | None = None
        else:
            counts = multiplicities(np.ones(len(targets)) if weights is None else weights, points, seed)
            rows = np.repeat(np.arange(len(targets)), counts)
            variance = cell_variance(targets, counts)
            self.correspondence = Correspondence(targets.astype(np.float32), counts)
        self.name, self.weight, self.partial = name, weight, partial
        self.projector = torch.as_tensor(np.asarray(projector), dtype=torch.float32)
        self.targets = torch.as_tensor(targets[rows], dtype=torch.float32)
        self.variance = torch.as_tensor(variance[rows], dtype=torch.float32)
        self.cell = torch.as_tensor(rows)
        self.share = 1 / torch.bincount(self.cell, minlength=len(targets)).clamp_min(1)
        # how far a single point may lie from the measured one that stands for its whole cell
        self.spread = self.variance / self.share[self.cell]

    def to(self, device: torch.device) -> MatchedPoints:
        """Move to a device, in place."""
        self.projector, self.targets = self.projector.to(device), self.targets.to(device)
        self.variance, self.cell = self.variance.to(device), self.cell.to(device)
        self.share, self.spread = self.share.to(device), self.spread.to(device)
        return self

    def seen(self, x0: Points) -> Float[Tensor, "n points d"]:
        """The object as this measurement sees it."""
        return x0 @ self.projector.T

    def match(self, x0: Points) -> Match:
        """Exact linear assignment of points to (tiled) targets; -1 where a part claims no point."""
        seen = self.seen(x0.detach())
        if self.correspondence is not None:
            return self.correspondence(seen)
        return assign_points(seen, self.targets.expand(len(seen), -1, -1))

    def rematch(
        self,
        x0: Points,
        covariance: Float[Tensor, "n points 3 3"],
        free: Chosen,
        before: Match | None,
        sigma: float,
    ) -> Match:
        """See :class:`~engine.protocols.Observation`: exact, in the free points' mean metric."""
        seen, h = self.seen(x0), self.projector
        match = seen.new_full(seen.shape[:2], -1, dtype=torch.int64) if before is None else before.clone()

        def one(i: int) -> tuple[Tensor, Tensor] | None:
            rows = free[i].nonzero()[:, 0]
            held = torch.arange(len(self.targets), device=rows.device) if before is None else match[i, rows]
            held = held[held >= 0]
            if not len(rows) or not len(held):
                return None
            error = sigma**2 + self.spread[held].mean()
            c = h @ covariance[i, rows].mean(0) @ h.T + error * torch.eye(len(h), device=h.device)
            white = torch.linalg.inv(torch.linalg.cholesky(c)).T
            points = (seen[i, rows] @ white)[None]
            if len(held) < len(rows):
                found = assign_points(points, (self.targets[held] @ white)[None])[0]
                return rows, torch.where(found >= 0, held[found.clamp_min(0)], -1)
            held = held[self.cell[held].argsort(stable=True)]
            counts = torch.unique_consecutive(self.cell[held], return_counts=True)[1]
            whole = self.targets[held[counts.cumsum(0) - 1]] @ white
            return rows, held[Correspondence(whole.cpu().numpy(), counts.cpu().numpy())(points)[0]]

        for i, changed in enumerate(side_by_side(one, len(free))):
            if changed is not None:
                match[i, changed[0]] = changed[1]
        return match

    def misfit(
        self, x0: Points, match: Match, sigma: float
    ) -> tuple[Float[Tensor, "n points"], Int64[Tensor, "n points"]]:
        """See :class:`~engine.protocols.Observation`; the error is ``sigma`` and the cell's width."""
        residual, chosen = self._residual(x0, match)
        error = sigma**2 + self.spread[match.clamp_min(0)]
        return self.weight * residual.square().sum(-1) / error, chosen.long() * residual.shape[-1]

    def _residual(
        self, x0: Points, match: Match
    ) -> tuple[Float[Tensor, "n points d"], Float[Tensor, "n points"]]:
        chosen = (match >= 0).to(x0.dtype)
        return (self.targets[match.clamp_min(0)] - self.seen(x0)) * chosen[..., None], chosen

    def energy(self, x0: Points, match: Match) -> Float[Tensor, " n"]:
        """Mean over matched points of the squared residual, normalised units² (eqs. 10 to 14)."""
        residual, chosen = self._residual(x0, match)
        return residual.square().sum((1, 2)) / chosen.sum(1)

    def _goals(self, x0: Points, row: Match) -> Float[Tensor, "n points d"]:
        """Where each point should be seen: its target, or its place after its cell's common move."""
        targets = self.targets[row]
        if self.partial or len(self.share) == len(self.cell):
            return targets
        seen, cell = self.seen(x0), self.cell[row]
        index = cell[..., None].expand_as(seen)
        sums = seen.new_zeros(len(seen), len(self.share), seen.shape[-1]).scatter_add(1, index, seen)
        mean = (sums * self.share[:, None]).gather(1, index)
        alone = (self.share[cell] == 1)[..., None]
        return torch.where(alone, targets, seen + targets - mean)

    def normal_equations(
        self, x0: Points, match: Match, sigma: float
    ) -> tuple[Float[Tensor, "n points 3 3"], Float[Tensor, "n points 3"]]:
        """See :class:`~engine.protocols.Observation`; the error is ``sigma`` and that of the cell's mean.

        A measured point that stands for several object points is their mean. So it moves them
        together, as far as their mean is off, and does not draw them to one spot.
        """
        row = match.clamp_min(0)
        precision = (match >= 0) * self.weight / (sigma**2 + self.variance[row])
        a = precision[..., None, None] * (self.projector.T @ self.projector)
        b = precision[..., None] * (self._goals(x0, row) @ self.projector)
        return a, b
