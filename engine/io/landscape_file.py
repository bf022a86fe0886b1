"""The landscape of an ensemble of volumes: what it is, and its files in a run's ``results`` folder.

``landscape.npz`` holds ``coordinates`` (n, k), ``explained`` (k,), ``images`` (n,) counted from 1, and
``umap`` (n, 2) if that was computed; the maps are ``mean.mrc``, ``motion.mrc``, ``components_1.mrc`` to
``components_k.mrc``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError
from engine.io.mrc import read_volume, write_volume
from engine.io.npz_results import ADVICE, read_arrays, write_arrays
from engine.types import FloatArray, Volume

NAME = "landscape.npz"


@dataclass(frozen=True)
class Landscape:
    """Volumes as points: ``volume ≈ mean + sum_k coordinates[k] * components[k]``.

    A component has root mean square 1 over the mask, so a coordinate is the root mean square change
    of density over the mask along that component, and distances between points are those between
    volumes.

    Attributes
    ----------
    coordinates : (n, k) float32.
    explained : (k,) share of the variance between volumes along each component, falling.
    mean : (z, y, x) mean volume.
    components : (k, z, y, x).
    motion : (z, y, x) standard deviation of the density between the volumes, in each voxel. High where
        density comes and goes. It contains differences that come from the reconstruction as well as
        real motion, and it is no distance in Å.
    images : (n,) int32, class average of each volume, counted from 1.
    voxel_size_A : Å; 0 where it is not known.
    umap : (n, 2) float32, another picture of the same volumes, or None.
    """

    coordinates: NDArray[np.float32]
    explained: NDArray[np.float32]
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    motion: NDArray[np.float32]
    images: NDArray[np.int32]
    voxel_size_A: float = 0.0
    umap: NDArray[np.float32] | None = None

    def volume_at(self, point: FloatArray) -> NDArray[np.float32]:
        """The volume (z, y, x) at a point (up to k coordinates; the rest is 0, the mean's)."""
        weights = np.asarray(point, np.float32).ravel()
        if len(weights) > len(self.components):
            raise ValueError(f"at most {len(self.components)} coordinates, not {len(weights)}")
        change = np.tensordot(weights, self.components[: len(weights)], axes=1)
        return np.asarray(self.mean + change, np.float32)

    def nearest(self, points: FloatArray) -> NDArray[np.int64]:
        """Index (m,) of the member nearest to each point (m, d), by their first d coordinates."""
        targets = np.atleast_2d(np.asarray(points, np.float64))
        members = self.coordinates[:, : targets.shape[1]].astype(np.float64)
        squared = ((targets[:, None] - members[None]) ** 2).sum(-1)
        return np.asarray(squared.argmin(1), np.int64)


def along_polyline(corners: FloatArray, count: int) -> NDArray[np.float64]:
    """``count`` points (count, d) evenly spaced along the line through ``corners`` (p, d), ends included.

    Raises ValueError for fewer than two corners or points, or a line without length.
    """
    line = np.asarray(corners, np.float64)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    if line.ndim != 2 or len(line) < 2 or count < 2 or not steps.sum() > 0:
        raise ValueError("a path needs two different corners and two points at least")
    length = np.append(0.0, np.cumsum(steps))
    places = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(places, length, column) for column in line.T], axis=1)


def write_landscape(results: str | Path, landscape: Landscape) -> list[Path]:
    """Write a landscape and its maps into a run's ``results`` folder, ``landscape.npz`` last; the paths.

    Raises
    ------
    VerglasError
        If a file can't be written.
    """
    folder = Path(results)
    maps = {"mean.mrc": landscape.mean, "motion.mrc": landscape.motion}
    maps |= {f"components_{k}.mrc": component for k, component in enumerate(landscape.components, 1)}
    size = landscape.voxel_size_A
    # An older, longer landscape leaves nothing behind that would seem to belong to this one.
    (folder / NAME).unlink(missing_ok=True)
    for old in folder.glob("components_*.mrc"):
        if old.name not in maps:
            old.unlink(missing_ok=True)
    for name, density in maps.items():
        nz, ny, nx = density.shape
        origin = conventions.volume_origin_A((nz, ny, nx), size)
        write_volume(folder / name, Volume(density, (size, size, size), origin))
    arrays: dict[str, NDArray[np.generic]] = {
        "coordinates": np.asarray(landscape.coordinates, np.float32),
        "explained": np.asarray(landscape.explained, np.float32),
        "images": np.asarray(landscape.images, np.int32),
    }
    if landscape.umap is not None:
        arrays["umap"] = np.asarray(landscape.umap, np.float32)
    write_arrays(folder / NAME, arrays)
    return [folder / NAME, *(folder / name for name in maps)]


def read_landscape(results: str | Path) -> Landscape:
    """Read what :func:`write_landscape` wrote.

    Raises
    ------
    InputError
        If a file is missing or damaged, or they don't belong together.
    """
    folder = Path(results)
    path = folder / NAME
    arrays = read_arrays(path, "landscape", ("coordinates", "explained", "images"), ("umap",))
    coordinates, explained, images = (arrays[name] for name in ("coordinates", "explained", "images"))
    umap = arrays.get("umap")
    fits = (
        coordinates.ndim == 2
        and min(coordinates.shape) > 0
        and coordinates.shape[1] <= 1000
        and explained.shape == coordinates.shape[1:]
        and images.shape == coordinates.shape[:1]
        and all(a.dtype.kind == "f" and bool(np.isfinite(a).all()) for a in (coordinates, explained))
        and images.dtype.kind in "iu"
        and (umap is None or (umap.shape == (len(images), 2) and umap.dtype.kind == "f"))
    )
    if not fits:
        raise InputError("The landscape is damaged: its parts don't fit together.", ADVICE, path)
    mean, motion = read_volume(folder / "mean.mrc"), read_volume(folder / "motion.mrc")
    components = []
    for k in range(1, coordinates.shape[1] + 1):
        component = read_volume(folder / f"components_{k}.mrc").density
        if component.shape != mean.density.shape:
            raise InputError(
                "The map doesn't belong to this landscape.", ADVICE, folder / f"components_{k}.mrc"
            )
        components.append(component)
    if motion.density.shape != mean.density.shape:
        raise InputError("The map doesn't belong to this landscape.", ADVICE, folder / "motion.mrc")
    return Landscape(
        coordinates=coordinates.astype(np.float32),
        explained=explained.astype(np.float32),
        mean=mean.density,
        components=np.stack(components),
        motion=motion.density,
        images=images.astype(np.int32),
        voxel_size_A=mean.voxel_size_A[0],
        umap=None if umap is None else umap.astype(np.float32),
    )
