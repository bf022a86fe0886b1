"""A round shell with twelve arms that fold down: a phantom with one parameter of motion.

The paper of score-based random tomography gives the idea only: a capsid with arms and one parameter
from open to closed. The measures are ours, in units in which the map spans [-1, 1]³.

The arms stand on the vertices of an icosahedron whose two-fold axes lie along x, y and
z, two vertices in the plane of x and z near z (the setting I of :mod:`engine.numerics.symmetry`). At
s = 0 they point straight out; at s = 1 each is tilted by 75° towards one fixed neighbour. The
neighbours are chosen so that the vertices around four of the three-fold axes chase each other in
circles: all arms are then alike, none meets another, and the object has the symmetry T (all of I, and
mirrors, at s = 0). For s > 0 it is chiral.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.phantoms.solids import Array, Canvas, capsule

INNER, OUTER = 0.38, 0.46
ARM_LENGTH, ARM_RADIUS = 0.32, 0.045
TILT_DEG = 75.0
"""Tilt of every arm at s = 1."""


def capsid_volume(s: float, size: int = 88) -> NDArray[np.float32]:
    """The capsid with its arms folded down by a share of the way.

    Parameters
    ----------
    s : 0 open, 1 closed.
    size : voxels along each side; voxel ``size // 2`` is at the origin.

    Returns
    -------
    (z, y, x), values from 0 to 1.

    Raises
    ------
    ValueError
        If the box is smaller than 8 or larger than 1024 voxels.
    """
    canvas = _shell(size).copy()
    vertices, neighbours = icosahedron()
    tilt = np.deg2rad(TILT_DEG * s)
    for vertex, neighbour in zip(vertices, neighbours, strict=True):
        tangent = neighbour - (neighbour @ vertex) * vertex
        tangent /= np.linalg.norm(tangent)
        start = OUTER * vertex
        end = start + ARM_LENGTH * (np.cos(tilt) * vertex + np.sin(tilt) * tangent)
        _paint_arm(canvas, start, end)
    return canvas.density()


def icosahedron() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vertices (12, 3) xyz, and for each the neighbour (12, 3) that its arm is tilted towards.

    The twelve rotations of T (two signs changed, coordinates moved round) carry one directed edge,
    from (1, 0, φ) to (φ, 1, 0), to twelve: one from each vertex.
    """
    golden = (1 + np.sqrt(5)) / 2
    edge = np.array([[1.0, 0.0, golden], [golden, 1.0, 0.0]]) / np.hypot(1, golden)
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    ends = np.stack([np.roll(edge * sign, k, axis=1) for sign in signs for k in range(3)])
    return ends[:, 0], ends[:, 1]


@lru_cache(maxsize=2)
def _shell(size: int) -> Canvas:
    canvas = Canvas(size)

    def shell(x: Array, y: Array, z: Array) -> Array:
        r = np.sqrt(x**2 + y**2 + z**2)
        return np.asarray(np.maximum(r - np.float32(OUTER), np.float32(INNER) - r))

    canvas.paint(shell, np.full(3, -OUTER), np.full(3, OUTER))
    return canvas


def _paint_arm(canvas: Canvas, start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    def arm(x: Array, y: Array, z: Array) -> Array:
        return capsule(x, y, z, start, end, ARM_RADIUS)

    canvas.paint(arm, np.minimum(start, end) - ARM_RADIUS, np.maximum(start, end) + ARM_RADIUS)
