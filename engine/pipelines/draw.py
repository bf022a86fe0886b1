"""Draw samples with any prior, evidence and sampler: the numerical core of a DPS run, without files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import SamplingError, SpecError
from engine.pipelines.one_by_one import OneByOne, one_core
from engine.priors.edm import EdmDenoiser, HandOver
from engine.protocols import Denoiser, Observation, Points
from engine.sampling.daps import daps
from engine.sampling.guidance import GradientGuidance, ProximalGuidance
from engine.sampling.likelihood import Likelihood
from engine.sampling.matching import match_all
from engine.sampling.maximum_likelihood import maximum_likelihood
from engine.sampling.ode import heun
from engine.sampling.posterior import algorithm1, churn
from engine.sampling.proximal import renoising
from engine.sampling.schedules import SampleNoise, noise_levels
from engine.sampling.split_gibbs import split_gibbs
from engine.sampling.steering import Resampling, Steering, everyone
from engine.specs.samplers import (
    Algorithm1,
    Annealed,
    Daps,
    MaximumLikelihood,
    Proximal,
    SamplerSpec,
    SplitGibbs,
    Unconditional,
)

SIGMA_DATA = 0.362
"""Standard deviation of a clean cloud's coordinates where a prior does not say it."""


@dataclass(frozen=True)
class Step:
    """What a watcher is told after each step.

    Attributes
    ----------
    number, total : of steps, counted from 1.
    sigma : noise level; 0 for maximum likelihood, which has none.
    points : (n, points, 3) clean estimate, normalised.
    energies : (n, observations) mean squared residual per point, normalised units².
    stability : largest unclamped stability number of gradient guidance, else None.
    resampled : how samples displaced each other at this step, where they did.
    """

    number: int
    total: int
    sigma: float
    points: Points
    energies: Float[Tensor, "n observations"]
    stability: float | None = None
    resampled: Resampling | None = None


Watch = Callable[[Step], None]


@one_core()
def draw(
    prior: Denoiser,
    observations: Sequence[Observation],
    sampler: SamplerSpec,
    seeds: Sequence[int],
    *,
    points: int,
    device: torch.device,
    watch: Watch,
) -> tuple[Float[Tensor, "n points 3"], Float[Tensor, "n observations"]]:
    """Samples and their energies, normalised coordinates.

    Parameters
    ----------
    prior : denoiser; maximum likelihood ignores it.
    observations : on ``device``; unconditional sampling ignores them.
    seeds : one per sample; a sample depends on its seed alone, unless the sampler steers.

    Raises
    ------
    SamplingError
        If a sample left the finite numbers.
    SpecError
        If the sampler needs evidence and there is none, or its noise levels are inverted.
    """
    spread = float(getattr(prior, "sigma_data", SIGMA_DATA))
    if isinstance(sampler, Annealed) and isinstance(prior, EdmDenoiser):
        try:
            prior = HandOver(prior, sampler.network_begin, sampler.network_end)
        except ValueError as exc:
            raise SpecError(f"The sampler's levels are inverted: {exc}.", "Lower network_end.") from exc
    prior = OneByOne(prior) if device.type == "cpu" else prior
    noise = SampleNoise(seeds, device)
    if not observations and not isinstance(sampler, Unconditional):
        raise SpecError(
            f"The sampler `{sampler.kind}` needs evidence.", "Add a projection, a map or a subunit."
        )
    if isinstance(sampler, MaximumLikelihood):

        def seen(i: int, x: Points, energies: Tensor) -> None:
            watch(Step(i + 1, sampler.steps * sampler.restarts, 0.0, x, energies))

        x = maximum_likelihood(
            observations,
            noise,
            points=points,
            steps=sampler.steps,
            learning_rate=sampler.learning_rate,
            annealing=sampler.annealing,
            restarts=sampler.restarts,
            on_step=seen,
        )
    else:
        try:
            levels = noise_levels(sampler.steps, sampler.sigma_max, sampler.sigma_min, sampler.rho)
        except ValueError as exc:
            raise SpecError(f"The sampler's noise levels are inverted: {exc}.", "Lower sigma_min.") from exc
        if isinstance(sampler, Annealed):
            x = _anneal(prior, spread, observations, sampler, levels, noise, seeds[0], points, watch)
        else:
            x = _diffuse(prior, observations, sampler, levels, noise, points, watch)
    if not bool(torch.isfinite(x).all()):
        raise SamplingError(
            "A sample left the finite numbers.", "Lower the guidance scale, or use the proximal sampler."
        )
    matches = match_all(observations, x)
    energies = [o.energy(x, m) for o, m in zip(observations, matches, strict=True)]
    return x, torch.stack(energies, dim=1) if energies else torch.zeros(len(x), 0)


