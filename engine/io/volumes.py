"""What a run of score distillation leaves in its ``results`` folder: names, writing, reading.

Every function here takes that folder. A map is written before the JSON of its facts, so a JSON file
means that the map beside it is complete, and a run that was killed goes on with the next volume.

``prepared.mrcs, averages.json``
    the class averages as the run used them.
``tournament/start_001.mrc + .json, tournament.json``
    independent starts and how far they agree.
``consensus.mrc, half_1.mrc, half_2.mrc, projections.mrcs``
    the consensus map, its half maps, its projections in the order of the prepared images.
``poses.star, poses.csv``
    :mod:`engine.io.pose_table`.
``conformations.npz``
    :mod:`engine.io.conformations`: which class averages are alike, and their poses among these.
``volumes/volume_0001.mrc + .json``
    one pair for each class average, numbered from 1.
``landscape.npz, mean.mrc, motion.mrc, components_1.mrc ...``
    :mod:`engine.io.landscape_file`.
``least_squares.mrc, prior_fraction.mrc, fourier_coverage.json``
    only of runs at known poses, which otherwise leave the same files: what the images alone say; which share
    of each voxel, and of each shell of Fourier space, no image measured.
``metrics.json, seconds.json``
    everything measured; the seconds spent on each stage so far.

All maps have the prepared stack's pixel size as voxel size, and the object's origin in voxel n // 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError, RunError
from engine.io import hand
from engine.io.json_files import read_json, write_json
from engine.io.landscape_file import Landscape, read_landscape
from engine.io.mrc import read_header, read_images, read_volume, write_images, write_volume
from engine.io.mrc_header import HEADER_BYTES
from engine.io.pose_table import PoseTable, read_poses
from engine.types import FloatArray, ImageStack, Volume

PREPARED, AVERAGES, PROJECTIONS = "prepared.mrcs", "averages.json", "projections.mrcs"
CONSENSUS, HALVES = "consensus.mrc", ("half_1.mrc", "half_2.mrc")
TOURNAMENT, METRICS = "tournament.json", "metrics.json"
LEAST_SQUARES, PRIOR_FRACTION = "least_squares.mrc", "prior_fraction.mrc"  # of runs at known poses
FOURIER_COVERAGE = "fourier_coverage.json"
OF_VOLUMES = ("sds", "known_poses")
"""Kinds of runs that leave maps, images as used and their poses."""
REFERENCE = "reference.mrc"  # the map to judge by, brought into the consensus's frame

_NOT_YET = "Wait until the run has got that far, or open a finished run."


def write_map(path: str | Path, density: FloatArray, voxel_size_A: float) -> Path:
    """Write a map atomically with the object's origin in voxel n // 2; the path.

    Parameters
    ----------
    density : (z, y, x).

    Raises
    ------
    InputError
        If the density isn't a finite 3D array.
    VerglasError
        If the file can't be written.
    """
    path, density = Path(path), np.asarray(density, np.float32)
    if density.ndim != 3 or not np.isfinite(density).all():
        raise InputError("The density isn't a finite 3D array.", "Please report this.", path)
    nz, ny, nx = density.shape
    size = float(voxel_size_A)
    write_volume(path, Volume(density, (size, size, size), conventions.volume_origin_A((nz, ny, nx), size)))
    return path


# ---- volumes of class averages, and starts: a map and its facts -------------------------------------


def volume_path(results: str | Path, image: int) -> Path:
    """Map of a class average, counted from 1; its facts are beside it as ``.json``."""
    return Path(results) / "volumes" / f"volume_{image:04d}.mrc"


def start_path(results: str | Path, number: int) -> Path:
    """Map of one start of the tournament, counted from 1; its facts are beside it as ``.json``."""
    return Path(results) / "tournament" / f"start_{number:03d}.mrc"


def write_volume_result(
    results: str | Path, image: int, density: FloatArray, voxel_size_A: float, facts: Mapping[str, Any]
) -> Path:
    """Write the volume of one class average: its map, then its facts. The path of the map.

    Parameters
    ----------
    image : which prepared image, counted from 1; goes into the facts as ``image``.
    density : (z, y, x).
    facts : ``seed, seconds, seconds_projector, seconds_denoiser, correlation``; what isn't finite
        becomes null.

    Raises
    ------
    InputError
        If the density isn't a finite 3D array.
    VerglasError
        If a file can't be written.
    """
    return _write_pair(volume_path(results, image), density, voxel_size_A, {"image": image, **facts})


def write_start(
    results: str | Path, number: int, density: FloatArray, voxel_size_A: float, facts: Mapping[str, Any]
) -> Path:
    """Write one start of the tournament, as :func:`write_volume_result`; ``start`` goes into the facts."""
    return _write_pair(start_path(results, number), density, voxel_size_A, {"start": number, **facts})


def finished_volumes(results: str | Path) -> dict[int, dict[str, Any]]:
    """Class averages (counted from 1) whose volume is complete on disk, in order, with its facts.

    What has no facts yet, or whose files are damaged or cut off, is left out: it has to be computed
    again. Nothing is raised for it.
    """
    return _finished(Path(results) / "volumes", r"volume_(\d{4,})\.json", "image")


def finished_starts(results: str | Path) -> dict[int, dict[str, Any]]:
    """As :func:`finished_volumes` for the starts of the tournament."""
    return _finished(Path(results) / "tournament", r"start_(\d{3,})\.json", "start")


def _write_pair(path: Path, density: FloatArray, voxel_size_A: float, facts: Mapping[str, Any]) -> Path:
    # Old facts must not vouch for a new map that may not get finished.
    path.with_suffix(".json").unlink(missing_ok=True)
    write_map(path, density, voxel_size_A)
    write_json(path.with_suffix(".json"), facts)
    return path


def _finished(folder: Path, pattern: str, key: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        match = re.fullmatch(pattern, path.name)
        if match is None:
            continue
        number = int(match[1])
        try:
            facts = read_json(path)
            header = read_header(path.with_suffix(".mrc"))
            size = path.with_suffix(".mrc").stat().st_size
        except (InputError, OSError):
            continue
        if facts.get(key) == number and size >= HEADER_BYTES + header.extended_bytes + header.data_bytes:
            found[number] = facts
    return dict(sorted(found.items()))


# ---- the class averages as used --------------------------------------------------------------------


def write_prepared(
    results: str | Path,
    stack: ImageStack,
    images: Iterable[Mapping[str, Any]],
    *,
    mask_radius_px: float,
    contrast: str,
    notes: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Write ``prepared.mrcs`` and ``averages.json``; their paths.

    Parameters
    ----------
    stack : (n, box, box) as the run uses them.
    images : per image ``row`` (counted from 1) and ``file`` it came from, ``count`` of particles or
        None, ``shift_px`` [x, y] of the centring, ``score``, ``junk``, ``duplicate_of`` (counted from
        1) or None.
    mask_radius_px : of the circular mask, pixels of the prepared images.
    contrast : what was decided about the contrast, a sentence.

    Raises
    ------
    InputError
        If images and entries differ in number.
    VerglasError
        If a file can't be written.
    """
    folder, entries = Path(results), [dict(entry) for entry in images]
    if len(entries) != len(stack.images):
        raise InputError("Images and what is known about them differ in number.", "", folder / AVERAGES)
    content = {
        "pixel_size_A": stack.pixel_size_A,
        "box": stack.images.shape[-1],
        "mask_radius_px": mask_radius_px,
        "contrast": contrast,
        "notes": list(notes),
        "images": entries,
    }
    write_images(folder / PREPARED, stack)
    write_json(folder / AVERAGES, content)
    return folder / PREPARED, folder / AVERAGES


