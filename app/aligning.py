"""Bringing members of a comparison onto the first of them, and counting which agree. numpy and scipy only.

Starts come in any orientation and hand, so they are turned, and mirrored where that fits better; clouds keep
their hand. What is compared afterwards is the density on a grid of 32 voxels, as the engine compares starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.superpose import STAY, Motion, superpose
from app.surfaces import Density

SIDE = 32
THRESHOLD = 0.85
"""Correlation from which two members count as the same, as in the tournament of starts."""

Member = Density | NDArray[np.floating]
Box = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The grid on which members are compared: that of the first one.

    Attributes
    ----------
    centre_A : (3,) xyz, its middle.
    half_A : half an edge.
    blur_A : of points, so that they become one body.
    """

    centre_A: NDArray[np.float64]
    half_A: float
    blur_A: float = 0.0

    def points_A(self) -> NDArray[np.float64]:
        """(32 * 32 * 32, 3) xyz of the middles of its voxels, z slowest."""
        axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        grid: NDArray[np.float64] = np.stack([x, y, z], -1).reshape(-1, 3) * self.half_A + self.centre_A
        return grid


@dataclass(frozen=True)
class Aligned:
    """A member brought onto the first.

    Attributes
    ----------
    motion : what moves it there.
    box : its density there, (32, 32, 32) zyx, without mean and of unit length.
    """

    motion: Motion
    box: Box

    @property
    def words(self) -> str:
        """How far it was turned, and whether it was mirrored."""
        if self.motion is STAY:
            return ""
        proper = self.motion.matrix * (-1 if self.motion.mirrored else 1)
        angle = float(np.degrees(np.arccos(np.clip((np.trace(proper) - 1) / 2, -1, 1))))
        return f"turned {angle:.0f}°{', mirrored' if self.motion.mirrored else ''}"


def frame_of(first: Member) -> Frame:
    """The grid of the member that the others are brought onto."""
    if isinstance(first, Density):
        return Frame(np.asarray(first.offset_A, float), first.half_A)
    points = _finite(first)
    if not len(points):
        return Frame(np.zeros(3), 1.0)
    centre = points.mean(0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(1).mean()))
    # Points that fill a ball of this radius of gyration have about this distance.
    return Frame(centre, 2.2 * max(radius, 1e-6), 2.1 * radius / len(points) ** (1 / 3))


def onto(member: Member, first: Member, frame: Frame, *, either_hand: bool) -> Aligned:
    """Bring a member onto the first, in either hand if that is open."""
    motion = superpose(member, first, either_hand=either_hand)
    return Aligned(motion, box_of(member, motion, frame))


def staying(member: Member, frame: Frame) -> Aligned:
    """A member that stays where it is."""
    return Aligned(STAY, box_of(member, STAY, frame))


def box_of(member: Member, motion: Motion, frame: Frame) -> Box:
    """A member after a motion on the grid: (32, 32, 32) without mean and of unit length."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    voxel_A = 2 * frame.half_A / SIDE
    if isinstance(member, Density):
        # Where each voxel of the grid was before the motion.
        before = (frame.points_A() - motion.shift_A) @ np.linalg.inv(motion.matrix).T
        blur = 0.5 * max(0.0, (voxel_A / member.voxel_A) ** 2 - 1) ** 0.5
        values = gaussian_filter(member.values, blur) if blur > 0.2 else member.values
        centre = np.array([n // 2 for n in values.shape])[:, None]
        index = (before - np.asarray(member.offset_A))[:, ::-1].T / member.voxel_A + centre
        found = map_coordinates(np.nan_to_num(values), index, order=1, output=np.float64)
        box = found.reshape((SIDE,) * 3)
    else:
        edges = [np.linspace(-frame.half_A, frame.half_A, SIDE + 1)] * 3
        moved = motion(_finite(member)) - frame.centre_A
        counts, _ = np.histogramdd(moved[:, ::-1], edges)
        box = gaussian_filter(counts, max(frame.blur_A, voxel_A) / voxel_A, mode="constant")
    box = box - box.mean()
    return np.asarray(box / max(float(np.linalg.norm(box)), 1e-30))


def correlations(boxes: list[Box]) -> NDArray[np.float64]:
    """(n, n) of all pairs."""
    flat = np.stack([box.ravel() for box in boxes])
    return np.asarray(flat @ flat.T)


def agreeing(correlation: NDArray[np.float64], threshold: float = THRESHOLD) -> list[int]:
    """Members (from 0) of the largest set that agrees with one of them; none if no two agree."""
    same = np.asarray(correlation) >= threshold
    counts = same.sum(1)
    best = int(counts.argmax())
    return [int(i) for i in np.flatnonzero(same[best])] if counts[best] > 1 else []


def _finite(points: NDArray[np.floating]) -> NDArray[np.float64]:
    flat = np.asarray(points, float).reshape(-1, 3)
    return np.asarray(flat[np.isfinite(flat).all(1)])
