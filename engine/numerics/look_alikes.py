"""Shapes that are nearly the same, and splits into training and held-out shapes that keep them together."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engine.errors import InputError


def symmetries(grid: tuple[int, int, int]) -> NDArray[np.int64]:
    """The symmetries of a grid as permutations of its voxels, (48, voxels) for a cube, fewer for others.

    Row ``s`` lists which voxel comes to each place; the first row is the identity.
    """
    index = np.arange(np.prod(grid)).reshape(grid)
    found = []
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        turned = np.transpose(index, axes)
        if turned.shape == index.shape:
            found.append(np.flip(turned, tuple(k for k in range(3) if flips[k])).ravel())
    return np.array(found, np.int64)


def alike(voxels: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """Pairs of shapes whose intersection over union is at least ``threshold`` in some orientation.

    Mirrored copies and copies turned by right angles count as copies, because a prior is trained on all
    orientations. No symmetry takes a voxel out of its orbit. So two shapes share at most the sum over
    orbits of the lesser of their counts, and few pairs have to be compared in all 48 orientations.

    Parameters
    ----------
    voxels : (n, z, y, x), True inside, no shape empty.

    Returns
    -------
    (pairs, 2), the lower row first.
    """
    turns = symmetries(voxels.shape[1:])
    flat = voxels.reshape(len(voxels), -1)
    _, orbit = np.unique(turns.min(0), return_inverse=True)
    counts = np.stack([np.bincount(orbit[row], minlength=orbit.max() + 1) for row in flat]).astype(np.int32)
    size = counts.sum(1)
    found = []
    for i in range(len(flat) - 1):
        least = threshold / (1 + threshold) * (size[i] + size[i + 1 :])
        possible = np.flatnonzero(np.minimum(counts[i], counts[i + 1 :]).sum(1) >= least)
        if not len(possible):
            continue
        turned = flat[i][turns].astype(np.float32)
        common = flat[i + 1 + possible].astype(np.float32) @ turned.T
        found += [(i, i + 1 + int(j)) for j in possible[common.max(1) >= least[possible]]]
    return np.array(found, np.int64).reshape(-1, 2)


def groups(count: int, pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    """Group of each of ``count`` shapes: those linked by a chain of ``pairs`` (m, 2)."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def split(group: NDArray[np.integer], val: int, test: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Rows for training, validation and test, drawn so that no group is in two of them.

    Of a group that is held out only one member is used, so that none counts several times; the others
    are in no split.

    Parameters
    ----------
    group : (n,) of each shape.
    val, test : shapes to hold out.

    Returns
    -------
    ``train``, ``val`` and ``test``, each sorted.

    Raises
    ------
    InputError
        If too few groups are there to leave one for training.
    """
    names = np.unique(group)
    if val + test >= len(names):
        raise InputError(
            f"{val} + {test} shapes can't be held out of {len(names)} different ones.",
            "Hold out fewer, or call only more similar ones alike.",
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(names)
    rows = {name: np.flatnonzero(group == name) for name in order[: val + test]}
    picked = [int(rng.choice(rows[name])) for name in order[: val + test]]
    return {
        "train": np.flatnonzero(~np.isin(group, order[: val + test])),
        "val": np.sort(np.array(picked[test:], np.int64)),
        "test": np.sort(np.array(picked[:test], np.int64)),
    }
