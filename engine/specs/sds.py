"""Run descriptions of score distillation: class averages in, volumes out; and of its 2D denoiser.

The method is *Score-based random tomography of dynamic structures*: a denoiser of 2D class averages
pulls random projections of a volume towards images that it knows, so poses are never needed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from engine.specs.components import Device, Model, field

SYMMETRIES = "C1, Cn, Dn, T, O, I"


FEWEST_FOR_MOTION = 50
"""Class averages; fewer don't tell motion from errors of poses."""


def checked_box(value: int) -> int:
    """A working box, or 0. Raises ValueError for one that is too small."""
    if value and value < 16:
        raise ValueError("A working box needs at least 16 pixels; 0 chooses one.")
    return value


def checked_symmetry(value: str) -> str:
    """A point group in capitals. Raises ValueError for what is none."""
    text = value.strip().upper()
    order = text[1:]
    if text in ("T", "O", "I") or (
        text[:1] in ("C", "D") and order.isdecimal() and 1 <= int(order) <= 60 and text != "D1"
    ):
        return text
    raise ValueError(f"`{value}` is no point group; give one of {SYMMETRIES}, e.g. D2.")


class ClassAveragesInput(Model):
    """Class averages (or other clean 2D images) with unknown poses."""

    file: str = field(
        help="Class averages: MRC stack, STAR, cryoSPARC .cs, EMAN .hdf, SPIDER, or npz with 2D points.",
        path=True,
    )
    select: tuple[int, ...] = field((), help="Which images to use, counted from 1; empty uses all.")
    pixel_size_A: float | None = field(
        None, help="Pixel size, where the files don't say or say it wrongly.", unit="Å", gt=0, le=100
    )
    contrast: Literal["auto", "white", "black"] = field(
        "auto", help="Whether the particle is white or black in the images."
    )
    box: int = field(
        0, help="Working box; images are resampled to it. 0 chooses: at most 64.", unit="px", ge=0, le=512
    )
    centre: bool = field(True, help="Move each particle to the middle of its image.")
    mask_diameter_A: float | None = field(
        None, help="Diameter of the circular mask; empty measures the particles.", unit="Å", gt=0, le=10000
    )

    @field_validator("box")
    @classmethod
    def _box_is_possible(cls, value: int) -> int:
        return checked_box(value)


class ClosedFormDenoiser(Model):
    """The exact denoiser of the images themselves, turned, mirrored and shifted: no training."""

    kind: Literal["closed_form"] = "closed_form"
    angle_step_deg: float = field(
        5.0, help="Spacing of the in-plane rotations of each image.", unit="°", gt=0, le=45, advanced=True
    )
    components: int = field(
        256, help="Principal components that stand for the turned images.", ge=8, le=4096, advanced=True
    )
    shift_px: float = field(
        0.0, help="Also shifted by this much in each direction; 0 for none.", unit="px", ge=0, le=8,
        advanced=True,
    )  # fmt: skip


class TrainedDenoiser(Model):
    """A trained 2D denoiser."""

    kind: Literal["trained"] = "trained"
    weights: str = field(help="A safetensors file made by `verglas train denoiser`.", path=True)


ImageDenoiserSpec = Annotated[ClosedFormDenoiser | TrainedDenoiser, Field(discriminator="kind")]


class Distillation(Model):
    """Score distillation (Algorithm 1): random projections are pulled towards what the denoiser knows."""

    steps: int = field(30, help="Gradient steps for each volume.", ge=1, le=100000)
    views_first: int = field(16, help="Random views in the first step.", ge=2, le=1024, advanced=True)
    views_last: int = field(
        32, help="Random views in the last step; grows geometrically.", ge=2, le=1024, advanced=True
    )
    sigma_first: float = field(
        0.8, help="Noise level of the first step, in units of the images' contrast.", gt=0, le=80
    )
    sigma_last: float = field(
        0.3, help="Noise level of the last step; equal to the first it is the paper's fixed level.",
        gt=0, le=80,
    )  # fmt: skip
    step_size: float = field(
        1.0, help="Step size α of the gradient; stable below 2.", gt=0, lt=2, advanced=True
    )
    anchor: float = field(
        1.0, help="Weight of a volume's own class average, as a share of the random views' weight; "
        "never less than that of one view.", ge=0, le=10, advanced=True,
    )  # fmt: skip
    solvent: bool = field(
        True, help="Keep density only inside a soft mask around the particle.", advanced=True
    )


