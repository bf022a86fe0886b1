"""Is the particle white or black? Programs disagree, and a wrong sign looks like a bad reconstruction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.conventions import CONTRAST_SIGN

_CERTAIN = 3.0
"""Standard errors by which the centre must differ from the border before it counts as evidence."""

_MAX_EXAMINED = 500


def choose_contrast(
    images: NDArray[np.float32], contrast: Literal["auto", "white", "black"]
) -> tuple[float, str]:
    """The sign that makes density positive, and a sentence that says how it was chosen.

    The mean over a central disc (40% of the width) is compared with the mean outside the inscribed
    circle, in units of the image's standard deviation, and averaged over images. Without a clear
    difference the images are taken as white, as in RELION's and cryoSPARC's class averages.

    Parameters
    ----------
    images : (n, ny, nx).
    contrast : ``white`` or ``black`` are obeyed; ``auto`` looks.

    Returns
    -------
    tuple
        ``(sign, sentence)``; sign is 1 or -1.
    """
    if contrast != "auto":
        return CONTRAST_SIGN[contrast], f"The contrast was given: particles {contrast} in the file."
    difference, error = centre_minus_border(images)
    if not np.isfinite(difference) or abs(difference) < _CERTAIN * error or abs(difference) < 0.02:
        return (
            1.0,
            "Contrast: centre and border do not differ clearly, so particles were taken as white. Check it.",
        )
    if difference > 0:
        return (
            1.0,
            f"Contrast: the centre is brighter than the border (by {difference:.2g} σ), "
            "so particles are white.",
        )
    return -1.0, (
        f"Contrast: the centre is darker than the border (by {-difference:.2g} σ), "
        "so particles are black; the images were inverted."
    )


def centre_minus_border(images: NDArray[np.float32]) -> tuple[float, float]:
    """Mean difference between centre and border in image standard deviations, and its standard error.

    Images without contrast are left out. The error is the scatter between images, and no less than
    what the number of pixels allows, so that a few images can't agree by chance.
    """
    step = max(1, len(images) // _MAX_EXAMINED)
    sample = images[::step].astype(np.float64)
    _, ny, nx = sample.shape
    y = (np.arange(ny) - ny // 2) / max(ny, 1)
    x = (np.arange(nx) - nx // 2) / max(nx, 1)
    radius = np.hypot(y[:, None], x[None, :])
    centre, border = radius < 0.2, radius > 0.48
    if centre.sum() < 4 or border.sum() < 4:
        return float("nan"), float("inf")
    inside, outside = sample[:, centre], sample[:, border]
    spread = sample.std(axis=(1, 2))
    useful = spread > 0
    if not useful.any():
        return float("nan"), float("inf")
    difference = (inside.mean(axis=1) - outside.mean(axis=1))[useful] / spread[useful]
    count = len(difference)
    # Neighbouring pixels are correlated: count about one independent value per 16.
    error = np.sqrt((16 / centre.sum() + 16 / border.sum()) / count)
    if count > 1:
        error = max(error, difference.std(ddof=1) / np.sqrt(count))
    return float(difference.mean()), float(error)
