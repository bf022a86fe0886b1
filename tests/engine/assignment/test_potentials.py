"""Reduced cost matrices have the optimum of the squared distances, whatever the clouds look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engine.assignment.exact import assign_points
from engine.assignment.potentials import affine_transport, reduced_cost


def clouds(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = rng.normal(size=(200, 3)) * (1.0, 0.5, 0.2)
    return {
        "shrunk": (0.01 * rng.normal(size=(200, 3)), y),
        "flat": (rng.normal(size=(200, 3)) * (1.0, 1.0, 0.0), y),
        "one point": (np.zeros((200, 3)), y),
        "tiled": (y + 0.3 * rng.normal(size=y.shape), np.repeat(y[:10], 20, axis=0)),
        "same": (y[::-1].copy(), y),
        "far away": (y + 1000.0, 0.001 * rng.normal(size=(200, 3))),
        "projected": (y[:, :2] + 0.1 * rng.normal(size=(200, 2)), y[:, 1:]),
    }[kind]


@pytest.mark.parametrize("kind", ["shrunk", "flat", "one point", "tiled", "same", "far away", "projected"])
def test_optimum_is_that_of_the_squared_distances(kind: str) -> None:
    x, y = clouds(kind)
    cost = cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    best = cost[rows, columns].sum()
    _, reduced = linear_sum_assignment(reduced_cost(x, y))
    assert sorted(reduced) == list(range(200))
    assert cost[np.arange(200), reduced].sum() <= best * (1 + 1e-9) + 1e-9
    match = assign_points(torch.tensor(x)[None], torch.tensor(y)[None])[0].numpy()
    assert cost[np.arange(200), match].sum() <= best * (1 + 1e-9) + 1e-9


def test_affine_transport_changes_costs_by_rows_and_columns_only() -> None:
    x, y = clouds("shrunk")
    difference = cdist(x, y, "sqeuclidean") - cdist(*affine_transport(x, y), "sqeuclidean")
    centred = difference - difference.mean(0) - difference.mean(1, keepdims=True) + difference.mean()
    assert np.abs(centred).max() < 1e-10 * np.abs(difference).max()


def test_reduction_makes_most_rows_find_their_own_column() -> None:
    x, y = clouds("shrunk")

    def own(cost: np.ndarray) -> int:
        return len(np.unique(cost.argmin(1)))

    assert own(reduced_cost(x, y)) > 2 * own(cdist(x, y, "sqeuclidean"))
