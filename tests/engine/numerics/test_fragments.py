from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from engine.numerics.fragments import fragments


@pytest.mark.parametrize("seed", range(8))
def test_same_parts_as_by_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 40, (12, 3))
    coords = np.concatenate([c + rng.normal(size=(rng.integers(1, 60), 3)) for c in centres])
    for contact in (1.0, 3.0, 6.0, 12.0):
        labels = fragments(coords, contact)
        count, expected = connected_components(cdist(coords, coords) <= contact)
        pairs = set(zip(labels.tolist(), expected.tolist(), strict=True))
        assert len(pairs) == count == labels.max() + 1
        sizes = np.bincount(labels)
        assert (np.diff(sizes) <= 0).all()


def test_dense_parts_that_touch_in_one_place_only_are_one() -> None:
    # each atom's nearest neighbours are all its own part's
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), -1).reshape(-1, 3)
    apart = np.concatenate([grid, grid + [5 + 3.0, 0, 0]])
    assert fragments(apart, 3.0).max() == 0
    assert fragments(apart, 2.99).max() == 1
    assert fragments(np.zeros((0, 3)), 3.0).shape == (0,)
    assert fragments(np.zeros((1, 3)), 3.0).tolist() == [0]