def _anneal(
    prior: Denoiser,
    spread: float,
    observations: Sequence[Observation],
    sampler: Proximal | SplitGibbs | Daps,
    levels: Sequence[float],
    noise: SampleNoise,
    seed: int,
    points: int,
    watch: Watch,
) -> Points:
    """Samplers with exact likelihood steps."""
    likelihood = Likelihood(
        observations,
        sigma=sampler.observation_sigma,
        matching=sampler.matching,
        rounds=sampler.rounds,
        tolerance=sampler.tolerance,
    )
    steering = Steering(
        likelihood,
        sigma=sampler.observation_sigma,
        strength=sampler.steering,
        share=sampler.steering_share,
        seed=seed,
    )
    told = 0

    def seen(i: int, sigma: float, x0: Points) -> None:
        # samples are redrawn after a step is told: the next one tells it
        nonlocal told
        new = steering.log[-1] if len(steering.log) > told else None
        told = len(steering.log)
        watch(Step(i + 1, sampler.steps, sigma, x0, likelihood.energies, resampled=new))

    steer = steering if sampler.steering > 0 and len(noise.generators) > 1 else everyone
    if isinstance(sampler, Proximal):
        guided = ProximalGuidance(prior, likelihood)
        return renoising(guided, levels, noise, points=points, zeta=sampler.zeta, steer=steer, on_step=seen)
    with torch.no_grad():
        if isinstance(sampler, SplitGibbs):
            return split_gibbs(
                prior, likelihood, levels, noise,
                points=points, calls=sampler.calls, spread=spread, steer=steer, on_step=seen,
            )  # fmt: skip
        return daps(
            prior, likelihood, levels, noise,
            points=points, calls=sampler.calls, spread=spread, steer=steer, on_step=seen,
        )  # fmt: skip


def _diffuse(
    prior: Denoiser,
    observations: Sequence[Observation],
    sampler: Algorithm1 | Unconditional,
    levels: Sequence[float],
    noise: SampleNoise,
    points: int,
    watch: Watch,
) -> Points:
    """Algorithm 1, and samples of the prior alone."""
    denoiser: Denoiser = prior
    if isinstance(sampler, Algorithm1):
        denoiser = GradientGuidance(
            prior, observations, alpha=sampler.alpha, levels=levels, clamp=sampler.clamp
        )

    def seen(i: int, sigma: float, x0: Points) -> None:
        energies = getattr(denoiser, "energies", torch.zeros(len(x0), 0))
        phi = float(denoiser.phi.max()) if isinstance(denoiser, GradientGuidance) else None
        watch(Step(i + 1, sampler.steps, sigma, x0, energies, phi))

    beta = churn("unconditional") if isinstance(sampler, Unconditional) else churn(sampler.beta)
    if isinstance(sampler, Unconditional) and sampler.method == "ode":
        return heun(denoiser, noise.normal(points, 3), levels, seen)
    # Without gradients: guidance switches them on for itself, where it needs them.
    with torch.no_grad():
        return algorithm1(denoiser, levels, noise, points=points, beta=beta, on_step=seen)
