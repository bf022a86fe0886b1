"""What a map is made of while it is fitted by gradients: voxels here, Gaussians in :mod:`.gaussian_model`."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.reconstruction.gaussian_model import GaussianModel
from engine.reconstruction.problem import PosedProblem
from engine.specs.known_poses import GaussianSplats

DENSIFY_EVERY = 15
"""Steps between two rounds in which Gaussians are divided and weak ones go."""


@runtime_checkable
class MapModel(Protocol):
    """A map that is projected, and moved along gradients given as residuals of its projections."""

    def project(
        self, rotations: Float[Tensor, "views 3 3"], shifts_px: Float[Tensor, "views 2"]
    ) -> Float[Tensor, "views y x"]:
        """Projections, without a graph."""

    def descend(
        self,
        rotations: Float[Tensor, "views 3 3"],
        shifts_px: Float[Tensor, "views 2"],
        residuals: Float[Tensor, "views y x"],
        length: float,
    ) -> None:
        """One step against the gradient ``sum_v <residuals_v, d project_v>``.

        ``length`` times the sum of the views' weights, which the residuals hold, is below 2.
        """

    def end_step(self, step: int, steps: int) -> None:
        """Keep the model in order: step number, from 1, and their number."""

    def volume(self) -> Float[Tensor, "z y x"]:
        """The map."""


class VoxelModel:
    """Voxels, projected by central slices; density stays inside the mask and above zero."""

    def __init__(self, problem: PosedProblem, start: Float[Tensor, "z y x"]) -> None:
        self._projector, self._problem = problem.projector, problem
        self._volume = start.clone()

    @torch.no_grad()
    def project(self, rotations: Tensor, shifts_px: Tensor) -> Tensor:
        """Projections."""
        return self._projector.project(self._volume, rotations, shifts_px=shifts_px)

    @torch.no_grad()
    def descend(self, rotations: Tensor, shifts_px: Tensor, residuals: Tensor, length: float) -> None:
        """A gradient step, then the constraints. ``f f^T`` of one view is n on its slice."""
        slope = self._projector.backproject(residuals, rotations, shifts_px=shifts_px)
        moved = self._volume - length / self._projector.size * slope
        self._volume = self._problem.allowed(moved)

    def end_step(self, step: int, steps: int) -> None:
        """Voxels stay as they are."""

    def volume(self) -> Tensor:
        """The map."""
        return self._volume


class SplatModel:
    """Gaussians that begin as spheres in a map and become ellipsoids, divided as they are pulled."""

    def __init__(
        self, problem: PosedProblem, start: Float[Tensor, "z y x"], settings: GaussianSplats, seed: int
    ) -> None:
        self._settings, self._size = settings, problem.size
        inside = float((problem.mask > 0.5).sum())
        self.gaussians = GaussianModel.from_volume(
            start, settings.count, seed, mask_radius_px=(3 * inside / (4 * math.pi)) ** (1 / 3)
        )

    def project(self, rotations: Tensor, shifts_px: Tensor) -> Tensor:
        """Projections."""
        return self.gaussians.project(rotations, shifts_px)

    def descend(self, rotations: Tensor, shifts_px: Tensor, residuals: Tensor, length: float) -> None:
        """One step of Gaussians' own optimiser, which is told how far, as a share of its steps."""
        self.gaussians.descend(rotations, shifts_px, residuals, min(1.0, length * len(residuals)))

    def end_step(self, step: int, steps: int) -> None:
        """Divide and prune in the first two thirds; let shapes free after the first third."""
        if self._settings.anisotropic and step == max(1, steps // 3):
            self.gaussians.free_shapes()
        if step % DENSIFY_EVERY == 0 and step <= 2 * steps // 3:
            self.gaussians.densify_and_prune(self._settings.most)

    def volume(self) -> Tensor:
        """The map."""
        return self.gaussians.volume(self._size)
