r"""An open box with four moving lids: a phantom whose conformations fill a square.

The paper of score-based random tomography gives the idea only: a box with four lids, two angles, the
bottom mirroring the top. The measures are ours, in units in which the map spans [-1, 1]³.

Seen along x; the bottom is the mirror image of the top in the plane z = 0, with the same two angles,
so lids on the same side (+y or -y) always open together::

      \                  |                 z
       \ theta_-y        | theta_+y        ^
        \                |                 |
         o               o (.36, .30)      +--> y
         |               |
         |     open      |           o  hinge, an axis along x
         |    along z    |           |  wall, .08 thick
         |               |
         o               o (.36, -.30)
        /                |
       /                 |
      /                  |

A lid at 0° closes its half of the opening; at 90° it continues the wall; at 115° it leans outwards.
The two walls across x have no lids.

With different angles the object has the mirror planes x = 0 and z = 0 and a two-fold axis along y, so
it is its own mirror image: its handedness is not a question. Equal angles add the mirror plane y = 0.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.phantoms.solids import Array, Canvas, cuboid

HALF_SIZES = (0.34, 0.36, 0.30)
WALL = 0.08
LID = (0.60, 0.34, 0.08)
"""Width along the hinge, length away from it, thickness about the plane through the hinge."""
WIDEST_DEG = 115.0


def box_volume(theta_plus_deg: float, theta_minus_deg: float, size: int = 88) -> NDArray[np.float32]:
    """The box with its lids open by two angles.

    Parameters
    ----------
    theta_plus_deg, theta_minus_deg : of both lids at y > 0 and both at y < 0; 0 is closed.
    size : voxels along each side; voxel ``size // 2`` is at the origin.

    Returns
    -------
    (z, y, x), values from 0 to 1.

    Raises
    ------
    ValueError
        If the box is smaller than 8 or larger than 1024 voxels.
    """
    canvas = _walls(size).copy()
    for side, degrees in ((1.0, theta_plus_deg), (-1.0, theta_minus_deg)):
        for end in (1.0, -1.0):
            _paint_lid(canvas, side, end, float(np.deg2rad(degrees)))
    return canvas.density()


@lru_cache(maxsize=2)
def _walls(size: int) -> Canvas:
    canvas = Canvas(size)
    a, b, c = HALF_SIZES

    def walls(x: Array, y: Array, z: Array) -> Array:
        # the hole is longer than the box, so that only its sides cut
        hole = cuboid(x, y, z, (a - WALL, b - WALL, 2 * c))
        return np.maximum(cuboid(x, y, z, HALF_SIZES), -hole)

    canvas.paint(walls, -np.array(HALF_SIZES), np.array(HALF_SIZES))
    return canvas


def _paint_lid(canvas: Canvas, side: float, end: float, theta: float) -> None:
    width, length, thickness = LID
    hinge_y, hinge_z = side * HALF_SIZES[1], end * HALF_SIZES[2]
    # from the hinge along the closed lid to the middle of the box, and across it
    along_y, along_z = -side * np.cos(theta), end * np.sin(theta)
    across_y, across_z = side * np.sin(theta), end * np.cos(theta)

    def lid(x: Array, y: Array, z: Array) -> Array:
        dy, dz = y - np.float32(hinge_y), z - np.float32(hinge_z)
        u = dy * np.float32(along_y) + dz * np.float32(along_z) - np.float32(length / 2)
        v = dy * np.float32(across_y) + dz * np.float32(across_z)
        return cuboid(x, u, v, (width / 2, length / 2, thickness / 2))

    reach = abs(across_y) * thickness / 2, abs(across_z) * thickness / 2
    tip_y, tip_z = hinge_y + length * along_y, hinge_z + length * along_z
    canvas.paint(
        lid,
        np.array([-width / 2, min(hinge_y, tip_y) - reach[0], min(hinge_z, tip_z) - reach[1]]),
        np.array([width / 2, max(hinge_y, tip_y) + reach[0], max(hinge_z, tip_z) + reach[1]]),
    )
