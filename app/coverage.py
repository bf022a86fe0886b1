"""How much of the sphere of viewing directions a set of images covers. Plain numpy.

An image with rotation ``R`` (``x_view = R x``, projected along z) looks along ``d``, the last row of ``R``.
Seen from behind, a projection is only mirrored, so ``d`` and ``-d`` are one view: all angles here are between
lines and at most 90°. In Fourier space the image is the plane at right angles to ``d``; a direction that lies
in no image's plane is a direction along which detail is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH_DEG = 15.0
"""A direction counts as covered if a view lies within this angle of it."""

PLANE_DEG = 5.0
"""A direction of Fourier space counts as filled if it lies within this angle of an image's plane."""

LITTLE, MISSING = 0.25, 0.95  # shares of views and of Fourier space below which something is said
DIRECTIONS = 2000
_MOST_ANGLES = 40_000_000
_AT_ONCE = 256
_GOLDEN = (1 + np.sqrt(5)) / 2


@dataclass(frozen=True)
class Coverage:
    """How well a selection covers the directions.

    Attributes
    ----------
    views : how many images of the selection have a pose.
    fraction : share of the directions within ``REACH_DEG`` of a view.
    fourier : share of Fourier space's directions within ``PLANE_DEG`` of an image's plane.
    weakest : (3,) the direction that is farthest from all views, and how far, degrees.
    """

    views: int
    fraction: float
    fourier: float
    weakest: tuple[float, float, float]
    weakest_deg: float

    def warning(self) -> str:
        """What is wrong with it, in words; empty if nothing is."""
        if not self.views:
            return ""
        if self.fourier < MISSING:
            return (
                f"{100 * (1 - self.fourier):.0f} % of the directions of Fourier space lie in no selected "
                "image: detail along them will be missing."
            )
        if self.fraction < LITTLE:
            return "The selected views come from few directions: the map may be smeared."
        return ""