def write_projections(results: str | Path, images: FloatArray, pixel_size_A: float) -> Path:
    """Write the map's projections (n, box, box) at the poses, in the order of the prepared images."""
    path = Path(results) / PROJECTIONS
    write_images(path, ImageStack(np.asarray(images, np.float32), float(pixel_size_A)))
    return path


# ---- reading ---------------------------------------------------------------------------------------


class SdsResults:
    """The results of a run of score distillation; everything is read when it is asked for.

    Also serves a run that is still going on: what isn't there yet is None, empty, or a RunError that
    says so.

    Parameters
    ----------
    folder : a run directory, or its ``results`` folder.
    in_hand : read maps and poses in the hand that was chosen (:mod:`engine.io.hand`), not as computed.

    Raises
    ------
    RunError
        If there is no such folder.
    """

    def __init__(self, folder: str | Path, *, in_hand: bool = False) -> None:
        given = Path(folder)
        self.folder = given / "results" if (given / "results").is_dir() else given
        if not self.folder.is_dir():
            raise RunError("There is no such folder.", "Give the folder of a `verglas run`.", given)
        self.flipped = in_hand and hand.flipped(self.folder)

    def _map(self, path: Path) -> Volume:
        volume = read_volume(path)
        return hand.mirrored_volume(volume) if self.flipped else volume

    def has(self, name: str) -> bool:
        """Whether a result file is there, e.g. ``consensus.mrc``."""
        return (self.folder / name).is_file()

    def prepared(self) -> ImageStack:
        """The class averages as used, (n, box, box). Raises InputError or RunError."""
        return read_images(self._present(PREPARED, "prepared images"), contrast="white")

    def averages(self) -> dict[str, Any]:
        """``averages.json``. Raises InputError or RunError."""
        path = self._present(AVERAGES, "description of the class averages")
        content = read_json(path)
        entries = content.get("images")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError("The file is damaged: it lists no images.", "Run again.", path)
        return content

    def counts(self) -> NDArray[np.float64] | None:
        """Particles in each class average (n,); None unless known for all."""
        if not self.has(AVERAGES):
            return None
        counts = [entry.get("count") for entry in self.averages()["images"]]
        if not counts or not all(isinstance(count, int | float) for count in counts):
            return None
        try:
            return np.array(counts, np.float64)
        except OverflowError:  # a whole number of hundreds of digits
            return None

    def consensus(self) -> Volume:
        """The consensus map. Raises InputError or RunError."""
        return self._map(self._present(CONSENSUS, "consensus map"))

    def prior_fraction(self) -> Volume | None:
        """Share of each voxel that no image measured, 0 to 1; None but for known poses. Raises InputError."""
        return self._map(self.folder / PRIOR_FRACTION) if self.has(PRIOR_FRACTION) else None

    def halves(self) -> tuple[Volume, Volume] | None:
        """The half maps, or None if the run made none. Raises InputError for damaged ones."""
        if not all(self.has(name) for name in HALVES):
            return None
        first, second = (self._map(self.folder / name) for name in HALVES)
        return first, second

    def projections(self) -> ImageStack:
        """Projections of the consensus at the poses. Raises InputError or RunError."""
        return read_images(self._present(PROJECTIONS, "projections"), contrast="white")

    def poses(self) -> PoseTable:
        """Poses of the prepared images. Raises InputError or RunError."""
        path = self._present("poses.csv", "poses")
        pixel = read_header(self.folder / PREPARED).spacing_A[0] if self.has(PREPARED) else 0.0
        table = read_poses(path, pixel_size_A=pixel)
        return hand.mirrored_table(table) if self.flipped else table

    def starts(self) -> dict[int, dict[str, Any]]:
        """Finished starts of the tournament, counted from 1, with their facts."""
        return finished_starts(self.folder)

    def start(self, number: int) -> Volume:
        """Map of one start. Raises InputError or RunError."""
        path = start_path(self.folder, number)
        return self._map(self._present(path, f"start {number}"))

    def tournament(self) -> dict[str, Any] | None:
        """``tournament.json``, or None before there is one. Raises InputError for a damaged one."""
        return read_json(self.folder / TOURNAMENT) if self.has(TOURNAMENT) else None

    def volumes(self) -> dict[int, dict[str, Any]]:
        """Class averages (counted from 1) that have a volume, with its facts."""
        return finished_volumes(self.folder)

    def volume(self, image: int) -> Volume:
        """The volume of a class average, counted from 1. Raises InputError or RunError."""
        return self._map(self._present(volume_path(self.folder, image), f"volume of image {image}"))

    def densities(self, images: Sequence[int] | None = None) -> StoredDensities:
        """The densities of volumes, read one at a time; None takes all that are finished."""
        return StoredDensities(self, tuple(self.volumes()) if images is None else tuple(images))

    def landscape(self) -> Landscape | None:
        """Landscape of the volumes, or None before there is one. Raises InputError for a damaged one."""
        if not self.has("landscape.npz"):
            return None
        found = read_landscape(self.folder)
        return hand.mirrored_landscape(found) if self.flipped else found

    def metrics(self) -> dict[str, Any] | None:
        """``metrics.json``, or None before there is one. Raises InputError for a damaged one."""
        return read_json(self.folder / METRICS) if self.has(METRICS) else None

    def _present(self, name: str | Path, what: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise RunError(f"There is no {what} in this folder.", _NOT_YET, path)
        return path


class StoredDensities:
    """Densities (z, y, x) float32 of volumes on disk, as a sequence that holds none of them.

    Attributes
    ----------
    images : the class averages whose volumes they are, counted from 1.
    """

    def __init__(self, results: SdsResults, images: tuple[int, ...]) -> None:
        self._results, self.images = results, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Read one. Raises InputError or RunError naming the file."""
        return self._results.volume(self.images[index]).density


def run_kind(folder: str | Path) -> str | None:
    """Kind of run that a run directory (or its ``results``) holds, e.g. ``sds``; None if it doesn't say."""
    folder = Path(folder)
    for path in (
        folder / "spec.json",
        folder / "results" / METRICS,
        folder / METRICS,
        folder.parent / "spec.json",
    ):
        if path.is_file():
            try:
                kind = read_json(path).get("kind")
            except InputError:
                continue
            if isinstance(kind, str):
                return kind
    return None
