"""Whole run descriptions: what the window, the command line and Slurm hand to the runner."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from engine.specs.components import Device, Model, NetworkPrior, ObservationSpec, PriorSpec, field
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.samplers import DEFAULT_SAMPLER, Annealed, SamplerSpec
from engine.specs.sds import SdsSpec, TrainDenoiserSpec

SCHEMA_VERSION: Final = 1


class FrameSpec(Model):
    """Where the object is and how large. Empty values are estimated from the evidence."""

    centre_A: tuple[float, float, float] | None = field(
        None,
        help="Centre of the object, x, y, z; empty takes the evidence's centroid.",
        unit="Å",
        advanced=True,
    )
    scale_A: float | None = field(
        None,
        help="Largest distance from the centre along an axis; empty takes it from the evidence.",
        unit="Å",
        gt=0,
        le=10000,
        advanced=True,
    )


class DpsSpec(Model):
    """Reconstruct an ensemble of point clouds from evidence and a prior."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["dps"] = "dps"
    title: str = field("", help="A name for the run.")
    observations: tuple[ObservationSpec, ...] = field((), help="The evidence: any mix.")
    prior: PriorSpec = field(NetworkPrior(), help="What is known before the data are seen.")
    sampler: SamplerSpec = field(DEFAULT_SAMPLER, help="How the ensemble is drawn.")
    frame: FrameSpec = field(FrameSpec(), help="Centre and size of the object.")
    samples: int = field(5, help="Members of the ensemble.", ge=1, le=1000)
    points: int = field(1024, help="Points of each cloud.", ge=64, le=4096, advanced=True)
    fine_points: int = field(
        0,
        help="Also split the points of each sample, for finer clouds of so many points, e.g. 4096: two to "
        "eight times `points`. Small details are drawn anew from finer evidence. 0 leaves it out.",
        ge=0,
        le=16384,
    )
    batch: int = field(
        0, help="Samples computed together; 0 chooses it. The result does not depend on it.", ge=0, le=1000,
        advanced=True,
    )  # fmt: skip
    control: int = field(
        3,
        help="Further clouds drawn from the same evidence without any knowledge of shapes: beside them it is "
        "seen what the prior put there. 0 leaves it out.",
        ge=0,
        le=100,
        advanced=True,
    )
    refine_poses: bool = field(
        True,
        help="Correct small errors of the projections' rotations, shifts and pixel sizes, where they "
        "contradict each other or the 3D evidence. Poses that agree stay as given.",
    )
    pose_error_deg: float = field(
        5.0,
        help="Typical error of the given rotations; none is turned by more than three times as much.",
        unit="°",
        gt=0,
        le=20,
        advanced=True,
    )
    shift_error_A: float | None = field(
        None,
        help="Typical error of the given shifts; none is moved by more than three times as much; empty takes "
        "a tenth of the object's half-width.",
        unit="Å",
        gt=0,
        le=1000,
        advanced=True,
    )
    pixel_size_error: float = field(
        1.5,
        help="Typical error of the projections' pixel sizes; none is changed by more than three times as "
        "much. 0 takes them as given.",
        unit="%",
        ge=0,
        le=5,
        advanced=True,
    )
    outlier_weight: float = field(
        1.0,
        help="Weight of projections that agree with none of the others, relative to those; 1 only tells "
        "which they are.",
        gt=0,
        le=1,
        advanced=True,
    )
    density_map: bool = field(
        True,
        help="Also make a density map from the samples and the images themselves: it shows what a thousand "
        "points can't hold. Needs projections as images and two samples.",
    )
    map_voxel_A: float | None = field(
        None,
        help="Voxel size of the density map; empty takes the images' pixels, or larger ones where the map "
        "would have more than 64 voxels a side.",
        unit="Å",
        gt=0,
        le=100,
        advanced=True,
    )
    seed: int = field(0, help="Same seed, same result (on the same device).", ge=0, le=2**31 - 1)
    device: Device = field("auto", help="Where to compute.")
    truth: str | None = field(
        None, help="A reference structure or map to judge the result by; never used as input.", path=True
    )

    @property
    def steered(self) -> bool:
        """Whether samples displace each other, so that all of a run are drawn together."""
        return isinstance(self.sampler, Annealed) and self.sampler.steering > 0

    @model_validator(mode="after")
    def _has_evidence(self) -> DpsSpec:
        if not self.observations and self.sampler.kind != "unconditional":
            raise ValueError(
                "No evidence given. Add at least one projection, map or subunit, "
                "or choose the `unconditional` sampler to look at the prior alone."
            )
        return self

    @model_validator(mode="after")
    def _splits(self) -> DpsSpec:
        times, rest = divmod(self.fine_points, self.points)
        if self.fine_points and (rest or not 2 <= times <= 8):
            raise ValueError(
                f"fine_points is {self.fine_points}, but must be 0 or 2 to 8 times points ({self.points})."
            )
        return self


