from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from app.coverage import (
    PLANE_DEG,
    REACH_DEG,
    CoverageMap,
    from_mollweide,
    group_rotations,
    half_sphere,
    mollweide,
    view_directions,
)


def looking_along(directions: np.ndarray) -> np.ndarray:
    """Rotations whose images are projected along these directions, turned anyhow in the plane."""
    turns = []
    for k, d in enumerate(np.atleast_2d(directions)):
        found = Rotation.align_vectors([[0, 0, 1]], [d])[0]
        turns.append((Rotation.from_euler("z", 0.7 * k) * found).as_matrix())
    return np.array(turns)


def test_one_view_covers_its_cap_and_its_plane() -> None:
    found = CoverageMap(looking_along([0.3, -0.5, 0.8]), count=4000).of(np.array([True]))
    # The cap of 15° around d, out of a half sphere, because its antipode is the same view.
    assert found.fraction == pytest.approx(1 - np.cos(np.radians(REACH_DEG + 0.25)), rel=0.02)
    # A band of ±5° around the great circle at right angles to d.
    assert found.fourier == pytest.approx(np.sin(np.radians(PLANE_DEG + 0.25)), rel=0.04)
    assert found.weakest_deg == pytest.approx(90, abs=1)
    assert abs(np.dot(found.weakest, [0.3, -0.5, 0.8])) < 0.02
    assert "Fourier" in found.warning()


def test_all_directions_cover_everything_and_none_nothing() -> None:
    views = CoverageMap(looking_along(half_sphere(400)))
    everything, nothing = views.of(np.ones(400, bool)), views.of(np.zeros(400, bool))
    assert (everything.fraction, everything.fourier, everything.warning()) == (1, 1, "")
    assert (nothing.fraction, nothing.fourier, nothing.views, nothing.warning()) == (0, 0, 0, "")


def test_seen_from_behind_is_the_same_view_and_turning_the_object_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    chosen = np.ones(12, bool)
    here = CoverageMap(looking_along(directions), count=4000)
    behind = CoverageMap(looking_along(-directions), count=4000)
    np.testing.assert_allclose(here.nearest_deg(chosen), behind.nearest_deg(chosen), atol=0.5)
    turned = CoverageMap(looking_along(directions) @ Rotation.random(rng=1).as_matrix(), count=4000)
    one, other = here.of(chosen), turned.of(chosen)
    assert one.fraction == pytest.approx(other.fraction, abs=0.01)
    assert one.fourier == pytest.approx(other.fourier, abs=0.01)
    assert one.weakest_deg == pytest.approx(other.weakest_deg, abs=2)


def test_more_views_never_cover_less_and_views_of_one_axis_leave_a_gap() -> None:
    rng = np.random.default_rng(2)
    views = CoverageMap(Rotation.random(60, rng=rng).as_matrix())
    shares = [views.of(np.arange(60) < k).fraction for k in range(0, 61, 10)]
    assert shares == sorted(shares)
    # All views along z: the Fourier planes are one.
    along_z = CoverageMap(Rotation.from_euler("z", np.arange(50.0)[:, None]).as_matrix()).of(
        np.ones(50, bool)
    )
    assert along_z.fourier < 0.12
    # A full turn about y fills Fourier space, though it shows few views.
    angles = np.radians(np.arange(0, 180, 4))
    tilts = CoverageMap(looking_along(np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1)))
    found = tilts.of(np.ones(len(angles), bool))
    assert found.fourier == 1
    assert found.fraction < 0.4


@pytest.mark.parametrize(
    ("name", "order"), [("C1", 1), ("c7", 7), ("D2", 4), ("T", 12), ("O", 24), ("I", 60)]
)
def test_groups_have_their_order_and_are_closed(name: str, order: int) -> None:
    members = group_rotations(name)
    assert len(members) == order
    np.testing.assert_allclose(np.linalg.det(members), 1)
    for product in members[0:4, None] @ members[None]:
        for one in product:
            assert np.abs(members - one).max(axis=(1, 2)).min() < 1e-6


def test_a_view_covers_its_symmetry_mates() -> None:
    rotations = looking_along([0.5, 0.3, 0.8])
    alone = CoverageMap(rotations, count=4000).of(np.array([True])).fraction
    four = CoverageMap(rotations, "D2", count=4000).of(np.array([True])).fraction
    assert four == pytest.approx(4 * alone, rel=0.02)
    assert len(group_rotations("nonsense")) == 1


def test_the_map_of_the_sphere_is_undone_and_keeps_areas() -> None:
    directions = Rotation.random(500, rng=3).as_matrix()[:, 2]
    places = mollweide(directions)
    back, inside = from_mollweide(places)
    assert inside.all()
    np.testing.assert_allclose(back, directions, atol=1e-3)
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 400), np.linspace(-1, 1, 200)), -1).reshape(-1, 2)
    found, inside = from_mollweide(grid)
    assert np.mean(found[inside][:, 2] > 0.5) == pytest.approx(0.25, abs=0.01)


def test_the_view_is_the_last_row_as_relion_has_it() -> None:
    from engine.conventions import relion_to_rotation

    rot, tilt = np.radians([30.0, 60.0])
    seen = view_directions(np.asarray(relion_to_rotation(30.0, 60.0, 45.0))[None])[0]
    np.testing.assert_allclose(
        seen, [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], atol=1e-9
    )
