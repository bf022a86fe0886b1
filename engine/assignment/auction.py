"""Prices by auction: a fast start for the exact solver.

Bertsekas & Castañón 1989, *The auction algorithm for the transportation problem*: rows bid for places of
columns; a bid raises the price (lowers the dual) until the row likes its second choice by ``step`` better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.assignment.candidates import Problem, best_two
from engine.numerics.compiled import compiled


@compiled
def auction(p: Problem, step: float, owner: NDArray[np.int32]) -> None:
    """Bid until every row has a place; the total cost is then within ``n step`` of the optimum.

    Only for problems whose capacities add up to the number of rows: a column that nobody wants keeps the
    price that it began with.

    Parameters
    ----------
    step : of a bid above what the second choice is worth; positive.
    owner : (n,) written: each row's column.
    """
    n, places = len(p.x), p.first[-1]
    holder = np.full(places, -1, np.int32)
    dual = np.empty(places)
    waiting = np.empty(n, np.int32)
    for j in range(len(p.capacity)):
        for s in range(p.first[j], p.first[j + 1]):
            dual[s] = p.v[j]
    for i in range(n):
        waiting[i] = n - 1 - i
    left = n
    while left > 0:
        left -= 1
        i = waiting[left]
        j, cost, second = best_two(p, i)
        # the cheapest place of the column, an empty one if there is one
        place = p.first[j]
        for s in range(p.first[j], p.first[j + 1]):
            if holder[s] < 0:
                place = s
                break
            if dual[s] > dual[place]:
                place = s
        if holder[place] >= 0:
            owner[holder[place]] = -1
            waiting[left] = holder[place]
            left += 1
        holder[place], owner[i], dual[place] = i, j, cost - second - step
        v = dual[p.first[j]]
        for s in range(p.first[j] + 1, p.first[j + 1]):
            v = max(v, dual[s])
        p.v[j] = v
