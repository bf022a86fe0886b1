"""Run descriptions of known-pose reconstruction: a few images and their poses in, one volume out.

The third method, after *How to use diffusion priors under sparse views?* (Wang et al., arXiv 2412.02225), and
what it has to be compared with: regularised least squares, total variation, and the data alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from engine.specs.components import Device, Model, field
from engine.specs.sds import (
    SYMMETRIES,
    ClassAveragesInput,
    ClosedFormDenoiser,
    TrainedDenoiser,
    checked_box,
    checked_symmetry,
)


class PosedImages(Model):
    """Images whose poses are known."""

    poses: str = field(
        help="RELION STAR or cryoSPARC .cs file with 3D poses, or the folder of a finished run that found "
        "them.",
        path=True,
    )
    images: str | None = field(
        None, help="Image stack (.mrcs, .mrc); empty takes what the poses name.", path=True
    )
    select: tuple[int, ...] = field((), help="Which rows to use, counted from 1; empty uses all.")
    pixel_size_A: float | None = field(
        None, help="Pixel size, where the files don't say or say it wrongly.", unit="Å", gt=0, le=100
    )
    contrast: Literal["auto", "white", "black"] = field(
        "auto", help="Whether the particle is white or black in the images."
    )
    box: int = field(
        0, help="Working box; images are resampled to it. 0 chooses: at most 64.", unit="px", ge=0, le=512
    )
    mask_diameter_A: float | None = field(
        None, help="Diameter of the particle; empty measures it.", unit="Å", gt=0, le=10000
    )
    centre: Literal["poses", "mass"] = field(
        "poses",
        help="Where the particle's origin is in each image: `poses` takes the shifts of the file, `mass` the "
        "centre of mass that clean images show.",
        advanced=True,
    )
    equal_contrast: bool = field(
        False,
        help="Give each image the same contrast: for class averages that were normalised one by one.",
        advanced=True,
    )

    @field_validator("box")
    @classmethod
    def _box_is_possible(cls, value: int) -> int:
        return checked_box(value)


# ---- methods --------------------------------------------------------------------------------------


class Wiener(Model):
    """Regularised least squares in Fourier space: what was not measured stays empty. The baseline."""

    kind: Literal["wiener"] = "wiener"


class DataOnly(Model):
    """Least squares on voxels, density only inside a mask and above zero: no knowledge of shapes."""

    kind: Literal["data"] = "data"
    steps: int = field(60, help="Gradient steps; more also fit more of the noise.", ge=1, le=100000)


class TotalVariation(Model):
    """Least squares with the smallest total variation: density in few flat pieces."""

    kind: Literal["total_variation"] = "total_variation"
    steps: int = field(100, help="Accelerated proximal gradient steps.", ge=1, le=100000)
    strength: float = field(
        0.003,
        help="Weight of the total variation, in units of the images' noise; more makes fewer pieces.",
        gt=0,
        le=100,
    )


class _Distillation(Model):
    """What all methods share that ask a 2D denoiser about random views."""

    steps: int = field(40, help="Steps; each projects the volume in new random directions.", ge=1, le=100000)
    views: int = field(12, help="Random views in each step.", ge=2, le=1024)
    sigma_first: float = field(
        0.8, help="Noise level of the first step, in units of the images' contrast.", gt=0, le=80
    )
    sigma_last: float = field(0.2, help="Noise level of the last step.", gt=0, le=80)


class _Descent(_Distillation):
    """What methods share that go down a gradient."""

    step_size: float = field(
        1.0, help="Step size of the gradient; stable below 2.", gt=0, lt=2, advanced=True
    )


class PosedSds(_Descent):
    """Score distillation with poses: the images hold, random views are pulled to what the denoiser knows."""

    kind: Literal["sds"] = "sds"
    weight: float = field(3.0, help="Weight of the random views beside the images' 1.", gt=0, le=100)


class InlinePrior(_Descent):
    """Inline-prior guided score matching (IPSM): the denoiser is first told what the images imply."""

    kind: Literal["ipsm"] = "ipsm"
    weight: float = field(3.0, help="Weight λ of the score-matching terms.", gt=0, le=100)
    eta_r: float = field(
        1.0, help="Weight η_r of the pull to the rectified distribution; 0.1 in the paper.", ge=0, le=10
    )
    eta_2: float = field(
        1.0, help="Weight η_2 of the pull from the rectified to the denoiser's distribution.", ge=0, le=10
    )
    geometry: float = field(
        3.0,
        help="Weight λ_g of geometry consistency: what the images fix of an unseen view holds in it.",
        ge=0,
        le=100,
    )

    @model_validator(mode="after")
    def _pulls_somewhere(self) -> InlinePrior:
        if not self.eta_r + self.eta_2:
            raise ValueError("η_r and η_2 are both 0: no denoiser would be asked. Use method `data`.")
        if self.eta_2 and self.geometry < 1:
            # inside the mask the second term descends away from the data
            raise ValueError("With η_2 above 0, the geometry's weight must be at least 1.")
        return self


class DenoisedViews(_Distillation):
    """Annealed consensus of denoised views.

    At each noise level, random views are denoised, and they and the images make one least-squares problem.
    """

    kind: Literal["denoised_views"] = "denoised_views"
    steps: int = field(30, help="Noise levels, from high to low.", ge=2, le=100000)
    views: int = field(12, help="Random views denoised at each level.", ge=2, le=1024)
    sigma_first: float = field(
        1.5, help="Highest noise level, in units of the images' contrast.", gt=0, le=80
    )
    sigma_last: float = field(0.3, help="Lowest noise level.", gt=0, le=80)
    trust: float = field(0.3, help="Weight of a denoised random view beside that of an image.", gt=0, le=100)
    view_error: float = field(
        0.6, help="Error of a denoised random view without noise, in units of the images' contrast.",
        gt=0, le=10, advanced=True,
    )  # fmt: skip
    image_error: float = field(
        0.25, help="Error of a denoised image: less makes noisy images follow the denoiser.", gt=0, le=10,
        advanced=True,
    )  # fmt: skip
    fit_steps: int = field(
        60,
        help="Gradient steps at the end that fit the map to the images alone; fewer for noisy ones.",
        ge=0,
        le=100000,
        advanced=True,
    )


MethodSpec = Annotated[
    Wiener | DataOnly | TotalVariation | PosedSds | InlinePrior | DenoisedViews, Field(discriminator="kind")
]
ASKS_DENOISER = ("sds", "ipsm", "denoised_views")
"""Kinds of methods that need a 2D denoiser."""

TAKES_GAUSSIANS = ("data", "sds", "ipsm")
"""Kinds of methods that can also move Gaussians instead of voxels."""


class GaussianImages(Model):
    """The control: the closed-form denoiser of images with the library's power spectrum and nothing else."""

    kind: Literal["gaussian"] = "gaussian"


