"""Fourier shell correlation of volumes on the same grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfftn

from engine.types import FloatArray


def fsc(
    a: FloatArray, b: FloatArray, *, weight: FloatArray | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fourier shell (3D) or ring (2D) correlation.

    ``FSC(k) = sum F_a F_b* / sqrt(sum |F_a|² sum |F_b|²)`` over the shell of k (Harauz & van Heel 1986).
    Shells are one Fourier pixel of the longest side wide and go up to Nyquist; corners are left out.

    Parameters
    ----------
    a, b : same shape, 2D or 3D, not masked or normalised here.
    weight : how much each coefficient counts, in the shape of ``rfftn``; None for all alike.

    Returns
    -------
    frequency : (shells,) 1/voxel, of the shells' centres, from 0 to 0.5.
    correlation : (shells,) in [-1, 1]; 0 where a shell holds no power in one of them.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise ValueError(f"volumes of the same 2D or 3D shape are needed, not {first.shape}, {second.shape}")
    shape, longest = first.shape, max(first.shape)
    fa, fb = rfftn(first), rfftn(second)
    squared = sum(
        np.reshape(f**2, [-1 if i == axis else 1 for i in range(first.ndim)])
        for axis, f in enumerate([*map(np.fft.fftfreq, shape[:-1]), np.fft.rfftfreq(shape[-1])])
    )
    # half the coefficients are stored; those strictly inside the last axis stand for two each
    twice = np.full(fa.shape[-1], 2.0)
    twice[0] = 1.0
    if shape[-1] % 2 == 0:
        twice[-1] = 1.0
    counts = twice if weight is None else twice * np.asarray(weight, np.float64)
    shell = np.rint(np.sqrt(squared) * longest).astype(np.int64).ravel()
    shells = longest // 2 + 1

    def total(values: FloatArray) -> NDArray[np.float64]:
        return np.asarray(np.bincount(shell, (values * counts).ravel(), shells)[:shells], np.float64)

    power = total(np.abs(fa) ** 2) * total(np.abs(fb) ** 2)
    cross = total((fa * fb.conj()).real)
    # rounding leaves about 1e-16 of the whole power in an empty shell: that is no signal
    empty = power <= (1e-24 * total(np.abs(fa) ** 2).max()) * total(np.abs(fb) ** 2).max()
    correlation = np.where(empty, 0.0, cross / np.sqrt(np.where(empty, 1.0, power)))
    return np.arange(shells) / longest, correlation


def resolution_at(freq: FloatArray, corr: FloatArray, threshold: float, voxel_size_A: float) -> float | None:
    """Resolution at which the correlation first falls below a threshold.

    Linear interpolation in frequency between the two shells. At frequency 0 the correlation counts as 1,
    since that shell only compares means.

    Parameters
    ----------
    freq : (shells,) 1/voxel, ascending.
    corr : (shells,).
    threshold : 0.143 between independent half-maps, 0.5 between map and model.
    voxel_size_A : Å.

    Returns
    -------
    Å, or None if the correlation never falls below the threshold: the maps agree up to Nyquist.
    """
    f, c = np.asarray(freq, np.float64), np.array(corr, np.float64)
    if len(f) == 0 or f[0] > 0:
        f, c = np.append(0.0, f), np.append(1.0, c)
    c[0] = 1.0
    below = np.flatnonzero(c < threshold)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        raise ValueError("the threshold must be below 1")
    crossing = f[i - 1] + (f[i] - f[i - 1]) * (c[i - 1] - threshold) / (c[i - 1] - c[i])
    return float(voxel_size_A / crossing) if crossing > 0 else None
