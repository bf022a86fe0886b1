"""Small problems with known poses, shared by the tests of reconstruction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.distillation.volume_sds import ImageScale
from engine.forward.fourier_slice import SliceProjector
from engine.io.particle_extent import soft_disc
from engine.metrics.volumes import soft_sphere
from engine.numerics.rotations import random_rotations
from engine.reconstruction.problem import PosedProblem

SIZE, RADIUS = 24, 9.0


def rotations(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(random_rotations(count, np.random.default_rng(seed))).float()


def blobs(seed: int = 0, count: int = 6, size: int = SIZE) -> Tensor:
    """Density of a few Gaussians of different sizes, well inside the mask."""
    rng = np.random.default_rng(seed)
    axis = torch.arange(size) - size // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    volume = torch.zeros(size, size, size)
    for _ in range(count):
        cx, cy, cz = rng.normal(0, 0.11 * size, 3).clip(-0.2 * size, 0.2 * size)
        width = rng.uniform(1.2, 2.2)
        volume += torch.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * width**2))
    return volume


def problem_of(
    volume: Tensor,
    views: int,
    *,
    seed: int = 0,
    noise: float = 0.0,
    group: Tensor | None = None,
    positive: bool = True,
    whole: bool = False,
) -> PosedProblem:
    """Projections of a map; ``whole`` lets density be anywhere."""
    size = len(volume)
    projector = SliceProjector(size)
    turned = rotations(views, seed)
    images = projector.project(volume, turned)
    images = images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(volume) if whole else torch.from_numpy(soft_sphere(size, RADIUS)).float()
    return PosedProblem(images, turned, torch.zeros(views, 2), noise, mask, projector, group, positive)


def scale(size: int = SIZE) -> ImageScale:
    return ImageScale(-0.3, torch.from_numpy(soft_disc(size, RADIUS + 1)))