class SdsSpec(Model):
    """Reconstruct volumes from class averages with unknown poses."""

    schema_version: Literal[1] = 1
    kind: Literal["sds"] = "sds"
    title: str = field("", help="A name for the run.")
    averages: ClassAveragesInput = field(help="The class averages.")
    denoiser: ImageDenoiserSpec = field(ClosedFormDenoiser(), help="What projections should look like.")
    volumes: Literal["one", "each"] = field(
        "one", help="`one`: a consensus volume; `each`: also one volume per class average, where it moves."
    )
    only: tuple[int, ...] = field(
        (), help="For `each`: the images that get a volume, counted from 1 among those used; empty: all.",
        advanced=True,
    )  # fmt: skip
    symmetry: str = field("C1", help=f"Point group of the particle ({SYMMETRIES}); imposed late.")
    restarts: int = field(10, help="Independent starts that are compared with each other.", ge=1, le=200)
    distillation: Distillation = field(Distillation(), help="Score distillation.")
    start: Literal["consensus", "nothing"] = field(
        "consensus", help="For `each`: where a volume starts from; `nothing` is the paper's.", advanced=True
    )
    motion_rounds: int = field(
        3, help="For `each`: rounds in which each pose is searched for among class averages of similar "
        "conformation, whose map a volume then starts from; 0: all start from the consensus.",
        ge=0, le=50,
    )  # fmt: skip
    motion_components: int = field(
        6, help="Numbers that tell how similar two conformations are.", ge=1, le=20, advanced=True
    )
    neighbours: int = field(
        40, help="How many class averages count as similar; at most a third of all.", ge=5, le=1000,
        advanced=True,
    )  # fmt: skip
    refine_rounds: int = field(
        12, help="Rounds of pose search with regularised back-projection; 0 leaves it out.", ge=0, le=200
    )
    half_sets: bool = field(
        True, help="Also refine two halves of the class averages separately, for their FSC."
    )
    seed: int = field(0, help="Same seed, same result (on the same device).", ge=0, le=2**31 - 1)
    device: Device = field("auto", help="Where to compute.")
    truth: str | None = field(
        None, help="A reference map to judge the result by; never used as input.", path=True
    )

    @field_validator("symmetry")
    @classmethod
    def _known_symmetry(cls, value: str) -> str:
        return checked_symmetry(value)

    @model_validator(mode="after")
    def _starts_from_something(self) -> SdsSpec:
        if self.volumes == "each" and self.start == "consensus" and not self.refine_rounds:
            raise ValueError("Volumes that start from the consensus need `refine_rounds` of at least 1.")
        return self


class TrainDenoiserSpec(Model):
    """Train a 2D denoiser on class averages."""

    schema_version: Literal[1] = 1
    kind: Literal["train_denoiser"] = "train_denoiser"
    title: str = field("", help="A name for the run.")
    averages: ClassAveragesInput = field(help="The class averages.")
    architecture: Literal["small", "paper", "ribosome"] = field(
        "small",
        help="`small` trains on two CPU cores; `paper` (3.9 M parameters) and `ribosome` (5.3 M) want a GPU.",
    )
    minutes: float = field(20.0, help="Stop after this much training time.", unit="min", gt=0, le=100000)
    max_steps: int = field(1_000_000, help="Or after this many steps.", ge=1)
    batch: int = field(16, help="Images per step.", ge=1, le=4096)
    learning_rate: float = field(1e-3, help="Peak learning rate of AdamW.", gt=0, le=1)
    warmup: int = field(100, help="Steps of linear warm-up.", ge=0, advanced=True)
    ema_decay: float = field(0.999, help="Decay of the weight average.", ge=0, lt=1, advanced=True)
    p_mean: float = field(-1.2, help="Mean of ln σ in training.", advanced=True)
    p_std: float = field(1.2, help="Spread of ln σ in training.", gt=0, advanced=True)
    shift: float = field(
        0.01, help="Largest random shift, as a share of the box.", ge=0, le=0.2, advanced=True
    )
    held_out: float = field(
        0.1, help="Share of the images kept back to measure the denoiser; at least one.", gt=0, lt=0.9,
        advanced=True,
    )  # fmt: skip
    start_from: str | None = field(None, help="Weights to start from (safetensors).", path=True)
    checkpoint_minutes: float = field(2.0, help="Time between checkpoints.", unit="min", gt=0, advanced=True)
    seed: int = field(0, help="Random seed.", ge=0, le=2**31 - 1)
    device: Device = field("auto", help="Where to compute.")
