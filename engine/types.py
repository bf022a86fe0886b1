"""The nouns: what moves between files, observations, samplers and the window.

Conventions inside Verglas (house rule 9): Å and radians; volumes and images indexed zyx / yx;
coordinates xyz; rotations multiply column vectors from the left, ``x_view = R @ x``; projection
along z. Everything here is numpy, so that the window can use it without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Frame:
    """The affine map between Å and the normalised coordinates in which samplers work.

    ``x_A = x * scale_A + centre_A``. It travels with the data, so that every export is in Å at
    the right place.

    Attributes
    ----------
    centre_A : (3,) xyz, Å, of the normalised origin.
    scale_A : Å per normalised unit; the largest absolute coordinate of the object.
    """

    centre_A: tuple[float, float, float]
    scale_A: float

    def to_A(self, x: FloatArray) -> FloatArray:
        """Normalised (..., 3) to Å (..., 3)."""
        x_A: FloatArray = x * self.scale_A + np.asarray(self.centre_A)
        return x_A

    def from_A(self, x_A: FloatArray) -> FloatArray:
        """Å (..., 3) to normalised (..., 3)."""
        x: FloatArray = (x_A - np.asarray(self.centre_A)) / self.scale_A
        return x


@dataclass(frozen=True)
class PointCloud:
    """Points in Å, xyz.

    Attributes
    ----------
    points_A : (n, 3).
    weights : (n,) non-negative, summing to 1, or None for equal weights.
    """

    points_A: FloatArray
    weights: FloatArray | None = None


@dataclass(frozen=True)
class Structure:
    """Heavy atoms of a model, Å, xyz.

    Attributes
    ----------
    coords_A : (n, 3).
    elements : (n,) atomic numbers, int16.
    chains : (n,) index into ``chain_names``, int32.
    chain_names : the author's chain names; in multi-model assemblies ``model:chain``.
    masses_Da : (n,) atomic masses.
    name : the entry's name, or the file's stem.
    notes : what was assumed or dropped while reading, one sentence each.
    """

    coords_A: FloatArray
    elements: NDArray[np.int16]
    chains: NDArray[np.int32]
    chain_names: tuple[str, ...]
    masses_Da: FloatArray
    name: str = ""
    notes: tuple[str, ...] = ()

    def select_chains(self, names: tuple[str, ...]) -> Structure:
        """The atoms of the named chains only. Raises KeyError for an unknown name."""
        missing = [n for n in names if n not in self.chain_names]
        if missing:
            raise KeyError(", ".join(missing))
        keep = np.isin(self.chains, [self.chain_names.index(n) for n in names])
        return Structure(
            self.coords_A[keep],
            self.elements[keep],
            self.chains[keep],
            self.chain_names,
            self.masses_Da[keep],
            self.name,
            self.notes,
        )


@dataclass(frozen=True)
class Volume:
    """A density map.

    Attributes
    ----------
    density : (nz, ny, nx) float32.
    voxel_size_A : (3,) xyz, Å; 0 where the header doesn't say.
    origin_A : (3,) xyz, Å, of the centre of voxel [0, 0, 0].
    notes : what was assumed while reading, one sentence each.
    """

    density: NDArray[np.float32]
    voxel_size_A: tuple[float, float, float]
    origin_A: tuple[float, float, float] = (0.0, 0.0, 0.0)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageStack:
    """Projections or class averages.

    Attributes
    ----------
    images : (n, ny, nx) float32, density positive (contrast already converted).
    pixel_size_A : Å; 0 where the header doesn't say.
    notes : what was assumed while reading, one sentence each.
    """

    images: NDArray[np.float32]
    pixel_size_A: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassAverages:
    """Class averages as they are in their files, before any preparation.

    Attributes
    ----------
    images : (n, ny, nx) float32, contrast as stored.
    pixel_size_A : Å; 0 where no file says it.
    files : (n,) per image the file that holds it.
    indices : (n,) 0-based index in that file, int32.
    counts : (n,) particles in each class, or None where no file says it.
    resolutions_A : (n,) estimated resolution of each class, Å, or None.
    notes : what was assumed while reading, one sentence each.
    """

    images: NDArray[np.float32]
    pixel_size_A: float
    files: tuple[str, ...]
    indices: NDArray[np.int32]
    counts: NDArray[np.float64] | None = None
    resolutions_A: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Poses:
    """Viewing directions and in-plane shifts of a set of images.

    Attributes
    ----------
    rotations : (n, 3, 3); ``x_view = R @ x``, then projection along z keeps x and y.
    shifts_A : (n, 2) xy, Å: the object's origin appears at the image centre plus this shift.
    image_files : per image its stack's file name as written in the pose file, or empty.
    image_indices : (n,) 0-based index in that stack, int32.
    pixel_size_A : Å, 0 where the pose file doesn't say.
    notes : what was assumed while reading, one sentence each.
    """

    rotations: FloatArray
    shifts_A: FloatArray
    image_files: tuple[str, ...] = ()
    image_indices: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    pixel_size_A: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ensemble:
    """The answer of a run: several point clouds of the same object, in Å.

    Attributes
    ----------
    points_A : (n, points, 3) float32, xyz.
    kind : ``posterior`` (draws) or ``optimum`` (an SDS or maximum-likelihood optimum, which is
        not a posterior draw: calibration refuses those).
    frame : the frame in which it was sampled.
    energies : (n, observations) mean squared residual per point in normalised units.
    observation_names : names of the energy columns.
    seeds : (n,) int64, per sample.
    """

    points_A: NDArray[np.float32]
    kind: Literal["posterior", "optimum"]
    frame: Frame
    energies: NDArray[np.float32]
    observation_names: tuple[str, ...]
    seeds: NDArray[np.int64]
