"""Train, validation and test: whole clusters at random, so that no near-duplicate is on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.specs.clouds import SPLITS


def split_clusters(clusters: NDArray[np.int64], shares: Sequence[float], seed: int) -> NDArray[Any]:
    """Which split each cloud belongs to.

    Clusters are dealt out in random order, each to a split drawn in proportion to the clouds that it still
    lacks, among those that the cluster fits into; one that fits nowhere goes where most are lacking. So
    the shares are met as closely as clusters allow, and large clusters are not kept from any split that
    can hold them. No split stays empty while another has two clusters.

    Parameters
    ----------
    clusters : (n,) numbers of clusters.
    shares : two or three, adding up to 1: of train, val and test.

    Returns
    -------
    (n,) names of splits, text.
    """
    numbers, sizes = np.unique(clusters, return_counts=True)
    lacking = np.asarray(_whole(len(clusters), shares), np.float64)
    rng = np.random.default_rng(seed)
    owner = np.zeros(len(numbers), np.int64)
    for i in rng.permutation(len(numbers)):
        room = np.where(lacking >= sizes[i], lacking, 0)
        fits = room.sum() > 0
        owner[i] = rng.choice(len(room), p=room / room.sum()) if fits else lacking.argmax()
        lacking[owner[i]] -= sizes[i]
    for empty in range(len(shares)):
        held = np.bincount(owner, minlength=len(shares))
        if held[empty] == 0 and held.max() > 1:
            candidates = np.flatnonzero(owner == held.argmax())
            owner[candidates[sizes[candidates].argmin()]] = empty
    names = np.array(SPLITS)[owner]
    return names[np.searchsorted(numbers, clusters)]


def _whole(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to ``count``, at least one each where there are enough."""
    exact = [count * share for share in shares]
    found = [max(1, int(x)) if count >= len(shares) else int(x) for x in exact]
    while sum(found) != count:
        gaps = [x - f for x, f in zip(exact, found, strict=True)]
        if sum(found) < count:
            found[int(np.argmax(gaps))] += 1
        else:
            found[int(np.argmax(found))] -= 1
    return found
