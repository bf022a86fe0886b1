"""Algorithm 1 against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.priors.edm import GaussianDenoiser
from engine.sampling.guidance import GradientGuidance
from engine.sampling.posterior import algorithm1, churn
from engine.sampling.schedules import SampleNoise, level, noise_levels
from tests.engine.sampling.gaussian_case import PRIOR_SD, ExactDenoiser, KnownMatch, whitened

POINTS = 40_000
MONTE_CARLO = POINTS**-0.5  # standard error of a mean in whitened units


def ignore(i: int, sigma: float, x: Tensor) -> None:
    pass


def draw(denoiser: object, levels: list[float], beta: str = "inverse", seed: int = 3) -> Tensor:
    return algorithm1(
        denoiser,
        levels,
        SampleNoise([seed]),
        points=POINTS,
        beta=churn(beta),
        on_step=ignore,  # type: ignore[arg-type]
    )[0]


def test_reproduces_mean_and_covariance_of_a_gaussian_posterior() -> None:
    mean, covariance = whitened(draw(ExactDenoiser(), noise_levels(100, 80.0, 0.002, 3.0)))
    assert mean.abs().max() < 4 * MONTE_CARLO
    # a variance has standard error sqrt(2) MC, a covariance MC
    assert (covariance - torch.eye(3)).abs().max() < 6 * MONTE_CARLO


def test_the_papers_forty_steps_from_one_are_biased_by_little() -> None:
    # Started from N(0, 1) instead of the noised posterior: the mean is late by a few percent.
    mean, covariance = whitened(draw(ExactDenoiser(), noise_levels(40, 1.0, 0.002, 3.0)))
    assert mean.abs().max() < 0.12
    assert (covariance - torch.eye(3)).abs().max() < 0.05


def test_textbook_prefactors_would_not_be_algorithm_1() -> None:
    """One step by hand: both scores take the prefactor at t_i."""
    levels, noise = [1.0, 0.5, 0.2, 0.0], SampleNoise([1])
    seen: list[tuple[float, Tensor]] = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((float(sigma[0]), x.clone()))
        return 0.5 * x + 0.1

    algorithm1(denoiser, levels, noise, points=4, beta=lambda t: 1 / t, on_step=ignore)
    replay = SampleNoise([1])
    x = replay.normal(4, 3)
    s = (0.5 * x + 0.1 - x) / 1.0
    ahead = x + s * 0.5
    s_next = (0.5 * ahead + 0.1 - ahead) / 0.5**2
    expected = x + (1.0 + 1.0) * (s + s_next) * 0.5 / 2 + (2 * 1.0 * 0.5) ** 0.5 * replay.normal(4, 3)
    assert [t for t, _ in seen] == pytest.approx([1.0, 0.5, 0.5, 0.2, 0.2])
    torch.testing.assert_close(seen[2][1], expected)


def test_plain_guidance_is_biased_and_how() -> None:
    """Diffusion posterior sampling replaces p(y | x_t) by p(y | D(x_t)): known to be no posterior.

    The spread along the measured directions depends on alpha, from 13.6 times the posterior's variance
    (alpha 1e2) to 0.035 times (1e6), where the exact denoiser is within Monte-Carlo error.
    """
    levels = noise_levels(40, 1.0, 0.002, 3.0)
    guided = GradientGuidance(GaussianDenoiser(PRIOR_SD), [KnownMatch()], alpha=1e4, levels=levels, clamp=1.0)
    _, covariance = whitened(draw(guided, levels))
    measured = torch.linalg.eigvalsh(covariance)
    assert (measured - 1).abs().max() > 50 * MONTE_CARLO


@pytest.mark.parametrize(
    ("kind", "t", "value"),
    [
        ("inverse", 0.1, 10.0),
        ("inverse_then_zero", 0.2, 5.0),
        ("inverse_then_zero", 0.1, 0.0),
        ("unconditional", 4.0, 0.25),
        ("unconditional", 0.5, 1.0),
    ],
)
def test_churn_is_the_published_one(kind: str, t: float, value: float) -> None:
    assert churn(kind)(t) == pytest.approx(value)  # type: ignore[arg-type]


def test_noise_levels_fall_from_first_to_last_to_zero() -> None:
    levels = noise_levels(40, 1.0, 0.002, 3.0)
    assert len(levels) == 41
    assert levels[0] == pytest.approx(1.0)
    assert levels[39] == pytest.approx(0.002)
    assert levels[40] == 0.0
    assert all(a > b for a, b in zip(levels, levels[1:], strict=False))
    cubes = [t ** (1 / 3) for t in levels[:40]]
    assert cubes[0] - cubes[1] == pytest.approx(cubes[20] - cubes[21])
    with pytest.raises(ValueError, match="sigma_min"):
        noise_levels(40, 0.1, 0.2, 3.0)


def test_streams_belong_to_samples() -> None:
    together, alone = SampleNoise([5, 9]), SampleNoise([9])
    torch.testing.assert_close(together.normal(7, 3)[1], alone.normal(7, 3)[0], rtol=0, atol=0)
    torch.testing.assert_close(together.uniform(-1, 1, 4)[1], alone.uniform(-1, 1, 4)[0], rtol=0, atol=0)
    assert level(0.5, torch.zeros(3, 2, 3)).tolist() == [0.5] * 3
