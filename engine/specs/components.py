"""Parts of a run description: evidence, prior. Torch-free, frozen, strict.

Each field's ``description``, bounds and ``unit`` make the window's forms, the command line's help
and the validation, so that they can't disagree. Paths are strings: relative ones are relative to
the spec file and are made absolute when it is loaded.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Device = Literal["auto", "cuda", "mps", "cpu"]
_PRIOR_NAME = re.compile(r"[^\W_][\w.+ -]{0,59}")


class Model(BaseModel):
    """Base of all specs: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def field(
    default: Any = ...,
    *,
    help: str,
    unit: str = "",
    advanced: bool = False,
    path: bool = False,
    named: bool = False,
    **bounds: Any,
) -> Any:
    """A pydantic field with the metadata that forms need.

    Parameters
    ----------
    help : one sentence for the tooltip and ``--help``.
    unit : shown after the value; empty for pure numbers.
    advanced : hidden until the user asks for all settings.
    path : the value names a file.
    named : the value may name a prior of the user's library instead, see :func:`is_prior_name`.
    bounds : pydantic's ``ge``, ``gt``, ``le``, ``lt``, ``min_length``.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced, "path": path, "named": named}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def is_prior_name(text: str) -> bool:
    """Whether a text names a prior of a library rather than a file.

    A name begins with a letter or a digit and goes on with these, spaces, ``_ . + -``, up to 60 in all. It
    has no slash and no ``.safetensors`` at its end: what has, is a file.
    """
    return bool(_PRIOR_NAME.fullmatch(text)) and not text.lower().endswith((".safetensors", ".", " "))


# ---- evidence -----------------------------------------------------------------------------------


class ProjectionImages(Model):
    """2D projections as images, at known poses."""

    kind: Literal["projection_images"] = "projection_images"
    images: str = field(help="Image stack (.mrcs, .mrc), one projection per section.", path=True)
    poses: str = field(help="RELION STAR file with the angles and shifts of the images.", path=True)
    select: tuple[int, ...] = field(
        (), help="Which rows of the STAR file to use, counted from 1; empty uses all."
    )
    pixel_size_A: float | None = field(
        None, help="Pixel size, where the files don't say or say it wrongly.", unit="Å", gt=0, le=100
    )
    contrast: Literal["auto", "white", "black"] = field(
        "auto", help="Whether the particle is white or black in the images."
    )
    points: int = field(1024, help="How many 2D points stand for one image.", ge=16, le=4096, advanced=True)
    threshold: float | None = field(
        None,
        help="Pixels below this fraction of the maximum count as background; empty measures the background.",
        ge=0,
        lt=1,
        advanced=True,
    )
    weight: float = field(1.0, help="Relative weight of each image.", gt=0, le=1000, advanced=True)


class ProjectionPoints(Model):
    """One 2D projection as points, at a known pose."""

    kind: Literal["projection_points"] = "projection_points"
    file: str = field(help="Points as CSV (x,y[,weight] in Å) or npz (array `points`).", path=True)
    rotation: tuple[float, float, float, float] = field(
        help="Pose as a unit quaternion w, x, y, z: x_view = R x, projected along z."
    )
    shift_A: tuple[float, float] = field(
        (0.0, 0.0), help="Where the object's origin appears in the image.", unit="Å", advanced=True
    )
    weight: float = field(1.0, help="Relative weight.", gt=0, le=1000, advanced=True)


class CoarseMap(Model):
    """A low-resolution map, turned into a few weighted 3D points."""

    kind: Literal["coarse_map"] = "coarse_map"
    file: str = field(help="Density map (.mrc, .map, .ccp4; gzipped too).", path=True)
    points: int = field(40, help="How many 3D points stand for the map.", ge=4, le=1024)
    threshold: float | None = field(
        None, help="Density above which voxels count; empty measures the background.", advanced=True
    )
    voxel_size_A: float | None = field(
        None, help="Voxel size, where the header doesn't say or says it wrongly.", unit="Å", gt=0, le=100
    )
    weight: float = field(1.0, help="Relative weight.", gt=0, le=1000, advanced=True)


class CoarsePoints(Model):
    """Low-resolution shape as 3D points, or as a structure reduced to a few points."""

    kind: Literal["coarse_points"] = "coarse_points"
    file: str = field(help="CSV (x,y,z[,weight] in Å), npz (array `points`), or a PDB/mmCIF file.", path=True)
    points: int = field(40, help="For a structure: how many points stand for it.", ge=4, le=1024)
    weight: float = field(1.0, help="Relative weight.", gt=0, le=1000, advanced=True)


class Subunit(Model):
    """A part of the complex whose structure is known, and its place or not."""

    kind: Literal["subunit"] = "subunit"
    file: str = field(
        help="PDB or mmCIF file of the known part, in the frame of the other evidence.", path=True
    )
    chains: tuple[str, ...] = field((), help="Chains to use; empty uses all.")
    placement: Literal["given", "search"] = field(
        "given",
        help="`given`: the file's coordinates lie where the part does. `search`: they lie anywhere, and the "
        "part is docked into what the other evidence shows.",
    )
    points: int | None = field(
        None,
        help="How many of the 1024 points the part takes; empty derives it from the mass.",
        ge=1,
        le=1024,
    )
    mass_fraction: float | None = field(
        None, help="The part's share of the complex's mass, where `points` is empty.", gt=0, lt=1
    )
    weight: float = field(1.0, help="Relative weight.", gt=0, le=1000, advanced=True)


ObservationSpec = Annotated[
    ProjectionImages | ProjectionPoints | CoarseMap | CoarsePoints | Subunit, Field(discriminator="kind")
]


# ---- prior --------------------------------------------------------------------------------------


class NetworkPrior(Model):
    """A trained denoiser."""

    kind: Literal["network"] = "network"
    weights: str = field(
        "shipped",
        help="`shipped`, the name of a prior that `verglas priors` lists, or a safetensors file made by "
        "`verglas train prior`.",
        path=True,
        named=True,
    )


class GaussianPrior(Model):
    """The closed-form denoiser of an isotropic Gaussian: the control that knows no shapes."""

    kind: Literal["gaussian"] = "gaussian"
    sigma: float = field(
        0.362,
        help="Standard deviation per coordinate, in units of the frame's scale.",
        gt=0,
        le=2,
        advanced=True,
    )


PriorSpec = Annotated[NetworkPrior | GaussianPrior, Field(discriminator="kind")]
