"""Which class averages are good, which are junk, and which show the same view twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter, map_coordinates

from engine.conventions import image_centre
from engine.io.contrast import choose_contrast
from engine.io.image_resampling import cropped, resampled, shifted
from engine.io.particle_extent import Extent, Images, extents, masked_radius, radii, smoothed

JUNK_BELOW = 0.1
"""Scores below this are junk. Of 314 averages of six kinds the lowest has 0.15, of 600 images of junk made
from them the highest 0.05 (``tests/benchmarks/average_quality.py``)."""

DUPLICATE_ABOVE = 0.97
"""Correlation of fine detail, after the best rotation and mirroring, from which two views are the same."""

_SMALL_PX = 48
_ANGLES = 96
_DETAIL_PX = 3.0
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class AverageQuality:
    """Quality of each class average.

    Attributes
    ----------
    score : (n,) in [0, 1], higher is better: the share of the image's density that is positive and
        within one particle, times how far this particle stands out of its surroundings, how far it
        keeps from the edge, and how little fine noise there is. 0 for an empty image.
    junk : (n,) bool, noise, emptiness or edges rather than a particle.
    duplicate_of : (n,) int, 0-based index of a better-scored image of the same view (turned or
        mirrored); -1 for none.
    """

    score: NDArray[np.float64]
    junk: NDArray[np.bool_]
    duplicate_of: NDArray[np.int64]


def rank(images: Images, *, contrast: Literal["auto", "white", "black"] = "auto") -> AverageQuality:
    """Judge class averages by their looks alone.

    Parameters
    ----------
    images : (n, y, x), preferably before they are masked: the surroundings of the particle tell most.
    contrast : of the particles in the images.

    Returns
    -------
    AverageQuality
        Does not depend on each image's scale and offset, and hardly on place, rotation and mirroring.
    """
    sign, _ = choose_contrast(images, contrast)
    images = (sign * images).astype(np.float32)
    limit = masked_radius(images)
    found = extents(images, limit)
    score = np.array(
        [_score(*each, limit) for each in zip(images, smoothed(images), found, strict=True)], np.float64
    )
    junk = score < JUNK_BELOW
    usable = np.flatnonzero(~junk)
    duplicate_of = np.full(len(images), -1, np.int64)
    if len(usable) > 1:
        best_first = usable[np.argsort(-score[usable], kind="stable")]
        pictures = _small(images[best_first], [found[i] for i in best_first])
        for later, first in _repeats(similarity(pictures)).items():
            duplicate_of[best_first[later]] = best_first[first]
    return AverageQuality(score, junk, duplicate_of)


def _score(image: Images, smooth: Images, found: Extent, limit: float) -> float:
    distance = radii(*image.shape)
    inside = distance <= limit
    spread = float(smooth[inside].std())
    # Rounding noise of a constant image is no content.
    if not found.support.any() or spread <= 1e-6 * float(np.abs(image).max()):
        return 0.0
    background = inside & ~found.support
    level = float(np.median(smooth[background])) if background.sum() > 20 else float(smooth[inside].min())
    rest = smooth - level
    share = float(rest[found.support].clip(min=0).sum() / np.abs(rest[inside]).sum())
    # Power per pixel around the particle's centre against that far from it.
    off = float(np.hypot(*found.centre_px))
    y = np.arange(image.shape[0])[:, None] - image_centre(image.shape[0]) - found.centre_px[1]
    x = np.arange(image.shape[1])[None, :] - image_centre(image.shape[1]) - found.centre_px[0]
    reach = np.sqrt(found.support.sum() / np.pi)
    near = inside & (np.hypot(y, x) <= reach)
    far = inside & ~near & ~found.support
    power = rest**2
    outside = float(power[far].mean()) if far.sum() > 20 else 0.0
    stands_out = np.log(
        (float(power[near].mean()) + 1e-12) / (outside + 1e-6 * float(power[near].mean()) + 1e-12)
    )
    rim = inside & (distance > 0.94 * limit)
    touching = float((found.support & rim).sum() / max(1, rim.sum()))
    fine = float((image - smooth)[inside].std()) / spread
    return float(
        share
        / (1 + np.exp(-2.0 * (stands_out - 2.2)))
        * max(0.0, 1 - 6 * touching)
        * max(0.0, 1 - (off / (0.8 * limit)) ** 2)
        / (1 + fine**2)
    )


def _small(images: Images, found: list[Extent]) -> Images:
    """(n, 48, 48): centred, cut to the particle, without background and without what is smooth."""
    largest = float(np.percentile([e.radius_px for e in found], 95))
    side = int(np.ceil(2.3 * largest)) + 4
    level = np.array(
        [np.median(i[~e.support]) if not e.support.all() else 0.0 for i, e in zip(images, found, strict=True)]
    )
    centred = shifted(
        images - level[:, None, None].astype(np.float32), -np.array([e.centre_px for e in found])
    )
    small = resampled(cropped(centred, side), _SMALL_PX)
    # Outlines of compact particles are all alike; what is finer tells views apart.
    return np.asarray(small - gaussian_filter(small, (0, _DETAIL_PX, _DETAIL_PX)), np.float32)


def similarity(images: Images) -> NDArray[np.float64]:
    """Correlation of all pairs of centred square images at the best in-plane rotation, mirrored or not.

    Each image is resampled on rings. The correlation for all rotations is then one product per angular
    frequency (Cooley-Tukey along the rings), for the mirrored image with the conjugate.

    Parameters
    ----------
    images : (n, side, side), the particle at pixel side//2.

    Returns
    -------
    (n, n) float64 in [-1, 1], symmetric, 1 on the diagonal.
    """
    count, side, _ = images.shape
    ring = np.arange(1, side // 2)
    angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    place = np.stack([ring[:, None] * np.sin(angle), ring[:, None] * np.cos(angle)]) + image_centre(side)
    polar = np.stack([map_coordinates(image, place, order=1, mode="constant") for image in images])
    weight = ring / ring.sum()
    polar = polar - (polar.mean(axis=2) @ weight)[:, None, None]
    polar *= np.sqrt(weight)[None, :, None]
    norm = np.sqrt((polar**2).sum(axis=(1, 2)))
    polar /= np.where(norm > 0, norm, 1.0)[:, None, None]
    # (frequencies, n, rings), so that each frequency is one matrix product
    waves = np.ascontiguousarray(rfft(polar, axis=2).transpose(2, 0, 1))
    result = np.empty((count, count))
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = waves[:, start : start + _ROWS_AT_ONCE]
        turned = irfft(rows @ waves.conj().transpose(0, 2, 1), _ANGLES, axis=0).max(axis=0)
        mirrored = irfft(rows @ waves.transpose(0, 2, 1), _ANGLES, axis=0).max(axis=0)
        result[start : start + _ROWS_AT_ONCE] = np.maximum(turned, mirrored)
    np.fill_diagonal(result, 1.0)
    return np.clip((result + result.T) / 2, -1.0, 1.0)


def _repeats(similar: NDArray[np.float64]) -> dict[int, int]:
    """Later images and the first, kept image that each repeats."""
    kept: list[int] = []
    found: dict[int, int] = {}
    for i in range(len(similar)):
        if kept:
            best = kept[int(np.argmax(similar[i, kept]))]
            if similar[i, best] > DUPLICATE_ABOVE:
                found[i] = best
                continue
        kept.append(i)
    return found
