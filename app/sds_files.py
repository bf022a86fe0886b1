"""Reading what runs of score distillation and at known poses left, away from the GUI thread.

Plain functions and plain answers. A run that is still going on, or was cut off, shows what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.background import words
from app.surfaces import Density
from engine.errors import VerglasError
from engine.io.hand import mirrored_volume
from engine.io.json_files import read_json
from engine.io.landscape_file import Landscape
from engine.io.mrc import read_header
from engine.io.reduced_map import read_reduced
from engine.io.volumes import (
    CONSENSUS,
    FOURIER_COVERAGE,
    HALVES,
    LEAST_SQUARES,
    PRIOR_FRACTION,
    SdsResults,
    run_kind,
    start_path,
    volume_path,
)

REFERENCE = "reference.mrc"  # the map to judge by, brought into the consensus's frame
_T = TypeVar("_T")


@dataclass(frozen=True)
class SdsRun:
    """Results of a run of score distillation as far as they are there.

    Attributes
    ----------
    prepared, projections : (n, box, box) class averages as used, and the consensus seen from their
        poses; None before there are any.
    averages : what ``averages.json`` says about each class average.
    confidence, correlation : (n,) of the poses; NaN where unknown.
    starts, volumes : finished ones by number, counted from 1, with their facts.
    maps : other maps by name, ready to be laid over.
    problems : what couldn't be read, in words.
    flipped : whether all maps and poses are the mirror image of what the files hold.
    kind : of the run, one of :data:`OF_VOLUMES`.
    prior_fraction : share of each voxel that no image measured, 0 to 1; None but for known poses.
    coverage : what ``fourier_coverage.json`` says; empty but for known poses.
    """

    results: Path
    pixel_size_A: float = 0.0
    prepared: NDArray[np.float32] | None = None
    projections: NDArray[np.float32] | None = None
    averages: tuple[dict[str, Any], ...] = ()
    confidence: NDArray[np.float64] | None = None
    correlation: NDArray[np.float64] | None = None
    consensus: Density | None = None
    starts: dict[int, dict[str, Any]] = field(default_factory=dict)
    tournament: dict[str, Any] = field(default_factory=dict)
    volumes: dict[int, dict[str, Any]] = field(default_factory=dict)
    landscape: Landscape | None = None
    maps: dict[str, Path] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    flipped: bool = False
    kind: str = "sds"
    prior_fraction: Density | None = None
    coverage: dict[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The name of its main map."""
        return "Volume" if self.kind == "known_poses" else "Consensus"

    @property
    def noun(self) -> str:
        """What one of its images is called."""
        return "image" if self.kind == "known_poses" else "class average"

    @property
    def count(self) -> int:
        """How many class averages it uses, as far as is known."""
        return len(self.prepared) if self.prepared is not None else len(self.averages)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return self.prepared is None and self.consensus is None and not self.volumes and not self.starts

    @property
    def motion(self) -> Density | None:
        """How much the density varies between the volumes, in each voxel."""
        if self.landscape is None:
            return None
        return Density(self.landscape.motion, self.landscape.voxel_size_A or self.pixel_size_A, "Motion")


def load_sds(folder: Path) -> SdsRun:
    """Read a run directory, or its ``results`` folder. Damaged parts are left out and named."""
    problems: list[str] = []

    def attempt(read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except VerglasError as exc:
            problems.append(f"{Path(exc.path).name}: {words(exc)}" if exc.path else words(exc))
        except FileNotFoundError:
            pass  # tidied away, or not yet there
        except OSError as exc:
            problems.append(f"{Path(str(exc.filename)).name}: {exc.strerror or exc}")
        return otherwise

    try:
        results = SdsResults(folder, in_hand=True)
    except VerglasError:
        return SdsRun(folder)
    stack = attempt(results.prepared, None) if results.has("prepared.mrcs") else None
    described: dict[str, Any] = attempt(results.averages, {}) if results.has("averages.json") else {}
    seen = attempt(results.projections, None) if results.has("projections.mrcs") else None
    poses = attempt(results.poses, None) if results.has("poses.csv") else None
    known = run_kind(folder) == "known_poses"
    name = "Volume" if known else "Consensus"
    consensus = attempt(lambda: load_map(results.folder / CONSENSUS, name, flipped=results.flipped), None)
    fraction = None
    if results.has(PRIOR_FRACTION):
        file = results.folder / PRIOR_FRACTION
        fraction = attempt(lambda: load_map(file, "Supplied by the prior", flipped=results.flipped), None)
    coverage: dict[str, Any] = {}
    if results.has(FOURIER_COVERAGE):
        coverage = attempt(lambda: read_json(results.folder / FOURIER_COVERAGE), {})
    pixel = stack.pixel_size_A if stack else _number(described.get("pixel_size_A"))
    return SdsRun(
        results.folder,
        pixel or (consensus.voxel_A if consensus else 0.0),
        stack.images if stack else None,
        seen.images if seen and stack and seen.images.shape == stack.images.shape else None,
        tuple(described.get("images", ())),
        poses.confidence if poses else None,
        poses.correlation if poses else None,
        consensus,
        attempt(results.starts, {}),
        attempt(lambda: results.tournament() or {}, {}),
        attempt(results.volumes, {}),
        attempt(results.landscape, None),
        {
            title: results.folder / file
            for title, file in (
                ("Reference", REFERENCE), (name, CONSENSUS), ("Least squares", LEAST_SQUARES),
                ("Half map 1", HALVES[0]), ("Half map 2", HALVES[1]), ("Mean of the volumes", "mean.mrc"),
            )
            if results.has(file)
        },
        attempt(lambda: results.metrics() or {}, {}),
        tuple(problems),
        results.flipped,
        "known_poses" if known else "sds",
        fraction,
        coverage,
    )  # fmt: skip


def load_map(path: Path, name: str, *, flipped: bool = False) -> Density:
    """One map of a run, as it is in its file or as its mirror image; averaged over blocks if it is huge.

    Raises
    ------
    VerglasError
        If it can't be read.
    FileNotFoundError
        If it isn't there.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    volume, factor = read_reduced(path)
    if flipped:
        volume = mirrored_volume(volume)
    voxel_A = float(volume.voxel_size_A[0]) or float(factor)
    if factor == 1:
        return Density(volume.density, voxel_A, name)
    # Blocks are centred between voxels: the whole map's middle voxel stays where it was.
    pairs = zip(volume.density.shape[::-1], read_header(path).shape[::-1], strict=True)
    x, y, z = (((m // 2 + 0.5) * factor - 0.5 - n // 2) * voxel_A / factor for m, n in pairs)
    if flipped:
        z = -z
    return Density(volume.density, voxel_A, name, (x, y, z))


def load_member(run: SdsRun, image: int) -> Density:
    """The volume of a class average, counted from 1. Raises as :func:`load_map`."""
    return load_map(volume_path(run.results, image), f"Volume {image}", flipped=run.flipped)


def load_start(run: SdsRun, number: int) -> Density:
    """The map of a start, counted from 1. Raises as :func:`load_map`."""
    return load_map(start_path(run.results, number), f"Start {number}", flipped=run.flipped)


def between(landscape: Landscape, point: NDArray[np.floating], voxel_A: float) -> Density:
    """The volume at a point (k,) of the landscape: an interpolation, not a reconstruction."""
    return Density(landscape.volume_at(point), landscape.voxel_size_A or voxel_A, "Interpolated")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else 0.0
