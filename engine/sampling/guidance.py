"""Guidance is a denoiser: a prior and observations become one ``D(x, sigma)``.

Samplers never learn that observations exist; observations never learn about noise levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Match, Observation, Points


def match_all(observations: Sequence[Observation], x0: Points) -> list[Match]:
    """Correspondences of every observation at the given points.

    Observations are matched side by side, so that a single sample occupies all cores too; the
    assignments leave the GIL.
    """
    if len(observations) < 2:
        return [o.match(x0) for o in observations]
    with ThreadPoolExecutor(len(observations)) as pool:
        return list(pool.map(lambda o: o.match(x0), observations))


def total_energy(energies: Sequence[Tensor], observations: Sequence[Observation]) -> Float[Tensor, " n"]:
    """Weighted mean of the observations' energies (the paper's weights, 1/|y| each, if all are equal)."""
    weights = [o.weight for o in observations]
    return torch.stack([w * e for w, e in zip(weights, energies, strict=True)]).sum(0) / sum(weights)


class Guidance:
    """What both kinds share: a prior, evidence, and the energies of the last call.

    Attributes
    ----------
    energies : (n, observations) of the last estimate, mean squared residual per point.
    """

    def __init__(self, prior: Denoiser, observations: Sequence[Observation]) -> None:
        self.prior, self.observations = prior, observations
        self.energies: Float[Tensor, "n observations"] = torch.zeros(0, len(observations))

    def record(self, x0: Points, matches: Sequence[Match]) -> None:
        """Keep the energies of an estimate for whoever watches the run."""
        with torch.no_grad():
            each = [o.energy(x0, m) for o, m in zip(self.observations, matches, strict=True)]
        self.energies = torch.stack(each, dim=1)


class ProximalGuidance(Guidance):
    """``D'(x, t) = argmin_z |z - D(x, t)|² / 2 t² - log likelihood(z)``.

    At a fixed correspondence that is one 3x3 solve per point; correspondence and solve alternate
    ``rounds`` times. The prior variance t² is that of the denoiser's estimate.

    Parameters
    ----------
    sigma : stated error of the evidence, normalised units.
    rounds : of assignment and solve.
    """

    def __init__(
        self, prior: Denoiser, observations: Sequence[Observation], *, sigma: float, rounds: int
    ) -> None:
        super().__init__(prior, observations)
        self.sigma, self.rounds = sigma, rounds

    @torch.no_grad()
    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Clean estimate that agrees with prior and evidence."""
        estimate = self.prior(x, sigma)
        precision = sigma.square().reciprocal()[:, None, None]
        eye = torch.eye(3, device=x.device, dtype=x.dtype)
        z, matches = estimate, []
        for _ in range(self.rounds):
            matches = match_all(self.observations, z)
            a = (precision[..., None] * eye).expand(*x.shape, 3).clone()
            b = precision * estimate
            for observation, match in zip(self.observations, matches, strict=True):
                more_a, more_b = observation.normal_equations(z, match, self.sigma)
                a, b = a + more_a, b + more_b
            z = torch.linalg.solve(a, b)
        self.record(z, matches)
        return z


class GradientGuidance(Guidance):
    """Diffusion posterior sampling's guidance: ``s += -alpha grad_x E(D(x)) / sqrt(E)``.

    The paper prints ``zeta = alpha / sqrt(log p0)``, which is imaginary; ``alpha / sqrt(E)`` is what
    must be meant. Correspondences are solved at the detached estimate and held fixed while the
    gradient goes through the network. E is a mean over points, so that alpha does not depend on
    their number.

    A guidance step moves the points by the stability number
    ``phi = 2 t dt alpha / (points sqrt(E))`` times their residual; above 1 it overshoots. It is
    clamped, and its unclamped value is kept in ``phi``.

    Parameters
    ----------
    alpha : guidance scale.
    levels : the sampler's noise levels; the step dt at each follows from them.
    clamp : upper bound of phi; None leaves it free.
    """

    def __init__(
        self,
        prior: Denoiser,
        observations: Sequence[Observation],
        *,
        alpha: float,
        levels: Sequence[float],
        clamp: float | None,
    ) -> None:
        super().__init__(prior, observations)
        self.alpha, self.clamp = alpha, clamp
        self.phi: Float[Tensor, " n"] = torch.zeros(0)
        # The corrector takes the score at t_{i+1} with the step that ends there: the longer step counts.
        ends = list(zip(levels[:-1], levels[1:], strict=True))
        self.reach = {levels[0]: levels[0] * (levels[0] - levels[1])}
        for (before, at), (_, after) in zip(ends[:-1], ends[1:], strict=True):
            self.reach[at] = max(before * (before - at), at * (at - after))

    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Prior's estimate plus t² times the guidance score."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            estimate = self.prior(x, sigma)
            matches = match_all(self.observations, estimate)
            each = [o.energy(estimate, m) for o, m in zip(self.observations, matches, strict=True)]
            energy = total_energy(each, self.observations)
            (gradient,) = torch.autograd.grad(energy.sum(), x)
        self.energies = torch.stack(each, dim=1).detach()
        root = (energy.detach() + 1e-12).sqrt()
        t = float(sigma[0])
        reach = min(self.reach.items(), key=lambda item: abs(item[0] - t))[1]
        self.phi = 2 * reach * self.alpha / (x.shape[1] * root)
        safe = (
            torch.ones_like(root)
            if self.clamp is None
            else (self.clamp / self.phi.clamp_min(1e-12)).clamp_max(1)
        )
        step = (safe * self.alpha / root)[:, None, None] * gradient
        return (estimate - sigma.square()[:, None, None] * step).detach()
