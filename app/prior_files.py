"""What a training of a prior would begin with, and the samples that it shows. Plain functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError

SAMPLE_DISTANCE_A = 250.0  # samples are shown as objects with a half-size of 100 Å


@dataclass(frozen=True)
class CheckedClouds:
    """A folder of structures, or a file of clouds.

    Attributes
    ----------
    count : structures or clouds.
    points : of each cloud; 0 for structures, whose clouds are yet to be built.
    notes : what the user should know, in sentences.
    """

    path: Path
    count: int
    points: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether clouds have to be built first."""
        return self.points == 0

    @property
    def title(self) -> str:
        """What it holds, in words."""
        if self.is_folder:
            return f"{self.count:,} structure{'s' if self.count != 1 else ''}"
        return f"{self.count:,} cloud{'s' if self.count != 1 else ''} of {self.points:,} points"


def check_clouds(path: Path) -> CheckedClouds:
    """Say what a folder or file holds.

    Raises
    ------
    InputError
        If nothing can be trained on it.
    """
    path = Path(path)
    if path.is_dir():
        from engine.io.structure_folder import find_structures

        found = find_structures(path)
        if not found.files:
            raise InputError(
                "There is no PDB or mmCIF file in this folder.",
                "Choose the folder that holds the structures; folders in it are searched, too.",
                path,
            )
        notes = [f"Folder “{name}”: {reason}" for name, reason in found.closed]
        if found.others:
            notes.append(f"{found.others:,} other file{'s are' if found.others != 1 else ' is'} left aside.")
        return CheckedClouds(path, len(found.files), notes=tuple(notes))
    from engine.io.clouds import read_clouds

    points = read_clouds(path).points
    return CheckedClouds(path, points.shape[0], points.shape[1])


def side_by_side(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples of a prior, (n, points, 3), moved apart along x: each is an object of its own."""
    count = len(points)
    moved = np.array(points, np.float32)
    moved[..., 0] += SAMPLE_DISTANCE_A * (np.arange(count, dtype=np.float32) - (count - 1) / 2)[:, None]
    return moved
