"""Isosurfaces of maps, computed away from the GUI thread. Plain functions and plain answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE, MOST_SHARE = 1e-4, 0.3  # of the voxels: what a surface may enclose
PROTEIN_DA_PER_A3 = 0.81  # 1.35 g/cm3
PROFILE_VOXELS = 300_000
BINS = 120
SLAB_VOXELS = 250_000  # marching cubes keeps Python's lock: a slab of this size holds it for about 8 ms
SMOOTH_VOXELS = 72**3  # a surface through the voxels of a smaller map shows its facets
ROUGH_VOXELS = 64**3  # a rough surface looks at no more than about this many
MOST_FACES = 700_000  # of a fine surface
MOST_FACES_CPU = 400_000  # where a CPU draws: more take it longer than the window may be held up


@dataclass(frozen=True)
class Density:
    """A map as it is shown: voxel ``n // 2`` lies at ``offset_A``.

    Attributes
    ----------
    values : (z, y, x) float32.
    voxel_A : edge of a voxel, Å.
    name : what it is, for legends and captions.
    offset_A : xyz; 0 for maps of a run, whose object is in the box's middle.
    """

    values: NDArray[np.float32]
    voxel_A: float
    name: str = ""
    offset_A: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def half_A(self) -> float:
        """Half the longest edge, Å."""
        return 0.5 * max(self.values.shape, default=1) * self.voxel_A


@dataclass(frozen=True)
class Profile:
    """How a map's density is distributed.

    Attributes
    ----------
    edges, counts : histogram of the density.
    shares, levels : which share of the voxels lies above which level, levels rising.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    levels: NDArray[np.float64]

    def level(self, share: float) -> float:
        """The level above which this share of the voxels lies."""
        return float(np.interp(-share, -self.shares, self.levels))

    def share(self, level: float) -> float:
        """The share of the voxels above a level."""
        return float(np.interp(level, self.levels, self.shares))

    def first_share(self) -> float:
        """The share of the voxels that a first surface encloses: what is clearly above the rest.

        One percent of the box, as usual for deposited maps, is a fifth of a particle that fills its box.
        """
        low, high = self.level(0.5), self.level(0.0005)
        return float(np.clip(self.share(low + 0.35 * (high - low)), LEAST_SHARE, MOST_SHARE))

    @property
    def range(self) -> tuple[float, float]:
        """Levels worth looking at: those that enclose little enough of the box."""
        low, high = self.level(MOST_SHARE), float(self.levels[-1])
        return (low, high) if high > low else (low, low + 1.0)

    @property
    def contrast(self) -> tuple[float, float]:
        """Densities that are shown black and white in slices."""
        low, high = self.level(0.995), self.level(0.001)
        return (low, high) if high > low else (low, low + 1.0)


