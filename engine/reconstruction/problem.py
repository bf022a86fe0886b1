"""A reconstruction problem with known poses: images, where they were taken from, how noisy they are.

Everything is in pixels of the working box. Images are density: zero where nothing is, so that the projections
of a map are the images' signal: ``y_v = f(V, R_v) + noise``, with f the sum along the line of sight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_reconstruction import backproject_with_weights
from engine.forward.fourier_slice import SliceProjector, Views

MODEL_ERROR = 0.03
"""Error of noise-free images as a part of their contrast: interpolation, and what else images are."""


@dataclass(frozen=True)
class PosedProblem:
    """Images at known poses. With a point group, an image counts at every pose that it makes of its own.

    Attributes
    ----------
    images : (views, n, n) density.
    rotations : (views, 3, 3), ``x_view = R @ x``.
    shifts_px : (views, 2) xy: where the particle's origin appears, from pixel ``n // 2``.
    noise : standard deviation of the images' noise in a pixel.
    mask : (n, n, n) soft, where density may be.
    group : (order, 3, 3) rotations of the point group; None for C1.
    positive : whether density is never below zero.
    """

    images: Float[Tensor, "views y x"]
    rotations: Float[Tensor, "views 3 3"]
    shifts_px: Float[Tensor, "views 2"]
    noise: float
    mask: Float[Tensor, "z y x"]
    projector: SliceProjector
    group: Float[Tensor, "order 3 3"] | None = None
    positive: bool = True
    views: Views = field(init=False)

    def __post_init__(self) -> None:
        if len(self.images) != len(self.rotations) or len(self.images) != len(self.shifts_px):
            raise ValueError("images, rotations and shifts differ in number")
        if not len(self.images):
            raise ValueError("a reconstruction needs at least one image")
        rotations, shifts = self.all_rotations, self.repeated(self.shifts_px)
        object.__setattr__(self, "views", self.projector.views(rotations, shifts_px=shifts))

    @property
    def size(self) -> int:
        """Voxels along a side."""
        return self.projector.size

    @property
    def order(self) -> int:
        """Number of the point group's rotations."""
        return 1 if self.group is None else len(self.group)

    @property
    def all_rotations(self) -> Float[Tensor, "all 3 3"]:
        """Rotations of all images at all poses of the group; an image's follow each other."""
        if self.group is None:
            return self.rotations
        turned = self.rotations[:, None] @ self.group.to(self.rotations)
        return turned.reshape(-1, 3, 3)

    def repeated(self, values: Float[Tensor, "views ..."]) -> Float[Tensor, "all ..."]:
        """What is known of each image, for each of its poses."""
        return values.repeat_interleave(self.order, dim=0)

    @property
    def contrast(self) -> float:
        """Root mean square of the images' signal in a pixel."""
        power = float(self.images.square().mean()) - self.noise**2
        return math.sqrt(max(power, 1e-12))

    @property
    def variance(self) -> float:
        """Of what an image differs from the projection of the true map by, in a pixel."""
        return self.noise**2 + (MODEL_ERROR * self.contrast) ** 2

    def seen(self, volume: Float[Tensor, "z y x"]) -> Float[Tensor, "all y x"]:
        """Projections of a map at all poses."""
        p = self.projector
        return p.images(p.slices(p.transform(volume), self.views), self.views)

    def missing(self, volume: Float[Tensor, "z y x"]) -> Float[Tensor, "all y x"]:
        """What the images show more than a map's projections."""
        return self.repeated(self.images) - self.seen(volume)

    def allowed(self, volume: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
        """The map inside the mask, and above zero where density is known to be."""
        return (volume.clamp_min(0) if self.positive else volume) * self.mask

    def pull(self, residuals: Float[Tensor, "all y x"]) -> Float[Tensor, "z y x"]:
        """Adjoint of :meth:`seen`."""
        p = self.projector
        return p.transform_adjoint(p.insert(p.coefficients(residuals, self.views), self.views))

    def weights(self) -> tuple[Tensor, Tensor]:
        """Numerator of the Wiener filter with weight 1 per image, and its denominator."""
        return backproject_with_weights(
            self.projector, self.repeated(self.images), self.all_rotations,
            self.images.new_ones(len(self.images) * self.order), shifts_px=self.repeated(self.shifts_px),
        )  # fmt: skip
