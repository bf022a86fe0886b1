"""Points on the surfaces of voxelised solids lie where the true surface is, and evenly."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.numerics.rotations import random_rotations
from engine.numerics.surfaces import (
    farthest_points,
    mesh_points,
    normalised,
    surface_mesh,
    surface_points,
    unevenness,
)

GRID = 32
CENTRE_XYZ = np.array([15.3, 15.7, 15.5])
RADIUS = 10.2
HALF = np.array([10.0, 7.0, 5.0])
TILT = random_rotations(1, np.random.default_rng(4))[0]


def places() -> np.ndarray:
    """Of each voxel, (z, y, x, 3) xyz, from the centre."""
    z, y, x = np.meshgrid(*[np.arange(GRID)] * 3, indexing="ij")
    return np.stack([x, y, z], -1) - CENTRE_XYZ


def sphere() -> np.ndarray:
    return np.linalg.norm(places(), axis=-1) < RADIUS


def box() -> np.ndarray:
    return (np.abs(places() @ TILT) < HALF).all(-1)


def to_box(points: np.ndarray) -> np.ndarray:
    """Signed distance to the box, voxels."""
    q = np.abs((points - CENTRE_XYZ) @ TILT) - HALF
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)


def test_points_lie_on_the_sphere():
    distance = np.linalg.norm(surface_points(sphere(), 1024) - CENTRE_XYZ, axis=1) - RADIUS
    assert np.abs(distance).max() < 0.6
    assert np.sqrt((distance**2).mean()) < 0.15


def test_points_lie_on_the_tilted_box_at_its_place():
    distance = to_box(surface_points(box(), 1024))
    assert np.abs(distance).max() < 0.8
    assert np.sqrt((distance**2).mean()) < 0.25


def test_each_part_of_a_sphere_gets_points_by_its_area():
    points = surface_points(sphere(), 1024) - CENTRE_XYZ
    octant = (points > 0) @ [1, 2, 4]
    assert np.bincount(octant, minlength=8) == pytest.approx(128, rel=0.08)
    # Archimedes: equal heights, equal areas
    heights = np.histogram(points[:, 2] / RADIUS, np.linspace(-1, 1, 5))[0]
    assert heights == pytest.approx(256, rel=0.08)


def test_each_face_of_a_box_gets_points_by_its_area():
    points = (surface_points(box(), 1024) - CENTRE_XYZ) @ TILT
    face = np.argmin(np.abs(np.abs(points) - HALF), axis=1)
    area = np.array([HALF[1] * HALF[2], HALF[0] * HALF[2], HALF[0] * HALF[1]])
    assert np.bincount(face, minlength=3) / 1024 == pytest.approx(area / area.sum(), abs=0.03)


def test_spacing_is_far_more_even_than_at_random():
    corners, triangles = surface_mesh(sphere())
    at_random = mesh_points(corners, triangles, 1024, np.random.default_rng(0))
    assert unevenness(at_random) == pytest.approx(0.52, abs=0.05)
    assert unevenness(surface_points(sphere(), 1024)) < 0.15


def test_random_points_are_uniform_over_the_area_of_a_mesh():
    # one triangle of three times the area of the other
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 1], [0, 1, 1]], float)
    points = mesh_points(corners, np.array([[0, 1, 2], [3, 4, 5]]), 20_000, np.random.default_rng(1))
    upper = points[:, 2] > 0.5
    assert upper.mean() == pytest.approx(0.75, abs=0.015)
    assert points[upper].mean(0) == pytest.approx([1, 1 / 3, 1], abs=0.02)


def test_what_is_one_voxel_thin_stays():
    voxels = np.zeros((GRID,) * 3, bool)
    voxels[4, 4:28, 4:28] = True  # a plate
    voxels[4:28, 5, 5] = True  # a leg on it, along z
    points = surface_points(voxels, 1024)
    leg = points[points[:, 2] > 6]
    assert len(leg) > 20  # along a line, for it is thinner than the spacing
    assert np.histogram(leg[:, 2], np.linspace(6, 27, 8))[0].min() >= 2
    assert np.abs(leg[:, :2] - 5).max() < 0.6


def test_cavities_are_filled_and_a_shape_may_touch_the_edge():
    solid = np.ones((12, 12, 12), bool)
    hollow = solid.copy()
    hollow[3:9, 3:9, 3:9] = False
    assert np.array_equal(surface_points(solid, 256), surface_points(hollow, 256))
    assert np.abs(surface_points(solid, 256) - 5.5).max(1) == pytest.approx(6, abs=0.5)


def test_the_seed_alone_decides():
    assert np.array_equal(surface_points(box(), 128, seed=3), surface_points(box(), 128, seed=3))
    assert not np.array_equal(surface_points(box(), 128, seed=3), surface_points(box(), 128, seed=4))


def test_an_empty_shape_is_refused_in_words():
    with pytest.raises(InputError, match="empty"):
        surface_points(np.zeros((8, 8, 8), bool), 64)


def test_farthest_points_on_a_line():
    line = np.arange(9.0)[:, None]
    assert farthest_points(line, 5).tolist() == [0, 8, 4, 2, 6]
    with pytest.raises(ValueError, match="10 of 9"):
        farthest_points(line, 10)


def test_normalised_clouds_are_centred_with_largest_coordinate_one():
    cloud = normalised(surface_points(box(), 256))
    assert cloud.mean(0) == pytest.approx(0, abs=1e-12)
    assert np.abs(cloud).max() == 1
    with pytest.raises(ValueError, match="coincide"):
        normalised(np.ones((16, 3)))
