"""Guidance is a denoiser: a prior and observations become one ``D(x, sigma)``.

Samplers never learn that observations exist; observations never learn about noise levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Observation, Points
from engine.sampling.likelihood import Likelihood
from engine.sampling.matching import match_all, total_energy


class ProximalGuidance:
    """``D'(x, t) = argmin_z |z - D(x, t)|² / 2 t² - log likelihood(z)``.

    The prior variance t² is that of the denoiser's estimate, taken cautiously: a Gaussian object of
    standard deviation s has the smaller ``s² t² / (s² + t²)``.

    Parameters
    ----------
    prior : denoiser.
    likelihood : finds correspondences; at fixed ones the step is one 3x3 solve per point.
    """

    def __init__(self, prior: Denoiser, likelihood: Likelihood) -> None:
        self.prior, self.likelihood = prior, likelihood

    @torch.no_grad()
    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Clean estimate that agrees with prior and evidence; all samples at one noise level."""
        return self.likelihood.mean(self.prior(x, sigma), float(sigma[0]) ** 2)


class GradientGuidance:
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

    Attributes
    ----------
    energies : (n, observations) of the last estimate, mean squared residual per point.
    phi : (n,) unclamped stability number of the last step.
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
        self.prior, self.observations = prior, observations
        self.energies: Float[Tensor, "n observations"] = torch.zeros(0, len(observations))
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
