"""Split Gibbs, DAPS and DiffPIR on a Gaussian object with a linear measurement, where all is known.

Each step of these samplers is linear and Gaussian there, so the mean and variance that they end with follow
in closed form, direction by direction (two are measured, one is not). That is compared with their draws, and
with the posterior: what is left is the method's bias.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from engine.priors.edm import GaussianDenoiser
from engine.sampling.daps import daps
from engine.sampling.guidance import ProximalGuidance
from engine.sampling.likelihood import Likelihood
from engine.sampling.proximal import renoising
from engine.sampling.schedules import SampleNoise, noise_levels
from engine.sampling.split_gibbs import denoised, split_gibbs
from engine.sampling.steering import everyone
from tests.engine.sampling.gaussian_case import NOISE_SD, PRIOR_SD, H, KnownMatch, Y

POINTS = 40_000
ERROR = POINTS**-0.5
MEASURED, FREE = 1 / NOISE_SD**2, 0.0
# an orthonormal basis: the two measured directions, then the line of sight
BASIS = torch.stack([H[0], H[1], torch.linalg.cross(H[0], H[1])])


class Normal(NamedTuple):
    """Mean (in units of the measured value) and variance along one direction."""

    mean: float
    variance: float

    def scaled(self, factor: float, more: float = 0.0) -> Normal:
        return Normal(factor * self.mean, factor**2 * self.variance + more)

    def given(self, h: float, prior_variance: float, *, drawn: bool) -> Normal:
        """After a likelihood step of precision ``h`` about it."""
        a = 1 / prior_variance + h
        share = 1 / prior_variance / a
        more = 1 / a if drawn else 0.0
        return Normal(share * self.mean + h / a, share**2 * self.variance + more)


def gain(t: float) -> float:
    return PRIOR_SD**2 / (PRIOR_SD**2 + t**2)


def of_split_gibbs(levels: list[float], h: float) -> Normal:
    """Draws of the object given its copy are exact for a Gaussian, with any number of calls."""
    x = Normal(0.0, levels[0] ** 2)
    for rho in levels[:-2]:
        x = x.given(h, rho**2, drawn=True).scaled(gain(rho), gain(rho) * rho**2)
    return x.given(h, levels[-2] ** 2, drawn=False)


def of_daps(levels: list[float], calls: int, h: float) -> Normal:
    x = Normal(0.0, levels[0] ** 2)
    for t, t_next in zip(levels, levels[1:], strict=False):
        ends = [t * (levels[-2] / t) ** (i / (calls - 1)) for i in range(calls)] if calls > 1 else [t]
        for s, s_next in zip(ends, [*ends[1:], 0.0], strict=True):
            x = x.scaled(gain(s) + s_next / s * (1 - gain(s)))
        x = x.given(h, gain(t) * t**2, drawn=t_next > 0)
        x = x.scaled(1.0, t_next**2)
    return x


def of_diffpir(levels: list[float], h: float) -> Normal:
    x = Normal(0.0, levels[0] ** 2)
    for t, t_next in zip(levels, levels[1:], strict=False):
        x = x.scaled(gain(t)).given(h, t**2, drawn=False).scaled(1.0, t_next**2)
    return x


def posterior(h: float) -> Normal:
    a = 1 / PRIOR_SD**2 + h
    return Normal(h / a, 1 / a)


def run(name: str, levels: list[float], calls: int) -> Tensor:
    prior, noise = GaussianDenoiser(PRIOR_SD), SampleNoise([3])
    likelihood = Likelihood([KnownMatch()], sigma=NOISE_SD, matching="joint")

    def ignore(i: int, t: float, x: Tensor) -> None:
        pass

    if name == "diffpir":
        guided = ProximalGuidance(prior, likelihood)
        return renoising(guided, levels, noise, points=POINTS, zeta=1.0, on_step=ignore)[0]
    if name == "split_gibbs":
        sampler = split_gibbs
    else:
        sampler = daps
    return sampler(
        prior, likelihood, levels, noise,
        points=POINTS, calls=calls, spread=PRIOR_SD, steer=everyone, on_step=ignore,
    )[0]  # fmt: skip


def check(x: Tensor, predicted: tuple[Normal, Normal]) -> None:
    """Draws against mean and variance along the measured directions, and along the line of sight."""
    seen = x @ BASIS.T
    for direction, expected in enumerate((predicted[0], *predicted)):
        y = float(Y[direction]) if direction < 2 else 0.0
        spread = expected.variance**0.5
        assert abs(float(seen[:, direction].mean()) - y * expected.mean) < 4 * ERROR * spread
        assert float(seen[:, direction].var()) == pytest.approx(expected.variance, rel=6 * ERROR)
    assert (torch.corrcoef(seen.T) - torch.eye(3)).abs().max() < 4 * ERROR


LEVELS = noise_levels(60, 1.0, 0.02, 3.0)


@pytest.mark.parametrize("calls", [1, 3])
def test_split_gibbs_draws_the_posterior(calls: int) -> None:
    x = run("split_gibbs", LEVELS, calls)
    check(x, (of_split_gibbs(LEVELS, MEASURED), of_split_gibbs(LEVELS, FREE)))
    for h in (MEASURED, FREE):
        found, exact = of_split_gibbs(LEVELS, h), posterior(h)
        assert found.mean == pytest.approx(exact.mean, abs=0.02)
        # left from the first levels, which couple too loosely for a draw of the posterior
        assert found.variance == pytest.approx(exact.variance, rel=0.06)


def test_daps_with_one_call_is_exact() -> None:
    """The guess is the posterior mean, and r its true error."""
    levels = noise_levels(20, 1.0, 0.002, 3.0)
    x = run("daps", levels, 1)
    check(x, (of_daps(levels, 1, MEASURED), of_daps(levels, 1, FREE)))
    for h in (MEASURED, FREE):
        found, exact = of_daps(levels, 1, h), posterior(h)
        assert found.mean == pytest.approx(exact.mean, abs=1e-3)
        assert found.variance == pytest.approx(exact.variance, rel=1e-3)


def test_daps_with_a_longer_flow_spreads_too_far_where_nothing_was_measured() -> None:
    """A guess by the flow is itself a draw; the error about it is then counted twice, at every step."""
    levels = noise_levels(20, 1.0, 0.002, 3.0)
    x = run("daps", levels, 4)
    check(x, (of_daps(levels, 4, MEASURED), of_daps(levels, 4, FREE)))
    assert of_daps(levels, 4, MEASURED).variance == pytest.approx(posterior(MEASURED).variance, rel=0.03)
    assert of_daps(levels, 4, FREE).variance == pytest.approx(1.257 * posterior(FREE).variance, rel=1e-3)


def test_diffpir_has_less_than_half_the_posteriors_variance() -> None:
    """It takes the most probable object where the others draw one; its mean is right."""
    levels = noise_levels(40, 1.0, 0.002, 3.0)
    x = run("diffpir", levels, 1)
    check(x, (of_diffpir(levels, MEASURED), of_diffpir(levels, FREE)))
    assert of_diffpir(levels, MEASURED).mean == pytest.approx(posterior(MEASURED).mean, abs=3e-3)
    assert of_diffpir(levels, MEASURED).variance == pytest.approx(
        0.446 * posterior(MEASURED).variance, rel=2e-3
    )
    assert of_diffpir(levels, FREE).variance == pytest.approx(0.466 * posterior(FREE).variance, rel=2e-3)


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_an_object_given_its_noisy_copy_is_drawn_exactly(calls: int) -> None:
    rho, z = 0.3, torch.tensor([0.2, -0.1, 0.4]).expand(1, POINTS, 3)
    x = denoised(GaussianDenoiser(PRIOR_SD), z, rho, SampleNoise([5]), calls=calls, spread=PRIOR_SD)[0]
    variance = gain(rho) * rho**2
    assert (x.mean(0) - gain(rho) * z[0, 0]).abs().max() < 4 * ERROR * variance**0.5
    assert (torch.cov(x.T) / variance - torch.eye(3)).abs().max() < 6 * ERROR
