"""Alignment: known motions are found again, mirror images are not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.numerics import alignment
from engine.numerics.alignment import (
    align_kernel_correlation,
    kernel_correlation,
    match_radius_of_gyration,
    radius_of_gyration,
    superpose,
)
from engine.numerics.rotations import angle_between, random_rotations


def lumpy_cloud(rng: np.random.Generator, n: int) -> np.ndarray:
    """An asymmetric object of six blobs of different size, about 100 wide."""
    centres = rng.normal(size=(6, 3)) * [40, 25, 18]
    which = rng.choice(6, n, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    return centres[which] + rng.normal(size=(n, 3)) * 9


def test_superpose_recovers_a_motion() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 30, 3))
    rotation, shift = random_rotations(5, rng), rng.normal(size=(5, 3))
    found_r, found_t = superpose(a, a @ rotation.transpose(0, 2, 1) + shift[:, None])
    assert np.allclose(found_r, rotation, atol=1e-12)
    assert np.allclose(found_t, shift, atol=1e-12)


def test_superpose_never_mirrors_and_is_optimal() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(30, 3))
    b = a * [1, 1, -1] + 0.1 * rng.normal(size=(30, 3))
    w = rng.random(30)
    rotation, shift = superpose(a, b, w)
    assert np.linalg.det(rotation) == pytest.approx(1)

    def misfit(r: np.ndarray, t: np.ndarray) -> float:
        return float((w * ((a @ r.T + t - b) ** 2).sum(-1)).sum())

    best = misfit(rotation, shift)
    for small in random_rotations(50, rng):
        turn = superpose(np.eye(3), np.eye(3) + 0.02 * small)[0]
        assert misfit(turn @ rotation, shift) >= best
        assert misfit(rotation, shift + 0.01 * small[0]) >= best


def test_radius_of_gyration() -> None:
    rng = np.random.default_rng(2)
    mobile, target = rng.normal(size=(50, 3)) * 3 + 7, rng.normal(size=(90, 3)) * 20
    scaled = match_radius_of_gyration(mobile, target)
    assert radius_of_gyration(scaled) == pytest.approx(radius_of_gyration(target))
    assert np.allclose(scaled.mean(0), mobile.mean(0))
    collapsed = np.ones((10, 3))
    assert np.array_equal(match_radius_of_gyration(collapsed, target), collapsed)


@pytest.mark.parametrize("seed", range(6))
def test_a_random_motion_is_found_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = lumpy_cloud(rng, 500)
    rotation, shift = random_rotations(1, rng)[0], rng.normal(size=3) * 100
    # other points of the same object, with noise, moved away
    mobile = (rng.permutation(target)[:400] + 2 * rng.normal(size=(400, 3)) - shift) @ rotation
    found_r, found_t = align_kernel_correlation(mobile, target)
    assert np.linalg.det(found_r) == pytest.approx(1)
    assert np.degrees(angle_between(found_r, rotation)) < 2
    assert np.linalg.norm(mobile @ found_r.T + found_t - (mobile @ rotation.T + shift), axis=1).mean() < 1


def test_motions_of_either_cloud_carry_over() -> None:
    rng = np.random.default_rng(10)
    target = lumpy_cloud(rng, 300)
    mobile = lumpy_cloud(np.random.default_rng(10), 300) + rng.normal(size=(300, 3))
    rotation, shift = random_rotations(1, rng)[0], rng.normal(size=3) * 30
    first_r, first_t = align_kernel_correlation(mobile, target)
    second_r, second_t = align_kernel_correlation(mobile @ rotation.T + shift, target)
    one, two = mobile @ first_r.T + first_t, (mobile @ rotation.T + shift) @ second_r.T + second_t
    assert np.abs(one - two).max() < 0.5
    # and a change of unit changes nothing but the unit
    third_r, third_t = align_kernel_correlation(mobile / 100, target / 100)
    assert np.abs((mobile / 100 @ third_r.T + third_t) * 100 - one).max() < 0.05


def test_a_mirror_image_is_not_superposed() -> None:
    rng = np.random.default_rng(11)
    target = lumpy_cloud(rng, 400)
    rotation, shift = align_kernel_correlation(target * [1, 1, -1], target)
    assert np.linalg.det(rotation) == pytest.approx(1)
    h = 0.1 * radius_of_gyration(target)
    moved = target * [1, 1, -1] @ rotation.T + shift
    assert kernel_correlation(moved, target, h) < 0.9 * kernel_correlation(target, target, h)


def test_never_worse_than_staying_put() -> None:
    # two unlike clouds: the answer is a local maximum at least as high as where they stand
    for seed in range(4):
        rng = np.random.default_rng(seed)
        a, b = lumpy_cloud(rng, 200), lumpy_cloud(rng, 200)
        a -= a.mean(0) - b.mean(0)
        rotation, shift = align_kernel_correlation(a, b)
        h = float(np.sort(np.linalg.norm(b[:, None] - b, axis=-1), axis=1)[:, 1].mean() / np.sqrt(2))
        h = min(h, 0.1 * radius_of_gyration(b))
        assert kernel_correlation(a @ rotation.T + shift, b, h) >= kernel_correlation(a, b, h)


def test_the_climb_never_loses_correlation() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=(80, 3)), rng.normal(size=(90, 3))
    rotations, shifts = random_rotations(10, rng), np.zeros((10, 3))
    before = None
    for _ in range(8):
        now = np.array(
            [kernel_correlation(a @ r.T + t, b, 0.3) for r, t in zip(rotations, shifts, strict=True)]
        )
        assert before is None or (now >= before - 1e-6).all()
        before = now
        rotations, shifts = alignment._climb(a, b, rotations, shifts, 0.3, 1)


def test_kernel_correlation_is_its_definition() -> None:
    rng = np.random.default_rng(13)
    a, b = rng.normal(size=(7, 3)), rng.normal(size=(9, 3))
    expected = np.mean([[np.exp(-((x - y) ** 2).sum() / (4 * 0.5**2)) for y in b] for x in a])
    assert kernel_correlation(a, b, 0.5) == pytest.approx(expected, rel=1e-5)


def test_the_jacobian_of_the_exponential() -> None:
    from scipy.spatial.transform import Rotation

    for w in (np.array([0.3, -1.1, 0.4]), np.array([1e-6, 0, 2e-6])):
        for k, step in enumerate(np.eye(3) * 1e-6):
            plus, minus = Rotation.from_rotvec(w + step), Rotation.from_rotvec(w - step)
            numeric = (plus * minus.inv()).as_rotvec() / 2e-6
            assert np.allclose(alignment._left_jacobian(w)[:, k], numeric, atol=1e-5)


def test_too_few_points() -> None:
    with pytest.raises(ValueError, match="three points"):
        align_kernel_correlation(np.zeros((2, 3)), np.eye(3))
    with pytest.raises(ValueError, match="coincide"):
        align_kernel_correlation(np.eye(3), np.ones((5, 3)))
