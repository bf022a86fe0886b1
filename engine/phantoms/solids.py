"""Solids as density maps: distances to simple shapes, painted with a soft edge.

A phantom lives on [-1, 1]³. In a box of n voxels the voxel of index ``n // 2`` is at the origin and
voxels are ``2 / n`` apart, so the same phantom in a larger box is the same object, sampled finer.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
from numpy.typing import NDArray

from engine.conventions import image_centre

Array = NDArray[np.float32]
Distance = Callable[[Array, Array, Array], Array]
"""Signed distance at x (1, 1, nx), y (1, ny, 1), z (nz, 1, 1), broadcast: negative inside."""

SUPERSAMPLING = 2
"""Samples along each axis of a voxel; the map holds their mean."""


class Canvas:
    """A map that solids are painted on; where they overlap the denser one counts.

    Parameters
    ----------
    size : voxels along each side of the cube.
    """

    def __init__(self, size: int) -> None:
        if not 8 <= size <= 1024:
            raise ValueError(f"a phantom needs a box of 8 to 1024 voxels, not {size}")
        self.size = size
        self.voxel = 2.0 / size
        fine = (np.arange(size * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - 0.5
        self._axis = ((fine - image_centre(size)) * self.voxel).astype(np.float32)
        self._fine = np.zeros((len(fine),) * 3, np.float32)

    def copy(self) -> Canvas:
        """A canvas with the same solids, to paint on without changing this one."""
        return deepcopy(self)

    def paint(self, distance: Distance, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
        """Add a solid: 1 inside, 0 outside, a linear edge one voxel wide centred on the surface.

        Parameters
        ----------
        distance : signed distance to its surface.
        low, high : (3,) xyz corners of a cuboid that holds the solid; nothing outside it is evaluated.
        """
        first = np.searchsorted(self._axis, np.asarray(low) - self.voxel)
        last = np.searchsorted(self._axis, np.asarray(high) + self.voxel)
        x, y, z = (self._axis[a:b] for a, b in zip(first, last, strict=True))
        part = self._fine[first[2] : last[2], first[1] : last[1], first[0] : last[0]]
        depth = distance(x[None, None, :], y[None, :, None], z[:, None, None])
        np.maximum(part, np.clip(np.float32(0.5) - depth / np.float32(self.voxel), 0, 1), out=part)

    def density(self) -> Array:
        """The map (z, y, x), values from 0 to 1."""
        blocks = self._fine.reshape(self.size, 2, self.size, 2, self.size, 2)
        # adding slices is several times faster than a mean over three short axes
        total = blocks[:, 0] + blocks[:, 1]
        total = total[:, :, 0] + total[:, :, 1]
        return np.asarray((total[..., 0] + total[..., 1]) / np.float32(SUPERSAMPLING**3), np.float32)


def cuboid(x: Array, y: Array, z: Array, half: tuple[float, float, float]) -> Array:
    """Signed distance to a cuboid about the origin with half sides ``half``, xyz."""
    qx, qy, qz = (np.abs(c) - np.float32(h) for c, h in zip((x, y, z), half, strict=True))
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2 + np.maximum(qz, 0) ** 2)
    return np.asarray(outside + np.minimum(np.maximum(np.maximum(qx, qy), qz), 0), np.float32)


def capsule(
    x: Array, y: Array, z: Array, start: NDArray[np.floating], end: NDArray[np.floating], radius: float
) -> Array:
    """Signed distance to the points within ``radius`` of the segment from ``start`` to ``end``, xyz."""
    axis = np.asarray(end, np.float32) - np.asarray(start, np.float32)
    px, py, pz = (c - np.float32(s) for c, s in zip((x, y, z), start, strict=True))
    along = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / (axis @ axis), 0, 1)
    squared = (px - along * axis[0]) ** 2 + (py - along * axis[1]) ** 2 + (pz - along * axis[2]) ** 2
    return np.asarray(np.sqrt(squared) - np.float32(radius), np.float32)
