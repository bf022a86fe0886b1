"""What a run of points will do, in words."""

from __future__ import annotations

from collections.abc import Sequence

from app.evidence import Evidence
from engine.specs.components import GaussianPrior, NetworkPrior, is_prior_name
from engine.specs.job import DpsSpec


def sentence(spec: DpsSpec, rows: Sequence[Evidence]) -> str:
    """A run in a sentence; ``rows`` are its evidence."""
    many = f"{spec.samples} cloud{'s' if spec.samples != 1 else ''} of {spec.points} points"
    prior = prior_words(spec.prior)
    parts = [row.phrase for row in rows]
    source = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    if spec.sampler.kind == "maximum_likelihood":
        return f"Fits {many} to {source}, without any prior, in {spec.sampler.steps} steps."
    if spec.sampler.kind == "unconditional":
        return f"Draws {many} from {prior} alone, in {spec.sampler.steps} steps."
    return f"Draws {many} from {source} with {prior}, in {spec.sampler.steps} steps."


def prior_words(prior: NetworkPrior | GaussianPrior) -> str:
    """A prior in words, as part of a sentence."""
    if isinstance(prior, GaussianPrior):
        return "the Gaussian control"
    if prior.weights == "shipped":
        return "the shipped prior"
    return f"the prior “{prior.weights}”" if is_prior_name(prior.weights) else "your own prior"
