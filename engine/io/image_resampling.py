"""Images moved and resampled in Fourier space, about pixel n//2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftshift, ifft2, ifftshift, irfft2, rfft2

from engine.conventions import image_centre

Images = NDArray[np.float32]


def shifted(images: Images, shifts_px: NDArray[np.float64]) -> Images:
    """Move each image by its own shift, exactly for band-limited images, cyclically.

    Parameters
    ----------
    images : (n, y, x).
    shifts_px : (n, 2) xy; a positive x moves the content to larger x.
    """
    _, rows, columns = images.shape
    fy = np.fft.fftfreq(rows)[None, :, None]
    fx = np.fft.rfftfreq(columns)[None, None, :]
    phase = np.exp(-2j * np.pi * (fx * shifts_px[:, 0, None, None] + fy * shifts_px[:, 1, None, None]))
    return np.asarray(irfft2(rfft2(images, axes=(1, 2)) * phase, s=(rows, columns), axes=(1, 2)), np.float32)


def cropped(images: Images, side: int) -> Images:
    """Cut out, or pad with zeros to, a square whose pixel side//2 is the old pixel n//2; (n, side, side)."""
    count, rows, columns = images.shape
    result = np.zeros((count, side, side), np.float32)
    (to_y, from_y), (to_x, from_x) = _overlap(rows, side), _overlap(columns, side)
    result[:, to_y, to_x] = images[:, from_y, from_x]
    return result


def _overlap(old: int, new: int) -> tuple[slice, slice]:
    offset = image_centre(new) - image_centre(old)
    low, high = max(0, offset), min(new, old + offset)
    return slice(low, high), slice(low - offset, high - offset)


def resampled(images: Images, box: int) -> Images:
    """Resample square images to ``box`` pixels over the same field of view.

    The Fourier transform is cut (or padded with zeros), with the origin at pixel n//2 before and
    after, and scaled so that values, and so a density per area, stay what they are.

    Parameters
    ----------
    images : (n, side, side).

    Returns
    -------
    (n, box, box) float32; pixel size side / box times the old.
    """
    side = images.shape[-1]
    if side == box:
        return images
    spectrum = fftshift(fft2(ifftshift(images.astype(np.float64), axes=(1, 2))), axes=(1, 2))
    result = np.zeros((len(images), box, box), np.complex128)
    to, origin = _overlap(side, box)
    result[:, to, to] = spectrum[:, origin, origin]
    # Of an even size only one of the two Nyquist rows is kept; taking the real part shares it out.
    back = fftshift(ifft2(ifftshift(result, axes=(1, 2))), axes=(1, 2))
    return np.asarray(back.real * (box / side) ** 2, np.float32)
