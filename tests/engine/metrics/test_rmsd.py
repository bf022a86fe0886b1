"""RMSDs: definitions, what alignment forgives and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.metrics.rmsd import aligned, rmsd_atoms, rmsd_points, rmsd_table
from engine.numerics.alignment import radius_of_gyration
from engine.numerics.rotations import random_rotations


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 3)) * [40, 25, 18]
    return centres[rng.choice(6, 300, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])] + rng.normal(size=(300, 3)) * 9


def test_points_are_matched(truth: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    assert rmsd_points(rng.permutation(truth), truth) == 0
    assert rmsd_points(truth + [3, 0, 4], truth) == pytest.approx(5)  # no matching beats a pure shift
    noisy = truth + rng.normal(size=truth.shape)
    assert 0 < rmsd_points(noisy, truth) <= np.sqrt(((noisy - truth) ** 2).sum(-1).mean())
    with pytest.raises(ValueError, match="same size"):
        rmsd_points(truth[:-1], truth)


def test_atoms_take_the_nearest_point() -> None:
    atoms = np.array([[0, 0, 0], [1, 0, 0], [10, 0, 0]], float)
    model = np.array([[0, 3, 0], [10, 0, 4], [500, 0, 0]], float)
    assert rmsd_atoms(model, atoms) == pytest.approx(np.sqrt((9 + 10 + 16) / 3))


def test_alignment_forgives_motion_and_size_but_not_shape(truth: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    rotation = random_rotations(1, rng)[0]
    model = (0.8 * rng.permutation(truth)) @ rotation.T + 70
    table = rmsd_table(model, truth, truth)
    assert table.points_A < 0.5
    assert table.atoms_A is not None
    assert table.atoms_A < 0.5
    assert table.points_unaligned_A > 50
    assert table.atoms_unaligned_A is not None
    assert table.atoms_unaligned_A > 50
    mirrored = rmsd_table(truth * [1, 1, -1], truth)
    assert mirrored.points_A > 3
    assert mirrored.atoms_A is None


def test_aligned_has_the_size_of_the_truth(truth: np.ndarray) -> None:
    moved = aligned(1.7 * truth[:200] + 5, truth)
    assert radius_of_gyration(moved) == pytest.approx(radius_of_gyration(truth))


def test_measuring_does_not_depend_on_the_frame(truth: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    model = truth + 4 * rng.normal(size=truth.shape)
    rotation, shift = random_rotations(1, rng)[0], np.array([100.0, -50, 20])
    here = rmsd_table(model, truth, truth)
    there = rmsd_table(model @ rotation.T + shift, truth @ rotation.T + shift, truth @ rotation.T + shift)
    assert there.points_A == pytest.approx(here.points_A, abs=0.05)
    assert there.points_unaligned_A == pytest.approx(here.points_unaligned_A)
