"""Laws of 1-NNA, COV, MMD, of shape statistics and of the search for copies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from engine.metrics import nearest_training
from engine.metrics import prior_quality as quality
from engine.metrics.nearest_training import TrainingClouds, memorisation, shape_descriptor, unit_size
from engine.metrics.point_clouds import chamfer, earth_movers
from engine.numerics.rotations import random_rotations

LINE = (100, 1)


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(x - y.T)


def _sets(shift: float, seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)), rng.normal(size=(n, 1)) + shift


def _row(x: np.ndarray, y: np.ndarray) -> dict[str, quality.Estimate]:
    return quality.table_row(_distances(x, x), _distances(x, y), _distances(y, y))


def blobs(n: int, seed: int, points: int = 96) -> np.ndarray:
    """Clouds of different, lopsided shapes: three unequal lumps each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n, 3, 3)) * 0.45
    which = rng.choice(3, size=points, p=(0.5, 0.3, 0.2))
    widths = rng.uniform(0.05, 0.2, size=(n, 3))
    clouds = centres[:, which] + rng.normal(size=(n, points, 3)) * widths[:, which][..., None]
    return clouds / np.abs(clouds).max((1, 2), keepdims=True)


def test_sets_of_one_distribution_cant_be_told_apart() -> None:
    row = _row(*_sets(0.0, 1))
    nna, cov = row["one_nna_percent"], row["cov_percent"]
    assert abs(nna.value - 50) < 3 * nna.standard_error < 15
    assert 50 < cov.value < 70  # 1 - 1/e is what chance gives in many dimensions


def test_a_shifted_set_is_told_apart_always() -> None:
    row = _row(*_sets(50.0, 2))
    assert row["one_nna_percent"].value == 100
    assert row["cov_percent"].value < 1
    assert row["mmd_x100"].value == pytest.approx(100 * np.mean(_distances(*_sets(50.0, 2)).min(0)))


def test_copies_of_the_references_give_zero_and_full_coverage() -> None:
    x, _ = _sets(0.0, 3, n=50)
    between = _distances(x, x)
    assert quality.one_nna(between, between, between) == 0
    assert quality.coverage(between) == 1
    assert quality.minimum_matching(between) == 0


def test_one_mode_alone_covers_little() -> None:
    rng = np.random.default_rng(4)
    modes = np.repeat(np.arange(10.0), 10)[:, None] * 100
    y = modes + rng.normal(size=LINE)
    every, one = modes + rng.normal(size=LINE), rng.normal(size=LINE)
    assert quality.coverage(_distances(one, y)) <= 0.1 < 0.4 < quality.coverage(_distances(every, y))


def test_brute_force_comparison() -> None:
    rng = np.random.default_rng(5)
    clouds = rng.normal(size=(11, 24, 3))
    d = chamfer(clouds[:, None], clouds[None])
    labels = np.arange(11) < 6
    right = 0
    for i in range(11):
        others = [j for j in range(11) if j != i]
        right += labels[min(others, key=lambda j: d[i, j])] == labels[i]
    assert quality.one_nna(d[:6, :6], d[:6, 6:], d[6:, 6:]) == pytest.approx(right / 11)
    matched = {min(range(6, 11), key=lambda j: d[i, j]) for i in range(6)}
    assert quality.coverage(d[:6, 6:]) == pytest.approx(len(matched) / 5)
    assert quality.minimum_matching(d[:6, 6:]) == pytest.approx(
        sum(min(d[i, j] for i in range(6)) for j in range(6, 11)) / 5
    )


def test_order_of_clouds_is_immaterial_even_where_distances_are_equal() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.integers(0, 6, size=(30, 1)), rng.integers(0, 6, size=(30, 1))
    p, q = rng.permutation(30), rng.permutation(30)
    a = quality.one_nna(*(_distances(u, v).astype(float) for u, v in ((x, x), (x, y), (y, y))))
    x, y = x[p], y[q]
    assert quality.one_nna(*(_distances(u, v).astype(float) for u, v in ((x, x), (x, y), (y, y)))) == a


def test_standard_errors_are_those_of_repeated_drawing() -> None:
    def row(seed: int) -> dict[str, quality.Estimate]:
        # many dimensions, as shapes have: on a line nearest distances shrink with the number of points
        x, y = np.random.default_rng(seed).normal(size=(2, 50, 8)) * np.array([1.0, 1.3])[:, None, None]
        return quality.table_row(cdist(x, x), cdist(x, y), cdist(y, y))

    rows = [row(seed) for seed in range(30)]
    for name in rows[0]:
        spread = np.std([r[name].value for r in rows])
        claimed = np.mean([r[name].standard_error for r in rows])
        assert 0.6 < claimed / spread < 1.6, name


