"""What all stages of a known-pose run share: the problem, the denoiser, and how the run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.distillation.volume_sds import ImageScale
from engine.errors import InputError
from engine.forward.fourier_slice import SliceProjector
from engine.io.averages import MASK_EDGE_PX, normalised, prepare
from engine.io.class_averages import read_class_averages
from engine.io.image_resampling import cropped, resampled
from engine.io.particle_extent import soft_disc
from engine.io.posed_images import PosedStack
from engine.io.posed_preparation import PreparedViews
from engine.metrics.volumes import soft_sphere
from engine.numerics.symmetry import point_group
from engine.pipelines.context import RunContext
from engine.pipelines.telling import Telling, correlations
from engine.priors.empirical import EmpiricalDenoiser
from engine.priors.image_checkpoint import load_image_denoiser
from engine.priors.spectrum import SpectrumDenoiser
from engine.protocols import Denoiser
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import ViewDenoiser
from engine.specs.known_poses import KnownPosesSpec

MOST_NEGATIVE = 0.02
"""Share of the images' power below their background with which density may still be positive throughout."""


@dataclass
class KnownPoseSetting(Telling):
    """A run and its images.

    Attributes
    ----------
    posed, prepared : the images as read and as used.
    problem : their reconstruction problem, in the frame whose origin is the particle's centre.
    seconds : spent, by stage.
    """

    spec: KnownPosesSpec
    context: RunContext
    posed: PosedStack
    prepared: PreparedViews
    problem: PosedProblem
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.context.folder / "results"

    @property
    def box(self) -> int:
        """Side of images and maps."""
        return self.problem.size

    @property
    def pixel_size_A(self) -> float:
        """Of the working box."""
        return self.prepared.stack.pixel_size_A

    @cached_property
    def disc(self) -> Tensor:
        """(y, x) the images' soft circular mask."""
        disc = soft_disc(self.box, self.prepared.mask_radius_px, MASK_EDGE_PX)
        return torch.from_numpy(disc).to(self.context.device)

    @cached_property
    def scale(self) -> ImageScale:
        """Between density and the denoiser's images."""
        return ImageScale(self._library[1], self.disc)

    @cached_property
    def view_denoiser(self) -> ViewDenoiser:
        """What the description names, made when first asked for."""
        return ViewDenoiser(self._denoiser(), self.scale)

    @cached_property
    def _library(self) -> tuple[NDArray[np.float32], float]:
        """Images that the denoiser is made of, on the views' grid, and the value of empty surroundings."""
        wanted = self.spec.library
        if wanted is None:
            return self.prepared.stack.images, self.prepared.background
        averages = read_class_averages(wanted.file, pixel_size_A=wanted.pixel_size_A)
        side = min(averages.images.shape[1:])
        box = wanted.box or min(side - side % 2, 512)
        diameter = 2 * self.prepared.mask_radius_px * self.pixel_size_A
        library = prepare(averages, wanted.model_copy(update={"box": box, "mask_diameter_A": diameter}))
        for note in (*averages.notes, *library.notes):
            self.context.notice(f"Library: {note}")
        field_px = self.box * self.pixel_size_A / library.stack.pixel_size_A
        view = 2 * round(field_px / 2)
        images = library.stack.images - library.background * soft_disc(
            box, library.mask_radius_px, MASK_EDGE_PX
        )
        images = resampled(cropped(np.asarray(images, np.float32), view), self.box)
        images, background = normalised(images, self.prepared.mask_radius_px, equal=True)
        return np.asarray(images * self.disc.cpu().numpy(), np.float32), background

    def _denoiser(self) -> Denoiser:
        wanted, radius = self.spec.denoiser, self.prepared.mask_radius_px
        if wanted.kind == "trained":
            network, card = load_image_denoiser(wanted.weights, self.context.device)
            card.require(self.box, self.pixel_size_A, radius, path=wanted.weights)
            return network
        images, _ = self._library
        if wanted.kind == "gaussian":
            return SpectrumDenoiser.fit(images, mask_radius_px=radius, device=self.context.device)
        return EmpiricalDenoiser.fit(
            images, mask_radius_px=radius, angle_step_deg=wanted.angle_step_deg,
            components=wanted.components, shift_px=wanted.shift_px, device=self.context.device,
        )  # fmt: skip

    def images_of(self, density: Tensor) -> Tensor:
        """Projections of density as the prepared images are: normalised, cut by the mask."""
        return (density + self.prepared.background) * self.disc

    def correlation(self, a: Tensor, b: Tensor) -> NDArray[np.float64]:
        """Pearson's correlation of each image of one stack with that of another, inside the mask, (n,)."""
        return correlations(a, b, self.disc > 0.5)


def make_problem(
    spec: KnownPosesSpec, prepared: PreparedViews, device: torch.device, path: str
) -> PosedProblem:
    """Images as density, and the rotations about the particle's centre.

    Raises
    ------
    InputError
        If the working box is too small for the particle.
    """
    box, radius = prepared.stack.images.shape[-1], prepared.mask_radius_px
    if radius < 4:
        raise InputError("The particle is only a few pixels wide.", "Choose a larger working box.", path)
    disc = soft_disc(box, radius, MASK_EDGE_PX)
    images = torch.from_numpy(np.asarray(prepared.stack.images - prepared.background * disc, np.float32))
    group = None if spec.symmetry == "C1" else torch.from_numpy(point_group(spec.symmetry)).float()
    mask = torch.from_numpy(soft_sphere(box, min(radius, box // 2 - 4.0))).float()
    rotations = torch.from_numpy(np.asarray(prepared.rotations, np.float32))
    positive = {"on": True, "off": False}.get(spec.positivity, _never_negative(images, disc, prepared.noise))
    noise = prepared.noise if spec.noise is None else spec.noise
    return PosedProblem(
        images.to(device), rotations.to(device), torch.zeros(len(images), 2, device=device), float(noise),
        mask.to(device), SliceProjector(box, device=device), None if group is None else group.to(device),
        positive,
    )  # fmt: skip


def _never_negative(images: Tensor, disc: NDArray[np.float32], noise: float) -> bool:
    """Whether images of density go no further below zero than their noise explains."""
    power = images.square().mean()
    below = images.clamp_max(0).square().mean() - 0.5 * noise**2 * float(np.square(disc).mean())
    return bool(below < MOST_NEGATIVE * power)