class TrainPriorSpec(Model):
    """Train a 3D prior on a file of point clouds, or on a folder of structures."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["train_prior"] = "train_prior"
    title: str = field("", help="A name for the run.")
    clouds: str = field(
        help="Training clouds: npz with `points` (n, points, 3) in [-1, 1]³; or a folder of PDB and mmCIF "
        "files, from which clouds are built first.",
        path=True,
    )
    validation: str | None = field(
        None, help="Validation clouds, same format; empty holds out a few.", path=True
    )
    architecture: Literal["equivariant", "kernel", "point_e"] = field(
        "equivariant",
        help="`equivariant`: turns with its input, learns most in an hour; `kernel`: plain channels; "
        "`point_e`: the paper's transformer, wants a GPU. The others train on a CPU, too.",
    )
    width: int | None = field(None, help="Channels; empty takes the architecture's default.", ge=8, le=4096)
    layers: int | None = field(None, help="Blocks; empty takes the architecture's default.", ge=1, le=100)
    hours: float = field(1.0, help="Stop after this much training time.", unit="h", gt=0, le=10000)
    max_steps: int = field(100_000_000, help="Or after this many steps.", ge=1)
    batch: int = field(8, help="Clouds per step.", ge=1, le=4096)
    learning_rate: float = field(
        8e-4, help="Peak learning rate of AdamW; wide transformers want less, e.g. 1e-4.", gt=0, le=1
    )
    augment: Literal["SO3", "O3"] = field(
        "SO3", help="How clouds are turned: `SO3` rotates (molecules have a hand), `O3` also mirrors."
    )
    warmup: int = field(300, help="Steps of linear warm-up.", ge=0, advanced=True)
    precision: Literal["auto", "float32", "bfloat16"] = field(
        "auto",
        help="Of the products in a step; weights stay float32. `auto` takes bfloat16 where the processor "
        "multiplies it in hardware.",
        advanced=True,
    )
    accumulate: int = field(
        1, help="Parts of a batch computed one after the other, to save memory.", ge=1, le=4096, advanced=True
    )
    compile: bool = field(
        False, help="Compile the step (torch.compile): slow to begin with, faster on a GPU.", advanced=True
    )
    min_points: int = field(
        256, help="Clouds are thinned to between this many points and all of them.", ge=16, advanced=True
    )
    ema_decay: float = field(0.999, help="Decay of the weight average.", ge=0, lt=1, advanced=True)
    p_mean: float = field(-1.6, help="Mean of ln σ in training.", advanced=True)
    p_std: float = field(1.1, help="Spread of ln σ in training.", gt=0, advanced=True)
    high_noise: float = field(
        0.1,
        help="Share of clouds at ln σ ~ N(0.3, 1.2²), which samples without evidence begin with.",
        ge=0,
        le=1,
        advanced=True,
    )
    second_phase: float = field(
        0.0,
        help="Share of the training, at its end, with the paper's second distribution, ln σ ~ N(-1.2, 1.2²).",
        ge=0,
        le=1,
        advanced=True,
    )
    start_from: str | None = field(None, help="Weights to start from (safetensors).", path=True)
    checkpoint_minutes: float = field(5.0, help="Time between checkpoints.", unit="min", gt=0, advanced=True)
    seed: int = field(0, help="Random seed.", ge=0, le=2**31 - 1)
    device: Device = field("auto", help="Where to compute.")


JobSpec = Annotated[
    DpsSpec | TrainPriorSpec | SdsSpec | KnownPosesSpec | TrainDenoiserSpec, Field(discriminator="kind")
]
