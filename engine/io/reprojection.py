"""Projections of maps and of point clouds in plain numpy: for the window, and for checks without torch.

The transform of a projection is a central slice of the map's transform. That is computed once, on a
padded grid, and read off between its points linearly; what this smooths away in real space is undone
beforehand. :mod:`engine.forward` has the differentiable projectors, whose conventions these share:
``x_view = R x + shift``, summed along z, the origin in voxel or pixel ``n // 2``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftn, ifftn, irfft2, next_fast_len

from engine.conventions import image_centre
from engine.io.density import splat_image

Floats = NDArray[np.floating]
Images = NDArray[np.float32]

LARGEST = 96
"""Voxels along an edge: larger maps are resampled to this first, which still shows 64-pixel detail."""

_AT_ONCE = 400_000  # slice coefficients held at once
# The width of a splat is asked for as a resolution there.
_SIGMA_TO_RESOLUTION = np.pi * np.sqrt(2.0)


@dataclass(frozen=True)
class MapTransform:
    """A map's Fourier transform, ready to be sliced.

    Attributes
    ----------
    values : (N, N, N) complex64, zyx, frequency zero at ``N // 2``.
    voxel_A : edge of a voxel of the (perhaps resampled) map, Å.
    """

    values: NDArray[np.complex64]
    voxel_A: float


def transform_of(density: Floats, voxel_A: float, *, largest: int = LARGEST) -> MapTransform:
    """Prepare a map for :func:`project_map`.

    Parameters
    ----------
    density : (z, y, x); the origin is voxel ``n // 2`` along each axis.
    voxel_A : edge of a voxel, Å.
    largest : see :data:`LARGEST`.

    Raises
    ------
    ValueError
        If it isn't a map, or the voxel size isn't positive.
    """
    density = np.asarray(density, np.float32)
    if density.ndim != 3 or min(density.shape) < 2 or not voxel_A > 0:
        raise ValueError(f"no map: shape {density.shape}, voxels of {voxel_A} Å")
    cube = _in_cube(density, max(density.shape))
    size = len(cube)
    if size > largest:
        voxel_A, cube = voxel_A * size / largest, _resampled(cube, largest)
        size = largest
    points = next_fast_len(2 * size + size % 2)
    points += points % 2
    # Linear interpolation between the padded grid's points multiplies the map by sinc².
    offset = (np.arange(size) - image_centre(size)) / points
    mend = 1.0 / np.sinc(offset) ** 2
    cube = cube * (mend[:, None, None] * mend[None, :, None] * mend[None, None, :]).astype(np.float32)
    padded = _in_cube(cube, points)
    values = np.fft.fftshift(fftn(np.fft.ifftshift(padded)))
    return MapTransform(np.ascontiguousarray(values, np.complex64), float(voxel_A))


def slices_at(transform: MapTransform, axes: Floats, cycles: Floats, pixel_A: float) -> NDArray[np.complex64]:
    """Coefficients of projections at some frequencies, with the image's origin at pixel 0.

    Parameters
    ----------
    axes : (n, 2, 3): where the image's x and y point in the object. Two rows of a rotation, or of a
        rotation times a mirror.
    cycles : (k, 2) xy, cycles per pixel.

    Returns
    -------
    (n, k); zero beyond the map's own Nyquist frequency.
    """
    ratio = transform.voxel_A / pixel_A
    plane = np.asarray(cycles, np.float64) * ratio
    inside = np.flatnonzero(np.hypot(plane[:, 0], plane[:, 1]) < 0.5)
    result = np.zeros((len(axes), len(plane)), np.complex64)
    step = max(1, _AT_ONCE // max(1, len(inside)))
    for start in range(0, len(axes), step):
        some = np.asarray(axes[start : start + step], np.float64)
        place = np.einsum("kc,ncx->nkx", plane[inside], some)
        result[start : start + step, inside] = _between(transform.values, place)
    scaled: NDArray[np.complex64] = result * np.float32(ratio**2)
    return scaled


def project_map(
    transform: MapTransform, rotations: Floats, shifts_px: Floats | None, box: int, pixel_A: float
) -> Images:
    """Projections of a map.

    Parameters
    ----------
    rotations : (n, 3, 3), ``x_view = R x``.
    shifts_px : (n, 2) xy, pixels: where the object's origin appears relative to pixel ``box // 2``.

    Returns
    -------
    (n, box, box), summed along z.
    """
    axes = np.asarray(rotations)[:, :2]
    return project_axes(transform, axes, shifts_px, box, pixel_A)


def project_axes(
    transform: MapTransform, axes: Floats, shifts_px: Floats | None, box: int, pixel_A: float
) -> Images:
    """As :func:`project_map`, for axes (n, 2, 3) as in :func:`slices_at`."""
    fy, fx = np.fft.fftfreq(box), np.fft.rfftfreq(box)
    plane = np.stack(np.broadcast_arrays(fx[None, :], fy[:, None]), axis=-1).reshape(-1, 2)
    found = slices_at(transform, axes, plane, pixel_A).reshape(len(axes), box, box // 2 + 1)
    place = np.full((len(found), 2), float(image_centre(box)))
    if shifts_px is not None:
        place = place + shifts_px
    return np.asarray(irfft2(found * ramp(place, box), s=(box, box), axes=(1, 2)), np.float32)


def ramp(shifts_px: Floats, box: int) -> NDArray[np.complex64]:
    """Factors (n, box, box // 2 + 1) that move images by (n, 2) xy pixels."""
    fy, fx = np.fft.fftfreq(box), np.fft.rfftfreq(box)
    moves = np.asarray(shifts_px, np.float64)
    along_x = np.exp(-2j * np.pi * moves[:, 0, None] * fx)
    along_y = np.exp(-2j * np.pi * moves[:, 1, None] * fy)
    return np.asarray(along_y[:, :, None] * along_x[:, None, :], np.complex64)


def project_points(
    points_A: Floats,
    rotations: Floats,
    shifts_px: Floats,
    box: int,
    pixel_A: float,
    sigma_A: float,
    weights: Floats | None = None,
) -> Images:
    """Projections of a cloud whose points are Gaussians.

    Parameters
    ----------
    points_A : (p, 3) xyz.
    sigma_A : standard deviation of each Gaussian, Å.
    weights : (p,) mass of each; None for 1/p each.

    Returns
    -------
    (n, box, box), mass per pixel.
    """
    images = [
        splat_image(
            (np.asarray(points_A, np.float64) @ np.asarray(r)[:2].T) + np.asarray(s) * pixel_A,
            pixel_size_A=pixel_A,
            box=box,
            resolution_A=sigma_A * _SIGMA_TO_RESOLUTION,
            weights=weights,
        )
        for r, s in zip(rotations, shifts_px, strict=True)
    ]
    return np.stack(images) if images else np.zeros((0, box, box), np.float32)


def seen_at(point_A: Floats, rotations: Floats, shifts_px: Floats, box: int, pixel_A: float) -> Floats:
    """Where a point (3,) of the object appears in each image: (n, 2) xy, pixels from pixel 0."""
    place: Floats = np.asarray(rotations)[:, :2] @ np.asarray(point_A, np.float64) / pixel_A
    return np.asarray(place + np.asarray(shifts_px) + image_centre(box))


def points_as_map(points_A: Floats, box: int, voxel_A: float, sigma_A: float) -> Images:
    """A cloud as a map (box, box, box) about the frame's origin, which is voxel ``box // 2``."""
    from engine.io.density import splat_volume

    corner = -float(image_centre(box)) * voxel_A
    return splat_volume(
        points_A,
        voxel_size_A=voxel_A,
        shape=(box, box, box),
        origin_A=(corner, corner, corner),
        resolution_A=sigma_A * _SIGMA_TO_RESOLUTION,
    )


def _between(values: NDArray[np.complex64], place: Floats) -> NDArray[np.complex64]:
    """Linear interpolation at (..., 3) xyz, cycles per voxel."""
    points = len(values)
    at = place * points + points // 2
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32)
    flat = values.reshape(-1)
    strides = np.array([1, points, points * points])
    base = low @ strides
    total = np.zeros(base.shape, np.complex64)
    for corner in range(8):
        bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        weight = np.prod(np.where(bits, part, 1 - part), axis=-1)
        total += weight * flat[(base + int(bits @ strides)) % flat.size]
    return total


def _in_cube(density: Images, side: int) -> Images:
    """Cut or pad so that voxel ``n // 2`` comes to voxel ``side // 2`` along each axis."""
    cube = np.zeros((side,) * 3, np.float32)
    to, origin = [], []
    for n in density.shape:
        offset = image_centre(side) - image_centre(n)
        low, high = max(0, offset), min(side, n + offset)
        to.append(slice(low, high))
        origin.append(slice(low - offset, high - offset))
    cube[tuple(to)] = density[tuple(origin)]
    return cube


def _resampled(cube: Images, side: int) -> Images:
    """Fewer voxels over the same box: the transform is cut, density stays what it is."""
    spectrum = np.fft.fftshift(fftn(np.fft.ifftshift(cube)))
    low = image_centre(len(cube)) - image_centre(side)
    cut = spectrum[(slice(low, low + side),) * 3]
    back = np.fft.fftshift(ifftn(np.fft.ifftshift(cut))).real * (side / len(cube)) ** 3
    return np.asarray(back, np.float32)
