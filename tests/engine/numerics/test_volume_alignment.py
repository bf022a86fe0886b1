"""Alignment of maps: a turned, moved and mirrored copy is brought back, whatever its symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from engine.numerics.rotations import angle_between, random_rotations
from engine.numerics.volume_alignment import VolumeAlignment, align, apply_alignment
from engine.phantoms.box import box_volume
from engine.phantoms.capsid import capsid_volume
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map, correlation

D2 = np.array([np.diag(d) for d in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))], float)
MIRROR = np.array([1.0, 1.0, -1.0])


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("n", [32, 33])
def test_convention_against_points_that_are_moved_themselves(order: int, mirrored: bool, n: int):
    points = asymmetric_points(n, 0, reach=0.25)
    rotation = random_rotations(1, np.random.default_rng(1))[0]
    shift = np.array([1.3, -2.4, 0.6])
    moved = apply_alignment(
        blob_map(points, n, 6.0), VolumeAlignment(rotation, shift, mirrored, 1.0), order=order
    )
    flipped = points * MIRROR if mirrored else points
    exact = blob_map(flipped @ rotation.T + shift, n, 6.0)
    assert np.abs(moved - exact).max() < (0.15 if order == 1 else 0.01) * exact.max()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_asymmetric_copy_is_found_to_a_small_part_of_a_voxel(seed: int, mirrored: bool):
    n = 32
    points = asymmetric_points(n, seed)
    rng = np.random.default_rng(seed)
    rotation, shift = random_rotations(1, rng)[0], rng.uniform(-3, 3, 3)
    flipped = points * MIRROR if mirrored else points
    mobile, target = blob_map(points, n), blob_map(flipped @ rotation.T + shift, n)
    found = align(mobile, 3.0 * target + 1.0)  # neither scale nor offset matters
    assert found.mirrored == mirrored
    assert float(angle_between(found.rotation, rotation)) < np.deg2rad(0.5)
    assert np.abs(found.shift_px - shift).max() < 0.1
    assert found.score > 0.99
    assert found.score_other_hand < 0.9
    assert correlation(apply_alignment(mobile, found), target) > 0.99


@pytest.mark.parametrize("name", ["d2", "box", "capsid", "sphere with one arm"])
def test_symmetric_and_hollow_maps(name: str):
    """The motion is one of several equal ones, or the hand is open: the map must be right all the same."""
    n = 40
    if name == "d2":
        volume = blob_map(np.concatenate([asymmetric_points(n, 4, 12) @ g.T for g in D2]), n)
    elif name == "box":
        volume = box_volume(20.0, 90.0, n)
    elif name == "capsid":
        volume = capsid_volume(0.7, n)
    else:
        r = np.linalg.norm(np.indices((n,) * 3) - n // 2, axis=0)
        volume = np.exp(-((r - 8) ** 2) / 3).astype(np.float32)
        for reach in (10.0, 12.0):
            volume += 20 * blob_map(np.array([[reach, 0.0, 0.0]]), n)
            volume += 8 * blob_map(np.array([[0.0, reach, 3.0]]), n)
    for seed, mirrored in ((0, False), (1, True)):
        rng = np.random.default_rng(seed)
        motion = VolumeAlignment(random_rotations(1, rng)[0], rng.uniform(-2, 2, 3), mirrored, 1.0)
        target = apply_alignment(volume, motion)
        found = align(volume, target)
        assert found.score > 0.99
        assert correlation(apply_alignment(volume, found), target) > 0.99


def test_blurred_and_noisy_maps_without_a_mean():
    """What reconstructions look like beside a truth: blurred, mean removed, with noise."""
    from scipy.ndimage import gaussian_filter

    n = 48
    points = asymmetric_points(n, 5)
    rng = np.random.default_rng(5)
    rotation = random_rotations(1, rng)[0]
    truth, other = blob_map(points, n), blob_map((points * MIRROR) @ rotation.T + 2.0, n)
    target = gaussian_filter(other, 1.5) - 1.2 * gaussian_filter(other, 5.0)
    noise = gaussian_filter(rng.normal(size=target.shape), 1.5)
    target = target + 0.5 * noise * (target.std() / noise.std())
    found = align(truth, target)
    assert found.mirrored
    assert float(angle_between(found.rotation, rotation)) < np.deg2rad(2.0)
    assert correlation(apply_alignment(truth, found), other) > 0.97


@pytest.mark.parametrize("mirrored", [False, True])
def test_there_and_back(mirrored: bool):
    rng = np.random.default_rng(3)
    first, second = (
        VolumeAlignment(random_rotations(1, rng)[0], rng.normal(size=3), m, 1.0) for m in (mirrored, True)
    )
    x = rng.normal(size=(5, 3))

    def move(a: VolumeAlignment, points: np.ndarray) -> np.ndarray:
        return points @ a.matrix().T + a.shift_px

    np.testing.assert_allclose(move(first.inverse(), move(first, x)), x, atol=1e-12)
    np.testing.assert_allclose(move(second.after(first), x), move(second, move(first, x)), atol=1e-12)
    for made in (first.inverse(), second.after(first)):
        assert np.linalg.det(made.rotation) == pytest.approx(1.0)
    assert first.inverse().mirrored == mirrored
    assert second.after(first).mirrored != mirrored


def test_without_mirror_the_hand_is_kept():
    n = 32
    points = asymmetric_points(n, 6)
    found = align(blob_map(points, n), blob_map(points * MIRROR, n), mirror=False)
    assert not found.mirrored
    assert np.isnan(found.score_other_hand)
    assert found.score < 0.9


def test_found_on_small_maps_and_applied_to_large_ones():
    n = 48
    points = asymmetric_points(n, 7)
    rotation, shift = random_rotations(1, np.random.default_rng(7))[0], np.array([3.0, 1.5, -4.5])
    moved = points @ rotation.T + shift
    width = 8.0
    found = align(blob_map(points / 2, n // 2, width / 2), blob_map(moved / 2, n // 2, width / 2))
    large = apply_alignment(blob_map(points, n, width), found.rescaled(2.0))
    assert correlation(large, blob_map(moved, n, width)) > 0.99


def test_the_same_twice_and_nothing_to_align():
    n = 24
    a, b = blob_map(asymmetric_points(n, 8), n), blob_map(asymmetric_points(n, 9), n)
    first, second = align(a, b), align(a, b)
    np.testing.assert_array_equal(first.matrix(), second.matrix())
    np.testing.assert_array_equal(first.shift_px, second.shift_px)
    flat = align(np.zeros((n, n, n)), b)
    assert flat.score == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="same size"):
        align(a, np.zeros((25, 25, 25)))
