"""The pictures of a run that are kept, so that one can go back through it: ``frames/`` in its folder.

A bounded number, evenly spaced over the run however long it gets: whenever there are twice as many as
wanted, every second one goes, and only every second new one is kept from then on. They are half floats and
thinned, meant for looking at: points to 4096 of a cloud, maps to 48 voxels along a side.

``frames/frames.json`` lists them, oldest first; a frame that isn't listed doesn't count.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, VerglasError
from engine.io.atomic import write_npy
from engine.io.json_files import read_json, write_json

FOLDER, INDEX = "frames", "frames.json"
MOST, MOST_BYTES = 60, 20_000_000
FEWEST = 8
MOST_POINTS, MOST_VOXELS = 4096, 48
LARGEST_BYTES = 64_000_000
"""Beyond this a file isn't a frame."""


@dataclass(frozen=True)
class FrameFacts:
    """What is known of one frame.

    Attributes
    ----------
    kind : ``points`` (n, points, 3), Å, or ``map`` (z, y, x).
    file : name of the array, in the folder of the list; ``/`` where it lies elsewhere in the run.
    step, total : of the stage that it belongs to.
    sigma : noise level; 0 where there is none.
    label : which part of the run, e.g. ``start 3 of 10``.
    voxel_A : edge of a voxel of this frame, Å.
    energies : by observation, mean squared residual per point, Å².
    """

    kind: str
    file: str
    step: int
    total: int
    sigma: float = 0.0
    label: str = ""
    voxel_A: float = 0.0
    energies: dict[str, float] = field(default_factory=dict)


class FrameKeeper:
    """Takes the pictures of a run as they come and keeps some of them.

    Going on in a folder takes up what is there. A full disk ends the keeping, not the run.

    Parameters
    ----------
    run_folder : of the run.
    most, most_bytes : frames that stay at the end, and what they may take on disk.
    """

    def __init__(self, run_folder: Path, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._folder = run_folder / FOLDER
        self._most, self._most_bytes = most, most_bytes
        self._offered, self._every = 0, 1
        self._facts: list[FrameFacts] = []
        self._broken = False
        try:
            index = read_json(self._folder / INDEX)
            self._facts = _listed(index)
            self._offered, self._every = int(index.get("offered", 0)), max(1, int(index.get("every", 1)))
        except (InputError, ValueError, TypeError):
            pass  # none yet, or damaged: begin anew

    def points(self, points_A: NDArray[np.floating], facts: FrameFacts) -> None:
        """Offer clouds (n, points, 3) in Å."""
        if self._wanted():
            # Evenly from all: the order of a cloud's points means nothing.
            step = -(-points_A.shape[1] // MOST_POINTS)
            self._keep(points_A[:, ::step], facts)

    def map(self, density: NDArray[np.floating], facts: FrameFacts) -> None:
        """Offer a map (z, y, x); ``facts.voxel_A`` is its own, and is made to fit what is kept."""
        if self._wanted():
            small, factor = thinned_map(density)
            self._keep(small, FrameFacts(**{**asdict(facts), "voxel_A": facts.voxel_A * factor}))

    def _wanted(self) -> bool:
        self._offered += 1
        return not self._broken and (self._offered - 1) % self._every == 0

    def _keep(self, array: NDArray[np.floating], facts: FrameFacts) -> None:
        half = array.astype(np.float16)
        if not np.isfinite(half).all():
            # Beyond 65504: a map's scale means nothing to the eye.
            half = (array / max(1e-30, float(np.abs(array).max()))).astype(np.float16)
        name = f"frame_{self._offered:07d}.npy"
        try:
            write_npy(self._folder / name, half)
            self._facts.append(FrameFacts(**{**asdict(facts), "file": name}))
            most = max(FEWEST, min(self._most, self._most_bytes // max(1, half.nbytes)))
            while len(self._facts) > most:
                self._halve()
            write_json(
                self._folder / INDEX,
                {"offered": self._offered, "every": self._every, "frames": [asdict(f) for f in self._facts]},
            )
        except (VerglasError, OSError):
            self._broken = True

    def _halve(self) -> None:
        gone, self._facts = self._facts[1::2], self._facts[::2]
        self._every *= 2
        for facts in gone:
            (self._folder / facts.file).unlink(missing_ok=True)


def thinned_map(density: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
    """Means over blocks, until no side has more than 48 voxels; how much larger a voxel is.

    The middle voxel ``n // 2`` of what comes back lies on the old middle to within half an old voxel.
    """
    factor = -(-max(density.shape) // MOST_VOXELS)
    if factor == 1:
        return density, 1.0
    sides = tuple(n // factor * factor for n in density.shape)
    # Cut so that n // 2 comes to lie in block m // 2.
    first = tuple(
        max(0, n // 2 - (s // factor // 2) * factor - factor // 2)
        for n, s in zip(density.shape, sides, strict=True)
    )
    sides = tuple((n - f) // factor * factor for n, f in zip(density.shape, first, strict=True))
    part = density[tuple(slice(f, f + s) for f, s in zip(first, sides, strict=True))]
    blocks = part.reshape(*(v for s in sides for v in (s // factor, factor)))
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32)), float(factor)


def kept_frames(run_folder: Path) -> list[FrameFacts]:
    """The frames of a run, oldest first; none if it kept none."""
    try:
        return _listed(read_json(run_folder / FOLDER / INDEX))
    except InputError:
        return []


def _listed(index: dict[str, Any]) -> list[FrameFacts]:
    names, found = {f.name for f in fields(FrameFacts)}, []
    entries = index.get("frames")
    for entry in entries if isinstance(entries, list) else ():
        try:
            facts = FrameFacts(**{k: v for k, v in entry.items() if k in names})
        except (TypeError, AttributeError):
            continue
        # A name only: a list from elsewhere must not point out of the folder.
        if (
            facts.kind in ("points", "map")
            and isinstance(facts.file, str)
            and Path(facts.file).name == facts.file
        ):
            found.append(facts)
    return found