@dataclass(frozen=True)
class Surface:
    """Triangles of equal density.

    Attributes
    ----------
    vertices : (n, 3) Å, xyz.
    normals : (n, 3) unit vectors; their sign means nothing.
    faces : (m, 3) indices.
    values : (n,) of the map that colours it, or None.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    faces: NDArray[np.uint32]
    values: NDArray[np.float32] | None = None


def _nothing() -> Surface:
    none = np.zeros((0, 3), np.float32)
    return Surface(none, none, np.zeros((0, 3), np.uint32))


EMPTY = _nothing()


@dataclass(frozen=True)
class Shown:
    """A map with what is needed to draw it.

    Attributes
    ----------
    rough : a surface with fewer triangles for while things move; may be the fine one.
    level : of both surfaces.
    """

    density: Density
    profile: Profile
    level: float
    fine: Surface = EMPTY
    rough: Surface = field(default=EMPTY)


def profile_of(density: Density) -> Profile:
    """Histogram and quantiles, from an even choice of voxels where there are many."""
    flat = density.values.ravel()
    step = max(1, flat.size // PROFILE_VOXELS)
    # An odd step runs through all rows and columns instead of along some planes.
    flat = flat[:: step | 1] if step > 1 else flat
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        flat = np.zeros(1, np.float32)
    high = float(density.values.max(initial=float(flat.max()), where=np.isfinite(density.values)))
    shares = np.concatenate([np.linspace(1.0, 0.1, 46), np.geomspace(0.1, 1e-5, 80)[1:], [0.0]])
    levels = np.quantile(flat, 1.0 - shares).astype(np.float64)
    levels[-1] = max(high, levels[-2])
    low = float(flat.min())
    counts, edges = np.histogram(flat, BINS, (low, high if high > low else low + 1.0))
    return Profile(edges, counts, shares, levels)


def rough_step(density: Density) -> int:
    """Which voxels a rough surface looks at: every one, every second, ..."""
    return max(2, int(np.ceil((density.values.size / ROUGH_VOXELS) ** (1 / 3))))


def isosurface(
    density: Density,
    level: float,
    *,
    step: int = 1,
    smooth: bool = False,
    colour_by: Density | None = None,
) -> Surface:
    """Triangles where the density crosses a level, closed at the box's faces.

    Parameters
    ----------
    density : what is drawn.
    level : density of the surface.
    step : look at every voxel, every second, ...
    smooth : look between the voxels, too, along cubic splines.
    colour_by : a map in the same frame, whose values at the vertices are returned, too.
    """
    cropped, first = _crop(density.values[::step, ::step, ::step], level)
    if cropped is None:
        return EMPTY
    if smooth:
        cropped = _between_voxels(cropped)
    cropped = _closed(cropped, level)
    vertices, normals, faces = [], [], []
    count = 0
    for points, directions, triangles in _slabs(cropped, level):
        vertices.append(points)
        normals.append(directions)
        faces.append(triangles + np.uint32(count))
        count += len(points)
    if not count:
        return EMPTY
    index = ((np.concatenate(vertices) - 1) * (0.5 if smooth else 1.0) + first) * step
    centre = np.array([n // 2 for n in density.values.shape])
    position = ((index - centre) * density.voxel_A)[:, ::-1] + np.asarray(density.offset_A)
    return Surface(
        np.ascontiguousarray(position, np.float32),
        np.ascontiguousarray(np.concatenate(normals)[:, ::-1], np.float32),
        np.concatenate(faces),
        None if colour_by is None else sample(colour_by, position),
    )


def sample(density: Density, points_A: NDArray[np.floating]) -> NDArray[np.float32]:
    """Values of a map at points (n, 3), Å, xyz, by trilinear interpolation; 0 outside."""
    from scipy.ndimage import map_coordinates

    centre = np.array([n // 2 for n in density.values.shape])[:, None]
    index = (points_A - np.asarray(density.offset_A))[:, ::-1].T / density.voxel_A + centre
    values: NDArray[np.float32] = map_coordinates(density.values, index, order=1, output=np.float32)
    return values


def show(
    density: Density,
    share: float | None = None,
    *,
    colour_by: Density | None = None,
    rough_only: bool = False,
    smooth: bool = True,
    most_faces: int = MOST_FACES_CPU,
) -> Shown:
    """Everything that is needed to draw a map at the level that encloses a share of its voxels.

    Without a share it is :meth:`Profile.first_share`.
    """
    profile = profile_of(density)
    level = profile.level(profile.first_share() if share is None else share)
    return at_level(
        density, profile, level, colour_by=colour_by, rough_only=rough_only, smooth=smooth,
        most_faces=most_faces,
    )  # fmt: skip


def at_level(
    density: Density,
    profile: Profile,
    level: float,
    *,
    colour_by: Density | None = None,
    rough_only: bool = False,
    smooth: bool = True,
    most_faces: int = MOST_FACES_CPU,
) -> Shown:
    """The same at a level in density units.

    Parameters
    ----------
    smooth : concerns the fine surface of small maps.
    most_faces : about so many has the fine surface; it looks at fewer voxels if need be.
    """
    step = rough_step(density)
    rough = isosurface(density, level, step=step, colour_by=colour_by)
    if rough_only:
        return Shown(density, profile, level, rough, rough)
    smooth = smooth and density.values.size <= SMOOTH_VOXELS
    # A surface has about as many triangles as voxels that it passes through.
    fine_step = max(1, int(np.sqrt(len(rough.faces) * step**2 / most_faces) + 0.99)) if step > 2 else 1
    fine = isosurface(density, level, step=fine_step, smooth=smooth, colour_by=colour_by)
    return Shown(density, profile, level, fine, rough)


def _crop(
    values: NDArray[np.float32], level: float
) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
    """The part that holds the surface, and the index of its first voxel."""
    inside = values > level
    ranges = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        if not hit.size:
            return None, np.zeros(3)
        ranges.append((max(0, int(hit[0]) - 2), min(values.shape[axis], int(hit[-1]) + 3)))
    part = values[tuple(slice(a, b) for a, b in ranges)]
    return np.nan_to_num(part, nan=level - 1.0), np.array([float(a) for a, _ in ranges])


def _closed(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """The same with a border of one voxel below the level."""
    # As far below as the densest voxel is above: the surface then lies within half a voxel of the box.
    below = min(float(values.min()), 2 * level - float(values.max()))
    return np.pad(values, 1, constant_values=np.float32(below))


def _between_voxels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 n - 1) voxels for n along each axis, every second one as it was."""
    from scipy.ndimage import zoom

    factors = [(2 * n - 1) / n for n in values.shape]
    finer: NDArray[np.float32] = zoom(values, factors, output=np.float32, order=3, mode="nearest")
    return finer


def _slabs(
    values: NDArray[np.float32], level: float
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.uint32]]]:
    """Surfaces of slabs along z that fit together: vertices (voxels, zyx), normals, faces."""
    from skimage.measure import marching_cubes

    depth = values.shape[0]
    thick = max(4, SLAB_VOXELS // max(1, values.shape[1] * values.shape[2]))
    for low in range(0, depth - 1, thick):
        high = min(depth - 1, low + thick)
        # One more cell on each side: the vertices on the seam then get the same normals from both slabs.
        start, stop = max(0, low - 1), min(depth, high + 2)
        part = values[start:stop]
        if not (part.max() > level > part.min()):
            continue
        points, triangles, directions, _ = marching_cubes(part, level)
        points = points + [start, 0, 0]
        cell = points[:, 0][triangles].mean(1)
        triangles = triangles[(cell >= low) & (cell < high)]
        used = np.zeros(len(points), bool)
        used[triangles] = True
        renumber = (np.cumsum(used) - 1).astype(np.uint32)
        yield points[used], directions[used], renumber[triangles]
