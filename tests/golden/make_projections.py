"""Writes projections.npz: closed-form projections of a few Gaussians at RELION Euler angles.

``python tests/golden/make_projections.py`` from the repository root. Deliberately free of engine
code: the rotation is written out from the definition (turn the object by -rot about z, then -tilt
about y, then -psi about z, all axes fixed), so that a slip in ``engine.conventions`` cannot hide
in both places.

Contents, for box in (32, 33): ``images_BOX`` (views, y, x) float32, mass per pixel; and
``angles`` (views, 3) rot, tilt, psi in degrees, ``centres`` (blobs, 3) xyz in voxels from voxel
n // 2, ``widths`` (blobs,) voxels, ``masses`` (blobs,).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

ANGLES = np.array(
    [[0, 0, 0], [40, 0, 0], [0, 90, 0], [0, 0, 75], [30, 65, -110], [-155.5, 131.25, 12]], float
)
CENTRES = np.array([[6.0, 1.0, -2.0], [-3.0, 5.5, 1.5], [-1.5, -4.0, 6.0], [0.0, 0.0, 0.0]])
WIDTHS = np.array([2.4, 2.0, 2.2, 2.8])
MASSES = np.array([4.0, 3.0, 2.0, 1.0])


def turn(points: np.ndarray, axis: str, degrees: float) -> np.ndarray:
    """Right-handed turn of points (n, 3) about a fixed axis."""
    angle = np.deg2rad(degrees)
    x, y, z = points.T
    c, s = np.cos(angle), np.sin(angle)
    if axis == "z":
        return np.stack([c * x - s * y, s * x + c * y, z], axis=1)
    return np.stack([c * x + s * z, y, -s * x + c * z], axis=1)


def image(box: int, rot: float, tilt: float, psi: float) -> np.ndarray:
    """Sum of the blobs' projected Gaussians."""
    seen = turn(turn(turn(CENTRES, "z", -rot), "y", -tilt), "z", -psi)
    y, x = np.mgrid[:box, :box] - box // 2
    total = np.zeros((box, box))
    for (cx, cy, _), width, mass in zip(seen, WIDTHS, MASSES, strict=True):
        squared = (x - cx) ** 2 + (y - cy) ** 2
        total += mass * np.exp(-0.5 * squared / width**2) / (2 * np.pi * width**2)
    return total.astype(np.float32)


if __name__ == "__main__":
    np.savez_compressed(
        Path(__file__).with_name("projections.npz"),
        angles=ANGLES,
        centres=CENTRES,
        widths=WIDTHS,
        masses=MASSES,
        **{f"images_{box}": np.stack([image(box, *a) for a in ANGLES]) for box in (32, 33)},
    )
