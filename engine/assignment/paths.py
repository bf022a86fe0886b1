"""The exact part: shortest augmenting paths over the rows' lists.

Jonker & Volgenant 1987 (doi:10.1007/BF02278710), for columns with capacities: Dijkstra's algorithm from a
row without a place to the nearest free one, in costs reduced by the duals. A row's columns beyond its list
lie at least ``bound`` away; they enter the queue together, at that distance, and are looked at only if it is
reached.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.assignment.candidates import BLOCK, NEVER, Problem, best_one, block_bounds, block_values
from engine.numerics.compiled import compiled, inlined


@inlined
def _lift(
    key: NDArray[np.float64], heap: NDArray[np.int32], at: NDArray[np.int32], size: int, node: int
) -> int:
    """Put a node whose key has fallen where it belongs; a new one is added. Returns the heap's size."""
    k = at[node]
    if k < 0:
        k = size
        size += 1
    while k > 0:
        above = (k - 1) // 2
        if key[heap[above]] <= key[node]:
            break
        heap[k] = heap[above]
        at[heap[k]] = k
        k = above
    heap[k], at[node] = node, k
    return size


@inlined
def _pop(key: NDArray[np.float64], heap: NDArray[np.int32], at: NDArray[np.int32], size: int) -> int:
    """Take out the node with the least key."""
    node, last = heap[0], heap[size - 1]
    at[node] = -1
    size -= 1
    k = 0
    while True:
        below = 2 * k + 1
        if below >= size:
            break
        if below + 1 < size and key[heap[below + 1]] < key[heap[below]]:
            below += 1
        if key[heap[below]] >= key[last]:
            break
        heap[k] = heap[below]
        at[heap[k]] = k
        k = below
    if size > 0:
        heap[k], at[last] = last, k
    return int(node)


@inlined
def _queue(
    key: NDArray[np.float64],
    heap: NDArray[np.int32],
    at: NDArray[np.int32],
    size: int,
    seen: NDArray[np.int32],
    many_seen: int,
    node: int,
    distance: float,
) -> tuple[int, int]:
    """Give a node a distance and its place in the queue; what is new is noted, to be cleared afterwards."""
    if key[node] == NEVER:
        seen[many_seen] = node
        many_seen += 1
    key[node] = distance
    return _lift(key, heap, at, size, node), many_seen


@compiled
def settle(p: Problem, owner: NDArray[np.int32], place: NDArray[np.int32]) -> None:
    """Keep the rows that own their best column, give free places to others whose best has some.

    Afterwards what is owned costs nothing in reduced costs, as augmenting paths need it.

    Parameters
    ----------
    owner : (n,) in and out: columns, -1 for none.
    place : (n,) out: places within the columns.
    """
    n = len(p.x)
    used = np.zeros(len(p.capacity), np.int32)
    for turn in range(2):  # who has a place goes first
        for i in range(n):
            if (owner[i] < 0) != (turn == 1):
                continue
            best, value = best_one(p, i)
            if turn == 0:
                for k in range(p.number[i]):
                    if p.listed[i, k] == owner[i] and p.cost[i, k] - p.v[owner[i]] <= value:
                        best = owner[i]
                if best != owner[i]:
                    owner[i] = -1
                    continue
            if used[best] < p.capacity[best]:
                owner[i], place[i] = best, p.first[best] + used[best]
                used[best] += 1
            else:
                owner[i] = -1


