"""Landscapes: exact on linear families, motions in order, blocks from disk like everything in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import affine_transform
from scipy.stats import spearmanr

from engine.errors import InputError
from engine.metrics import landscape as module
from engine.metrics.landscape import (
    Aligned,
    align_all,
    landscape,
    members_along,
    motion_order,
    path_volumes,
)
from engine.metrics.volumes import soft_sphere
from engine.numerics.rotations import random_rotations

BOX = 20


def _blob(x: float, y: float = 0.0, width: float = 2.0) -> np.ndarray:
    z, yy, xx = np.indices((BOX,) * 3) - BOX // 2
    return np.exp(-((xx - x) ** 2 + (yy - y) ** 2 + z**2) / (2 * width**2)).astype(np.float32)


def _family(count: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volumes mean + a u + b v with orthonormal u, v and uncorrelated a, b of variances 9 and 1."""
    rng = np.random.default_rng(0)
    mask = soft_sphere(BOX)
    basis = np.linalg.qr((rng.normal(size=(3, BOX**3)) * (mask.ravel() > 0)).T)[0].T
    weights = np.linalg.qr(np.column_stack([np.ones(count), rng.normal(size=(count, 2))]))[0][:, 1:]
    weights = weights * [3.0, 1.0]
    flat = 50 * basis[2] + weights @ basis[:2]
    return flat.reshape(count, BOX, BOX, BOX).astype(np.float32), weights, basis[:2]


class Counted:
    """Volumes made when asked; counts how often."""

    def __init__(self, volumes: np.ndarray) -> None:
        self._volumes, self.reads = volumes, 0

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads += 1
        return self._volumes[index].copy()


def test_a_linear_family_is_found_exactly() -> None:
    volumes, weights, basis = _family()
    mask = (soft_sphere(BOX) > 0).astype(np.float32)
    found = landscape(volumes, mask)
    assert found.coordinates.shape == (12, 2)  # no third component is made up from rounding
    np.testing.assert_allclose(found.explained, [0.9, 0.1], atol=1e-4)
    for k in range(2):
        axis = found.components[k].ravel() / np.sqrt(mask.sum())
        assert abs(axis @ basis[k]) == pytest.approx(1, abs=1e-4)
        scaled = found.coordinates[:, k] * np.sqrt(mask.sum())
        np.testing.assert_allclose(np.abs(scaled), np.abs(weights[:, k]), atol=2e-3)
    rebuilt = np.stack([found.volume_at(c) for c in found.coordinates])
    np.testing.assert_allclose(rebuilt, volumes * mask, atol=2e-4)
    np.testing.assert_allclose(found.motion, volumes.std(0) * mask, atol=1e-5)
    # coordinates are root mean square changes over the mask, so distances are those of the volumes
    apart = np.sqrt(((volumes[0] - volumes[1]) ** 2 * mask).sum() / mask.sum())
    assert np.linalg.norm(found.coordinates[0] - found.coordinates[1]) == pytest.approx(apart, rel=1e-3)


@pytest.mark.parametrize("reach", [1.5, 6.0])
def test_a_motion_is_put_in_order(reach: float) -> None:
    """Also one much farther than the blob is wide, whose first component alone would fold it over."""
    rng = np.random.default_rng(1)
    places = rng.permutation(np.linspace(-reach, reach, 24))
    volumes = np.stack([_blob(x) for x in places]) + 0.005 * rng.normal(size=(24, BOX, BOX, BOX))
    found = landscape(volumes)
    assert abs(spearmanr(motion_order(found), places).statistic) > 0.995
    if reach < 2:
        assert abs(spearmanr(found.coordinates[:, 0], places).statistic) > 0.995
        assert found.explained[0] > 0.9
    # amplitude is where density comes and goes, along x, and not above the blob
    middle = BOX // 2
    moving = found.motion[middle, middle, middle - int(reach) - 2 : middle + int(reach) + 3].max()
    assert moving > 8 * found.motion[middle + 7, middle, middle]


def test_signs_and_everything_else_do_not_depend_on_the_order_of_volumes() -> None:
    volumes, *_ = _family()
    order = np.random.default_rng(3).permutation(len(volumes))
    first, second = landscape(volumes), landscape(volumes[order])
    np.testing.assert_allclose(second.coordinates, first.coordinates[order], atol=1e-5)
    np.testing.assert_allclose(second.components, first.components, atol=2e-3)
    flipped = landscape(-volumes)
    np.testing.assert_allclose(flipped.coordinates, -first.coordinates, atol=1e-5)


