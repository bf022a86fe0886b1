"""A small object of three lobes, its projections as MRC + STAR, a map and a structure of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.io.mrc import write_images, write_volume
from engine.io.star import write_poses
from engine.types import ImageStack, Poses, Volume

PIXEL_A = 4.0
BOX = 48
LOBES = (
    ((0.0, 0.0, -28.0), (22.0, 14.0, 12.0)),
    ((10.0, 4.0, 6.0), (12.0, 16.0, 20.0)),
    ((-22.0, -6.0, 24.0), (9.0, 9.0, 9.0)),
)


def cloud(count: int = 4000, seed: int = 0) -> NDArray[np.float64]:
    """(count, 3) Å, evenly in three ellipsoids."""
    rng = np.random.default_rng(seed)
    volumes = np.array([np.prod(radii) for _, radii in LOBES])
    which = rng.choice(len(LOBES), count, p=volumes / volumes.sum())
    direction = rng.normal(size=(count, 3))
    ball = direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.random((count, 1)) ** (1 / 3)
    return np.array([LOBES[i][0] for i in which]) + ball * np.array([LOBES[i][1] for i in which])


def rotations(count: int, seed: int = 1) -> NDArray[np.float64]:
    """(count, 3, 3) proper, at random."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q[np.linalg.det(q) < 0] *= -1
    return q


def project(points_A: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """(BOX, BOX) picture: every point a Gaussian of one pixel's width."""
    view = (points_A @ rotation.T)[:, :2] / PIXEL_A + BOX // 2
    axis = np.arange(BOX)
    gx = np.exp(-0.5 * (axis - view[:, :1]) ** 2)
    gy = np.exp(-0.5 * (axis - view[:, 1:]) ** 2)
    return (gy.T @ gx).astype(np.float32)


def write_projections(folder: Path, views: int = 3, *, pixel_size_A: float = PIXEL_A) -> tuple[Path, Path]:
    """``views.mrcs`` and ``views.star``."""
    points, turned = cloud(), rotations(views)
    images = np.stack([project(points, r) for r in turned])
    stack, star = folder / "views.mrcs", folder / "views.star"
    write_images(stack, ImageStack(images, pixel_size_A))
    names = ("views.mrcs",) * views
    shifts = np.zeros((views, 2))
    write_poses(star, Poses(turned, shifts, names, np.arange(views, dtype=np.int32), PIXEL_A), box=BOX)
    return stack, star


def write_map(path: Path, *, voxel_size_A: float = 8.0) -> Path:
    """A coarse map of the object around the origin."""
    size = 24
    edges = (np.arange(size + 1) - size / 2) * voxel_size_A
    counts, _ = np.histogramdd(cloud()[:, ::-1], bins=(edges, edges, edges))
    origin = float(edges[0] + voxel_size_A / 2)
    write_volume(path, Volume(counts.astype(np.float32), (voxel_size_A,) * 3, (origin,) * 3))
    return path


def write_structure(path: Path, count: int = 600) -> Path:
    """The object as a PDB file of carbon atoms, two chains."""
    lines = []
    for i, (x, y, z) in enumerate(cloud(count, seed=3)):
        chain = "AB"[i % 2]
        residue = i // 2 % 9999 + 1
        lines.append(
            f"ATOM  {i + 1:5d}  CA  ALA {chain}{residue:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
            "           C"
        )
    path.write_text("\n".join([*lines, "END", ""]))
    return path