@compiled
def augment(p: Problem, owner: NDArray[np.int32], place: NDArray[np.int32]) -> None:
    """Give every row that has none a place, moving others along shortest paths: the optimum.

    Parameters
    ----------
    owner, place : (n,) as :func:`settle` leaves them; in and out.
    """
    n, m = len(p.x), len(p.capacity)
    holder = np.full(p.first[m], -1, np.int32)
    used = np.zeros(m, np.int32)
    for i in range(n):
        if owner[i] >= 0:
            holder[place[i]] = i
            used[owner[i]] += 1
    # Nodes of the queue: columns, then rows, which stand for the columns beyond their lists.
    key, at, heap = np.full(m + n, NEVER), np.full(m + n, -1, np.int32), np.empty(m + n, np.int32)
    before, done = np.full(m, -1, np.int32), np.zeros(m, np.bool_)
    seen, closed = np.empty(m + n, np.int32), np.empty(m, np.int32)
    reach, offset = np.empty(n), np.empty(n)
    for start in range(n):
        if owner[start] >= 0:
            continue
        size, many_seen, many_closed, sink = 0, 0, 0, -1
        nearest = NEVER  # free column so far: what lies farther need not be queued
        _, value = best_one(p, start)
        row, offset[start] = start, -value  # distance of the row less its potential
        column, next_place = -1, 0
        while sink < 0:
            if row >= 0:
                for k in range(p.number[row]):
                    j = p.listed[row, k]
                    distance = offset[row] + p.cost[row, k] - p.v[j]
                    if not done[j] and distance < key[j] and distance < nearest:
                        before[j] = row
                        if used[j] < p.capacity[j]:
                            nearest = distance
                        size, many_seen = _queue(key, heap, at, size, seen, many_seen, j, distance)
                reach[row] = p.bound[row]
                if offset[row] + reach[row] < nearest:
                    size, many_seen = _queue(
                        key, heap, at, size, seen, many_seen, m + row, offset[row] + reach[row]
                    )
            if column >= 0 and next_place < p.first[column] + used[column]:
                row = holder[next_place]  # rows that own the column can be had at its distance
                next_place += 1
                cost = _cost(p, row, column)
                offset[row] = key[column] - (cost - p.v[column])
                continue
            node = _pop(key, heap, at, size)
            size -= 1
            row, column = -1, -1
            if node >= m:
                size, many_seen, nearest = _farther(
                    p,
                    node - m,
                    key,
                    heap,
                    at,
                    size,
                    before,
                    done,
                    seen,
                    many_seen,
                    reach,
                    offset,
                    used,
                    nearest,
                )
            elif used[node] < p.capacity[node]:
                sink = node
            else:
                done[node] = True
                closed[many_closed] = node
                many_closed += 1
                column, next_place = node, int(p.first[node])
        length = key[sink]
        for k in range(many_closed):
            j = closed[k]
            p.v[j] -= length - key[j]
            done[j] = False
        j, free = sink, p.first[sink] + used[sink]
        used[sink] += 1
        while True:
            i = before[j]
            moved_from, freed = int(owner[i]), int(place[i])
            owner[i], place[i], holder[free] = j, free, i
            j, free = moved_from, freed
            if i == start:
                break
        for k in range(many_seen):
            key[seen[k]], at[seen[k]] = NEVER, -1


@inlined
def _cost(p: Problem, i: int, j: int) -> float:
    """A value without its dual, rounded as in the lists."""
    s, t = -2 * p.x[i, 0], -2 * p.x[i, 1]
    cost = p.square[j] + s * p.y[0, j] + t * p.y[1, j]
    if p.y.shape[0] == 3:
        cost += -2 * p.x[i, 2] * p.y[2, j]
    return float(cost)


@inlined
def _farther(
    p: Problem,
    i: int,
    key: NDArray[np.float64],
    heap: NDArray[np.int32],
    at: NDArray[np.int32],
    size: int,
    before: NDArray[np.int32],
    done: NDArray[np.bool_],
    seen: NDArray[np.int32],
    many_seen: int,
    reach: NDArray[np.float64],
    offset: NDArray[np.float64],
    used: NDArray[np.int32],
    nearest: float,
) -> tuple[int, int, float]:
    """Offer row ``i``'s columns beyond its list, as far as twice a list's width; the rest stays queued."""
    m = len(p.capacity)
    limit = reach[i] + 2 * p.width[0]
    limit = min(limit, nearest - offset[i])
    if limit <= reach[i]:
        limit = NEVER / 2
    p.width[0] *= 1.05  # lists were too short
    block_bounds(p, i)
    beyond = False
    for b in range(len(p.least)):
        if p.least[b] > limit:
            beyond = beyond or p.least[b] < NEVER / 2
            continue
        block_values(p, i, b)
        for j in range(b * BLOCK, b * BLOCK + BLOCK):
            if p.value[j] > limit:
                beyond = beyond or p.capacity[j] > 0
                continue
            distance = offset[i] + p.value[j]
            if not done[j] and distance < key[j] and distance < nearest:
                before[j] = i
                if used[j] < p.capacity[j]:
                    nearest = distance
                size, many_seen = _queue(key, heap, at, size, seen, many_seen, j, distance)
    if beyond and offset[i] + limit < nearest:
        reach[i] = limit
        size, many_seen = _queue(key, heap, at, size, seen, many_seen, m + i, offset[i] + limit)
    return size, many_seen, nearest
