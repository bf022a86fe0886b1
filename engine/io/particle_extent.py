"""Where the particle lies in a class average: its support, centre of mass and radius.

Nothing is known about the images beforehand: they may be masked already, off centre, with a dark halo
(uncorrected CTF) or noise around the particle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter, label

from engine.conventions import image_centre

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]

_OUTLINE_BLUR, _CENTRE_BLUR = 0.02, 0.05
"""σ of the low-pass, as a share of the box: the outline needs detail, the centre of mass steadiness."""

_OUTLINE_SHARE, _CENTRE_SHARE = 0.12, 0.2
"""Least height above the background, as a share of the peak: weak parts belong to the outline, but the
centre of mass is steadier without what flickers in and out."""

_NOISE_SIGMAS = 3.0
_SMALLEST_PART = 0.05
"""Separate parts smaller than this share of the largest are specks."""

_ROUNDS = 3


@dataclass(frozen=True)
class Extent:
    """The particle of one image.

    Attributes
    ----------
    support : (y, x) bool.
    centre_px : (2,) xy, centre of mass relative to pixel n//2.
    radius_px : largest distance of the support from pixel n//2; 0 if nothing was found.
    """

    support: Masks
    centre_px: NDArray[np.float64]
    radius_px: float


def radii(rows: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns) distance of each pixel from pixel n//2."""
    y = np.arange(rows) - image_centre(rows)
    x = np.arange(columns) - image_centre(columns)
    return np.asarray(np.hypot(y[:, None], x[None, :]))


def soft_disc(box: int, radius_px: float, edge_px: float = 3.0) -> Images:
    """A circular mask: 1 inside, a cosine edge, 0.5 at the radius, 0 outside.

    Parameters
    ----------
    box : side, pixels; the disc is about pixel box//2.
    radius_px, edge_px : radius, and full width of the edge.

    Returns
    -------
    (box, box) float32.
    """
    ramp = (radii(box, box) - radius_px) / max(edge_px, 1e-6)
    return (0.5 - 0.5 * np.sin(np.pi * np.clip(ramp, -0.5, 0.5))).astype(np.float32)


def masked_radius(images: Images) -> float:
    """Radius, px, beyond which the images are constant because somebody has masked them.

    Half the shorter side where they are not masked.
    """
    _, rows, columns = images.shape
    distance = radii(rows, columns)
    whole = min(rows, columns) / 2
    found = []
    for image in images[:: max(1, len(images) // 50)]:
        spread = float(np.ptp(image))
        corners = distance > whole * 1.05
        if not spread or not corners.any() or np.ptp(image[corners]) > 1e-6 * spread:
            continue
        differs = np.abs(image - image[0, 0]) > 1e-5 * spread
        found.append(float(distance[differs].max()))
    return float(min(whole, max(found))) if found else float(whole)


def smoothed(images: Images, blur: float = _OUTLINE_BLUR) -> Images:
    """Low-passed, so that the particle stands out of the noise; (n, y, x). ``blur`` is a share of the box."""
    sigma = max(1.0, blur * min(images.shape[1:]))
    return np.asarray(gaussian_filter(images, (0.0, sigma, sigma), mode="nearest"), np.float32)


def extent(smooth: Images, inside: Masks, ring: Masks, share: float) -> Extent:
    """Find the particle in one low-passed image, density positive.

    Parameters
    ----------
    smooth : (y, x), from :func:`smoothed`.
    inside : (y, x) where to look.
    ring : (y, x) where background is likely, to begin with.
    share : of the peak, from which density counts as particle.

    Returns
    -------
    Extent
        The threshold is three standard deviations of the background or the share of the peak, whatever
        is more; the background is then taken outside of what was found, and all is done again.
    """
    rows, columns = smooth.shape
    distance = radii(rows, columns)
    background = ring & inside
    support = np.zeros_like(inside)
    level = 0.0
    peak = float(np.percentile(smooth[inside], 99.5))
    reach = max(2, round(_OUTLINE_BLUR * rows))
    for _ in range(_ROUNDS):
        values = smooth[background] if background.sum() >= 20 else smooth[ring & inside]
        level = float(np.median(values))
        noise = 1.4826 * float(np.median(np.abs(values - level)))
        threshold = level + max(_NOISE_SIGMAS * noise, share * (peak - level))
        support = _large_parts(inside & (smooth > threshold))
        if not support.any():
            return Extent(support, np.zeros(2), 0.0)
        background = inside & ~binary_dilation(support, iterations=reach)
    mass = np.where(binary_dilation(support, iterations=1) & inside, np.maximum(smooth - level, 0.0), 0.0)
    total = float(mass.sum())
    if total <= 0:
        return Extent(support, np.zeros(2), 0.0)
    y = np.arange(rows) - image_centre(rows)
    x = np.arange(columns) - image_centre(columns)
    centre = np.array([mass.sum(axis=0) @ x, mass.sum(axis=1) @ y]) / total
    return Extent(support, centre, float(distance[support].max()))


def _large_parts(found: Masks) -> Masks:
    parts, count = label(found)
    if count == 0:
        return found
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    keep = sizes >= max(_SMALLEST_PART * sizes.max(), 4)
    return np.asarray(binary_fill_holes(keep[parts]), bool)


def extents(images: Images, limit_px: float) -> list[Extent]:
    """The particle of each image.

    Parameters
    ----------
    images : (n, y, x), density positive.
    limit_px : where to look: within this radius, from :func:`masked_radius`.
    """
    distance = radii(*images.shape[1:])
    inside = distance <= limit_px
    ring = inside & (distance > 0.85 * limit_px)
    found = []
    for fine, coarse in zip(smoothed(images), smoothed(images, _CENTRE_BLUR), strict=True):
        outline = extent(fine, inside, ring, _OUTLINE_SHARE)
        steady = extent(coarse, inside, ring, _CENTRE_SHARE)
        found.append(Extent(outline.support, steady.centre_px, outline.radius_px))
    return found
