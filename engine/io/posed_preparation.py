"""Images of known pose made ready: centred on the particle, masked, normalised, resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from engine.errors import InputError
from engine.io.averages import (
    DEFAULT_BOX,
    MARGIN,
    MARGIN_PX,
    MASK_EDGE_PX,
    given_radius,
    levels,
    normalised,
)
from engine.io.image_resampling import cropped, resampled, shifted
from engine.io.particle_extent import Extent, Images, extents, masked_radius, radii, soft_disc
from engine.io.posed_images import PosedStack
from engine.specs.known_poses import PosedImages
from engine.types import ImageStack

_CONTRADICTION_PX, _COMMON_PX, _MOST_COMMON_PX = 0.75, 0.5, 3.0
_LOST, _FAR = 0.05, 0.2  # of the box: centres of mass that say nothing
_FEWEST_FOR_NOISE = 50


@dataclass(frozen=True)
class PreparedViews:
    """Images of known pose as reconstruction wants them.

    Attributes
    ----------
    stack : (n, box, box), density positive, the particle's centre at pixel ``box // 2``, zero outside the
        circular mask; mean 0 and variance 1 over the pixels within ``mask_radius_px`` of the whole stack.
    rotations : (n, 3, 3).
    centre_A : (3,) where that centre is in the frame of the poses, xyz.
    mask_radius_px : in pixels of the working box.
    background : the value of empty surroundings, below zero.
    noise : standard deviation in a pixel outside of the particle, in units of the images' contrast.
    field_of_view_px : side of what the box shows, in pixels of the file.
    notes : what was done and assumed, one sentence each.
    """

    stack: ImageStack
    rotations: NDArray[np.float64]
    centre_A: NDArray[np.float64]
    mask_radius_px: float
    background: float
    noise: float
    field_of_view_px: int
    notes: tuple[str, ...]


def prepare_posed(posed: PosedStack, spec: PosedImages) -> PreparedViews:
    """Bring the particle to the middle, cut, resample and normalise.

    The particle's centre of mass projects onto each image's centre of mass. So one point in 3D explains them
    all, and images are moved until this point is in the middle, by their poses alone: errors of single
    centres of mass move nothing. If all images are off by the same, as RELION's projections of odd boxes are,
    that is corrected, too.

    Raises
    ------
    InputError
        If no image has content, or the mask doesn't fit into the image.
    """
    images, pixel = posed.images, posed.pixel_size_A
    side, notes = images.shape[-1], list[str]()
    limit = masked_radius(images)
    found = extents(images, limit)
    if posed.prepared:
        # its shifts are those of images that were centred before
        centre, places = np.zeros(3), posed.shifts_A / pixel
    else:
        centre, places = _centre(posed, found, spec, notes.append)
    if float(np.abs(places).max(initial=0)) > side / 2:
        raise InputError(
            f"The poses move particles by up to {np.abs(places).max():.0f} pixels, out of their images.",
            "Check the shifts' unit and the pixel size.",
            spec.poses,
        )
    if np.abs(places).max(initial=0) > 1e-3:
        images = shifted(images, -places)
        found = extents(images, limit)
    radius = _radius(found, limit, spec, pixel, side)
    images = images - levels(images, found, radius, limit)[:, None, None]
    box = spec.box or min(DEFAULT_BOX, side - side % 2)
    view = min(side, max(box, 2 * int(np.ceil(radius + MASK_EDGE_PX / 2)) + 2))
    images = cropped(images, view) if view < side else images
    supports = cropped(np.stack([f.support for f in found]).astype(np.float32), view)
    images, supports = resampled(images, box), resampled(supports, box)
    if view != box or view != side:
        notes.append(f"Images were cut from {side} to {view} pixels and resampled to {box}.")
    radius = min(radius * box / view, box / 2 - 1.0)
    images, background = normalised(images, radius, equal=spec.equal_contrast or posed.prepared)
    noise = _noise(images, supports, radius, limit * box / view)
    disc = soft_disc(box, radius, MASK_EDGE_PX)
    size = float(pixel * view / box)
    notes.append(f"The mask has a diameter of {2 * radius * size:.4g} Å.")
    if noise > 0.02:
        notes.append(f"Noise is {noise:.2g} of the images' contrast, by the surroundings of the particle.")
    return PreparedViews(
        ImageStack(np.asarray(images * disc, np.float32), size, tuple(notes)), posed.rotations,
        centre * pixel, float(radius), float(background), noise, int(view), tuple(notes),
    )  # fmt: skip


def _centre(
    posed: PosedStack, found: list[Extent], spec: PosedImages, note: Callable[[str], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The particle's centre (xyz) in the frame of the poses, and where it appears in each image (xy), px."""
    stated = posed.shifts_A / posed.pixel_size_A
    seen = np.array([f.centre_px for f in found], np.float64).reshape(-1, 2)
    axes = posed.rotations[:, :2]
    rows = axes.reshape(-1, 3)
    offset = (seen - stated).ravel()
    # a weak pull to the origin decides what one or two views leave open
    pull = 1e-3 * np.eye(3)
    centre = np.linalg.solve(rows.T @ rows + pull, rows.T @ offset)
    left = (offset - rows @ centre).reshape(-1, 2)
    places = stated + axes @ centre
    if spec.centre == "mass":
        note("Each image was centred on its own centre of mass.")
        return np.asarray(centre, np.float64), seen
    side = posed.images.shape[-1]
    if len(found) >= 3:
        both = np.concatenate([rows, np.tile(np.eye(2), (len(found), 1))], axis=1)
        solved = np.linalg.solve(both.T @ both + 1e-3 * np.eye(5), both.T @ offset)
        rest = (offset - both @ solved).reshape(-1, 2)
        common = np.round(solved[3:])  # programs differ by whole pixels
        better = _typical(rest) < 0.5 * _typical(left)
        if better and _COMMON_PX < float(np.hypot(*common)) < _MOST_COMMON_PX:
            centre, left = solved[:3], rest
            places = stated + axes @ centre + common
            note(
                f"All images lie {common[0]:+.1f}, {common[1]:+.1f} pixels (x, y) from where their poses put "
                "them; this was corrected."
            )
    contradiction = _typical(left)
    if contradiction > _LOST * side or float(np.linalg.norm(centre)) > _FAR * side:
        note(
            f"The images' centres of mass don't fit their poses (by {contradiction:.1f} pixels): they are "
            "too noisy, or the poses are wrong. The poses' origin was taken as the particle's centre."
        )
        return np.zeros(3), np.asarray(stated, np.float64)
    if contradiction > _CONTRADICTION_PX:
        note(
            f"The images' centres of mass contradict their shifts by {contradiction:.1f} pixels: with clean "
            "images, try `centre = mass`, or refine the poses."
        )
    return np.asarray(centre, np.float64), np.asarray(places, np.float64)


