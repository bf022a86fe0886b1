"""A map seen as a whole: the largest density, or the sum, along each line of sight. For threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.surfaces import Density, Profile

MOVING, STILL = 64, 112  # samples along each edge of the cube that is looked through
KINDS = {"mip": "Max. projection", "xray": "Sum projection"}


@dataclass(frozen=True)
class Projection:
    """A picture onto the screen.

    Attributes
    ----------
    grey : (up, right) uint8, the first row at the top; 0 is nothing.
    pixel_A : edge of a pixel.
    middle_A : (3,) what its middle shows.
    """

    grey: NDArray[np.uint8]
    pixel_A: float
    middle_A: NDArray[np.float64]


def reduced(density: Density, most: int = STILL) -> Density:
    """The same averaged over blocks of voxels until no edge is longer than ``most``."""
    factor = -(-max(density.values.shape) // most)
    if factor <= 1:
        return density
    sizes = [n // factor for n in density.values.shape]
    values = density.values[tuple(slice(0, n * factor) for n in sizes)]
    values = values.reshape(sizes[0], factor, sizes[1], factor, sizes[2], factor).mean((1, 3, 5))
    # Where voxel n // 2 of the new grid lies in the old one.
    old = [(s // 2) * factor + (factor - 1) / 2 - n // 2
           for s, n in zip(sizes, density.values.shape, strict=True)]  # fmt: skip
    offset = tuple(o + a * density.voxel_A for o, a in zip(density.offset_A, old[::-1], strict=True))
    return Density(values.astype(np.float32), density.voxel_A * factor, density.name, offset)


def project(
    density: Density,
    profile: Profile,
    axes: NDArray[np.floating],
    kind: str,
    *,
    samples: int = STILL,
    plane: NDArray[np.floating] | None = None,
) -> Projection:
    """The map seen along a direction.

    Parameters
    ----------
    density : see :func:`reduced`.
    profile : of the map; its contrast is black and white.
    axes : (3, 3) unit vectors, xyz, to the right, upwards and towards the viewer.
    kind : ``mip`` or ``xray``.
    samples : along each edge.
    plane : what is cut away, see :func:`app.viewers.look.clip_plane`.
    """
    from scipy.ndimage import affine_transform

    values, voxel = density.values, density.voxel_A
    shape = np.array(values.shape)
    # The cube holds the box's inscribed ball and some of its corners.
    half_A = 0.5 * float(shape.max()) * voxel * 1.15
    pixel_A = 2 * half_A / samples
    middle_A = np.asarray(density.offset_A, float) + ((shape - 1) / 2 - shape // 2)[::-1] * voxel
    # Grid (towards, up, right) of the cube to indices (z, y, x) of the map.
    steps = np.stack([axes[2], -axes[1], axes[0]], 1)[::-1] * (pixel_A / voxel)
    first = (shape - 1) / 2 - steps @ np.full(3, (samples - 1) / 2)
    black, white = profile.contrast
    cube = affine_transform(
        values, steps, first, (samples,) * 3, order=1, output=np.float32, mode="constant", cval=black
    )
    if plane is not None:
        _cut(cube, plane, axes, middle_A, pixel_A, black)
    if kind == "mip":
        seen = (cube.max(0) - black) / max(white - black, 1e-30)
    else:
        seen = np.maximum(cube - black, 0).sum(0)
        seen /= max(float(np.percentile(seen, 99.8)), 1e-30)
    return Projection(np.asarray(np.clip(seen, 0, 1) * 255, np.uint8), pixel_A, middle_A)


def _cut(
    cube: NDArray[np.float32],
    plane: NDArray[np.floating],
    axes: NDArray[np.floating],
    middle_A: NDArray[np.float64],
    pixel_A: float,
    black: float,
) -> None:
    samples = len(cube)
    along = (np.arange(samples) - (samples - 1) / 2) * pixel_A
    normal = np.asarray(plane[:3], float)
    towards, up, right = (float(normal @ a) for a in (axes[2], -axes[1], axes[0]))
    height = (
        float(normal @ middle_A) - float(plane[3])
        + towards * along[:, None, None] + up * along[None, :, None] + right * along[None, None, :]
    )  # fmt: skip
    cube[height > 0] = black
