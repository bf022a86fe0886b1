"""Where the object ends and the background begins, in a projection or a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from skimage.measure import label

# Of the brightest density; the blur around an object lies below it.
LOWEST_IN_IMAGE, LOWEST_IN_MAP = 0.05, 0.15
NOISE_DEVIATIONS = 3.0
SMALLEST_PIECE = 0.02  # of the mass: what is smaller and apart is noise


def particle_density(density: NDArray[np.floating], threshold: float | None = None) -> NDArray[np.float64]:
    """Density of the object above its background; zero elsewhere.

    A projection fades towards the object's edge, so a threshold between two modes, such as Otsu's,
    cuts thin parts away. Background and noise are measured on the border instead: density counts from
    three noise deviations above the background, or from a small share of the brightest density if that
    is more (5 % in an image, 15 % in a map), but never from above Otsu's threshold. Specks apart from
    the object are dropped.

    Parameters
    ----------
    density : (y, x) or (z, y, x), positive where there is matter.
    threshold : value, counted from zero, that replaces the automatic one.

    Returns
    -------
    Same shape, not negative; all zero if nothing stands out.
    """
    values = np.asarray(density, np.float64)
    width = max(1, min(values.shape) // 20)
    inside = np.zeros(values.shape, bool)
    inside[(slice(width, -width),) * values.ndim] = True
    border = values[~inside]
    if threshold is None:
        background = float(np.median(border))
        noise = 1.4826 * float(np.median(np.abs(border - background)))
        bright = float(np.percentile(values, 99.9)) - background
        share = LOWEST_IN_IMAGE if values.ndim == 2 else LOWEST_IN_MAP
        level = max(NOISE_DEVIATIONS * noise, share * bright)
        # Where the object reaches the border, what is measured there is not noise.
        level = min(level, float(threshold_otsu(values)) - background) if np.ptp(values) > 0 else level
    else:
        background, level = 0.0, threshold
    above = np.where(values - background > level, values - background, 0.0)
    pieces = label(above > 0)
    mass = np.bincount(pieces.ravel(), above.ravel())
    kept: NDArray[np.float64] = above * (mass >= SMALLEST_PIECE * mass.sum())[pieces]
    return kept
