"""How far two density maps agree: Fourier shell correlation with what it was measured against and how.

A figure in Å means little by itself. Here it always comes with a sentence that says which two maps were
compared, under which mask, and whether they were aligned first: a mask and an alignment both raise the
correlation, and half-maps agree with each other about mistakes that they share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfftn
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label
from skimage.filters import threshold_otsu

from engine.conventions import image_centre
from engine.errors import InputError
from engine.numerics.fourier import fsc, resolution_at
from engine.numerics.fourier_sampling import check_cube, fourier_resample
from engine.numerics.regrid import on_grid
from engine.numerics.volume_alignment import VolumeAlignment, align, apply_alignment
from engine.types import FloatArray, Volume

Mask = Literal["sphere", "soft"] | FloatArray | None

SPHERE_EDGE_PX = 4.0
HAND_KNOWN, HAND_ROUNDING = 1.2, 0.002
"""The wrong hand leaves at least so many times as much unexplained, and more than rounding; else both fit."""


@dataclass(frozen=True)
class VolumeFsc:
    """A Fourier shell correlation of two maps, and how it came about.

    Attributes
    ----------
    frequency_per_A : (shells,) 1/Å, centres of the shells, up to Nyquist.
    correlation : (shells,).
    resolution_0p5_A, resolution_0p143_A : Å, where the curve first falls below the threshold; None if
        it never does, which is no proof of agreement beyond the last shell.
    voxel_size_A : Å.
    against : what the map was compared with.
    mask : in words.
    alignment : what brought one map onto the other, or None if nothing was moved.
    """

    frequency_per_A: NDArray[np.float64]
    correlation: NDArray[np.float64]
    resolution_0p5_A: float | None
    resolution_0p143_A: float | None
    voxel_size_A: float
    against: str
    mask: str
    alignment: VolumeAlignment | None = None

    @property
    def mirrored(self) -> bool:
        """Whether one map was mirrored to fit the other."""
        return self.alignment is not None and self.alignment.mirrored

    @property
    def area(self) -> float:
        """See :func:`fsc_area`."""
        return fsc_area(self.correlation)

    @property
    def sentence(self) -> str:
        """The result in words: against what, under which mask, aligned or not, at which thresholds."""
        how = ["not aligned" if self.alignment is None else "after alignment", self.mask]
        if self.alignment is not None:
            hand = "as its mirror image" if self.mirrored else "with its hand as it is"
            other = self.alignment.score_other_hand
            if np.isfinite(other) and 1 - other < HAND_KNOWN * (1 - self.alignment.score) + HAND_ROUNDING:
                hand += " (the other hand fits about as well)"
            how.insert(1, hand)
        nyquist = f"{2 * self.voxel_size_A:.1f} Å"
        half, low = (
            f"stays above {name} up to Nyquist ({nyquist})"
            if value is None
            else f"falls below {name} at {value:.1f} Å"
            for name, value in (("0.5", self.resolution_0p5_A), ("0.143", self.resolution_0p143_A))
        )
        return f"FSC against {self.against} ({', '.join(how)}): {half} and {low}."

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the keys of a run's metrics."""
        return {
            "frequency_per_A": self.frequency_per_A.tolist(),
            "correlation": self.correlation.tolist(),
            "resolution_0p5_A": self.resolution_0p5_A,
            "resolution_0p143_A": self.resolution_0p143_A,
            "against": self.against,
            "mask": self.mask,
            "aligned": self.alignment is not None,
            "mirrored": self.mirrored,
            "sentence": self.sentence,
        }