PosedDenoiserSpec = Annotated[
    ClosedFormDenoiser | TrainedDenoiser | GaussianImages, Field(discriminator="kind")
]


class Voxels(Model):
    """A value for each voxel."""

    kind: Literal["voxels"] = "voxels"


class GaussianSplats(Model):
    """A sum of 3D Gaussians, projected exactly; split and pruned where the images ask for it."""

    kind: Literal["gaussians"] = "gaussians"
    count: int = field(1000, help="Gaussians to begin with.", ge=16, le=100000)
    most: int = field(4000, help="Gaussians at most, after splitting.", ge=16, le=200000)
    anisotropic: bool = field(
        True, help="Ellipsoids rather than spheres, once the spheres have found their places."
    )


RepresentationSpec = Annotated[Voxels | GaussianSplats, Field(discriminator="kind")]


FEWEST_FOR_POSES = 12
"""Images, copies by symmetry counted, below which poses get worse by being searched for again: of the box
phantom with errors of 3.6 degrees, 6 images ended at 5.3, 12 at 2.9, 32 at 1.6."""


def copies(symmetry: str) -> int:
    """How many copies of a view a point group makes: its order."""
    group, fold = symmetry[0], symmetry[1:]
    return {"T": 12, "O": 24, "I": 60}.get(group) or int(fold or 1) * (2 if group == "D" else 1)


class PoseRefinement(Model):
    """Poses are searched for again, near where they are, in the map of the other images."""

    rounds: int = field(0, help="Rounds of pose refinement; 0 takes the poses as they are.", ge=0, le=50)
    range_deg: float = field(10.0, help="How far a pose may turn.", unit="°", gt=0, le=90, advanced=True)
    range_px: float = field(
        3.0, help="How far a particle may move, in pixels of the working box.", unit="px", ge=0, le=32,
        advanced=True,
    )  # fmt: skip


class KnownPosesSpec(Model):
    """Reconstruct a volume from a few images at known poses."""

    schema_version: Literal[1] = 1
    kind: Literal["known_poses"] = "known_poses"
    title: str = field("", help="A name for the run.")
    images: PosedImages = field(help="The images and their poses.")
    method: MethodSpec = field(DenoisedViews(), help="How the volume is made.")
    denoiser: PosedDenoiserSpec = field(ClosedFormDenoiser(), help="What projections should look like.")
    library: ClassAveragesInput | None = field(
        None,
        help="Class averages of such particles, poses unknown, that the denoiser is made of; empty takes the "
        "images themselves, which are few.",
    )
    representation: RepresentationSpec = field(Voxels(), help="What the volume is made of.")
    start: str | None = field(
        None,
        help="A map in the frame of the poses to begin with, e.g. map.mrc of a points run; empty begins with "
        "least squares.",
        path=True,
        advanced=True,
    )
    noise: float | None = field(
        None, help="Standard deviation of the images' noise, in units of their contrast; empty measures it.",
        ge=0, le=100, advanced=True,
    )  # fmt: skip
    symmetry: str = field(
        "C1", help=f"Point group of the particle ({SYMMETRIES}), in the frame of the poses."
    )
    positivity: Literal["auto", "on", "off"] = field(
        "auto",
        help="Whether density is never below zero. `auto` asks the images: filtered ones, and those with "
        "traces of a contrast transfer function, go far below their background.",
        advanced=True,
    )
    refinement: PoseRefinement = field(PoseRefinement(), help="Refinement of the poses.")
    seed: int = field(0, help="Same seed, same result (on the same device).", ge=0, le=2**31 - 1)
    device: Device = field("auto", help="Where to compute.")
    truth: str | None = field(
        None, help="A reference map in the frame of the poses to judge by; never used as input.", path=True
    )

    @field_validator("symmetry")
    @classmethod
    def _known_symmetry(cls, value: str) -> str:
        return checked_symmetry(value)

    @model_validator(mode="after")
    def _fits_together(self) -> KnownPosesSpec:
        method: Any = self.method
        if self.representation.kind == "gaussians" and method.kind not in TAKES_GAUSSIANS:
            raise ValueError(
                f"Method `{method.kind}` computes on voxels; Gaussians go with {', '.join(TAKES_GAUSSIANS)}."
            )
        return self
