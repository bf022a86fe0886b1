"""The likelihood step that all proximal samplers share: a Gaussian, once the correspondences are fixed.

With the object at ``N(centre, variance)`` before the data, and every point's targets known, what the data
add is quadratic: one 3x3 system per point. What remains is to find the correspondences.

``independent`` matches every measurement by itself at the present estimate, as published. Where two
back-projections cross, points then settle that no other view supports: ghosts. ``joint`` matches one
measurement after the other, each where all the others expect the points: a collapsed Gibbs scan, in which
the points are integrated out (``p(P_k | P_others, y)`` is an assignment in the metric of the points'
predictive covariance, narrow along common lines and wide across). It remembers correspondences from step to
step; points whose measurements disagree by more than the stated error forget theirs and are matched anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from engine.protocols import Chosen, Match, Observation, Points
from engine.sampling.matching import match_all
from engine.sampling.schedules import SampleNoise

Precision = Float[Tensor, "n points 3 3"]
Matching = Literal["joint", "independent"]


class Likelihood:
    """``p(x0 | centre, evidence)`` at the correspondences it finds: precision ``A``, mean ``A⁻¹ b``.

    Parameters
    ----------
    observations : the evidence.
    sigma : its stated error, normalised units.
    matching : how correspondences are found, see above.
    rounds : of finding correspondences and solving.
    tolerance : points forget their correspondences if their rms residual is more than this many expected
        errors (``joint``).

    Attributes
    ----------
    matches : correspondences of the last call, one per observation.
    energies : (n, observations) at the mean of the last call, mean squared residual per point.
    """

    def __init__(
        self,
        observations: Sequence[Observation],
        *,
        sigma: float,
        matching: Matching = "independent",
        rounds: int = 1,
        tolerance: float = 1.0,
    ) -> None:
        self.observations, self.sigma, self.rounds = observations, sigma, rounds
        self.matching, self.tolerance = matching, tolerance
        self.matches: list[Match] = []
        self.energies: Float[Tensor, "n observations"] = torch.zeros(0, len(observations))
        self._terms: list[tuple[Tensor, Tensor]] = []
        self._scans = 0

    @torch.no_grad()
    def mean(self, centre: Points, variance: float) -> Points:
        """Most probable object."""
        return self._solve(centre, variance)[0]

    @torch.no_grad()
    def draw(self, centre: Points, variance: float, noise: SampleNoise) -> Points:
        """An object at the found correspondences, ``N(A⁻¹ b, A⁻¹)``."""
        mean, precision = self._solve(centre, variance)
        root = torch.linalg.cholesky(precision)
        white = noise.normal(*centre.shape[1:])[..., None].to(mean.dtype)
        drawn: Tensor = mean + torch.linalg.solve_triangular(root.mT, white, upper=True)[..., 0]
        return drawn

    def reorder(self, chosen: Int64[Tensor, " n"]) -> None:
        """Go on with these samples of the batch, some perhaps more than once."""
        self.matches = [m[chosen] for m in self.matches]
        self._terms = [(a[chosen], b[chosen]) for a, b in self._terms]
        self.energies = self.energies[chosen]

    # ---- inside ---------------------------------------------------------------------------------

    def _solve(self, centre: Points, variance: float) -> tuple[Points, Precision]:
        eye = torch.eye(3, device=centre.device, dtype=centre.dtype)
        a0, b0 = (eye / variance).expand(*centre.shape, 3), centre / variance
        find = self._jointly if self.matching == "joint" else self._independently
        z = centre
        for _ in range(self.rounds):
            find(z, a0, b0)
            precision, b = self._sum(a0, b0)
            z = torch.linalg.solve(precision, b)
        each = [o.energy(z, m) for o, m in zip(self.observations, self.matches, strict=True)]
        self.energies = torch.stack(each, dim=1)
        return z, precision

    def _sum(self, a: Tensor, b: Tensor, known: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Prior's terms and those of the observations, for the points that ``known`` counts."""
        for i, (more_a, more_b) in enumerate(self._terms):
            share = None if known is None else known[i]
            a = a + (more_a if share is None else share[..., None, None] * more_a)
            b = b + (more_b if share is None else share[..., None] * more_b)
        return a, b

    def _independently(self, z: Points, a0: Precision, b0: Points) -> None:
        self.matches = match_all(self.observations, z)
        self._terms = [
            o.normal_equations(z, m, self.sigma) for o, m in zip(self.observations, self.matches, strict=True)
        ]

    def _jointly(self, z: Points, a0: Precision, b0: Points) -> None:
        count = len(self.observations)
        first = not self.matches
        free = torch.ones_like(z[..., 0], dtype=torch.bool) if first else self._disagreeing(a0, b0)
        if first:
            self._terms = [(torch.zeros_like(a0), torch.zeros_like(b0))] * count
        known = [(~free).to(z.dtype)] * count
        matches: list[Match | None] = [None] * count if first else [*self.matches]
        # each scan begins with another observation, so that none always has the last word
        for k in ((self._scans + i) % count for i in range(count)):
            o = self.observations[k]
            known[k] = torch.zeros_like(known[k])
            covariance = torch.linalg.inv(self._sum(a0, b0, known)[0])
            expected = (covariance @ self._sum(a0, b0, known)[1][..., None])[..., 0]
            matches[k] = match = o.rematch(expected, covariance, free, matches[k], self.sigma)
            self._terms[k] = o.normal_equations(expected, match, self.sigma)
            known[k] = torch.ones_like(known[k])
        self.matches = [m for m in matches if m is not None]
        self._scans += 1

    def _disagreeing(self, a0: Precision, b0: Points) -> Chosen:
        """Points whose measurements contradict each other, and those that too few see to contradict."""
        z = torch.linalg.solve(*self._sum(a0, b0))
        each = [o.misfit(z, m, self.sigma) for o, m in zip(self.observations, self.matches, strict=True)]
        freedom = torch.stack([numbers for _, numbers in each]).sum(0) - 3
        misfit = torch.stack([chi for chi, _ in each]).sum(0)
        return (freedom < 1) | (misfit > self.tolerance**2 * freedom)
