"""Fourier shell correlation of maps: closed forms, masks, alignment, and sentences that say it all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from engine.conventions import volume_origin_A
from engine.errors import InputError
from engine.metrics.volumes import aligned_fsc, fsc_area, fsc_matrix, soft_mask, soft_sphere, volume_fsc
from engine.numerics.fourier import fsc
from engine.numerics.rotations import random_rotations
from engine.types import Volume
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map

N, VOXEL = 32, 4.0


def _noise(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n, n))


def test_a_map_agrees_with_itself_up_to_nyquist_and_scale_is_nothing():
    volume = blob_map(asymmetric_points(N, 0), N)
    found = volume_fsc(volume, 3 * volume, VOXEL)
    np.testing.assert_allclose(found.correlation, 1.0, atol=1e-5)
    assert found.frequency_per_A[-1] == pytest.approx(1 / (2 * VOXEL))
    assert found.resolution_0p5_A is None
    assert found.area == pytest.approx(1.0, abs=1e-5)
    assert "stays above 0.5 up to Nyquist (8.0 Å)" in found.sentence


def test_white_noise_of_equal_power_correlates_by_half():
    """FSC of signal + noise with signal + other noise is S / (S + N) (Harauz & van Heel 1986)."""
    signal = _noise(0)
    found = volume_fsc(signal + _noise(1), signal + _noise(2), VOXEL)
    assert found.correlation[6:].mean() == pytest.approx(0.5, abs=0.02)


def test_the_crossing_is_the_first():
    signal = blob_map(asymmetric_points(N, 0), N).astype(np.float64)
    signal /= signal.std()
    a, b = signal + 0.5 * _noise(1), signal + 0.5 * _noise(2)
    found = volume_fsc(a, b, VOXEL, against="the other half")
    assert found.resolution_0p5_A is not None
    assert found.resolution_0p143_A is not None
    assert found.resolution_0p5_A > found.resolution_0p143_A
    first = int(np.flatnonzero(found.correlation < 0.5)[0])
    assert found.frequency_per_A[first - 1] <= 1 / found.resolution_0p5_A <= found.frequency_per_A[first]


@pytest.mark.parametrize("mask", [None, "sphere", "soft", "array"])
def test_the_sentence_says_against_what_and_how(mask: str | None):
    volume = blob_map(asymmetric_points(N, 0), N)
    given = soft_sphere(N, 8.0) if mask == "array" else mask
    found = volume_fsc(volume, volume + 0.1 * volume.std() * _noise(0), VOXEL, given, against="a noisy copy")
    words = {None: "no mask", "sphere": "soft sphere", "soft": "soft mask", "array": "given mask"}[mask]
    assert "against a noisy copy" in found.sentence
    assert words in found.sentence
    assert "not aligned" in found.sentence
    assert "resolution" not in found.sentence
    assert found.as_dict()["sentence"] == found.sentence
    assert found.as_dict()["mirrored"] is False


def test_under_a_mask_a_pedestal_does_not_correlate():
    a, b = _noise(0) + 100.0, _noise(1) + 100.0
    assert abs(volume_fsc(a, b, VOXEL, soft_sphere(N, 8.0)).area) < 0.1


def test_masks_leave_out_noise_around_the_object():
    signal = blob_map(asymmetric_points(N, 3, reach=0.2), N).astype(np.float64)
    signal /= signal.std()
    a, b = signal + _noise(1), signal + _noise(2)
    bare, sphere, soft = (volume_fsc(a, b, VOXEL, m).area for m in (None, "sphere", "soft"))
    assert bare < sphere < soft


def test_soft_mask_covers_the_object_and_little_more():
    points = np.concatenate(
        [asymmetric_points(N, 1, count=30, reach=0.15) + (4, 0, -2), [[-13.0, -13.0, -13.0]]]
    )
    clean = blob_map(points[:-1], N, 5.0)
    mask = soft_mask(clean, 1.0, low_pass_A=4.0)
    assert mask.dtype == np.float32
    assert (mask[clean > 0.25 * clean.max()] == 1).all()
    assert mask.mean() < 0.3
    assert 0 < ((mask > 0) & (mask < 1)).mean()
    # a speck far away is no part of it
    speck = clean + 0.3 * blob_map(points[-1:], N, 3.0) * (clean.max() / blob_map(points[-1:], N, 3.0).max())
    assert soft_mask(speck, 1.0, low_pass_A=4.0)[3, 3, 3] == 0
    assert (soft_mask(np.zeros((N, N, N)), 1.0) == 1).all()


def test_soft_sphere():
    sphere = soft_sphere(33, 8.0, 4.0)
    assert sphere[16, 16, 16] == sphere[16, 16, 24] == 1
    assert sphere[16, 16, 26] == pytest.approx(0.5)
    assert sphere[16, 16, 28] == 0
    assert soft_sphere(32)[0].max() == 0


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_truth_with_another_box_in_another_orientation(mirrored: bool):
    points = asymmetric_points(N, 5, reach=0.25) * VOXEL  # Å
    rotation = random_rotations(1, np.random.default_rng(0))[0]
    flip = np.array([1, 1, -1 if mirrored else 1])
    volume = blob_map(points / VOXEL, N, 5.0)
    voxel, size = 3.0, 40
    moved = (points * flip) @ rotation.T + (6.0, -4.0, 5.0)
    density = blob_map(moved / voxel, size, 5.0 * VOXEL / voxel)
    truth = Volume(density, (voxel,) * 3, volume_origin_A((size,) * 3, voxel))
    found, where = aligned_fsc(volume, VOXEL, truth, against="the truth")
    assert found.mirrored == mirrored
    assert found.resolution_0p5_A is None or found.resolution_0p5_A < 2.6 * VOXEL
    assert np.corrcoef(where.ravel(), volume.ravel())[0, 1] > 0.99
    assert "after alignment" in found.sentence
    assert ("mirror image" in found.sentence) == mirrored
    soft, _ = aligned_fsc(volume, VOXEL, truth, "soft")
    assert "soft mask around the reference" in soft.sentence


def test_an_open_hand_is_said():
    flat = blob_map(asymmetric_points(N, 6) * (1, 1, 0), N)  # all in one plane: its own mirror image
    found, _ = aligned_fsc(flat, VOXEL, flat)
    assert "the other hand fits about as well" in found.sentence


def test_an_unknown_voxel_size():
    volume = blob_map(asymmetric_points(N, 5), N)
    same = Volume(volume, (0.0, 0.0, 0.0))
    assert aligned_fsc(volume, VOXEL, same)[0].area > 0.9
    with pytest.raises(InputError, match="voxel size"):
        aligned_fsc(volume, VOXEL, Volume(np.zeros((16, 16, 16), np.float32), (0.0, 0.0, 0.0)))


def test_the_matrix_holds_the_areas_of_all_pairs():
    volumes = np.stack(
        [gaussian_filter(_noise(i % 2, 24), 0.3 + 0.4 * i) + 0.2 * _noise(i + 5, 24) for i in range(4)]
    )
    matrix = fsc_matrix(volumes)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diagonal(matrix), 1.0, rtol=1e-5)
    for i in range(4):
        for j in range(i):
            assert matrix[i, j] == pytest.approx(fsc_area(fsc(volumes[i], volumes[j])[1]), abs=1e-4)


def test_what_does_not_fit_is_refused():
    volume = np.zeros((N, N, N))
    with pytest.raises(ValueError, match="same shape"):
        volume_fsc(volume, np.zeros((16, 16, 16)), VOXEL)
    with pytest.raises(ValueError, match="mask"):
        volume_fsc(volume, volume, VOXEL, np.zeros((N, N, N)))
    with pytest.raises(ValueError, match="positive"):
        volume_fsc(volume, volume, 0.0)
