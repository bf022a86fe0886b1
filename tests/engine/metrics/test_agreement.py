"""The tournament of starts: who agrees is found whatever the orientation and hand, and said in words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.metrics import agreement as module
from engine.metrics.agreement import aligned_to_medoid, compare_starts
from engine.numerics.rotations import random_rotations
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map, correlation

N = 24


@pytest.fixture(autouse=True)
def _quick_search(monkeypatch: pytest.MonkeyPatch):
    """Fewer rotations will do for objects as simple as these."""
    monkeypatch.setattr(module, "_ROTATIONS", 800)


def _starts(objects: list[int], seed: int = 0) -> np.ndarray:
    """Noisy copies of objects (by number), each turned, moved and, every other one, mirrored."""
    rng = np.random.default_rng(seed)
    found = []
    for i, number in enumerate(objects):
        points = asymmetric_points(N, number, count=12) * (1, 1, -1 if i % 2 else 1)
        turned = points @ random_rotations(1, rng)[0].T + rng.uniform(-1.5, 1.5, 3)
        clean = blob_map(turned, N, 5.0)
        found.append(clean + 0.15 * clean.std() * rng.normal(size=clean.shape).astype(np.float32))
    return np.stack(found)


def test_four_of_six_agree():
    volumes = _starts([0, 1, 0, 0, 2, 0])
    found = compare_starts(volumes, scores=[0.5, 0.9, 0.6, 0.7, 0.1, 0.5])
    assert (found.agree, found.starts) == (4, 6)
    assert set(found.groups[0]) == {0, 2, 3, 5}
    assert sorted(i for g in found.groups for i in g) == list(range(6))
    assert found.medoid in found.groups[0]
    assert found.sentence.startswith("4 of 6 starts agree")
    # number 1 scores best and is alone
    assert found.lone
    assert found.best == 1
    assert "agrees with no other" in found.sentence
    np.testing.assert_allclose(found.correlation, found.correlation.T)
    assert (np.diagonal(found.correlation) == 1).all()
    moved = aligned_to_medoid(volumes, found)
    np.testing.assert_array_equal(moved[found.medoid], volumes[found.medoid])
    for i in found.groups[0]:
        assert correlation(moved[i], moved[found.medoid]) > 0.9
        assert found.alignments[i].mirrored == ((i - found.medoid) % 2 == 1)
    written = json.loads(json.dumps(found.as_dict()))
    assert written["agree"] == 4
    assert sorted(written["groups"][0]) == [1, 3, 4, 6]
    assert written["medoid"] == found.medoid + 1


def test_the_best_start_among_others_or_in_another_group():
    volumes = _starts([0, 0, 0, 1, 1])
    inside = compare_starts(volumes, scores=[1.0, 2.0, 1.0, 0.0, 0.0])
    assert not inside.lone
    assert "Another 2 agree" in inside.sentence
    outside = compare_starts(volumes, scores=[1.0, 1.0, 1.0, 2.0, 0.0])
    assert not outside.lone
    assert "is not among them" in outside.sentence


def test_none_agree():
    found = compare_starts(_starts([0, 1, 2]), scores=[0.1, 0.3, 0.2])
    assert found.agree == 0
    assert found.lone
    assert found.medoid == found.best == 1
    assert found.sentence.startswith("None of the 3 starts agrees")


def test_one_start_says_nothing_about_agreement():
    found = compare_starts(_starts([0]))
    assert found.agree == 0
    assert not found.lone
    assert "one start only" in found.sentence


def test_alignments_hold_for_the_maps_as_given_not_as_compared():
    """Large maps are compared on a coarser grid; the shifts are in voxels of the large ones."""
    size = 40
    points = asymmetric_points(size, 3, count=12)
    turn = random_rotations(1, np.random.default_rng(5))[0]
    volumes = [blob_map(points, size, 7.0), blob_map(points @ turn.T + (4.0, -3.0, 2.5), size, 7.0)]
    found = compare_starts(volumes)
    a, b = aligned_to_medoid(volumes, found)
    assert correlation(a, b) > 0.98


def test_many_starts_are_compared_through_pivots(monkeypatch: pytest.MonkeyPatch):
    """The groups are those of the comparison of all pairs, with fewer alignments."""
    volumes = _starts([0, 1, 0, 1, 0])
    every = compare_starts(volumes)
    monkeypatch.setattr(module, "_ALL_PAIRS", 3)
    monkeypatch.setattr(module, "_PIVOTS", 2)
    seen: list[tuple[int, int]] = []
    few = compare_starts(volumes, progress=lambda done, total: seen.append((done, total)))
    assert [set(g) for g in few.groups] == [set(g) for g in every.groups]
    assert seen[-1] == (8, 8)
    inside = np.array(few.groups[0])
    block = np.ix_(inside, inside)
    np.testing.assert_allclose(few.correlation[block], every.correlation[block], atol=0.08)


def test_progress_may_cancel():
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_starts(_starts([0, 0]), progress=stop)


def test_what_does_not_fit_is_refused():
    volumes = _starts([0, 1])
    with pytest.raises(ValueError, match="no starts"):
        compare_starts([])
    with pytest.raises(ValueError, match="scores"):
        compare_starts(volumes, [1.0])
    with pytest.raises(ValueError, match="same size"):
        compare_starts([volumes[0], np.zeros((16, 16, 16))])
