"""Draw samples with any prior, evidence and sampler: the numerical core of a DPS run, without files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import SamplingError, SpecError
from engine.priors.edm import EdmDenoiser, HandOver
from engine.protocols import Denoiser, Observation, Points
from engine.sampling.guidance import GradientGuidance, ProximalGuidance, match_all
from engine.sampling.maximum_likelihood import maximum_likelihood
from engine.sampling.ode import heun
from engine.sampling.posterior import algorithm1, churn
from engine.sampling.proximal import renoising
from engine.sampling.schedules import SampleNoise, noise_levels
from engine.specs.samplers import Algorithm1, MaximumLikelihood, Proximal, SamplerSpec, Unconditional


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
    """

    number: int
    total: int
    sigma: float
    points: Points
    energies: Float[Tensor, "n observations"]
    stability: float | None = None


Watch = Callable[[Step], None]


class OneByOne:
    """A denoiser that evaluates each sample alone.

    On a CPU a batch brings no speed at 1024 points, but its matrix products may round differently:
    alone, a sample is the same to the last bit whatever it is drawn together with.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Clean estimates."""
        return torch.cat([self.denoiser(x[i : i + 1], sigma[i : i + 1]) for i in range(len(x))])


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
    seeds : one per sample; a sample depends on its seed alone.

    Raises
    ------
    SamplingError
        If a sample left the finite numbers.
    SpecError
        If the sampler needs evidence and there is none, or its noise levels are inverted.
    """
    if isinstance(sampler, Proximal) and isinstance(prior, EdmDenoiser):
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
            watch(Step(i + 1, sampler.steps, 0.0, x, energies))

        x = maximum_likelihood(
            observations,
            noise,
            points=points,
            steps=sampler.steps,
            learning_rate=sampler.learning_rate,
            on_step=seen,
        )
    else:
        x = _diffuse(prior, observations, sampler, noise, points, watch)
    if not bool(torch.isfinite(x).all()):
        raise SamplingError(
            "A sample left the finite numbers.", "Lower the guidance scale, or use the proximal sampler."
        )
    matches = match_all(observations, x)
    energies = [o.energy(x, m) for o, m in zip(observations, matches, strict=True)]
    return x, torch.stack(energies, dim=1) if energies else torch.zeros(len(x), 0)


def _diffuse(
    prior: Denoiser,
    observations: Sequence[Observation],
    sampler: Proximal | Algorithm1 | Unconditional,
    noise: SampleNoise,
    points: int,
    watch: Watch,
) -> Points:
    try:
        levels = noise_levels(sampler.steps, sampler.sigma_max, sampler.sigma_min, sampler.rho)
    except ValueError as exc:
        raise SpecError(f"The sampler's noise levels are inverted: {exc}.", "Lower sigma_min.") from exc
    denoiser: Denoiser = prior
    if isinstance(sampler, Proximal):
        denoiser = ProximalGuidance(
            prior, observations, sigma=sampler.observation_sigma, rounds=sampler.rounds
        )
    elif isinstance(sampler, Algorithm1):
        denoiser = GradientGuidance(
            prior, observations, alpha=sampler.alpha, levels=levels, clamp=sampler.clamp
        )

    def seen(i: int, sigma: float, x0: Points) -> None:
        energies = getattr(denoiser, "energies", torch.zeros(len(x0), 0))
        phi = float(denoiser.phi.max()) if isinstance(denoiser, GradientGuidance) else None
        watch(Step(i + 1, sampler.steps, sigma, x0, energies, phi))

    if isinstance(sampler, Proximal):
        return renoising(denoiser, levels, noise, points=points, zeta=sampler.zeta, on_step=seen)
    beta = churn("unconditional") if isinstance(sampler, Unconditional) else churn(sampler.beta)
    if isinstance(sampler, Unconditional) and sampler.method == "ode":
        return heun(denoiser, noise.normal(points, 3), levels, seen)
    # Without gradients: guidance switches them on for itself, where it needs them.
    with torch.no_grad():
        return algorithm1(denoiser, levels, noise, points=points, beta=beta, on_step=seen)
