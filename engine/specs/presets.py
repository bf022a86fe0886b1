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
from engine.specs.sds import ClassAveragesInput, ClosedFormDenoiser, Distillation, SdsSpec, TrainedDenoiser

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


@dataclass(frozen=True)
class SdsPreset:
    """A named starting point for volumes from class averages.

    Attributes
    ----------
    name : shown in menus, and given to ``--preset``.
    description : one sentence: what for.
    settings : the fields of a :class:`SdsSpec` that differ from its defaults.
    box : working box in pixels; 0 lets the preparation choose it.
    trained : whether it wants a trained denoiser, which the user must name.
    """

    name: str
    description: str
    settings: dict[str, Any]
    box: int = 0
    trained: bool = False

    def spec(self, averages: ClassAveragesInput, *, weights: str = "", **changes: Any) -> SdsSpec:
        """A description for these class averages.

        Parameters
        ----------
        averages : keeps its own box where the preset leaves the choice to the preparation.
        weights : file of the trained denoiser, where the preset wants one.
        changes : override fields of :class:`SdsSpec`.

        Raises
        ------
        SpecError
            If the preset wants a trained denoiser and none is named.
        """
        if self.trained and not weights:
            raise SpecError(
                f"The preset `{self.name}` needs a trained denoiser.",
                "Train one with `verglas train denoiser`, or choose another preset.",
            )
        denoiser = TrainedDenoiser(weights=weights) if self.trained else ClosedFormDenoiser()
        if self.box:
            averages = averages.model_copy(update={"box": self.box})
        return SdsSpec(**({"averages": averages, "denoiser": denoiser} | self.settings | changes))


_ALL_SDS = (
    SdsPreset(
        "first look",
        "Five starts at a small box with the closed-form denoiser: whether the images fit together.",
        {
            "restarts": 5,
            "refine_rounds": 6,
            "half_sets": False,
            "distillation": Distillation(steps=30, views_last=16),
        },
        box=40,
    ),
    SdsPreset("standard", "Ten starts that are compared, a refined consensus, and its half-set FSC.", {}),
    SdsPreset(
        "moving",
        "One volume per class average, from the consensus: for particles that change their shape.",
        {"volumes": "each"},
    ),
    SdsPreset(
        "paper",
        "As published: 600 steps from nothing for each class average, one noise level, a trained denoiser.",
        {
            "volumes": "each",
            "start": "nothing",
            "restarts": 1,
            "refine_rounds": 0,
            "half_sets": False,
            "distillation": Distillation(
                steps=600, views_first=8, views_last=64, sigma_first=0.4, sigma_last=0.4
            ),
        },
        trained=True,
    ),
)
SDS_PRESETS: dict[str, SdsPreset] = {preset.name: preset for preset in _ALL_SDS}


def sds_preset(name: str) -> SdsPreset:
    """A preset for volumes by name.

    Raises
    ------
    SpecError
        For an unknown name, with the known ones.
    """
    try:
        return SDS_PRESETS[name.replace("-", " ").replace("_", " ")]
    except KeyError as exc:
        raise SpecError(f"There is no preset `{name}`.", f"Choose one of: {', '.join(SDS_PRESETS)}.") from exc
