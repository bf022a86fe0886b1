"""Rotations: group laws, uniformity, coverage."""

from __future__ import annotations

import numpy as np
import pytest

from engine.numerics.rotations import (
    angle_between,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotations,
    rotation_grid,
)


def test_random_rotations_are_proper_and_uniform() -> None:
    rotations = random_rotations(20_000, np.random.default_rng(0))
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(rotations), 1)
    # Haar measure: first moments vanish, second moments are 1/3, the angle has density (1 - cos)/pi
    assert np.abs(rotations.mean(0)).max() < 0.02
    assert np.allclose((rotations**2).mean(0), 1 / 3, atol=0.02)
    angles = np.sort(angle_between(rotations, np.eye(3)))
    expected = (angles - np.sin(angles)) / np.pi
    assert np.abs(expected - (np.arange(20_000) + 0.5) / 20_000).max() < 0.015  # Kolmogorov-Smirnov


def test_same_generator_same_rotations() -> None:
    first, second = (random_rotations(5, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)


def test_quaternions_round_trip_and_multiply() -> None:
    rng = np.random.default_rng(1)
    rotations = random_rotations(100, rng).reshape(4, 25, 3, 3)
    q = matrix_to_quaternion(rotations)
    assert q.shape == (4, 25, 4)
    assert (q[..., 0] >= 0).all()
    assert np.allclose(quaternion_to_matrix(q), rotations, atol=1e-12)
    assert np.allclose(quaternion_to_matrix(-3 * q), rotations, atol=1e-12)


def test_quaternion_order_and_sense() -> None:
    # a quarter turn about z takes x to y: w, x, y, z and columns from the left
    quarter = quaternion_to_matrix(np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)]))
    assert np.allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1]])
def test_impossible_quaternions(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite and not zero"):
        quaternion_to_matrix(np.array(bad, float))


@pytest.mark.parametrize("bad", [np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3)])
def test_mirrors_and_scalings_are_not_rotations(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="proper rotation"):
        matrix_to_quaternion(bad)


def test_grid_covers_the_rotations() -> None:
    grid = rotation_grid(1152)
    assert np.allclose(np.linalg.det(grid), 1)
    probes = random_rotations(400, np.random.default_rng(2))
    nearest = np.degrees(angle_between(grid[:, None], probes[None])).min(0)
    assert nearest.max() < 22
    assert nearest.mean() < 12


def test_angles_are_accurate_near_zero_and_pi() -> None:
    for angle in (1e-9, 1e-4, 1.0, np.pi):
        turn = quaternion_to_matrix(np.array([np.cos(angle / 2), 0, np.sin(angle / 2), 0]))
        assert angle_between(np.eye(3), turn) == pytest.approx(angle, rel=1e-6)