def test_pair_distances_are_those_of_point_clouds() -> None:
    a, b = blobs(3, 7), blobs(4, 8)
    for kind, reference in (
        (quality.ChamferDistances, chamfer),
        (quality.EarthMoversDistances, earth_movers),
    ):
        pairs = kind(a, b)
        found = np.stack([pairs(i, range(4)) for i in range(3)])
        np.testing.assert_allclose(found, reference(a[:, None], b[None]), rtol=1e-12)
    with pytest.raises(ValueError, match="same number"):
        quality.EarthMoversDistances(a, b[:, :50])


def test_thinning_spreads_points_and_ignores_their_order() -> None:
    clouds = blobs(3, 9)
    thin = quality.farthest_points(clouds, 20)
    order = np.random.default_rng(0).permutation(clouds.shape[1])
    np.testing.assert_array_equal(thin, quality.farthest_points(clouds[:, order], 20))
    np.testing.assert_array_equal(quality.farthest_points(clouds, 500), clouds)
    for cloud, few in zip(clouds, thin, strict=True):
        gaps = np.linalg.norm(few[:, None] - few[None], axis=-1)[~np.eye(20, dtype=bool)]
        to_few = np.linalg.norm(cloud[:, None] - few[None], axis=-1).min(1)
        assert to_few.max() <= gaps.min() + 1e-12  # what makes it a cover


def test_statistics_of_a_known_body() -> None:
    # a grid of 4 x 3 x 2 points with spacing 1
    grid = np.stack(np.meshgrid(range(4), range(3), range(2), indexing="ij"), -1).reshape(1, -1, 3)
    turned = (grid @ Rotation.from_rotvec((0.3, 1.0, -2.0)).as_matrix().T + 5.0).astype(float)
    found = quality.shape_statistics(turned)
    variances = np.array([1.25, 2 / 3, 0.25])
    assert found["spacing"][0] == pytest.approx(1)
    assert found["spacing_variation"][0] == pytest.approx(0, abs=1e-9)
    assert found["radius_of_gyration"][0] == pytest.approx(np.sqrt(variances.sum()))
    assert found["middle_to_long"][0] == pytest.approx(np.sqrt(variances[1] / variances[0]))
    assert found["short_to_long"][0] == pytest.approx(np.sqrt(variances[2] / variances[0]))


def test_descriptor_knows_shape_but_neither_pose_nor_size() -> None:
    one, other = blobs(2, 10)
    moved = 2.5 * one @ random_rotations(1, np.random.default_rng(1))[0].T + 0.4
    np.testing.assert_allclose(shape_descriptor(moved), shape_descriptor(one), atol=0.01)
    assert np.abs(shape_descriptor(other) - shape_descriptor(one)).sum() > 0.1


def test_turned_copies_of_training_clouds_are_flagged_and_honest_clouds_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest_training, "ALIGNED", 1)
    rng = np.random.default_rng(11)
    train, unseen, honest = blobs(10, 12), blobs(4, 13), blobs(4, 14)
    chosen = [3, 8, 0]
    turned = np.stack([train[i] @ r.T for i, r in zip(chosen, random_rotations(3, rng), strict=True)])
    copies = turned + 0.003 * rng.normal(size=turned.shape)
    search = TrainingClouds(train)
    found = [search.nearest(c) for c in copies]
    assert [f.index for f in found] == chosen
    near = np.array([f.distance for f in found])
    far = np.array([search.nearest(c).distance for c in unseen])
    fair = np.array([search.nearest(c).distance for c in honest])
    assert near.max() < 0.03 < far.min()
    flagged = memorisation(near, far)
    assert flagged.closer == flagged.copies == 1
    assert fair.min() > 5 * near.max()


def test_share_of_copies_is_found_with_its_error() -> None:
    rng = np.random.default_rng(16)
    unseen, honest = rng.gamma(9, 0.05, 400), rng.gamma(9, 0.05, 400)
    fair = memorisation(honest, unseen)
    assert abs(fair.closer - 0.05) < 3 * fair.standard_error < 0.1
    copied = np.where(np.arange(400) < 120, 0.02, honest)
    found = memorisation(copied, unseen)
    assert abs(found.closer - (0.3 + 0.7 * 0.05)) < 3 * found.standard_error
    assert found.copies == pytest.approx(0.3, abs=0.02)


def test_a_neighbour_lies_where_it_says() -> None:
    train = blobs(5, 15)
    cloud = train[2] @ random_rotations(1, np.random.default_rng(2))[0].T * 0.7
    found = TrainingClouds(train).nearest(cloud)
    laid = unit_size(train[2]) @ found.rotation.T + found.shift
    np.testing.assert_allclose(laid, unit_size(cloud), atol=0.02)
    assert np.linalg.det(found.rotation) == pytest.approx(1)
