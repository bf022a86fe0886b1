"""Reductions to points: mass, centroid and symmetry survive; unusable input is named."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.numerics.mixtures import MAX_POINTS, density_points, kmeans_points, split_atoms, tied_mixture


def blobs(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0, 0], [50, 0, 0], [0, 60, 0], [0, 0, 70], [40, 40, 40]], float)
    return centres, np.repeat(centres, n // 5, axis=0) + rng.normal(size=(n, 3))


@pytest.mark.parametrize("reduce", [kmeans_points, tied_mixture])
def test_separate_blobs_are_found(reduce) -> None:
    centres, points = blobs(0)
    cloud = reduce(points, 5)
    distance = np.linalg.norm(cloud.points_A[:, None] - centres, axis=-1)
    assert sorted(distance.argmin(1)) == [0, 1, 2, 3, 4]
    assert distance.min(1).max() < 0.5
    assert np.allclose(cloud.weights, 0.2, atol=1e-6)


@pytest.mark.parametrize("reduce", [kmeans_points, tied_mixture])
def test_same_seed_same_points_and_the_centroid_survives(reduce) -> None:
    points = np.random.default_rng(1).normal(size=(600, 3)) * 20 + 300
    first, second = reduce(points, 40, seed=7), reduce(points, 40, seed=7)
    assert np.array_equal(first.points_A, second.points_A)
    assert not np.array_equal(first.points_A, reduce(points, 40, seed=8).points_A)
    assert first.weights.sum() == pytest.approx(1)
    assert np.allclose(first.weights @ first.points_A, points.mean(0), atol=1e-6)


def test_weights_count_like_copies() -> None:
    rng = np.random.default_rng(2)
    points, copies = rng.normal(size=(60, 2)), rng.integers(0, 4, 60)
    cloud = kmeans_points(points, 1, weights=copies.astype(float))
    assert np.allclose(cloud.points_A[0], np.repeat(points, copies, axis=0).mean(0))
    halves = kmeans_points(np.concatenate([points, points + 100]), 2, weights=np.repeat([3.0, 1.0], 60))
    order = np.argsort(halves.points_A[:, 0])
    assert np.allclose(halves.weights[order], [0.75, 0.25])
    # heavy regions get more centroids: on a line in proportion to the cube root of the density
    line = np.linspace(0, 1, 2000)[:, None]
    found = kmeans_points(line, 20, weights=np.where(line[:, 0] < 0.1, 1000.0, 1.0))
    assert 6 <= (found.points_A < 0.1).sum() <= 14


def test_lloyd_has_converged() -> None:
    points = np.random.default_rng(3).normal(size=(500, 3))
    cloud = kmeans_points(points, 20)
    nearest = np.linalg.norm(points[:, None] - cloud.points_A, axis=-1).argmin(1)
    means = np.stack([points[nearest == i].mean(0) for i in range(20)])
    assert np.abs(means - cloud.points_A).max() < 0.05
    assert np.allclose(np.bincount(nearest, minlength=20) / 500, cloud.weights, atol=0.01)


def test_every_point_its_own_centroid() -> None:
    points = np.random.default_rng(4).normal(size=(30, 3))
    cloud = kmeans_points(points, 30)
    assert np.allclose(np.sort(cloud.points_A, axis=0), np.sort(points, axis=0))


def test_large_inputs_are_sampled() -> None:
    points = np.random.default_rng(5).normal(size=(2 * MAX_POINTS, 3))
    cloud = kmeans_points(points, 8)
    assert np.abs(cloud.weights @ cloud.points_A).max() < 5 / np.sqrt(MAX_POINTS)


@pytest.mark.parametrize("reduce", [kmeans_points, tied_mixture])
def test_fewer_points_than_wanted(reduce) -> None:
    points = np.repeat(np.random.default_rng(6).normal(size=(10, 3)), 5, axis=0)
    with pytest.raises(InputError, match="only 10 different"):
        reduce(points, 11)
    split = split_atoms(points[::5], parts=8)
    assert split.shape == (80, 3)
    assert kmeans_points(split, 40).points_A.shape == (40, 3)


def test_unusable_points() -> None:
    points = np.random.default_rng(7).normal(size=(20, 3))
    for bad in (np.nan, np.inf):
        broken = points.copy()
        broken[3, 1] = bad
        with pytest.raises(InputError, match="not finite"):
            kmeans_points(broken, 4)
    with pytest.raises(InputError, match="negative"):
        kmeans_points(points, 4, weights=-np.ones(20))
    with pytest.raises(InputError, match="only 0 different"):
        kmeans_points(points, 4, weights=np.zeros(20))
    with pytest.raises(InputError, match="at least one"):
        kmeans_points(points, 0)


def test_split_atoms_spread() -> None:
    atoms = np.random.default_rng(8).normal(size=(500, 3)) * 30
    parts = split_atoms(atoms, parts=8, spread_A=1.9).reshape(500, 8, 3)
    assert (parts - atoms[:, None]).std() == pytest.approx(1.9, rel=0.03)


def test_density_axes_spacing_and_origin() -> None:
    # one bright voxel block at known indices: z, y, x = 2..3, 5, 7..9
    density = np.zeros((6, 9, 12), np.float32)
    density[2:4, 5, 7:10] = 1
    cloud = density_points(density, np.array([2.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0]), 4)
    centre = cloud.weights @ cloud.points_A
    assert np.allclose(centre, [10 + 2 * 8, 20 + 3 * 5, 30 + 4 * 2.5], atol=0.3)
    assert cloud.weights.sum() == pytest.approx(1)


def test_density_weights_are_mass() -> None:
    image = np.zeros((40, 40), np.float32)
    image[5:15, 5:15], image[25:35, 25:35] = 3, 1
    cloud = density_points(image, np.ones(2), np.zeros(2), 8, threshold=0.5)
    low = cloud.points_A[:, 0] < 20
    assert cloud.weights[low].sum() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("box", [16, 64])
def test_small_images_carry_as_many_points(box: int) -> None:
    # the same Gaussian blob, coarsely and finely sampled
    spacing = 64 / box
    axis = (np.arange(box) - (box - 1) / 2) * spacing
    image = np.exp(-(axis[:, None] ** 2 + 2 * axis[None] ** 2) / 200)
    origin = np.full(2, axis[0])
    cloud = density_points(image, np.full(2, spacing), origin, 200, threshold=0.2)
    assert cloud.points_A.shape == (200, 2)
    mean = cloud.weights @ cloud.points_A
    assert np.abs(mean).max() < 0.1 * spacing
    second = cloud.weights @ (cloud.points_A - mean) ** 2
    assert second[1] / second[0] == pytest.approx(2, rel=0.15)


def test_empty_and_constant_densities() -> None:
    image = np.random.default_rng(9).random((20, 20))
    grid = (np.ones(2), np.zeros(2))
    with pytest.raises(InputError, match="same everywhere"):
        density_points(np.ones((5, 5)), *grid, 4)
    with pytest.raises(InputError, match="above the threshold"):
        density_points(image, *grid, 4, threshold=2.0)
    with pytest.raises(InputError, match="above the threshold"):
        density_points(-image, *grid, 4, threshold=-2.0)
    image[0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        density_points(image, *grid, 4)
    with pytest.raises(ValueError, match="2D or 3D"):
        density_points(np.ones((4, 4)), np.ones(3), np.zeros(3), 2)


@pytest.mark.parametrize("d", [2, 3])
def test_many_centroids_are_spread_as_few_are(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way for many gives clusters as tight as k-means++ does, more even in mass, and keeps the mean."""
    rng = np.random.default_rng(8)
    points, mass = rng.uniform(size=(4000, d)), rng.uniform(0.2, 1, 4000)
    usual = kmeans_points(points, 300, weights=mass)
    monkeypatch.setattr("engine.numerics.mixtures.MANY_CENTROIDS", 100)
    many = kmeans_points(points, 300, weights=mass)

    def looseness(cloud) -> float:
        distance = np.linalg.norm(points[:, None] - cloud.points_A, axis=-1).min(1)
        return float(mass @ distance**2 / mass.sum())

    assert looseness(many) < 1.15 * looseness(usual)
    assert many.weights.std() < usual.weights.std()
    assert many.weights.sum() == pytest.approx(1)
    assert np.allclose(many.weights @ many.points_A, mass @ points / mass.sum(), atol=1e-9)


def test_many_centroids_of_few_points_are_these_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.numerics.mixtures.MANY_CENTROIDS", 1)
    points = np.random.default_rng(9).normal(size=(37, 2))
    found = kmeans_points(points, 37)
    assert sorted(found.points_A.tolist()) == sorted(points.tolist())
    assert np.allclose(found.weights, 1 / 37)