def _typical(vectors: NDArray[np.floating]) -> float:
    return float(np.sqrt((vectors**2).sum(1).mean()))


def _radius(found: list[Extent], limit: float, spec: PosedImages, pixel: float, side: int) -> float:
    """Of the mask, in pixels of the file."""
    most = side / 2 - 1.0
    if spec.mask_diameter_A is not None:
        return min(given_radius(spec.mask_diameter_A, pixel, spec.poses), most)
    measured = [e.radius_px for e in found if e.radius_px > 0]
    if not measured:
        return min(limit, most)
    return float(np.clip(MARGIN * max(measured) + MARGIN_PX, 4.0, min(limit, most)))


def _noise(images: Images, supports: Images, radius: float, limit: float) -> float:
    """Standard deviation of white noise, whichever of two bounds is lower.

    Outside of the particle everything is noise, but faint density is easily taken for outside. Beyond 0.9 of
    Nyquist clean images hold little, but filtered noise does neither.
    """
    box = images.shape[-1]
    distance = radii(box, box)
    seen: list[NDArray[np.floating]] = []
    for image, support in zip(images, supports, strict=True):
        empty = (distance < min(limit - 1, 1.4 * radius)) & ~binary_dilation(support > 0.5, iterations=3)
        if empty.sum() >= _FEWEST_FOR_NOISE:
            values = image[empty]
            seen.append(np.abs(values - np.median(values)))
    frequency = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.fftfreq(box)[None, :])
    high = (frequency > 0.45) & (frequency < 0.5)
    power = np.abs(np.fft.fft2(images)) ** 2 / box**2
    spectral = float(np.sqrt(power[:, high].mean()))
    return min(spectral, float(1.4826 * np.median(np.concatenate(seen)))) if seen else spectral
