"""The landscape of an ensemble of volumes: which ways they differ, and where each one lies.

Principal components of the volumes as vectors of voxels, by the small matrix of their scalar products
(method of snapshots, Sirovich 1987), so that volumes are read from disk a block at a time. The volumes
have to be in one frame: those that started from the consensus are, others go through :class:`Aligned`.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.sparse.csgraph import minimum_spanning_tree

from engine.errors import InputError
from engine.io.landscape_file import Landscape, along_polyline
from engine.metrics.volumes import soft_sphere
from engine.numerics.volume_alignment import VolumeAlignment, align, apply_alignment
from engine.types import FloatArray

COMPONENTS = 8
MEMORY_MB = 512
_BUTTERWORTH_ORDER = 8
_NEIGHBOURS = 7
_ROUNDING = 1e-6  # of products in float32: what varies less is nothing


@runtime_checkable
class Densities(Protocol):
    """Volumes (z, y, x) of one shape by number: an array (n, z, y, x), a list, or files read when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def landscape(
    volumes: Densities,
    mask: FloatArray | None = None,
    *,
    components: int = COMPONENTS,
    low_pass_voxels: float | None = None,
    images: Sequence[int] | None = None,
    voxel_size_A: float = 0.0,
    memory_MB: float = MEMORY_MB,
) -> Landscape:
    """Principal components of aligned volumes.

    Parameters
    ----------
    volumes : at least two, aligned; each is read once if they all fit into ``memory_MB``, else
        several times.
    mask : (z, y, x) in [0, 1], soft; None takes a soft sphere that touches the box.
    components : how many at most; never more than one less than there are volumes.
    low_pass_voxels : resolution to which volumes are filtered first, in voxels (2 is Nyquist); None
        leaves them as they are.
    images : class average of each volume, counted from 1; None counts the volumes.
    memory_MB : what the volumes in memory may take; the results take ``components + 6`` volumes more.

    Returns
    -------
    Landscape
        A component's sign is chosen so that its largest voxel is positive: the same volumes give the
        same landscape in any order.

    Raises
    ------
    InputError
        If there are fewer than two volumes, they differ in shape, don't fit the mask, are all the
        same inside it, or aren't finite.
    """
    count = len(volumes)
    if count < 2:
        raise InputError("A landscape needs at least two volumes.", "Compute more volumes.")
    source = _Masked(volumes, mask, low_pass_voxels)
    held = max(int(memory_MB * 2**20 // (4 * source.size)), 1)
    mean = np.zeros(source.size)
    matrix = np.empty((count, source.size), np.float32) if held >= count else None
    for i in range(count):
        vector = source.read(i)
        mean += vector
        if matrix is not None:
            matrix[i] = vector
    centred = _Centred(source, (mean / count).astype(np.float32), matrix)
    gram, variance = _products(centred, count, min(held, count))
    total = float(np.trace(gram))
    if not total > 1e-12 * (count * float(mean @ mean) / count**2 + 1e-300):
        raise InputError("The volumes are all the same.", "A landscape needs volumes that differ.")
    eigenvalues, vectors = np.linalg.eigh(gram)
    kept = int(np.count_nonzero(eigenvalues > _ROUNDING * eigenvalues[-1]))
    kept = max(min(kept, components, count - 1), 1)
    eigenvalues, vectors = eigenvalues[::-1][:kept], vectors[:, ::-1][:, :kept]

    axes = np.zeros((kept, source.size), np.float32)
    for i in range(count):
        axes += np.outer(vectors[i], centred.read(i)).astype(np.float32)
    # Coordinates as root mean square change of density over the mask, components of RMS 1 over it.
    extent = np.sqrt(source.mask_voxels)
    axes *= (extent / np.sqrt(eigenvalues))[:, None].astype(np.float32)
    coordinates = vectors * np.sqrt(eigenvalues) / extent
    signs = np.array([_sign(axis) for axis in axes])
    return Landscape(
        coordinates=(coordinates * signs).astype(np.float32),
        explained=(eigenvalues / total).astype(np.float32),
        mean=source.expand(centred.mean),
        components=np.stack([source.expand(axis * sign) for axis, sign in zip(axes, signs, strict=True)]),
        motion=source.expand(np.sqrt(variance / count)),
        images=np.arange(1, count + 1, dtype=np.int32) if images is None else np.array(images, np.int32),
        voxel_size_A=float(voxel_size_A),
    )


def path_volumes(found: Landscape, corners: FloatArray, count: int) -> NDArray[np.float32]:
    """Volumes (count, z, y, x) evenly spaced along the line through ``corners`` (p, d ≤ k), ends included.

    They are sums of the mean and the components: interpolations, not reconstructions.

    Raises ValueError for a path without length.
    """
    return np.stack([found.volume_at(point) for point in along_polyline(corners, count)])


def members_along(found: Landscape, corners: FloatArray, count: int) -> NDArray[np.int64]:
    """Indices of the members nearest to points along a path, in order, each once: real reconstructions."""
    nearest = found.nearest(along_polyline(corners, count))
    _, first = np.unique(nearest, return_index=True)
    return np.asarray(nearest[np.sort(first)], np.int64)


def motion_order(found: Landscape) -> NDArray[np.float64]:
    """One number for each volume that orders them along the strongest continuous motion, in [-1, 1].

    The second eigenvector of the random walk between neighbouring volumes (Laplacian eigenmap, Belkin &
    Niyogi 2003, with each volume's own scale, Zelnik-Manor & Perona 2004). Where density moves by more
    than its own width the volumes lie on a bent line, which the first component alone folds over; the
    walk follows it. The direction is the first component's.

    Returns
    -------
    (n,), which says the order and nothing about lengths in Å.
    """
    points = found.coordinates.astype(np.float64)
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    ranked = np.sort(squared, axis=1)[:, min(_NEIGHBOURS, len(points) - 1)]
    # Volumes whose densities don't overlap are all equally far apart, so only neighbours say anything;
    # the shortest tree through all volumes keeps the walk in one piece.
    near = (squared <= ranked[:, None]) | (squared <= ranked[None])
    tree = minimum_spanning_tree(squared + 1e-300).toarray() > 0
    near |= tree | tree.T
    scale = np.maximum(np.sqrt(ranked), 1e-9 * max(float(np.sqrt(ranked.max())), 1e-300))
    affinity = np.where(near, np.exp(-squared / (scale[:, None] * scale[None])) + 1e-9, 0.0)
    degree = np.sqrt(affinity.sum(1))
    _, vectors = np.linalg.eigh(affinity / (degree[:, None] * degree[None]))
    walk = vectors[:, -2] / degree
    walk = walk / np.abs(walk).max()
    return np.asarray(-walk if walk @ points[:, 0] < 0 else walk, np.float64)


def umap_available() -> bool:
    """Whether the optional package ``umap-learn`` is installed."""
    return importlib.util.find_spec("umap") is not None


def umap_coordinates(found: Landscape, *, seed: int = 0) -> NDArray[np.float32]:
    """UMAP (McInnes et al. 2018) of the coordinates: (n, 2) without a unit; distances mean little.

    Needs the optional package ``umap-learn``.

    Raises
    ------
    InputError
        If it isn't installed, or there are fewer than four volumes.
    """
    if not umap_available():
        raise InputError("UMAP is not installed.", "Install it with `pip install umap-learn`.")
    count = len(found.coordinates)
    if count < 4:
        raise InputError("UMAP needs at least four volumes.", "Use the principal components.")
    with warnings.catch_warnings():
        # It warns about its own threads and about packages that it would like.
        warnings.simplefilter("ignore")
        umap: Any = importlib.import_module("umap")
        model = umap.UMAP(n_components=2, n_neighbors=min(15, count - 1), random_state=seed, init="pca")
        return np.asarray(model.fit_transform(found.coordinates), np.float32)


class Aligned:
    """Volumes brought into one frame as they are read.

    Parameters
    ----------
    volumes : (n, n, n) each.
    alignments : what brings each of them there, see :func:`align_all`.
    """

    def __init__(self, volumes: Densities, alignments: Sequence[VolumeAlignment]) -> None:
        self._volumes, self._alignments = volumes, alignments

    def __len__(self) -> int:
        return len(self._alignments)

    def __getitem__(self, index: int, /) -> NDArray[np.float32]:
        return apply_alignment(self._volumes[index], self._alignments[index])


def align_all(
    volumes: Densities,
    target: FloatArray,
    *,
    mirror: bool = True,
    before_each: Callable[[int], None] = lambda index: None,
) -> list[VolumeAlignment]:
    """Alignments of volumes that were reconstructed from nothing with one of them or their consensus.

    About a second each at 64³ on one core. A large moving part pulls the frame along with it, and where a
    motion changes more than the hand does, the wrong hand may fit better: see each ``score_other_hand``.

    Parameters
    ----------
    mirror : also try mirror images.
    before_each : called with the index of each volume, counted from 0.
    """
    found = []
    for i in range(len(volumes)):
        before_each(i)
        found.append(align(volumes[i], target, mirror=mirror))
    return found


class _Masked:
    """Volumes as vectors of the voxels inside the mask, filtered and weighted by it."""

    def __init__(self, volumes: Densities, mask: FloatArray | None, low_pass_voxels: float | None) -> None:
        self._volumes = volumes
        self.shape = np.asarray(volumes[0]).shape
        if len(self.shape) != 3 or len(set(self.shape)) != 1:
            raise InputError(f"Volumes have to be cubes, not {self.shape}.", "Resample or pad them.")
        weights = soft_sphere(self.shape[0]) if mask is None else np.asarray(mask, np.float32)
        if weights.shape != self.shape:
            raise InputError(
                f"The mask has the shape {weights.shape}, the volumes {self.shape}.",
                "Use a mask of their box.",
            )
        self._inside = np.flatnonzero(weights > 0)
        if not len(self._inside) or not np.isfinite(weights).all():
            raise InputError("The mask is empty or not finite.", "Use another mask.")
        self._weights = weights.ravel()[self._inside].astype(np.float32)
        self._filter = None if low_pass_voxels is None else _low_pass(self.shape, low_pass_voxels)
        self.size = len(self._inside)
        self.mask_voxels = float(self._weights.sum())

    def read(self, index: int) -> NDArray[np.float32]:
        density = np.asarray(self._volumes[index], np.float32)
        if density.shape != self.shape or not np.isfinite(density).all():
            raise InputError(
                f"Volume {index + 1} has another shape than the first, or isn't finite.", "Leave it out."
            )
        if self._filter is not None:
            density = fft.irfftn(fft.rfftn(density) * self._filter, s=self.shape)
        return np.asarray(density.ravel()[self._inside] * self._weights, np.float32)

    def expand(self, vector: FloatArray) -> NDArray[np.float32]:
        """A vector as a volume, 0 outside the mask."""
        full = np.zeros(self.shape, np.float32)
        full.ravel()[self._inside] = vector
        return full


class _Centred:
    """Vectors less their mean: from memory if they are there, else read again."""

    def __init__(
        self, source: _Masked, mean: NDArray[np.float32], matrix: NDArray[np.float32] | None
    ) -> None:
        self._source, self.mean, self._matrix = source, mean, matrix
        if matrix is not None:
            matrix -= mean

    def read(self, index: int) -> NDArray[np.float32]:
        return self._source.read(index) - self.mean if self._matrix is None else self._matrix[index]

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        if self._matrix is not None:
            return self._matrix[start:stop]
        rows = np.empty((stop - start, self._source.size), np.float32)
        for i in range(start, stop):
            rows[i - start] = self.read(i)
        return rows


def _products(centred: _Centred, count: int, held: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scalar products between all centred vectors (count, count), and the sum of their squares (size,)."""
    gram = np.zeros((count, count))
    squares = np.zeros(len(centred.mean))
    for start in range(0, count, held):
        stop = min(start + held, count)
        rows = centred.block(start, stop)
        for row in rows:
            squares += np.square(row, dtype=np.float64)
        gram[start:stop, start:stop] = rows @ rows.T
        for other in range(stop, count):
            gram[start:stop, other] = gram[other, start:stop] = rows @ centred.read(other)
    return (gram + gram.T) / 2, squares


def _sign(axis: NDArray[np.float32]) -> float:
    # Motions to and fro have equal extremes of both signs: the first of those in the array decides.
    size = np.abs(axis)
    return 1.0 if axis[int(np.argmax(size >= 0.99 * size.max()))] > 0 else -1.0


def _low_pass(shape: tuple[int, ...], resolution_voxels: float) -> NDArray[np.float32]:
    if not resolution_voxels > 0:
        raise InputError("The resolution of the filter must be positive.", "Give it in voxels.")
    axes = [fft.fftfreq(n) for n in shape[:-1]] + [fft.rfftfreq(shape[-1])]
    squared = sum(g**2 for g in np.meshgrid(*axes, indexing="ij", sparse=True))
    return np.asarray(1 / (1 + (squared * resolution_voxels**2) ** _BUTTERWORTH_ORDER), np.float32)
