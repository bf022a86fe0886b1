"""The capsid with arms: icosahedral when open, of symmetry T and chiral when its arms fold."""

from __future__ import annotations

import numpy as np
import pytest

from engine.phantoms.capsid import ARM_LENGTH, ARM_RADIUS, INNER, OUTER, capsid_volume, icosahedron


def _inner(volume: np.ndarray) -> np.ndarray:
    return volume[1:, 1:, 1:]


def test_vertices_are_an_icosahedron_and_arms_lean_towards_neighbours():
    vertices, neighbours = icosahedron()
    cosines = np.sort(vertices @ vertices.T, axis=1)
    near = 1 / np.sqrt(5)
    np.testing.assert_allclose(cosines, np.tile([-1, *[-near] * 5, *[near] * 5, 1], (12, 1)), atol=1e-12)
    np.testing.assert_allclose((vertices * neighbours).sum(1), near)
    # each vertex is the neighbour of exactly one other, three of them around a circle
    where = np.argmax(neighbours @ vertices.T, axis=1)
    assert sorted(where) == list(range(12))
    assert (where[where[where]] == np.arange(12)).all()
    assert (where[where] != np.arange(12)).all()


@pytest.mark.parametrize("s", [0.0, 0.6])
def test_symmetry(s: float):
    volume = _inner(capsid_volume(s, 48))
    np.testing.assert_allclose(volume, volume.transpose(1, 2, 0), atol=1e-5)  # three-fold
    np.testing.assert_allclose(volume, volume[::-1, ::-1], atol=1e-5)  # two-fold about x
    mirrored = np.abs(volume - volume[::-1]).max() < 1e-5
    assert mirrored == (s == 0.0)


def test_volume_of_shell_and_arms():
    size = 88
    shell = 4 / 3 * np.pi * (OUTER**3 - INNER**3)
    arm = np.pi * ARM_RADIUS**2 * ARM_LENGTH + 2 / 3 * np.pi * ARM_RADIUS**3
    painted = float(capsid_volume(0.0, size).sum()) * (2 / size) ** 3
    assert painted == pytest.approx(shell + 12 * arm, rel=0.01)


def test_arms_fold_down():
    size = 64
    r = np.linalg.norm(np.moveaxis(np.indices((size,) * 3) - size // 2, 0, -1), axis=-1) * (2 / size)
    reach = [float(r[capsid_volume(s, size) > 0.5].max()) for s in (0.0, 0.5, 1.0)]
    assert reach[0] == pytest.approx(OUTER + ARM_LENGTH + ARM_RADIUS, abs=2 / size)
    assert reach[0] > reach[1] > reach[2] > OUTER
