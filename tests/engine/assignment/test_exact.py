"""Exact assignment: optimal, whatever the shape, the batch and the number of threads."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.assignment import exact
from engine.assignment.exact import assign, assign_points, set_workers
from engine.errors import SamplingError


@pytest.fixture(autouse=True)
def _pool_ends():
    yield
    set_workers(None)


def brute_force(cost: np.ndarray) -> float:
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    rows = np.arange(cost.shape[0])
    orders = itertools.permutations(range(cost.shape[1]), cost.shape[0])
    return min(float(cost[rows, list(order)].sum()) for order in orders)


def total(cost: np.ndarray, match: np.ndarray) -> float:
    used = match >= 0
    return float(cost[np.flatnonzero(used), match[used]].sum())


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 5), cols=st.integers(1, 5), seed=st.integers(0, 10_000), ties=st.booleans())
def test_no_permutation_is_cheaper(rows: int, cols: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(-3, 4, (2, rows, cols)) if ties else rng.normal(size=(2, rows, cols))
    match = assign(torch.tensor(cost, dtype=torch.float64)).numpy()
    for c, m in zip(cost, match, strict=True):
        matched = m[m >= 0]
        assert len(set(matched)) == len(matched) == min(rows, cols)
        assert matched.max() < cols
        assert total(c, m) == pytest.approx(brute_force(c), abs=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_optimal_by_duality(dimension: int) -> None:
    # The matching is optimal exactly if the residual graph has no negative cycle. Bellman-Ford from all
    # columns at once then converges, and gives potentials that certify the optimum.
    rng = np.random.default_rng(dimension)
    a, b = rng.normal(size=(1, 150, dimension)), rng.normal(size=(1, 150, dimension))
    match = assign_points(torch.from_numpy(a), torch.from_numpy(b))[0].numpy()
    cost = ((a[0][:, None] - b[0][None]) ** 2).sum(-1)
    gain = cost - cost[np.arange(150), match][:, None]  # row i gives up its column and takes j
    v = np.zeros(150)
    for _ in range(151):
        relaxed = np.minimum(v, (gain + v[match][:, None]).min(0))
        if np.allclose(relaxed, v, atol=1e-12):
            break
        v = relaxed
    else:
        pytest.fail("the matching can be improved along a cycle")
    u = cost[np.arange(150), match] - v[match]
    assert (cost - u[:, None] - v[None] > -1e-9).all()


def test_shuffled_points_are_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, 200, 3, generator=generator)
    order = torch.stack([torch.randperm(200, generator=generator) for _ in range(3)])
    b = torch.take_along_dim(a, order[..., None], 1) + 1e-3 * torch.randn(3, 200, 3, generator=generator)
    match = assign_points(a, b)
    assert torch.equal(torch.take_along_dim(order, match, 1), torch.arange(200).expand(3, -1))


@pytest.mark.parametrize(("rows", "cols"), [(40, 25), (25, 40), (1, 30), (30, 1), (0, 5), (5, 0), (5, 5)])
def test_rectangles(rows: int, cols: int) -> None:
    cost = torch.rand(3, rows, cols, generator=torch.Generator().manual_seed(1))
    match, back = assign(cost), assign(cost.transpose(1, 2))
    assert match.shape == (3, rows)
    assert match.dtype == torch.int64
    for m, w, c in zip(match.numpy(), back.numpy(), cost.numpy(), strict=True):
        assert (m >= 0).sum() == min(rows, cols)
        assert total(c, m) == pytest.approx(total(c.T, w), abs=1e-5)


def test_batch_and_workers_do_not_matter() -> None:
    cost = torch.rand(7, 60, 60, generator=torch.Generator().manual_seed(2))
    alone = torch.cat([assign(c[None]) for c in cost])
    for workers in (1, 2, 5):
        set_workers(workers)
        assert torch.equal(assign(cost), alone)
    assert assign(cost[:0]).shape == (0, 60)


def test_points_and_costs_agree() -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = torch.randn(4, 50, 2, generator=generator), torch.randn(4, 70, 2, generator=generator)
    assert torch.equal(assign_points(a, b), assign(torch.cdist(a.double(), b.double()) ** 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("workers", [1, 3])
def test_non_finite_costs_are_refused(bad: float, workers: int) -> None:
    set_workers(workers)
    cost = torch.rand(4, 6, 6)
    cost[2, 3, 1] = bad
    with pytest.raises(SamplingError, match="finite"):
        assign(cost)
    points = torch.rand(4, 6, 3)
    points[1, 0, 0] = bad
    with pytest.raises(SamplingError, match="finite"):
        assign_points(points, torch.rand(4, 6, 3))
    assert assign(torch.rand(4, 6, 6)).shape == (4, 6)  # the pool survives


def test_huge_costs_are_finite_costs() -> None:
    cost = torch.full((1, 2, 2), 1.7e308, dtype=torch.float64)
    cost[0, 0, 1] = cost[0, 1, 0] = 0.0
    assert assign(cost).tolist() == [[1, 0]]


def test_half_precision_and_gradients() -> None:
    cost = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(4)).bfloat16()
    assert torch.equal(assign(cost.requires_grad_()), assign(cost.detach().float()))


def test_two_assignments_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=20)
    solver = exact.linear_sum_assignment

    def meet(cost):
        both.wait()  # breaks, and fails the test, unless a second solver arrives while this one waits
        return solver(cost)

    monkeypatch.setattr(exact, "linear_sum_assignment", meet)
    set_workers(2)
    assert assign(torch.rand(4, 5, 5)).shape == (4, 5)


def test_the_solver_leaves_the_gil() -> None:
    # With this switch interval Python takes the GIL from nobody, so this thread can only run while the
    # other one is inside the solver if the solver gave the GIL away.
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.normal(size=(1, 700, 3))) for _ in range(2))
    spans: list[tuple[float, float]] = []
    cost = torch.cdist(a, b) ** 2

    def solve() -> None:
        began = time.monotonic()
        exact.linear_sum_assignment(cost[0].numpy())
        spans.append((began, time.monotonic()))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=solve)
        thread.start()
        seen = [time.monotonic()]
        while not spans:
            time.sleep(1e-4)
            seen.append(time.monotonic())
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    began, ended = spans[0]
    assert sum(began < moment < ended for moment in seen) >= 3


def _in_child(pipe) -> None:
    set_workers(2)
    pipe.send(assign(torch.eye(4).expand(3, 4, 4).neg()).tolist())


def test_in_a_spawned_process() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_in_child, args=(there,), daemon=True)
    child.start()
    assert here.poll(120)
    assert here.recv() == [[0, 1, 2, 3]] * 3
    child.join(30)
    assert child.exitcode == 0


def test_workers_are_at_least_one() -> None:
    assert exact.workers() >= 1
    with pytest.raises(ValueError, match="at least one"):
        set_workers(0)
