"""Parts of a structure that don't touch: connected components of its atoms at a contact distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from engine.types import FloatArray

_NEAREST = 16


def fragments(coords_A: FloatArray, contact_A: float) -> NDArray[np.int64]:
    """Which fragment each atom belongs to: two atoms within the contact distance are in the same one.

    Exact, in memory proportional to the number of atoms: each atom is first joined with its nearest
    neighbours only. That leaves a few pieces (chains, mostly), of which those that come within the
    distance of each other are joined.

    Parameters
    ----------
    coords_A : (n, 3), Å.
    contact_A : Å.

    Returns
    -------
    (n,) 0 for the largest fragment, 1 for the next; of equals the one whose atom comes first is first.
    """
    coords = np.asarray(coords_A, np.float64)
    n = len(coords)
    if n == 0:
        return np.zeros(0, np.int64)
    count = min(_NEAREST, n)
    tree = cKDTree(coords)
    distances, neighbours = tree.query(
        coords, k=np.arange(1, count + 1), distance_upper_bound=_upto(contact_A)
    )
    near = np.isfinite(distances)
    pieces = _joined(n, np.repeat(np.arange(n), near.sum(1)), neighbours[near])
    # an atom all of whose neighbours are known leads nowhere else
    open_atoms = near.all(1) & (count < n)
    while True:
        pairs = _touching(coords, pieces, open_atoms, contact_A)
        if not len(pairs):
            return _by_size(pieces)
        pieces = _joined(int(pieces.max()) + 1, *pairs.T)[pieces]


def _upto(limit: float) -> float:
    """For scipy, whose bound is exclusive."""
    return float(np.nextafter(limit, np.inf))


def _joined(count: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _touching(
    coords: NDArray[np.float64], pieces: NDArray[np.int64], open_atoms: NDArray[np.bool_], contact_A: float
) -> NDArray[np.int64]:
    """Pairs of different pieces (m, 2) that touch, at least one for each open piece that touches any."""
    sizes = np.bincount(pieces)
    has_open = np.bincount(pieces, weights=open_atoms) > 0
    if len(sizes) == 1:
        return np.zeros((0, 2), np.int64)
    order = np.argsort(pieces, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    # every pair of pieces is seen from its smaller side
    for piece in np.flatnonzero(has_open & (np.arange(len(sizes)) != sizes.argmax())):
        own = coords[order[starts[piece] : starts[piece + 1]]]
        low, high = own.min(0) - contact_A, own.max(0) + contact_A
        others = np.flatnonzero(((coords >= low) & (coords <= high)).all(1) & (pieces != piece))
        if len(others):
            distances, _ = cKDTree(own).query(coords[others], distance_upper_bound=_upto(contact_A))
            for other in np.unique(pieces[others[np.isfinite(distances)]]):
                found.append((piece, other))
    return np.array(found, np.int64).reshape(-1, 2)


def _by_size(pieces: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse, sizes = np.unique(pieces, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]
