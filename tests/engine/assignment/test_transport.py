"""Exact transport: the optimum of scipy and of the duals, whatever the clouds, masses and start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engine.assignment.exact import Correspondence, assign_points, set_workers
from engine.assignment.potentials import affine_transport
from engine.assignment.transport import morton_order, solve
from engine.errors import SamplingError


@pytest.fixture(autouse=True)
def _pool_ends():
    yield
    set_workers(None)


def best(x: np.ndarray, y: np.ndarray) -> float:
    cost = cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())


def paid(x: np.ndarray, y: np.ndarray, match: np.ndarray) -> float:
    used = match >= 0
    return float(((x[used] - y[match[used]]) ** 2).sum())


def clouds(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = rng.normal(size=(200, 3)) * (1.0, 0.5, 0.2)
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), -1).reshape(-1, 3)[:200]
    return {
        "shrunk": (0.01 * rng.normal(size=(200, 3)), y),
        "flat": (rng.normal(size=(200, 3)) * (1.0, 1.0, 0.0), y),
        "one point": (np.zeros((200, 3)), y),
        "both one point": (np.zeros((200, 3)), np.ones((200, 3))),
        "copies": (y + 0.3 * rng.normal(size=y.shape), np.repeat(y[:10], 20, axis=0)),
        "same": (y[::-1].copy(), y),
        "ties": (grid[rng.permutation(200)] + 0.5, grid),
        "far away": (y + 1000.0, 0.001 * rng.normal(size=(200, 3))),
        "projected": (y[:, :2] + 0.1 * rng.normal(size=(200, 2)), y[:, 1:]),
        "lumps": (0.4 * rng.normal(size=(200, 2)), y[rng.integers(0, 7, 200), :2] + 1e-3 * y[:, :2]),
        "huge": (1e30 * y, 1e30 * rng.normal(size=(200, 3))),
        "tiny": (1e-30 * y, 1e-30 * rng.normal(size=(200, 3))),
    }[kind]


KINDS = (
    "shrunk", "flat", "one point", "both one point", "copies", "same", "ties", "far away", "projected",
    "lumps", "huge", "tiny",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (200, 90), (60, 200)])
def test_as_cheap_as_scipy(kind: str, rows: int, columns: int) -> None:
    x, y = clouds(kind)
    x, y = x[:rows], y[:columns]
    match = assign_points(torch.from_numpy(x)[None], torch.from_numpy(y)[None])[0].numpy()
    used = match[match >= 0]
    assert len(set(used)) == len(used) == min(rows, columns)
    scale = float(np.square(np.concatenate([x, y])).max())
    assert paid(x, y, match) <= best(x, y) * (1 + 1e-9) + 1e-13 * scale


@settings(max_examples=60, deadline=None)
@given(
    targets=st.integers(1, 40),
    extra=st.integers(0, 80),
    d=st.sampled_from([2, 3]),
    seed=st.integers(0, 9999),
    ties=st.booleans(),
)
def test_masses_count_as_copies(targets: int, extra: int, d: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(extra, np.full(targets, 1 / targets)) + rng.integers(0, 2, targets)
    counts[0] += 1
    y, x = rng.normal(size=(targets, d)), rng.normal(size=(counts.sum(), d)) * 0.3
    if ties:
        x, y = np.round(2 * x), np.round(2 * y)
    tiled = np.repeat(y, counts, axis=0)
    match = Correspondence(y, counts)(torch.from_numpy(x)[None])[0].numpy()
    assert sorted(match) == list(range(len(x)))
    assert paid(x, tiled, match) == pytest.approx(best(x, tiled), rel=1e-9, abs=1e-9)


def test_duals_certify_the_optimum() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=(150, 2))
    y = y[morton_order(y)]
    mass = rng.integers(1, 6, 150).astype(np.int32)
    x, v = rng.normal(size=(mass.sum(), 2)), np.zeros(150)
    match = solve(x, y, mass, v)
    assert np.array_equal(np.bincount(match, minlength=150), mass)
    cost = cdist(*affine_transport(x, y, mass), "sqeuclidean")
    u = (cost - v).min(1)
    primal = cost[np.arange(len(x)), match].sum()
    assert primal == pytest.approx(u.sum() + mass @ v, rel=1e-10)


def test_what_was_matched_before_changes_nothing_but_the_time() -> None:
    rng = np.random.default_rng(3)
    y, counts = rng.normal(size=(100, 3)), rng.integers(1, 5, 100)
    clouds = [torch.from_numpy(rng.normal(size=(n, counts.sum(), 3))) for n in (2, 4, 1)]
    warm = Correspondence(y, counts)
    for x in clouds:
        together = warm(x)
        assert torch.equal(together, Correspondence(y, counts)(x))
        for alone, cloud in zip(together, x, strict=True):
            assert torch.equal(alone, Correspondence(y, counts)(cloud[None])[0])


def test_duals_of_another_problem_do_no_harm() -> None:
    rng = np.random.default_rng(4)
    y, ones = rng.normal(size=(128, 2)), np.ones(128, np.int32)
    x = rng.normal(size=(128, 2))
    for v in (100 * rng.normal(size=128), np.full(128, -1e6), 1e-9 * rng.normal(size=128)):
        assert paid(x, y, solve(x, y, ones, v)) == pytest.approx(best(x, y), rel=1e-8)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_matter(workers: int) -> None:
    rng = np.random.default_rng(6)
    y, counts, x = rng.normal(size=(30, 2)), np.full(30, 4), torch.from_numpy(rng.normal(size=(7, 120, 2)))
    alone = torch.cat([Correspondence(y, counts)(c[None]) for c in x])
    set_workers(workers)
    assert torch.equal(Correspondence(y, counts)(x), alone)


def test_neighbours_in_the_order_are_near() -> None:
    points = np.random.default_rng(7).uniform(size=(1000, 2))
    order = morton_order(points)
    assert sorted(order) == list(range(1000))
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean()
    assert steps < 0.12 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()


def test_wrong_input_is_refused() -> None:
    match = Correspondence(np.zeros((3, 2)), np.array([1, 0, 2]))
    with pytest.raises(ValueError, match="4 points can't be matched"):
        match(torch.zeros(1, 4, 2))
    with pytest.raises(SamplingError, match="finite"):
        match(torch.full((1, 3, 2), torch.nan))
    with pytest.raises(SamplingError, match="finite"):
        match(torch.full((1, 3, 2), 1e200, dtype=torch.float64))


@pytest.mark.parametrize("d", [1, 4])
def test_other_dimensions(d: int) -> None:
    a, b = (torch.randn(2, 20, d, generator=torch.Generator().manual_seed(s)) for s in (8, 9))
    for x, y, match in zip(a.numpy(), b.numpy(), assign_points(a, b).numpy(), strict=True):
        assert paid(x, y, match) == pytest.approx(best(x, y), rel=1e-5)


def test_long_walks_stay_exact() -> None:
    # rounding: points and duals of very different sizes, duplicates, and starts from every kind of dual
    rng = np.random.default_rng(8)
    for m in (1, 5, 40, 150):
        y = np.round(rng.normal(size=(m, 3)), 1)
        y = y[morton_order(y)]
        mass = (1 + rng.multinomial(3 * m, np.full(m, 1 / m))).astype(np.int32)
        x, v, tiled = rng.normal(size=(mass.sum(), 3)), np.zeros(m), np.repeat(y, mass, axis=0)
        for _ in range(8):
            x = x + rng.normal(size=x.shape) * 10.0 ** rng.uniform(-6, 1)
            x = x.astype(np.float32).astype(float)
            chosen = solve(x, y, mass, v)
            assert np.array_equal(np.bincount(chosen, minlength=m), mass)
            assert v.max() == 0
            assert paid(x, y, chosen) <= best(x, tiled) * (1 + 1e-9) + 1e-12
