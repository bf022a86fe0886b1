"""Named starting points: from the evidence at hand to a whole description that can be changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import SpecError
from engine.specs.components import CoarseMap, CoarsePoints, GaussianPrior, ObservationSpec, ProjectionImages
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.known_poses import DenoisedViews, InlinePrior, KnownPosesSpec, Wiener
from engine.specs.samplers import Algorithm1, MaximumLikelihood, Proximal, Unconditional
from engine.specs.sds import (
    ClassAveragesInput,
    ClosedFormDenoiser,
    Distillation,
    SdsSpec,
    TrainedDenoiser,
)

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
        "quick look",
        "Two samples in few steps: whether the inputs are right, in under a minute on most computers.",
        lambda evidence: {"samples": 2, "sampler": Proximal(steps=20)},
    ),
    Preset(
        "standard",
        "Five samples with the proximal sampler: a result with a measure of its spread, in a minute or two.",
        lambda evidence: {"samples": 5, "sampler": Proximal()},
    ),
    Preset(
        "thorough",
        "Twenty samples in small steps: a smoother spread; about eight times as long as Standard.",
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
BASIC = ("quick look", "standard", "thorough")
"""What every kind of run has, from the shortest to the longest."""

_EARLIER = {"first look": "quick look", "quick": "quick look"}


def _known(name: str) -> str:
    """A name as in the tables, from one as typed or as it was called before."""
    plain = name.strip().lower().replace("-", " ").replace("_", " ")
    return _EARLIER.get(plain, plain)


def preset(name: str) -> Preset:
    """A preset by name.

    Raises
    ------
    SpecError
        For an unknown name, with the known ones.
    """
    try:
        return PRESETS[_known(name)]
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
        "quick look",
        "Five starts at a small box: whether the images fit together at all, in a minute or so.",
        {
            "restarts": 5,
            "refine_rounds": 6,
            "half_sets": False,
            "distillation": Distillation(steps=30, views_last=16),
        },
        box=40,
    ),
    SdsPreset(
        "standard",
        "Ten starts that are compared, a refined consensus, and its half-set FSC, in a few minutes.",
        {},
    ),
    SdsPreset(
        "thorough",
        "Thirty starts and twice the refinement: for images that fit together badly; three times as long.",
        {"restarts": 30, "refine_rounds": 24, "distillation": Distillation(steps=60, views_last=64)},
    ),
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
        return SDS_PRESETS[_known(name)]
    except KeyError as exc:
        raise SpecError(f"There is no preset `{name}`.", f"Choose one of: {', '.join(SDS_PRESETS)}.") from exc


@dataclass(frozen=True)
class TrainingPreset:
    """A named starting point for a training, or for known poses.

    Attributes
    ----------
    name : shown in menus, and given to ``--preset``.
    description : one sentence: what for, and how long it takes.
    settings : the fields of the spec that differ from its defaults.
    """

    name: str
    description: str
    settings: dict[str, Any]


DENOISER_PRESETS: dict[str, TrainingPreset] = {
    preset.name: preset
    for preset in (
        TrainingPreset(
            "quick look",
            "Three minutes: whether the training runs and the loss falls; too short to use.",
            {"minutes": 3.0},
        ),
        TrainingPreset("standard", "Twenty minutes on a CPU: a denoiser to make volumes with.", {}),
        TrainingPreset(
            "thorough", "Two hours: for hundreds of class averages, or a larger network.", {"minutes": 120.0}
        ),
    )
}
PRIOR_PRESETS: dict[str, TrainingPreset] = {
    preset.name: preset
    for preset in (
        TrainingPreset(
            "quick look",
            "Six minutes: whether the clouds are right and the loss falls; too short to use.",
            {"hours": 0.1},
        ),
        TrainingPreset("standard", "One hour: a prior of a few hundred shapes, or one that goes on.", {}),
        TrainingPreset("thorough", "A day: a prior of thousands of shapes.", {"hours": 24.0}),
    )
}
KNOWN_POSE_PRESETS: dict[str, TrainingPreset] = {
    preset.name: preset
    for preset in (
        TrainingPreset(
            "quick look",
            "Least squares alone: what the images themselves say, in seconds; the rest stays empty.",
            {"method": Wiener()},
        ),
        TrainingPreset(
            "standard", "The images, and what projections of such particles look like, in a minute.", {}
        ),
        TrainingPreset(
            "thorough",
            "Three times as many noise levels and twice as many views: for three or four images.",
            {"method": DenoisedViews(steps=90, views=24)},
        ),
        TrainingPreset(
            "paper",
            "Inline-prior guided score matching (IPSM), carried over to transmission images.",
            {"method": InlinePrior()},
        ),
    )
}
_TABLES: dict[str, dict[str, TrainingPreset]] = {
    "train_denoiser": DENOISER_PRESETS,
    "train_prior": PRIOR_PRESETS,
    "known_poses": KNOWN_POSE_PRESETS,
}
OWN = frozenset({"title", "seed", "device", "symmetry", "only", "truth"})
"""Fields that belong to the user or to the particle; presets leave them."""


def training_preset(kind: str, name: str) -> TrainingPreset:
    """A preset for ``train_denoiser``, ``train_prior`` or ``known_poses`` by name.

    Raises
    ------
    SpecError
        For an unknown name, with the known ones.
    """
    known = _TABLES[kind]
    try:
        return known[_known(name)]
    except KeyError as exc:
        raise SpecError(f"There is no preset `{name}`.", f"Choose one of: {', '.join(known)}.") from exc


def with_preset(spec: JobSpec, name: str) -> JobSpec:
    """A description with a preset's settings; what it says of the data and the particle stays.

    Raises
    ------
    SpecError
        For an unknown name, or a preset that wants a trained denoiser where none is named.
    """
    if isinstance(spec, DpsSpec):
        return spec.model_copy(update=preset(name).settings(spec.observations))
    if isinstance(spec, SdsSpec):
        chosen = sds_preset(name)
        kept = {field: getattr(spec, field) for field in SdsSpec.model_fields if field in OWN}
        weights = spec.denoiser.weights if spec.denoiser.kind == "trained" else ""
        if chosen.trained == bool(weights):
            kept["denoiser"] = spec.denoiser
        return chosen.spec(spec.averages, weights=weights, **kept)
    wanted = training_preset(spec.kind, name).settings
    if isinstance(spec, KnownPosesSpec):
        return spec.model_copy(update={"method": wanted.get("method", DenoisedViews())})
    fields = {
        field: wanted.get(field, info.default)
        for field, info in type(spec).model_fields.items()
        if field not in OWN and not info.is_required() and field not in ("validation", "start_from")
    }
    return spec.model_copy(update=fields)


def presets_of(kind: str) -> dict[str, str]:
    """Names and descriptions of the presets for a kind of run."""
    tables: dict[str, dict[str, Any]] = {"dps": PRESETS, "sds": SDS_PRESETS, **_TABLES}
    return {name: preset.description for name, preset in tables[kind].items()}