class CoverageMap:
    """Angles between images and a fixed set of directions, so that selections are judged at once.

    Parameters
    ----------
    rotations : (n, 3, 3).
    symmetry : point group whose axes are where RELION has them; a view covers its symmetry mates.
    count : directions on the half sphere; fewer for very many images, so that memory stays bounded.
    """

    def __init__(self, rotations: Array, symmetry: str = "C1", count: int = DIRECTIONS) -> None:
        rotations = np.asarray(rotations, np.float64).reshape(-1, 3, 3)
        self.views = view_directions(rotations)
        self.group = group_rotations(symmetry)
        self.directions = half_sphere(min(count, max(200, _MOST_ANGLES // max(1, len(rotations)))))
        self._angles = np.full((len(rotations), len(self.directions)), 180, np.uint8)
        self._tilts = self._angles.copy()
        mates = np.einsum("gij,mj->gmi", self.group, self.directions).astype(np.float32)
        for start in range(0, len(rotations), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            views = self.views[part].astype(np.float32)
            most = np.zeros((len(views), len(self.directions)), np.float32)
            least = np.ones_like(most)
            for each in mates:
                cosines = np.abs(views @ each.T)
                np.maximum(most, cosines, out=most)
                np.minimum(least, cosines, out=least)
            self._angles[part] = _half_degrees(np.arccos(np.clip(most, 0, 1)))
            self._tilts[part] = _half_degrees(np.arcsin(np.clip(least, 0, 1)))

    def __len__(self) -> int:
        return len(self.views)

    def nearest_deg(self, selected: NDArray[np.bool_]) -> Array:
        """(m,) angle from each direction to the nearest selected view, degrees; 90 where there is none."""
        return _least(self._angles, selected)

    def of(self, selected: NDArray[np.bool_]) -> Coverage:
        """Judge a selection, (n,) bool."""
        nearest, tilt = self.nearest_deg(selected), _least(self._tilts, selected)
        worst = int(np.argmax(nearest))
        x, y, z = (float(v) for v in self.directions[worst])
        return Coverage(
            int(np.count_nonzero(selected)),
            float(np.mean(nearest <= REACH_DEG)),
            float(np.mean(tilt <= PLANE_DEG)),
            (x, y, z),
            float(nearest[worst]),
        )


def view_directions(rotations: Array) -> Array:
    """(n, 3) unit vectors in the object's frame along which images of (n, 3, 3) are projected."""
    return np.asarray(rotations, np.float64)[:, 2, :]


def half_sphere(count: int) -> Array:
    """(count, 3) directions spread evenly over the half sphere z > 0, along a golden spiral."""
    k = np.arange(count) + 0.5
    z = 1 - k / count
    angle = 2 * np.pi * k / _GOLDEN
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def group_rotations(name: str) -> Array:
    """(g, 3, 3) rotations of a point group with RELION's axes; the identity alone for unknown names."""
    found = re.fullmatch(r"([CD])([1-9]\d?)|([TOI])", name.strip().upper())
    if found is None:
        return np.eye(3)[None]
    if found[3]:
        axes: tuple[tuple[int, tuple[float, float, float]], ...] = {
            "T": ((3, (0.0, 0.0, 1.0)), (2, (0.0, np.sqrt(2), 1.0))),
            "O": ((4, (0.0, 0.0, 1.0)), (3, (1.0, 1.0, 1.0))),
            "I": ((2, (0.0, 0.0, 1.0)), (5, (1.0, 0.0, _GOLDEN))),
        }[found[3]]
    else:
        axes = ((int(found[2]), (0.0, 0.0, 1.0)),)
        axes += ((2, (1.0, 0.0, 0.0)),) if found[1] == "D" else ()
    generators = [_turn(2 * np.pi / fold, axis) for fold, axis in axes]
    members = [np.eye(3)]
    for member in members:  # grows while it is gone through, until nothing new comes
        for generator in generators:
            new = generator @ member
            if not any(np.allclose(new, known, atol=1e-6) for known in members):
                members.append(new)
    return np.array(members)


def mollweide(directions: Array) -> Array:
    """(n, 2) places on an equal-area map of the sphere, ±2 wide and ±1 high; +z is its upper end."""
    unit = np.asarray(directions, np.float64)
    latitude = np.arcsin(np.clip(unit[:, 2], -1, 1))
    longitude = np.arctan2(unit[:, 1], unit[:, 0])
    theta = latitude.copy()
    for _ in range(12):  # Newton's method for 2θ + sin 2θ = π sin φ, which has no closed solution
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-9)
        theta -= (2 * theta + np.sin(2 * theta) - np.pi * np.sin(latitude)) / slope
        np.clip(theta, -np.pi / 2, np.pi / 2, out=theta)
    return np.stack([2 / np.pi * longitude * np.cos(theta), np.sin(theta)], axis=1)


def from_mollweide(places: Array) -> tuple[Array, NDArray[np.bool_]]:
    """(n, 3) directions of places on that map, and which places are on it at all."""
    x, y = np.asarray(places, np.float64).T
    inside = (x / 2) ** 2 + y**2 <= 1
    theta = np.arcsin(np.clip(y, -1, 1))
    latitude = np.arcsin(np.clip((2 * theta + np.sin(2 * theta)) / np.pi, -1, 1))
    longitude = np.clip(np.pi * x / (2 * np.maximum(np.cos(theta), 1e-9)), -np.pi, np.pi)
    around = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)], axis=1)
    return np.concatenate([around, np.sin(latitude)[:, None]], axis=1), inside


def _turn(angle: float, axis: tuple[float, float, float]) -> Array:
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turn


def _half_degrees(radians: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.degrees(radians) * 2), np.uint8)


def _least(halves: NDArray[np.uint8], selected: NDArray[np.bool_]) -> Array:
    chosen = halves[np.asarray(selected, bool)]
    least = chosen.min(axis=0) if len(chosen) else np.full(halves.shape[1], 180, np.uint8)
    return np.asarray(least / 2.0, np.float64)
