"""The density map of a run: its images read again, one grid for all, and the map beside the ensemble."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import SpecError
from engine.events import Progress
from engine.forward.fourier_slice import SliceProjector
from engine.forward.gaussians import splat_volume
from engine.io.atomic import write_text
from engine.io.export import LARGEST_BOX, typical_distance_A
from engine.io.map_grid import images_on_grid
from engine.io.mrc import write_volume
from engine.numerics.fourier import fsc, resolution_at
from engine.observations.evidence import Evidence
from engine.observations.pose_correction import ViewCorrection, whole_rotation
from engine.observations.projection import PosedImages, read_posed_images
from engine.pipelines.context import RunContext
from engine.pipelines.density_refinement import background_and_noise, refine
from engine.pipelines.truth import load_truth
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.types import FloatArray, Volume

AUTOMATIC_VOXELS = 64
"""Along a side, at most, where the voxel size is left open: a few views seldom show more, and the time that
a map takes grows with its cube."""

FEWEST_VOXELS = 16
MOST_MEMBERS = 32
SPLAT_VOXELS = 3.0
"""Width of a point, as a resolution; the envelope that is fitted to the images makes up for it."""


@dataclass(frozen=True)
class Grid:
    """Where the map lies.

    Attributes
    ----------
    size : voxels along each side, even.
    voxel_A : Å.
    centre_A : (3,) xyz, of voxel ``size // 2``.
    """

    size: int
    voxel_A: float
    centre_A: tuple[float, float, float]

    @property
    def origin_A(self) -> tuple[float, float, float]:
        """Centre of voxel [0, 0, 0]."""
        x, y, z = (c - self.voxel_A * (self.size // 2) for c in self.centre_A)
        return x, y, z

    def density(self, points_A: FloatArray, weights: FloatArray | None = None) -> NDArray[np.float32]:
        """Points (n, 3) as Gaussians, shares of mass per voxel."""
        return splat_volume(
            points_A,
            voxel_size_A=self.voxel_A,
            shape=(self.size,) * 3,
            origin_A=self.origin_A,
            resolution_A=SPLAT_VOXELS * self.voxel_A,
            weights=weights,
        )


def choose_grid(points_A: FloatArray, finest_A: float, voxel_A: float | None = None) -> Grid:
    """A cube about all points of all samples (n, points, 3), with room for the blur.

    Parameters
    ----------
    finest_A : smallest pixel of the images.
    voxel_A : None takes the images' pixels, or larger ones where these would make too large a map.

    Raises
    ------
    SpecError
        If a given voxel size makes the map too large or too coarse.
    """
    flat = np.asarray(points_A, np.float64).reshape(-1, 3)
    low, high = np.quantile(flat, [0.002, 0.998], axis=0)
    centre = (low + high) / 2
    # any view shall hold the object: the sphere counts, not the box; but a few stray points don't
    radius = float(np.quantile(np.linalg.norm(flat - centre, axis=1), 0.998))
    radius += 2 * typical_distance_A(points_A[0])
    edge = 3
    # a whole number of pixels across, so that images need no interpolation
    pixels = 2 * (int(np.ceil(radius / finest_A - 1e-9)) + edge)
    if voxel_A is None:
        n = max(FEWEST_VOXELS, min(pixels, AUTOMATIC_VOXELS))
        size = max(pixels, n) * finest_A / n
    else:
        size, n = voxel_A, max(FEWEST_VOXELS, 2 * (int(np.ceil(radius / voxel_A - 1e-9)) + edge))
    if voxel_A is not None and n > LARGEST_BOX:
        raise SpecError(
            f"Voxels of {voxel_A:g} Å would make a map of {n} voxels a side.",
            f"Use voxels of {2 * radius / (LARGEST_BOX - 2 * edge):.2g} Å or more, or leave `map_voxel_A` "
            "empty.",
        )
    x, y, z = (float(c) for c in centre)
    return Grid(n, float(size), (x, y, z))


def place_images(
    groups: Sequence[PosedImages], grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
    """All images on the map's grid.

    Returns
    -------
    rotations (n, 3, 3), images (n, size, size), standard deviation of the noise (n,), and where the images
    reach (n, size, size), 1 or 0.
    """
    rotations, images, noise, covered = [], [], [], []
    for group in groups:
        raw = torch.from_numpy(np.ascontiguousarray(group.images, np.float32))
        background, deviation = (v.numpy() for v in background_and_noise(raw))
        # where the map's centre is seen
        centres = group.rotations[:, :2] @ np.asarray(grid.centre_A) + group.shifts_A
        rotations.append(group.rotations)
        flat = group.images - background[:, None, None]
        images.append(images_on_grid(flat, group.pixel_size_A, centres, grid.size, grid.voxel_A))
        reach = images_on_grid(np.ones_like(flat), group.pixel_size_A, centres, grid.size, grid.voxel_A)
        covered.append((reach > 0.5).astype(np.float32))
        # the filter before a coarser grid takes noise away
        noise.append(deviation.astype(np.float64) * min(1.0, group.pixel_size_A / grid.voxel_A))
    return (
        np.concatenate(rotations),
        np.concatenate(images),
        np.concatenate(noise),
        np.concatenate(covered),
    )


def density_map(
    points_A: NDArray[np.floating],
    groups: Sequence[PosedImages],
    *,
    voxel_A: float | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Volume, Volume]:
    """The refined map of an ensemble and its images, and the ensemble's mean density on the same grid.

    Parameters
    ----------
    points_A : (n ≥ 2, points, 3).
    groups : images with poses, any sizes.

    Returns
    -------
    Volume, Volume
        In points per Å³, lying on the points.

    Raises
    ------
    SpecError
        If a given voxel size makes the map too large.
    """
    grid = choose_grid(points_A, min(g.pixel_size_A for g in groups), voxel_A)
    chosen = np.unique(np.linspace(0, len(points_A) - 1, MOST_MEMBERS).round().astype(int))
    members = torch.from_numpy(np.stack([grid.density(points_A[i]) for i in chosen])).to(device)
    rotations, images, noise, covered = place_images(groups, grid)
    projector = SliceProjector(grid.size, device=device)
    result = refine(
        members,
        projector,
        projector.views(torch.from_numpy(rotations).float().to(device)),
        torch.from_numpy(images).to(device),
        torch.from_numpy(noise).float().to(device),
        torch.from_numpy(covered).to(device),
        blur_voxels=typical_distance_A(points_A[0]) / grid.voxel_A,
    )
    per_A3 = points_A.shape[1] / grid.voxel_A**3
    refined, mean = (
        Volume(np.asarray(m.cpu().numpy() * per_A3, np.float32), (grid.voxel_A,) * 3, grid.origin_A)
        for m in (result.density, result.mean)
    )
    return refined, mean


def compare_with_atoms(
    refined: Volume, mean: Volume, atoms_A: FloatArray, weights: FloatArray | None
) -> dict[str, Any]:
    """Fourier shell correlation of both maps with the atoms' density; ready for JSON."""
    voxel = refined.voxel_size_A[0]
    size = len(refined.density)
    x, y, z = (o + voxel * (size // 2) for o in refined.origin_A)
    truth = Grid(size, voxel, (x, y, z)).density(atoms_A, weights)
    found: dict[str, Any] = {"label": "to the atoms' density, threshold 0.5, unmasked, unaligned"}
    for name, volume in (("map", refined), ("mean", mean)):
        frequency, correlation = fsc(volume.density, truth)
        found["frequency_per_A"] = (frequency / voxel).tolist()
        found[name] = {
            "correlation": correlation.tolist(),
            "resolution_0p5_A": resolution_at(frequency, correlation, 0.5, voxel),
        }
    return found


def images_as_used(
    spec: DpsSpec, evidence: Sequence[Evidence], corrections: Sequence[ViewCorrection]
) -> list[PosedImages]:
    """The images of a run, one by one, with the poses and pixel sizes that it worked with.

    Parameters
    ----------
    evidence : all of the run, as it was used, in the order of the description.
    corrections : of its projections in their order; none where poses were not refined.
    """
    scales = iter([1 + c.scaled_percent / 100 for c in corrections])
    pieces, views = iter(evidence), []
    for observation in spec.observations:
        if not isinstance(observation, ProjectionImages):
            if len(next(pieces).projector) == 2:
                next(scales, None)
            continue
        read = read_posed_images(observation, lambda note: None)  # notes were told when it was first read
        for i in range(len(read.rows)):
            used, one = next(pieces), slice(i, i + 1)
            views.append(
                PosedImages(
                    read.images[one],
                    read.rows[one],
                    read.indices[one],
                    whole_rotation(used.projector)[None],
                    np.asarray(used.offset_A, np.float64)[None],
                    read.pixel_size_A / next(scales, 1.0),
                )
            )
    return views


def write_density_map(
    spec: DpsSpec,
    context: RunContext,
    points_A: NDArray[np.floating],
    evidence: Sequence[Evidence],
    corrections: Sequence[ViewCorrection],
) -> None:
    """``results/map.mrc`` and ``results/mean_map.mrc``, and ``map.json`` about them; nothing without images.

    Parameters
    ----------
    points_A : (n, points, 3) samples.
    evidence, corrections : see :func:`images_as_used`.

    Raises
    ------
    Cancelled
        If asked to stop.
    VerglasError
        If the images can't be read any more, or a file can't be written.
    """
    if not spec.density_map or not any(isinstance(o, ProjectionImages) for o in spec.observations):
        return
    if len(points_A) < 2:
        context.notice("No density map: at least two samples are needed to see how far they agree.")
        return
    context.check()
    context.emit(Progress(stage="density map", done=0, total=1))
    views = images_as_used(spec, evidence, corrections)
    refined, mean = density_map(points_A, views, voxel_A=spec.map_voxel_A, device=context.device)
    results = context.folder / "results"
    facts: dict[str, Any] = {
        "schema_version": 1,
        "voxel_A": refined.voxel_size_A[0],
        "size": len(refined.density),
        "images": len(views),
        "samples": len(points_A),
        "unit": "points per Å³",
    }
    if spec.truth:
        truth = load_truth(Path(spec.truth), points_A.shape[1], seed=spec.seed)
        if truth.atoms_A is not None:
            facts["fsc"] = compare_with_atoms(refined, mean, truth.atoms_A, truth.weights)
    write_volume(results / "mean_map.mrc", mean)
    write_volume(results / "map.mrc", refined)
    write_text(results / "map.json", json.dumps(facts, indent=1))
    context.result("map", results / "map.mrc")