def volume_fsc(
    a: FloatArray,
    b: FloatArray,
    voxel_size_A: float,
    mask: Mask = None,
    *,
    against: str = "the other map",
) -> VolumeFsc:
    """Fourier shell correlation of two maps on the same grid; nothing is aligned.

    Parameters
    ----------
    a, b : (n, n, n).
    voxel_size_A : Å.
    mask : None; ``sphere``, a soft sphere that touches the box; ``soft``, a soft mask around the density
        of both maps together (:func:`soft_mask`); or an array (n, n, n) from 0 to 1. Inside it the mean
        is subtracted first, since the edge of a masked pedestal correlates at all frequencies.
    against : what ``b`` is, for the sentence: "the other half of the class averages".

    Raises
    ------
    ValueError
        If the maps or the mask don't fit together, or the voxel size is not positive.
    """
    n = check_cube(a)
    if np.shape(b) != np.shape(a):
        raise ValueError(f"maps of the same shape are needed, not {np.shape(a)} and {np.shape(b)}")
    if not voxel_size_A > 0:
        raise ValueError(f"the voxel size must be positive, not {voxel_size_A}")
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    weights, words = _mask(first, second, n, mask, voxel_size_A)
    if weights is not None:
        total = float(weights.sum())
        first, second = (weights * (m - float((weights * m).sum()) / total) for m in (first, second))
    frequency, correlation = fsc(first, second)
    return VolumeFsc(
        frequency / voxel_size_A,
        correlation,
        resolution_at(frequency, correlation, 0.5, voxel_size_A),
        resolution_at(frequency, correlation, 0.143, voxel_size_A),
        float(voxel_size_A),
        against,
        words,
    )


def aligned_fsc(
    volume: FloatArray,
    voxel_size_A: float,
    reference: Volume | FloatArray,
    mask: Mask = "sphere",
    *,
    mirror: bool = True,
    against: str = "the reference map",
) -> tuple[VolumeFsc, NDArray[np.float32]]:
    """Bring a reference onto a map, in any orientation and either hand, and compare the two.

    The reference is moved, so the map that is judged is not interpolated. ``soft`` makes the mask of the
    moved reference alone.

    Parameters
    ----------
    volume : (n, n, n).
    voxel_size_A : Å.
    reference : a map with its own box and voxel size, or an array on the grid of ``volume``. A map that
        doesn't say its voxel size is taken to have the same if it has the same box.

    Returns
    -------
    VolumeFsc
        With the alignment of the reference, resampled to the grid of ``volume``.
    NDArray
        (n, n, n) the reference where the map is.

    Raises
    ------
    InputError
        If the reference's voxel size is not known and its box is another.
    ValueError
        If the map is not a cube.
    """
    n = check_cube(volume)
    if isinstance(reference, Volume):
        if not all(s > 0 for s in reference.voxel_size_A):
            if reference.density.shape != (n, n, n):
                raise InputError(
                    "The reference map's voxel size is not known.", "Give it, or repair its header."
                )
            reference = replace(reference, voxel_size_A=(voxel_size_A,) * 3)
        fixed: FloatArray = on_grid(reference, n, voxel_size_A)
    else:
        fixed = reference
    alignment = align(fixed, volume, mirror=mirror)
    moved = apply_alignment(fixed, alignment)
    weights = soft_mask(moved, voxel_size_A) if isinstance(mask, str) and mask == "soft" else mask
    found = volume_fsc(volume, moved, voxel_size_A, weights, against=against)
    words = "soft mask around the reference" if weights is not mask else found.mask
    return replace(found, alignment=alignment, mask=words), moved


def fsc_area(correlation: FloatArray) -> float:
    """Mean of a correlation curve over its shells, without the first, which only compares means.

    One number from -1 to 1 for how far two maps agree over all frequencies up to Nyquist.
    """
    curve = np.asarray(correlation, np.float64)[1:]
    return float(curve.mean()) if len(curve) else 0.0


