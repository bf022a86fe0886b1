"""What evidence files say that cautions and estimates look at. For background threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import VerglasError


@dataclass(frozen=True)
class EvidenceSeen:
    """As in :class:`app.cautions.Seen`, and how many pieces of evidence there are."""

    rotations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))
    pixel_sizes: tuple[tuple[str, float, float], ...] = ()
    map_shapes: tuple[tuple[str, int, float], ...] = ()
    views: int = 0
    others: int = 0


def read_evidence(observations: Sequence[Any]) -> EvidenceSeen:
    """Look at the files of a run's evidence; what can't be read is passed over, the check says why."""
    rotations: list[NDArray[np.float64]] = []
    sizes: list[tuple[str, float, float]] = []
    maps: list[tuple[str, int, float]] = []
    others = 0
    for observation in observations:
        try:
            if observation.kind == "projection_images":
                rotations.append(_poses(observation, sizes))
            elif observation.kind == "projection_points":
                rotations.append(_matrix(observation.rotation)[None])
            else:
                others += 1
                if observation.kind == "coarse_map":
                    maps.append(_map(observation))
        except (VerglasError, OSError, ValueError):
            continue
    found = np.concatenate(rotations) if rotations else np.zeros((0, 3, 3))
    return EvidenceSeen(found, tuple(sizes), tuple(maps), len(found), others)


def _poses(observation: Any, sizes: list[tuple[str, float, float]]) -> NDArray[np.float64]:
    from engine.io.mrc import read_header
    from engine.io.star import read_poses

    poses = read_poses(observation.poses, pixel_size_A=observation.pixel_size_A)
    if observation.pixel_size_A is None:
        own = float(read_header(observation.images).spacing_A[0])
        told = float(poses.pixel_size_A or 0.0)
        sizes.append((Path(observation.images).name, own, told))
    rotations = np.asarray(poses.rotations, np.float64)
    chosen = [i - 1 for i in observation.select if 0 < i <= len(rotations)]
    return rotations[chosen] if observation.select else rotations


def _map(observation: Any) -> tuple[str, int, float]:
    from engine.io.mrc import read_header

    header = read_header(observation.file)
    size = observation.voxel_size_A or float(header.spacing_A[0])
    return Path(observation.file).name, int(min(header.shape)), size


def _matrix(quaternion: Sequence[float]) -> NDArray[np.float64]:
    """The rotation of a quaternion w, x, y, z."""
    w, x, y, z = np.asarray(quaternion, np.float64) / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
