"""Point groups are groups, in RELION's setting; the axes of a symmetric map are found in any orientation."""

from __future__ import annotations

import numpy as np
import pytest

from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import find_symmetry_axes, point_group, self_correlation, symmetrise
from engine.numerics.volume_alignment import VolumeAlignment, apply_alignment
from engine.phantoms.capsid import capsid_volume
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map, correlation

ORDERS = {"C1": 1, "c7": 7, "D2": 4, "D7": 14, "T": 12, "O": 24, "I": 60}
GOLDEN = (1 + np.sqrt(5)) / 2


@pytest.mark.parametrize("name", ORDERS)
def test_it_is_a_group_of_rotations(name: str):
    group = point_group(name)
    assert group.shape == (ORDERS[name], 3, 3)
    np.testing.assert_array_equal(group[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(group), 1.0)
    np.testing.assert_allclose(
        group @ group.transpose(0, 2, 1), np.tile(np.eye(3), (len(group), 1, 1)), atol=1e-12
    )
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 9)
    distance = np.abs(products[:, None] - group.reshape(1, -1, 9)).max(-1)
    assert (np.sort(distance, axis=1)[:, 0] < 1e-9).all()  # closed ...
    if len(group) > 1:
        assert (np.sort(distance, axis=1)[:, 1] > 0.1).all()  # ... and no element twice


@pytest.mark.parametrize(
    ("name", "fold", "axis"),
    [
        ("C5", 5, (0, 0, 1)),
        ("D3", 3, (0, 0, 1)),
        ("D3", 2, (1, 0, 0)),
        ("D2", 2, (0, 1, 0)),
        ("T", 3, (0, 0, 1)),
        ("T", 2, (0, 0.816496580928, 0.577350269190)),
        ("O", 4, (0, 0, 1)),
        ("O", 4, (1, 0, 0)),
        ("O", 3, (1, 1, 1)),
        ("I", 2, (0, 0, 1)),
        ("I", 5, (0.525731112119, 0, 0.850650808352)),
        ("I", 3, (0, 0.356822089773, 0.934172358963)),
    ],
)
def test_axes_are_where_relion_has_them(name: str, fold: int, axis: tuple[float, float, float]):
    group = point_group(name)
    fixing = np.abs(group @ np.array(axis) - axis).max(-1) < 1e-6
    assert fixing.sum() == fold


@pytest.mark.parametrize("name", ["", "D1", "C0", "C61", "I5", "Th", "3"])
def test_what_is_no_point_group_is_refused(name: str):
    with pytest.raises(ValueError, match="point group"):
        point_group(name)


@pytest.mark.parametrize("name", ["C3", "D2", "O"])
def test_symmetrised_maps_are_those_of_symmetric_points(name: str):
    n = 32
    points = asymmetric_points(n, 0, count=8, reach=0.25)
    group = point_group(name)
    exact = np.mean([blob_map(points @ g.T, n, 6.0) for g in group], axis=0)
    made = symmetrise(blob_map(points, n, 6.0), name)
    assert np.abs(made - exact).max() < 0.01 * exact.max()
    assert self_correlation(made, name) > 0.999
    again = symmetrise(made, name)  # a projection: twice is once
    assert np.abs(again - made).max() < 0.01 * made.max()


@pytest.mark.parametrize("name", ["C2", "C7", "D2", "D7", "T", "O", "I"])
def test_axes_are_found_in_any_orientation(name: str):
    n = 36
    group = point_group(name)
    points = asymmetric_points(n, 3, count=3 * max(1, 8 // len(group)), reach=0.3)
    rng = np.random.default_rng(len(group))
    turned = np.concatenate([points @ g.T for g in group]) @ random_rotations(1, rng)[0].T
    volume = blob_map(turned + rng.uniform(-2, 2, 3), n, 5.0)
    assert self_correlation(volume, name) < 0.9
    found = find_symmetry_axes(volume, name)
    oriented = apply_alignment(volume, found)
    assert found.score > 0.99
    assert not found.mirrored
    assert self_correlation(oriented, name) > 0.99


def test_a_noisy_map_is_oriented_and_then_cleaner():
    """Symmetry imposed late: the mean over the group has less noise than the map it was found on."""
    n = 36
    points = asymmetric_points(n, 5, count=9)
    rng = np.random.default_rng(0)
    turn = random_rotations(1, rng)[0]
    clean = blob_map(np.concatenate([points @ g.T for g in point_group("D2")]) @ turn.T, n, 5.0)
    noisy = clean + rng.normal(size=clean.shape).astype(np.float32) * clean.std()
    found = find_symmetry_axes(noisy, "D2")
    better = symmetrise(apply_alignment(noisy, found), "D2")
    assert correlation(better, apply_alignment(clean, found)) > correlation(noisy, clean) + 0.1


def test_the_phantom_has_the_symmetry_that_it_says():
    n = 40
    assert self_correlation(capsid_volume(0.0, n), "I") > 0.99  # in the setting of this module
    assert self_correlation(capsid_volume(0.8, n), "I") < 0.99
    moved = apply_alignment(
        capsid_volume(0.8, n),
        VolumeAlignment(random_rotations(1, np.random.default_rng(2))[0], np.ones(3), False, 1),
    )
    found = find_symmetry_axes(moved, "T")
    assert self_correlation(apply_alignment(moved, found), "T") > 0.99


def test_no_symmetry_needs_no_search():
    volume = blob_map(asymmetric_points(24, 1), 24)
    found = find_symmetry_axes(volume, "C1")
    np.testing.assert_array_equal(found.rotation, np.eye(3))
    np.testing.assert_array_equal(symmetrise(volume, "C1"), volume)