def fsc_matrix(volumes: FloatArray, *, work_size: int = 48) -> NDArray[np.float64]:
    """Area under the Fourier shell correlation of every pair of maps, already in one frame.

    Parameters
    ----------
    volumes : (m, n, n, n), without a mask.
    work_size : maps are compared on at most so many voxels a side, and so up to that grid's Nyquist.

    Returns
    -------
    (m, m) symmetric, 1 on the diagonal (0 for an empty map).
    """
    size = min(check_cube(volumes[0]), work_size)
    stack = [fourier_resample(v, size) for v in volumes]
    shell, weights = _shells(size)
    order = np.argsort(shell, kind="stable")
    limits = np.searchsorted(shell[order], np.arange(1, size // 2 + 2))
    spectra = np.stack([(rfftn(v).ravel() * weights)[order] for v in stack])
    total = np.zeros((len(stack),) * 2)
    for low, high in zip(limits[:-1], limits[1:], strict=True):
        part = spectra[:, low:high]
        product = (part @ part.conj().T).real.astype(np.float64)
        power = np.sqrt(np.maximum(np.diagonal(product), 0))
        norm = np.outer(power, power)
        total += np.where(norm > 0, product / np.where(norm > 0, norm, 1), 0)
    return np.asarray(total / (size // 2))


def soft_mask(
    volume: FloatArray,
    voxel_size_A: float,
    *,
    low_pass_A: float | None = None,
    grow_px: float = 2.0,
    edge_px: float = SPHERE_EDGE_PX,
) -> NDArray[np.float32]:
    """A soft mask around a map's density: low-passed, thresholded, filled, grown, with a cosine edge.

    Parameters
    ----------
    volume : (n, n, n).
    voxel_size_A : Å.
    low_pass_A : resolution of the low-passed map; None takes 20 Å, or six voxels if that is more.
    grow_px : voxels between the threshold's surface and the start of the edge.
    edge_px : width of the edge, voxels.

    Returns
    -------
    (n, n, n) from 0 to 1; all 1 for a map without contrast. The threshold is Otsu's; of what is above
    it, pieces smaller than a tenth of the largest are left out.
    """
    n = check_cube(volume)
    resolution = max(20.0, 6 * voxel_size_A) if low_pass_A is None else low_pass_A
    smooth = gaussian_filter(
        np.asarray(volume, np.float64), resolution / voxel_size_A / (np.pi * np.sqrt(2)), mode="nearest"
    )
    if not float(np.ptp(smooth)) > 1e-12 * (float(np.abs(smooth).max()) + 1e-300):
        return np.ones((n, n, n), np.float32)
    inside = smooth > threshold_otsu(smooth)
    pieces, count = label(inside)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    inside = binary_fill_holes((sizes >= 0.1 * sizes.max())[pieces])
    away = distance_transform_edt(~inside)
    return _edge(np.asarray(away, np.float64) - grow_px, edge_px)


def soft_sphere(
    n: int, radius_px: float | None = None, edge_px: float = SPHERE_EDGE_PX
) -> NDArray[np.float32]:
    """1 within ``radius_px`` of voxel ``n // 2``, 0 beyond ``edge_px`` more; None ends it inside the box."""
    radius = image_centre(n) - 1 - edge_px if radius_px is None else radius_px
    squared = (np.arange(n) - image_centre(n)) ** 2.0
    distance = np.sqrt(squared[:, None, None] + squared[:, None] + squared)
    return _edge(distance - radius, edge_px)


def _edge(beyond: NDArray[np.float64], width: float) -> NDArray[np.float32]:
    share = np.clip(beyond / max(width, 1e-9), 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * share)), np.float32)


def _mask(
    a: NDArray[np.float64], b: NDArray[np.float64], n: int, mask: Mask, voxel_size_A: float
) -> tuple[NDArray[np.float32] | None, str]:
    if mask is None:
        return None, "no mask"
    if isinstance(mask, str):
        if mask == "sphere":
            return soft_sphere(n), "soft sphere"
        if mask == "soft":
            both = sum((m - m.mean()) / max(float(m.std()), 1e-300) for m in (a, b))
            return soft_mask(np.asarray(both), voxel_size_A), "soft mask around both maps"
        raise ValueError(f"the mask must be None, sphere, soft or an array, not {mask!r}")
    weights = np.asarray(mask, np.float32)
    if weights.shape != (n, n, n) or not weights.sum() > 0:
        raise ValueError(f"a mask of {n} voxels a side that is not empty is needed, not {weights.shape}")
    return weights, "given mask"


def _shells(n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Shell of each coefficient of a real transform, and the square root of how many it stands for."""
    full, half = np.fft.fftfreq(n) * n, np.fft.rfftfreq(n) * n
    radius = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
    twice = np.full(len(half), 2.0)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    weights = np.broadcast_to(np.sqrt(twice), radius.shape).astype(np.float32)
    return np.rint(radius).astype(np.int64).ravel(), weights.ravel()
