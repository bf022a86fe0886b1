"""The common level of the tiles: from the place of a slider to surfaces. Plain functions, for threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.superpose import STAY, Motion
from app.surfaces import Density, Surface, isosurface, profile_of, rough_step

STEPS = 200
SMALLEST_SHARE, LARGEST_SHARE = 1e-4, 0.2
SIGMAS = (0.5, 8.0)


def share_at(place: int) -> float:
    """The share of the box that the slider's place encloses: most at its left end."""
    return float(LARGEST_SHARE * (SMALLEST_SHARE / LARGEST_SHARE) ** (place / STEPS))


def first_place(density: Density) -> int:
    """Where the slider encloses what of a map is clearly above the rest; not for the GUI thread."""
    share = min(LARGEST_SHARE, max(SMALLEST_SHARE, profile_of(density).first_share()))
    return round(STEPS * float(np.log(share / LARGEST_SHARE) / np.log(SMALLEST_SHARE / LARGEST_SHARE)))


def sigma_at(place: int) -> float:
    """Standard deviations above the mean at the slider's place."""
    return SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * place / STEPS


def level_of(density: Density, place: int, unit: str, reference_A3: float = 0.0) -> float:
    """Level of a map at the slider's place; equal volumes in boxes of different size if one is given."""
    values = density.values
    if unit == "sigma":
        return float(values.mean() + sigma_at(place) * values.std())
    box_A3 = values.size * density.voxel_A**3
    share = share_at(place) * (reference_A3 / box_A3 if reference_A3 > 0 and box_A3 > 0 else 1.0)
    return profile_of(density).level(min(0.9, share))


def surface_at(
    density: Density, place: int, unit: str, box_A3: float, rough: bool, motion: Motion = STAY
) -> Surface:
    """The surface of a map at the slider's place, moved with what it belongs to."""
    level = level_of(density, place, unit, box_A3)
    found = isosurface(density, level, step=rough_step(density) if rough else 1)
    if motion is STAY or not len(found.vertices):
        return found
    return replace(
        found,
        vertices=np.ascontiguousarray(motion(found.vertices), np.float32),
        normals=np.ascontiguousarray(found.normals @ motion.matrix.T, np.float32),
    )
