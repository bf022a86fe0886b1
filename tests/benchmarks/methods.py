"""Ways to draw that accuracy is compared between: samplers, controls, and what each may spend.

A name ending in ``_g`` is the same sampler with the closed-form denoiser of an isotropic Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.specs.samplers import (
    DEFAULT_SAMPLER,
    Algorithm1,
    Daps,
    MaximumLikelihood,
    Proximal,
    SamplerSpec,
    SplitGibbs,
)
from tests.benchmarks.tasks import Task

EVALUATIONS = 79
"""Of the denoiser: Algorithm 1 with its 40 steps."""
POINTS = 1024  # at which the guidance scales hold: its effect goes with alpha / points


def alpha_for(task: Task, points: int) -> float:
    """Algorithm 1's guidance scale at 1024 points: the paper's, near the best of those tried on the dev half.

    With 256 points (two structures, RMSD after alignment, Å; alpha as for 1024 points): three views 9.3 with
    4e3, 7.0 with 6.4e4, 6.8 with 4e5, where all steps are clamped; one view and coarse points, the first
    structure, 9.6 with 4e3, 11.4 with 6.4e4 and 4e5.
    """
    if task.coarse:
        return 4e3
    whole = task.view_points >= points
    return {3: 4e4, 4: 6e4 if whole else 4e4, 5: 8e4}.get(task.views, 4e4)


@dataclass(frozen=True)
class Method:
    """A sampler, with the network or the Gaussian; ``calls`` of the denoiser for each of its steps."""

    sampler: SamplerSpec
    network: bool
    calls: int = 1
    words: str = ""

    def with_steps(self, steps: int) -> Method:
        """The same with another number of steps (never fewer than two)."""
        sampler = self.sampler.model_copy(update={"steps": max(2, steps)})
        return Method(sampler, self.network, self.calls, self.words)


def _both(name: str, sampler: SamplerSpec, calls: int, words: str) -> dict[str, Method]:
    return {
        name: Method(sampler, True, calls, words),
        f"{name}_g": Method(sampler, False, calls, f"{words}, Gaussian"),
    }


METHODS: dict[str, Method] = {
    "ml": Method(MaximumLikelihood(), False, 0, "maximum likelihood"),
    "aml": Method(
        MaximumLikelihood(annealing=0.3, restarts=3), False, 0, "annealed maximum likelihood, best of 3"
    ),
    "dps": Method(DEFAULT_SAMPLER, True, 1, "default sampler"),
    "gauss": Method(DEFAULT_SAMPLER, False, 1, "default sampler, Gaussian"),
    **_both("diffpir", Proximal(matching="independent"), 1, "DiffPIR, each view by itself"),
    **_both("split_gibbs", SplitGibbs(), 2, "split Gibbs"),
    **_both("daps", Daps(), 4, "DAPS"),
    **_both("a1", Algorithm1(), 2, "Algorithm 1"),
}


def at_equal_evaluations(name: str) -> Method:
    """With as many steps as make about :data:`EVALUATIONS` calls of the denoiser; ml and aml as they are."""
    method = METHODS[name]
    return method.with_steps(round(EVALUATIONS / method.calls + 0.01)) if method.calls else method


def method_for(name: str, task: Task, points: int, equal: str, alpha: float | None = None) -> Method:
    """A method for a task.

    Parameters
    ----------
    points : of the clouds; Algorithm 1's guidance scale goes with them.
    equal : ``steps`` leaves the samplers' own numbers of steps; otherwise at equal evaluations.
    alpha : guidance scale of Algorithm 1 at 1024 points; None takes :func:`alpha_for`.
    """
    method = METHODS[name] if equal == "steps" else at_equal_evaluations(name)
    if isinstance(method.sampler, Algorithm1):
        scale: Any = (alpha or alpha_for(task, points)) * points / POINTS
        sampler = method.sampler.model_copy(update={"alpha": scale})
        return Method(sampler, method.network, method.calls, method.words)
    return method
