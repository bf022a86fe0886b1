"""Named starting points: from the evidence at hand to a whole description that can be changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import SpecError
from engine.specs.components import (
    Algorithm1,
    CoarseMap,
    CoarsePoints,
    GaussianPrior,
    MaximumLikelihood,
    ObservationSpec,
    ProjectionImages,
    Proximal,
    Unconditional,
)
from engine.specs.job import DpsSpec

Evidence = Sequence[ObservationSpec]


@dataclass(frozen=True)
class Preset:
    """A named starting point.

    Attributes
    ----------
    name : shown in menus, and given to ``--preset``.
    description : one sentence: what for, and how long it takes.
    settings : from the evidence to the fields of a :class:`DpsSpec` that differ from its defaults.
    """

    name: str
    description: str
    settings: Callable[[Evidence], dict[str, Any]]

    def spec(self, evidence: Evidence, **changes: Any) -> DpsSpec:
        """A description for this evidence; ``changes`` override fields of :class:`DpsSpec`."""
        return DpsSpec(**({"observations": tuple(evidence)} | self.settings(evidence) | changes))


def published_alpha(evidence: Evidence) -> float:
    """The paper's guidance scale for cryo-EM data with this evidence.

    With a coarse map or fewer than three views 4000; three views 40000; four 60000; five and more
    80000 (its section on macromolecules; Table 4 for the household objects differs).
    """
    views = sum(_views(o) for o in evidence)
    if any(isinstance(o, CoarseMap | CoarsePoints) for o in evidence) or views < 3:
        return 4_000.0
    return {3: 40_000.0, 4: 60_000.0}.get(views, 80_000.0)


def _views(observation: ObservationSpec) -> int:
    if isinstance(observation, ProjectionImages):
        # How many a file holds is not known here; the paper's usual number stands in.
        return len(observation.select) or 5
    return 1 if observation.kind == "projection_points" else 0


def _paper(evidence: Evidence) -> dict[str, Any]:
    return {"samples": 10, "sampler": Algorithm1(steps=80, alpha=published_alpha(evidence))}


_ALL = (
    Preset(
        "first look",
        "Two samples in few steps: whether the inputs are right, in a minute or two on a CPU.",
        lambda evidence: {"samples": 2, "sampler": Proximal(steps=20)},
    ),
    Preset(
        "standard",
        "Five samples with the proximal sampler: a result with a measure of its spread.",
        lambda evidence: {"samples": 5, "sampler": Proximal()},
    ),
    Preset(
        "thorough",
        "Twenty samples in small steps: a smoother spread; wants a GPU or patience.",
        lambda evidence: {"samples": 20, "sampler": Proximal(steps=80)},
    ),
    Preset(
        "paper",
        "Algorithm 1 as published: ten samples, 80 noise levels, the published guidance scale.",
        _paper,
    ),
    Preset(
        "no prior",
        "Maximum likelihood, the paper's baseline: what the data alone say.",
        lambda evidence: {"samples": 5, "sampler": MaximumLikelihood()},
    ),
    Preset(
        "no shapes",
        "The same sampler with a Gaussian blob for a prior: what the learned shapes add to.",
        lambda evidence: {"samples": 5, "sampler": Proximal(), "prior": GaussianPrior()},
    ),
    Preset(
        "prior only",
        "Samples of the prior without any data: what Verglas believes before it looks.",
        lambda evidence: {"samples": 5, "sampler": Unconditional(), "observations": ()},
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def preset(name: str) -> Preset:
    """A preset by name.

    Raises
    ------
    SpecError
        For an unknown name, with the known ones.
    """
    try:
        return PRESETS[name.replace("-", " ").replace("_", " ")]
    except KeyError as exc:
        raise SpecError(f"There is no preset `{name}`.", f"Choose one of: {', '.join(PRESETS)}.") from exc
