"""The few columns that matter to a row: the sparse part of a transport problem, found when needed.

A problem has rows (points x), columns (points y, each with a capacity) and a price for each column, its
dual v. A row wants the columns with the least *value* ``|x - y|² - v - |x|²``. It keeps a short list of all
columns whose value is below its *bound*. Solvers only ever lower v, so values only grow: a list stays
complete below its bound for ever, and while what a solver asks for lies below the bound, no other column has
to be looked at. That is the certificate that the few columns suffice, row by row; where it fails, the row is
looked up again.

Columns are sorted along a Morton curve and cut into blocks of 16. A box around each block and the largest v
in it bound its values from below, so a look-up computes few of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.numerics.compiled import compiled, inlined, inlined_fast

BLOCK = 16
LISTED = 32
NEVER = 1e300
SHRINKS = 40  # after which a list keeps only the row's best: there are that many ties


class Problem(NamedTuple):
    """A transport problem and what is known about it so far; every array of one type, for the compiler.

    Attributes
    ----------
    x : (n, d) rows.
    y : (d, m) columns, m a multiple of 16; what fills up the last block has capacity 0.
    square : (m,) ``|y|²``.
    v : (m,) duals of the columns; ``-NEVER`` where the capacity is 0.
    capacity, first : (m,) and (m + 1,) how many rows a column takes, and where its places begin.
    low, high, top : (d, m / 16) twice and (m / 16,): boxes of the blocks, largest v in them.
    listed, cost, number, bound : (n, 24), (n, 24), (n,), (n,) columns in a row's list, their value without
        the dual, how many they are, the value below which the list is complete.
    width : (1,) how far above a row's best its list reaches; it follows from what the last look-ups found.
    value, least : (m,) and (m / 16,) scratch.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    square: NDArray[np.float64]
    v: NDArray[np.float64]
    capacity: NDArray[np.int32]
    first: NDArray[np.int32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    top: NDArray[np.float64]
    listed: NDArray[np.int32]
    cost: NDArray[np.float64]
    number: NDArray[np.int32]
    bound: NDArray[np.float64]
    width: NDArray[np.float64]
    value: NDArray[np.float64]
    least: NDArray[np.float64]


@compiled
def prepare(
    x: NDArray[np.float64], y: NDArray[np.float64], capacity: NDArray[np.int32], v: NDArray[np.float64]
) -> Problem:
    """A problem of which nothing is known yet, for duals ``v`` (m,), which it will change in place."""
    n, (d, m) = x.shape[0], y.shape
    blocks = m // BLOCK
    square, first = np.zeros(m), np.zeros(m + 1, np.int32)
    low, high, top = np.full((d, blocks), NEVER), np.full((d, blocks), -NEVER), np.full(blocks, -NEVER)
    for j in range(m):
        first[j + 1] = first[j] + capacity[j]
        if capacity[j] == 0:
            v[j] = -NEVER
            continue
        b = j // BLOCK
        top[b] = max(top[b], v[j])
        for k in range(d):
            square[j] += y[k, j] ** 2
            low[k, b], high[k, b] = min(low[k, b], y[k, j]), max(high[k, b], y[k, j])
    listed, cost = np.empty((n, LISTED), np.int32), np.empty((n, LISTED))
    number, bound, width = np.zeros(n, np.int32), np.full(n, -NEVER), np.ones(1)
    return Problem(
        x, y, square, v, capacity, first, low, high, top, listed, cost, number, bound, width,
        np.empty(m), np.empty(blocks),
    )  # fmt: skip


@inlined_fast
def block_values(p: Problem, i: int, b: int) -> float:
    """Values of the 16 columns of block ``b`` for row ``i``, into ``p.value``; returns the least."""
    o = b * BLOCK
    if p.y.shape[0] == 2:
        s, t = -2 * p.x[i, 0], -2 * p.x[i, 1]
        for j in range(o, o + BLOCK):
            p.value[j] = p.square[j] - p.v[j] + s * p.y[0, j] + t * p.y[1, j]
    else:
        s, t, u = -2 * p.x[i, 0], -2 * p.x[i, 1], -2 * p.x[i, 2]
        for j in range(o, o + BLOCK):
            p.value[j] = p.square[j] - p.v[j] + s * p.y[0, j] + t * p.y[1, j] + u * p.y[2, j]
    least = p.value[o]
    for j in range(o + 1, o + BLOCK):
        least = min(least, p.value[j])
    return float(least)


@inlined_fast
def block_bounds(p: Problem, i: int) -> None:
    """For each block a number that no value in it is below, into ``p.least``."""
    d, blocks = p.low.shape
    own = 0.0
    for k in range(d):
        own += p.x[i, k] ** 2
    for b in range(blocks):
        p.least[b] = -p.top[b] - own
    for k in range(d):
        for b in range(blocks):
            outside = max(max(p.low[k, b] - p.x[i, k], p.x[i, k] - p.high[k, b]), 0.0)
            p.least[b] += outside * outside
    for b in range(blocks):
        # of rounding, in units of what is added and subtracted
        p.least[b] -= 1e-14 * (abs(p.top[b]) + own)


@inlined
def look_up(p: Problem, i: int) -> None:
    """Make row ``i``'s list anew: all columns whose value lies within a width of the row's best."""
    blocks = len(p.least)
    block_bounds(p, i)
    nearest = 0
    for b in range(1, blocks):
        if p.least[b] < p.least[nearest]:
            nearest = b
    best = block_values(p, i, nearest)
    width = p.width[0]
    for b in range(blocks):
        if b != nearest and p.least[b] <= best + width:
            p.least[b] = block_values(p, i, b)
            best = min(best, p.least[b])
    p.least[nearest] = -NEVER
    shrinks, fits, number, limit = 0, False, 0, best
    while not fits:
        limit = best + width if shrinks < SHRINKS else best
        fits, number = True, 0
        for b in range(blocks):
            if p.least[b] > limit:
                continue
            for j in range(b * BLOCK, b * BLOCK + BLOCK):
                if p.value[j] <= limit:
                    if number == LISTED:
                        fits = shrinks == SHRINKS
                        break
                    p.listed[i, number], p.cost[i, number] = j, p.value[j] + p.v[j]
                    number += 1
            if number == LISTED and not fits:
                break
        if not fits:
            width *= 0.7
            shrinks += 1
    p.number[i], p.bound[i] = number, limit
    if number > 0.75 * LISTED:
        width *= 0.9
    elif number < 0.35 * LISTED:
        width *= 1.3 if number > 2 else 3.0
    p.width[0] = width


@inlined
def best_two(p: Problem, i: int) -> tuple[int, float, float]:
    """Row ``i``'s best column, its value without the dual, and the second best column's value.

    The second may be given too small, never too large, and not where the list can tell it.
    """
    fresh = False
    while True:
        best, first, second, cost = -1, NEVER, NEVER, 0.0
        for k in range(p.number[i]):
            value = p.cost[i, k] - p.v[p.listed[i, k]]
            if value < first:
                second, first, best, cost = first, value, p.listed[i, k], p.cost[i, k]
            elif value < second:
                second = value
        if fresh or (second <= p.bound[i]):
            return best, cost, min(second, p.bound[i])
        look_up(p, i)
        fresh = True


@inlined
def best_one(p: Problem, i: int) -> tuple[int, float]:
    """Row ``i``'s best column and its value."""
    fresh = False
    while True:
        best, first = -1, NEVER
        for k in range(p.number[i]):
            value = p.cost[i, k] - p.v[p.listed[i, k]]
            if value < first:
                first, best = value, p.listed[i, k]
        if fresh or first <= p.bound[i]:  # of a new list, rounding may put the best above the bound
            return best, first
        look_up(p, i)
        fresh = True
