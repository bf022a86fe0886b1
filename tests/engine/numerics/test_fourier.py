"""Fourier shell correlation: closed forms and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from engine.numerics.fourier import fsc, resolution_at

SHAPES = [(16, 16, 16), (15, 15, 15), (12, 16, 14), (20, 20), (9, 13)]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition_over_the_full_transform(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    frequency, correlation = fsc(a, b)
    assert len(frequency) == max(shape) // 2 + 1
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    grids = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")
    shell = np.rint(np.sqrt(sum(g**2 for g in grids)) * max(shape))
    for k in range(len(frequency)):
        here = shell == k
        if here.any():
            expected = (fa[here] * fb[here].conj()).sum().real
            expected /= np.sqrt((np.abs(fa[here]) ** 2).sum() * (np.abs(fb[here]) ** 2).sum())
            assert correlation[k] == pytest.approx(expected, abs=1e-10)


def test_invariances() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 18, 18, 18))
    _, plain = fsc(a, b)
    assert np.allclose(fsc(a, a)[1], 1)
    assert np.allclose(fsc(a, -2 * a)[1], -1)
    assert np.allclose(fsc(b, a)[1], plain)
    assert np.allclose(fsc(np.roll(a, 5, 1), np.roll(b, 5, 1))[1], plain)  # the same shift of both
    # the same radial filter on both cancels
    filtered = fsc(gaussian_filter(a, 0.7, mode="wrap"), gaussian_filter(b, 0.7, mode="wrap"))[1]
    assert np.allclose(filtered, plain, atol=0.02)


def test_known_signal_to_noise() -> None:
    # two copies of a white signal with white noise of equal power correlate by 1/2 in every shell
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(40, 40, 40))
    one, two = (signal + rng.normal(size=signal.shape) for _ in range(2))
    correlation = fsc(one, two)[1]
    assert np.allclose(correlation[5:], 0.5, atol=0.08)


def test_empty_shells_correlate_by_nothing() -> None:
    flat = np.ones((8, 8, 8))
    assert np.array_equal(fsc(flat, flat)[1], [1, 0, 0, 0, 0])
    assert np.array_equal(fsc(flat, np.zeros((8, 8, 8)))[1], np.zeros(5))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="same"):
        fsc(np.zeros((4, 4, 4)), np.zeros((4, 4, 5)))


def test_resolution_interpolates() -> None:
    frequency = np.array([0.0, 0.1, 0.2, 0.3])
    assert resolution_at(frequency, np.array([1, 0.9, 0.1, 0.0]), 0.5, 2.0) == pytest.approx(2 / 0.15)
    # later recoveries do not count, and the shell at zero never decides
    assert resolution_at(frequency, np.array([-1, 0.9, 0.1, 0.9]), 0.5, 2.0) == pytest.approx(2 / 0.15)
    assert resolution_at(frequency, np.array([1, 0.9, 0.8, 0.6]), 0.5, 2.0) is None
    assert resolution_at(frequency[1:], np.array([0.0, 0, 0]), 0.5, 1.0) == pytest.approx(1 / 0.05)


def test_resolution_is_monotonic_in_the_threshold() -> None:
    frequency = np.linspace(0, 0.5, 51)
    curve = np.exp(-((frequency / 0.2) ** 2))
    found = [resolution_at(frequency, curve, t, 1.5) for t in (0.143, 0.3, 0.5, 0.8)]
    assert found == sorted(found, key=lambda x: x or 0)
    assert found[2] == pytest.approx(1.5 / (0.2 * np.sqrt(np.log(2))), rel=1e-3)
