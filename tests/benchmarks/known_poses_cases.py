"""Cases of the deciding test: phantoms whose conformation no library image shows, seen at K known poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.distillation.volume_sds import ImageScale
from engine.forward.fourier_slice import SliceProjector
from engine.forward.volume_projection import project
from engine.io.averages import PreparedAverages, prepare, soft_disc
from engine.io.class_averages import read_class_averages
from engine.metrics.volumes import fsc_area, soft_sphere
from engine.numerics.fourier import fsc
from engine.numerics.rotations import random_rotations
from engine.pipelines.simulate_phantom import (
    Phantom,
    draw_conformations,
    phantom_volume,
    simulate_phantom,
)
from engine.priors.empirical import EmpiricalDenoiser
from engine.priors.image_checkpoint import load_image_denoiser
from engine.priors.spectrum import SpectrumDenoiser
from engine.protocols import Denoiser
from engine.reconstruction.coverage import measured_share
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import ViewDenoiser
from engine.specs.sds import ClassAveragesInput

LIBRARY = {"box": 300, "capsid": 200}
"""Class averages in the library, as in the paper."""

LIBRARY_SEED, HELD_OUT_SEED = 100, 999
FIRST_TUNING = 500
"""Conformations from here on are for tuning, those before for reporting."""

CONE_DEG = 30.0
FIELD_A = 264.0  # 88 pixels of 3 Å: the same object whatever the box
Poses = Literal["random", "cone"]


@dataclass(frozen=True)
class Library:
    """Class averages of a phantom, and the denoisers made of them.

    Attributes
    ----------
    shapes : the denoiser that reconstructions ask.
    spectrum : the control that knows the power spectrum alone.
    """

    phantom: Phantom
    prepared: PreparedAverages
    shapes: Denoiser
    spectrum: Denoiser

    @property
    def size(self) -> int:
        return int(self.prepared.stack.images.shape[-1])

    @property
    def scale(self) -> ImageScale:
        disc = soft_disc(self.size, self.prepared.mask_radius_px)
        return ImageScale(float(self.prepared.background), torch.from_numpy(disc))

    def asked(self, denoiser: Denoiser) -> ViewDenoiser:
        """Any denoiser of images on this grid, with this library's contrast."""
        return ViewDenoiser(denoiser, self.scale)


def make_library(phantom: Phantom, size: int, folder: Path, weights: Path | None) -> Library:
    """Simulate the class averages (once) and make the denoisers; the closed form without ``weights``."""
    file = folder / f"{phantom}{size}" / "images.mrcs"
    if not file.is_file():
        simulate_phantom(
            phantom, file.parent, images=LIBRARY[phantom], size=size, pixel_size_A=FIELD_A / size,
            seed=LIBRARY_SEED,
        )  # fmt: skip
    spec = ClassAveragesInput(file=str(file), contrast="white", box=size)
    prepared = prepare(read_class_averages(file), spec)
    images, radius = prepared.stack.images, prepared.mask_radius_px
    shapes: Denoiser
    if weights is None:
        shapes = EmpiricalDenoiser.fit(images, mask_radius_px=radius)
    else:
        shapes, card = load_image_denoiser(weights, torch.device("cpu"))
        card.require(size, prepared.stack.pixel_size_A, radius, path=weights)
    return Library(phantom, prepared, shapes, SpectrumDenoiser.fit(images, mask_radius_px=radius))


@dataclass(frozen=True)
class Case:
    """One conformation seen in K noisy images.

    Attributes
    ----------
    snr : variance of the signal within the mask over that of the noise; 0 stands for no noise.
    """

    phantom: Phantom
    conformation: int
    views: int
    snr: float
    poses: Poses

    @property
    def key(self) -> str:
        return f"{self.phantom} {self.conformation} K{self.views} snr{self.snr:g} {self.poses}"


def cone_rotations(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Directions of view uniform within a cone about z, any rotation in the plane."""
    tilt = np.arccos(1 - rng.uniform(0, 1 - np.cos(np.deg2rad(CONE_DEG)), count))
    rot, psi = rng.uniform(0, 2 * np.pi, (2, count))
    return np.asarray(Rotation.from_euler("ZYZ", np.stack([psi, tilt, rot], 1)).as_matrix(), np.float64)


def make_case(case: Case, library: Library) -> tuple[PosedProblem, Tensor]:
    """The problem and the true map, scaled as the library's images are."""
    size = library.size
    _, values = draw_conformations(case.phantom, 1000, HELD_OUT_SEED)
    truth = torch.from_numpy(phantom_volume(case.phantom, values[case.conformation], size))
    rng = np.random.default_rng([case.conformation, case.views, case.poses == "cone"])
    turned = random_rotations(case.views, rng) if case.poses == "random" else cone_rotations(case.views, rng)
    rotations = torch.from_numpy(np.asarray(turned, np.float32))
    generator = torch.Generator().manual_seed(1000 * case.conformation + case.views)
    images, truth = noisy_views(truth, rotations, case.snr, library.scale.disc, generator)
    problem = posed_problem(images, rotations, case.snr, library.scale.disc, library.prepared.mask_radius_px)
    return problem, truth


def noisy_views(
    truth: Tensor, rotations: Tensor, snr: float, disc: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Projections of a map, not masked, and the map: variance of the signal 1 within the disc."""
    # the plain projector, not the one that reconstructs
    images = project(truth, rotations)
    inside = disc > 0.5
    contrast = float((images[:, inside] - images[:, inside].mean()).std())
    images, truth = images / contrast, truth / contrast
    noise = snr**-0.5 if snr else 0.0
    return images + noise * torch.randn(images.shape, generator=generator), truth


def posed_problem(
    images: Tensor, rotations: Tensor, snr: float, disc: Tensor, radius_px: float
) -> PosedProblem:
    """What a run makes of such images, their noise known."""
    size, count = images.shape[-1], len(images)
    mask = torch.from_numpy(soft_sphere(size, min(radius_px, size // 2 - 4.0))).float()
    noise = snr**-0.5 if snr else 0.0
    return PosedProblem(images * disc, rotations, torch.zeros(count, 2), noise, mask, SliceProjector(size))


def judge(volume: Tensor, truth: Tensor, problem: PosedProblem, radius_px: float) -> dict[str, float]:
    """Areas under the FSC to the truth, nothing aligned: of all coefficients, and of both parts."""
    a, b = volume.numpy(), truth.numpy()
    share = measured_share(problem, 2 * radius_px).numpy().astype(np.float64)
    return {
        "area": float(fsc_area(fsc(a, b)[1])),
        "measured": float(fsc_area(fsc(a, b, weight=share)[1])),
        "unmeasured": float(fsc_area(fsc(a, b, weight=1 - share)[1])),
    }
