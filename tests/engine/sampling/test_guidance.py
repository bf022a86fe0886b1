"""Guided denoisers against what they stand for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.observations.matched import MatchedPoints
from engine.priors.edm import GaussianDenoiser
from engine.sampling.guidance import GradientGuidance, ProximalGuidance
from engine.sampling.likelihood import Likelihood
from engine.sampling.matching import match_all, total_energy
from engine.sampling.proximal import renoising
from engine.sampling.schedules import SampleNoise, level, noise_levels
from tests.engine.sampling.gaussian_case import NOISE_SD, PRIOR_SD, ExactDenoiser, KnownMatch


def views(truth: Tensor, count: int, seed: int = 0) -> list[MatchedPoints]:
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        q *= np.sign(np.linalg.det(q))
        out.append(MatchedPoints(f"view {i}", q[:2], truth.double().numpy() @ q[:2].T, len(truth)))
    return out


def lumps(points: int = 200, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, 3, generator=g) * 0.4
    return centres[torch.randint(5, (points,), generator=g)] + 0.08 * torch.randn(points, 3, generator=g)


def test_proximal_guidance_is_exact_for_a_gaussian() -> None:
    """With the denoiser's true uncertainty as the prior variance, one prox gives E[x0 | x_t, y]."""
    sigma = 0.4
    x = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
    # The posterior variance of x0 given x_t is s²t²/(s²+t²); guidance assumes t². Asking at the level
    # t' with t'² = s²t²/(s²+t²), with the estimate fixed, must give the exact conditional mean.
    variance = PRIOR_SD**2 * sigma**2 / (PRIOR_SD**2 + sigma**2)
    estimate = GaussianDenoiser(PRIOR_SD)(x, level(sigma, x))
    guided = ProximalGuidance(lambda *_: estimate, Likelihood([KnownMatch()], sigma=NOISE_SD))
    exact = ExactDenoiser()(x, level(sigma, x))
    torch.testing.assert_close(guided(x, level(variance**0.5, x)), exact, atol=1e-5, rtol=1e-4)


def test_proximal_step_is_a_stationary_point() -> None:
    truth = lumps()
    observations = views(truth, 3)
    estimate = truth[None] + 0.1 * torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(2))
    guided = ProximalGuidance(lambda *_: estimate, Likelihood(observations, sigma=0.05))
    z = guided(estimate, level(0.2, estimate)).double().requires_grad_(True)
    matches = match_all(observations, estimate.float())
    misfit = (z - estimate).square().sum() / (2 * 0.2**2)
    for o, m in zip(observations, matches, strict=True):
        residual = z @ o.projector.double().T - o.targets.double()[m]
        misfit = misfit + residual.square().sum() / (2 * 0.05**2)
    (gradient,) = torch.autograd.grad(misfit, z)
    assert gradient.abs().max() < 1e-3 * (z - estimate).abs().max() / 0.2**2


def test_gradient_guidance_is_the_gradient_through_the_denoiser() -> None:
    levels = noise_levels(10, 1.0, 0.01, 3.0)
    truth = lumps(60)
    observations = views(truth, 2)
    prior = GaussianDenoiser(0.36)
    alpha, t = 7.0, levels[3]
    guided = GradientGuidance(prior, observations, alpha=alpha, levels=levels, clamp=None)
    x = (truth[None] + t * torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(4))).double()

    def root_energy(at: Tensor) -> Tensor:
        estimate = prior(at, level(t, at).double())
        matches = match_all(observations, estimate.float())
        return total_energy(
            [
                ((estimate @ o.projector.double().T - o.targets.double()[m]).square().sum(-1)).mean(1)
                for o, m in zip(observations, matches, strict=True)
            ],
            observations,
        ).sqrt()

    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    h = 1e-5
    slope = (root_energy(x + h * direction) - root_energy(x - h * direction)) / (2 * h)
    moved = guided(x.float(), level(t, x).float()).double() - prior(x, level(t, x).double())
    # -t² alpha grad E / sqrt(E) = -2 t² alpha grad sqrt(E)
    expected = -2 * t**2 * alpha * slope
    torch.testing.assert_close((moved * direction).sum().view(1), expected, rtol=2e-3, atol=1e-6)


def test_stability_number_is_the_moved_share_of_the_residual_and_is_clamped() -> None:
    levels = noise_levels(10, 1.0, 0.01, 3.0)
    truth = lumps(60)
    observations = views(truth, 2)
    x = truth[None] + 0.3 * torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(6))
    prior = GaussianDenoiser(0.36)
    free = GradientGuidance(prior, observations, alpha=1e5, levels=levels, clamp=None)
    safe = GradientGuidance(prior, observations, alpha=1e5, levels=levels, clamp=1.0)
    plain = prior(x, level(levels[2], x))
    far, near = free(x, level(levels[2], x)) - plain, safe(x, level(levels[2], x)) - plain
    assert float(safe.phi) == float(free.phi) > 1
    torch.testing.assert_close(near * float(free.phi), far, rtol=1e-4, atol=1e-5)


def test_proximal_sampler_recovers_what_three_projections_determine() -> None:
    truth = lumps(150)
    observations = views(truth, 3)
    guided = ProximalGuidance(GaussianDenoiser(0.4), Likelihood(observations, sigma=0.01))
    x = renoising(
        guided,
        noise_levels(30, 1.0, 0.005, 3.0),
        SampleNoise([1, 2]),
        points=150,
        zeta=1.0,
        on_step=lambda *_: None,
    )
    energies = torch.stack([o.energy(x, o.match(x)) for o in observations])
    # Bounded below by the stated error 0.01² and far below the object's own size 0.4².
    assert energies.max() < 2e-3