@pytest.mark.parametrize("memory_volumes", [1, 5])
def test_blocks_read_again_give_the_same(memory_volumes: int) -> None:
    volumes, *_ = _family()
    inside = np.count_nonzero(soft_sphere(BOX))
    whole, source = Counted(volumes), Counted(volumes)
    expected = landscape(whole)
    found = landscape(source, memory_MB=(memory_volumes + 0.5) * 4 * inside / 2**20)
    assert whole.reads <= len(volumes) + 1
    assert source.reads > 2 * len(volumes)
    np.testing.assert_allclose(found.coordinates, expected.coordinates, atol=1e-5)
    np.testing.assert_allclose(found.motion, expected.motion, atol=1e-6)
    np.testing.assert_allclose(found.components, expected.components, atol=2e-3)


def test_memory_is_bounded() -> None:
    class Endless:
        def __len__(self) -> int:
            return 60

        def __getitem__(self, index: int) -> np.ndarray:
            return np.random.default_rng(index).normal(size=(32, 32, 32)).astype(np.float32)

    one = 4 * 32**3
    peaks = []
    for held in (60, 8):
        tracemalloc.start()
        landscape(Endless(), components=4, memory_MB=held * one / 2**20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # a sphere fills about half of the box, so 60 volumes held are 30 boxes; the rest is overhead
    assert peaks[1] < (8 + 4 + 16) * one
    assert peaks[0] > peaks[1]


def test_volumes_in_frames_of_their_own_are_aligned_as_they_are_read() -> None:
    rng = np.random.default_rng(4)
    arms = np.linspace(-2.0, 2.0, 6)
    body = sum(_blob(*place, width=1.5) for place in rng.uniform(-5, 5, (12, 2)))
    body = body + np.rot90(body, axes=(0, 2))[:, ::-1] + 0.5 * np.roll(body, 4, axis=0)  # of one hand
    still = [body + _blob(x, 6.0) for x in arms]
    turned = []
    for density in still:
        matrix = random_rotations(1, rng)[0] * np.array([rng.choice([-1, 1]), 1, 1])
        middle = len(density) // 2
        turned.append(affine_transform(density, matrix, middle - matrix @ np.full(3, middle), order=3))
    found = landscape(Aligned(turned, align_all(turned, still[2])), components=2)
    expected = landscape(still, components=2)
    assert abs(spearmanr(motion_order(found), arms).statistic) > 0.99
    difference = np.abs(np.abs(found.coordinates) - np.abs(expected.coordinates)).max()
    assert difference < 0.15 * np.abs(expected.coordinates).max()


def test_low_pass_takes_noise_out_of_the_landscape() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(16, BOX, BOX, BOX)) * 0.3
    volumes = np.stack([_blob(x, width=3) for x in np.linspace(-2, 2, 16)]) + noise
    rough, smooth = landscape(volumes), landscape(volumes, low_pass_voxels=8.0)
    assert smooth.explained[0] > 0.5 > rough.explained[0]
    assert abs(spearmanr(smooth.coordinates[:, 0], np.arange(16)).statistic) > 0.99
    # what is slower than the cut-off stays
    untouched = landscape(np.stack([_blob(x, width=3) for x in (-1, 0, 1)]), low_pass_voxels=3.0)
    plain = landscape(np.stack([_blob(x, width=3) for x in (-1, 0, 1)]))
    np.testing.assert_allclose(untouched.coordinates, plain.coordinates, rtol=0.01, atol=1e-4)


def test_paths_interpolate_between_members() -> None:
    volumes, *_ = _family()
    found = landscape(volumes, np.ones((BOX,) * 3, np.float32))
    corners = found.coordinates[[2, 7, 4]]
    series = path_volumes(found, corners, 31)
    np.testing.assert_allclose(series[0], volumes[2], atol=3e-4)
    np.testing.assert_allclose(series[-1], volumes[4], atol=3e-4)
    members = members_along(found, corners, 31)
    assert (members[0], members[-1], len(set(members))) == (2, 4, len(members))
    assert 7 in members


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda v: landscape(v[:1]), "two volumes"),
        (lambda v: landscape(np.repeat(v[:1], 3, axis=0)), "all the same"),
        (lambda v: landscape(v, np.ones((8, 8, 8))), "mask has the shape"),
        (lambda v: landscape(v, np.zeros((BOX,) * 3)), "mask is empty"),
        (lambda v: landscape(v[:, :9]), "cubes"),
        (lambda v: landscape([v[0], v[1][:10]]), "Volume 2 has another shape"),
        (lambda v: landscape([v[0], v[1] * np.nan]), "Volume 2"),
        (lambda v: landscape(v, low_pass_voxels=0.0), "positive"),
    ],
)
def test_what_has_no_landscape(call: Callable[[np.ndarray], object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        call(_family(4)[0])


def test_umap_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    found = landscape(_family()[0])
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install umap-learn"):
        module.umap_coordinates(found)
