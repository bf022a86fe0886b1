"""What a reconstruction says about its own reliability: misfit, control, gauge, stated error."""

from __future__ import annotations

from engine.specs.samplers import SamplerSpec

STATED_SIGMA = 0.01
"""Error of the evidence, normalised units, where the sampler doesn't state one."""


def stated_sigma(sampler: SamplerSpec) -> float:
    """The error of the evidence per coordinate that a sampler works with, normalised units."""
    stated = getattr(sampler, "observation_sigma", None)
    return float(stated) if isinstance(stated, int | float) else STATED_SIGMA
