"""Where a known part lies in an object of which only a rough shape is known: points into point clouds.

For every rotation of a grid, all places at once are asked by Fourier transform how much of the part lies
where the object has mass. (Correlation normalised by the density under the part, as fitting into maps uses
it, was tried: inside an object of even density it is blind, and ranked the planted place of a chain of 3iyd
1757th of 2304; this ranks it among the first 250.) The best placements are refined by matching each point of
the part with a point of its own of the cloud and superposing these, in turn (iterated closest points with an
exact one-to-one matching). What is left of the distances ranks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from engine.assignment.exact import assign_points
from engine.numerics.alignment import superpose
from engine.numerics.rotations import rotation_grid

Array = NDArray[np.float64]

ROTATIONS, GRID = 2304, 24  # spread over SO(3), about 19° apart; voxels along an edge
STARTS, GLANCES = 300, 3  # placements that are begun to refine, and how often
FINALISTS, ROUNDS = 30, 20  # those that go on, and how often at most
PUSHES, PUSH_DEG = 10, 7.0  # of the best different ones: how often, and by how much per axis
LIKE = 0.35  # of the part's radius of gyration: placements closer than that, after matching, are one
BLUR = 0.7  # voxels
AMBIGUOUS = 1.1  # times the best distance: another placement as good as that is told


@dataclass(frozen=True)
class Placement:
    """One way of laying the part into the object: ``x = R p + t``.

    Attributes
    ----------
    rotation, shift : (3, 3), (3,).
    distances : (clouds,) root mean square distance of matched points in each cloud.
    """

    rotation: Array
    shift: Array
    distances: Array

    @property
    def distance(self) -> float:
        """Root mean square over clouds."""
        return float(np.sqrt((self.distances**2).mean()))


def dock(
    part: Array, clouds: Array, check: Callable[[], None] = lambda: None, most: int = 6
) -> list[Placement]:
    """Different placements of a part, the best first.

    Parameters
    ----------
    part : (l, 3) points, as dense as those of the clouds.
    clouds : (n, points, 3) samples of the whole, in one frame.
    check : called now and then; raises to stop.
    most : placements to return.

    Raises
    ------
    ValueError
        If the part has more points than the whole.
    """
    if len(part) > clouds.shape[1]:
        raise ValueError(f"the part has {len(part)} points, the whole only {clouds.shape[1]}")
    centre = part.mean(0)
    centred = np.asarray(part - centre, np.float64)
    rotations, shifts = _grid_search(centred, clouds, check)
    size = float(np.sqrt((centred**2).sum(1).mean()))
    found = [Placement(r, t, np.zeros(0)) for r, t in zip(rotations, shifts, strict=True)]
    for keep, rounds in ((FINALISTS, GLANCES), (FINALISTS, ROUNDS)):
        for i, start in enumerate(found):
            check()
            found[i] = _refined(centred, clouds, start.rotation, start.shift, rounds)
        found = sorted(found, key=lambda p: p.distance)[:keep]
    # Superposing matched points stops early, also beside the right place: it is pushed about there.
    rng, pushed = np.random.default_rng(0), list(found)
    for placement in _different(centred, found, size, most):
        for turn in Rotation.from_rotvec(np.radians(PUSH_DEG) * rng.normal(size=(PUSHES, 3))).as_matrix():
            check()
            rotation = turn @ placement.rotation
            pushed.append(_refined(centred, clouds, rotation, placement.shift, ROUNDS))
    chosen = _different(centred, sorted(pushed, key=lambda p: p.distance), size, most)
    return [Placement(p.rotation, p.shift - p.rotation @ centre, p.distances) for p in chosen]


def _different(part: Array, found: list[Placement], size: float, most: int) -> list[Placement]:
    """The first of those that lay the part differently."""
    chosen: list[Placement] = []
    for placement in found:
        placed = part @ placement.rotation.T + placement.shift
        others = [part @ p.rotation.T + p.shift for p in chosen]
        if all(_apart(placed, other) > LIKE * size for other in others):
            chosen.append(placement)
        if len(chosen) == most:
            break
    return chosen


def _grid_search(part: Array, clouds: Array, check: Callable[[], None]) -> tuple[Array, Array]:
    """The rotations and shifts of a centred part at which most of it lies in the object."""
    everything = clouds.reshape(-1, 3)
    low, high = everything.min(0), everything.max(0)
    reach = float(np.linalg.norm(part, axis=1).max())
    voxel = float((high - low).max() + reach) / GRID
    origin = (low + high) / 2 - voxel * GRID / 2
    counts = _counts((everything - origin) / voxel) / len(clouds)
    density = gaussian_filter(counts, BLUR, mode="constant", truncate=3.0)
    # Everywhere inside counts the same: where it is as dense as at the middle one of the object's points.
    usual = float(np.median(np.repeat(density.ravel(), np.rint(counts.ravel() * len(clouds)).astype(int))))
    whole = np.fft.rfftn(np.minimum(density / usual, 1))
    grid = rotation_grid(ROTATIONS)
    scores, places = np.empty(len(grid)), np.empty((len(grid), 3), np.int64)
    for i, rotation in enumerate(grid):
        if i % 64 == 0:
            check()
        shape = np.fft.rfftn(_counts(part @ rotation.T / voxel + GRID // 2 + 0.5))
        inside = np.fft.irfftn(whole * np.conj(shape), s=(GRID,) * 3, axes=(0, 1, 2))
        best = int(np.argmax(inside))
        scores[i], places[i] = inside.ravel()[best], np.unravel_index(best, inside.shape)
    moved = (places + GRID // 2) % GRID
    order = np.argsort(-scores)[:STARTS]
    return grid[order], origin + (moved[order] + 0.5) * voxel


def _counts(points: Array) -> Array:
    """How many points (n, 3), in voxels from the grid's corner, lie in each voxel."""
    cell = np.clip(np.floor(points).astype(np.int64), 0, GRID - 1)
    flat = np.ravel_multi_index((cell[:, 0], cell[:, 1], cell[:, 2]), (GRID,) * 3)
    return np.bincount(flat, minlength=GRID**3).reshape((GRID,) * 3).astype(np.float64)


def matched_points(placed: Array, clouds: Array) -> NDArray[np.int64]:
    """(n, l) a point of its own of each cloud for each point of the part."""
    a = torch.from_numpy(np.repeat(placed[None], len(clouds), axis=0))
    return assign_points(a, torch.from_numpy(np.ascontiguousarray(clouds))).numpy()


def _refined(part: Array, clouds: Array, rotation: Array, shift: Array, rounds: int) -> Placement:
    """Match and superpose in turn, against all clouds together."""
    distances, last = np.zeros(len(clouds)), np.inf
    for _ in range(rounds):
        placed = part @ rotation.T + shift
        chosen = np.take_along_axis(clouds, matched_points(placed, clouds)[..., None], axis=1)
        distances = np.sqrt(((chosen - placed) ** 2).sum(-1).mean(-1))
        now = float((distances**2).mean())
        if now > 0.995 * last:
            break
        last = now
        rotation, shift = superpose(part, chosen.mean(0))
    return Placement(np.asarray(rotation), np.asarray(shift), distances)


def _apart(a: Array, b: Array) -> float:
    """Root mean square distance of two placements, matched: turns of a symmetric part don't count."""
    match = assign_points(torch.from_numpy(a)[None], torch.from_numpy(b)[None])[0].numpy()
    return float(np.sqrt(((a - b[match]) ** 2).sum(1).mean()))
