"""Ways to draw an ensemble: the samplers' settings. Torch-free, frozen, strict."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.specs.components import Model, field


def _none_word(value: Any) -> Any:
    """TOML has no empty value: where empty is not the default, the word ``none`` says it."""
    return None if value == "none" else value


class Annealed(Model):
    """What samplers with exact likelihood steps share."""

    steps: int = field(40, help="Noise levels from high to low.", ge=2, le=1000)
    sigma_max: float = field(1.0, help="Highest noise level.", gt=0, le=80, advanced=True)
    sigma_min: float = field(0.002, help="Lowest noise level.", gt=0, le=1, advanced=True)
    rho: float = field(3.0, help="Spacing of the noise levels.", gt=0, le=20, advanced=True)
    observation_sigma: float = field(
        0.01, help="Stated error of the evidence, in units of the frame's scale.", gt=0, le=1, advanced=True
    )
    matching: Literal["joint", "independent"] = field(
        "joint",
        help="How points are matched to the evidence: `joint` matches each view where the others expect the "
        "points and redraws points whose views disagree; `independent` matches each view by itself.",
    )
    tolerance: float = field(
        0.5,
        help="Points whose evidence disagrees by more than this many stated errors are matched anew "
        "(`joint` matching).",
        gt=0,
        le=100,
        advanced=True,
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
    steering: float = field(
        0.0,
        help="Feynman-Kac steering: how strongly samples with less misfit displace others while they are "
        "drawn; 0 leaves it out. The samples of a run then depend on each other, are all computed together, "
        "and differ less than they should.",
        ge=0,
        le=1000,
        advanced=True,
    )
    steering_share: float = field(
        0.5,
        help="Samples are redrawn when their effective number falls below this share (steering).",
        gt=0,
        le=1,
        advanced=True,
    )


class Proximal(Annealed):
    """Proximal posterior sampler (DiffPIR form): exact likelihood steps, nothing to tune."""

    kind: Literal["proximal"] = "proximal"
    zeta: float = field(1.0, help="Share of fresh noise in each step.", ge=0, le=1, advanced=True)


class SplitGibbs(Annealed):
    """Split Gibbs sampler (PnP-DM): draws the object given the data and given the prior in turn."""

    kind: Literal["split_gibbs"] = "split_gibbs"
    sigma_min: float = field(
        0.01, help="Lowest coupling of the two copies of the object.", gt=0, le=1, advanced=True
    )
    calls: int = field(
        2, help="Evaluations of the prior in each step; more draw better, and take longer.", ge=1, le=100
    )


class Daps(Annealed):
    """Decoupled annealing (DAPS): a guess by the flow, an exact draw near it, noise again in full."""

    kind: Literal["daps"] = "daps"
    steps: int = field(20, help="Noise levels from high to low.", ge=2, le=1000)
    calls: int = field(
        4, help="Evaluations of the prior in each step; more guess better, and take longer.", ge=1, le=100
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
    annealing: float = field(
        0.0,
        help="Noise on the points at the first step, in units of the frame's scale; it falls to 0.",
        ge=0,
        le=2,
        advanced=True,
    )
    restarts: int = field(
        1, help="Starts of each sample; the one that fits best is kept.", ge=1, le=1000, advanced=True
    )


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
    Proximal | SplitGibbs | Daps | Algorithm1 | MaximumLikelihood | Unconditional, Field(discriminator="kind")
]
DEFAULT_SAMPLER = Proximal()
"""What a run is drawn with unless it says otherwise; chosen by measurement (resources/help/accuracy.md)."""
