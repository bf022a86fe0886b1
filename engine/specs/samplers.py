"""Ways to draw an ensemble: the samplers' settings. Torch-free, frozen, strict."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.specs.components import Model, field


def _none_word(value: Any) -> Any:
    """TOML has no empty value: where empty is not the default, the word ``none`` says it."""
    return None if value == "none" else value


class Proximal(Model):
    """Proximal posterior sampler (DiffPIR form): exact likelihood steps, nothing to tune."""

    kind: Literal["proximal"] = "proximal"
    steps: int = field(40, help="Noise levels from high to low.", ge=2, le=1000)
    sigma_max: float = field(1.0, help="Highest noise level.", gt=0, le=80, advanced=True)
    sigma_min: float = field(0.002, help="Lowest noise level.", gt=0, le=1, advanced=True)
    rho: float = field(3.0, help="Spacing of the noise levels.", gt=0, le=20, advanced=True)
    zeta: float = field(1.0, help="Share of fresh noise in each step.", ge=0, le=1, advanced=True)
    observation_sigma: float = field(
        0.01, help="Stated error of the evidence, in units of the frame's scale.", gt=0, le=1, advanced=True
    )
    rounds: int = field(1, help="Assignment and proximal rounds per step.", ge=1, le=10, advanced=True)
    network_begin: float = field(
        0.4,
        help="Noise level below which the network begins to replace a Gaussian estimate.",
        gt=0,
        le=100,
        advanced=True,
    )
    network_end: float = field(
        0.1, help="Noise level below which the network speaks alone.", gt=0, le=100, advanced=True
    )


class Algorithm1(Model):
    """Diffusion posterior sampling as published (Algorithm 1), with a safe guidance scale."""

    kind: Literal["algorithm1"] = "algorithm1"
    steps: int = field(40, help="Noise levels from high to low.", ge=2, le=1000)
    sigma_max: float = field(1.0, help="Highest noise level.", gt=0, le=80, advanced=True)
    sigma_min: float = field(0.002, help="Lowest noise level.", gt=0, le=1, advanced=True)
    rho: float = field(3.0, help="Spacing of the noise levels.", gt=0, le=20, advanced=True)
    alpha: float = field(
        10000.0, help="Guidance scale α of the paper; the stability number is clamped to 1.", ge=0, le=1e7
    )
    beta: Literal["inverse", "inverse_then_zero"] = field(
        "inverse", help="Churn β(t): 1/t, or 1/t above t = 0.15 and 0 below.", advanced=True
    )
    clamp: Annotated[float | None, BeforeValidator(_none_word)] = field(
        1.0, help="Upper bound of the stability number φ; empty leaves it free.", gt=0, advanced=True
    )


class MaximumLikelihood(Model):
    """No prior: Adam on the energy from a uniform start. The paper's baseline."""

    kind: Literal["maximum_likelihood"] = "maximum_likelihood"
    steps: int = field(100, help="Optimiser steps.", ge=1, le=100000)
    learning_rate: float = field(0.01, help="Adam's step size, in units of the frame's scale.", gt=0, le=1)


class Unconditional(Model):
    """Samples of the prior alone: what Verglas believes before it sees any data."""

    kind: Literal["unconditional"] = "unconditional"
    method: Literal["stochastic", "ode"] = field(
        "stochastic",
        help="`stochastic` is the paper's, 100 steps; `ode` follows the probability flow without fresh noise "
        "(EDM's Heun), for which 30 steps with spacing 7 do.",
    )
    steps: int = field(100, help="Noise levels from high to low.", ge=2, le=1000)
    sigma_max: float = field(80.0, help="Highest noise level.", gt=0, le=80, advanced=True)
    sigma_min: float = field(0.002, help="Lowest noise level.", gt=0, le=1, advanced=True)
    rho: float = field(3.0, help="Spacing of the noise levels.", gt=0, le=20, advanced=True)


SamplerSpec = Annotated[
    Proximal | Algorithm1 | MaximumLikelihood | Unconditional, Field(discriminator="kind")
]
DEFAULT_SAMPLER = Proximal()
"""What a run is drawn with unless it says otherwise; chosen by measurement (resources/help/accuracy.md)."""
