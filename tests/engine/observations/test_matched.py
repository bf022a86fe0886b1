"""Evidence as points: multiplicities, matching, energies, normal equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SamplingError
from engine.observations.matched import MatchedPoints, cell_variance, multiplicities


@given(
    st.lists(st.floats(0.0, 10.0), min_size=1, max_size=40).filter(lambda w: sum(w) > 0.1),
    st.integers(1, 300),
    st.integers(0, 5),
)
def test_multiplicities_sum_up_and_stay_within_one_of_their_share(
    weights: list[float], total: int, seed: int
) -> None:
    counts = multiplicities(np.array(weights), total, seed)
    share = np.array(weights) / sum(weights) * total
    assert counts.sum() == total
    assert (np.abs(counts - share) < 1 + 1e-6).all()


def test_equal_weights_are_tiled_evenly_and_the_seed_breaks_ties() -> None:
    a, b = multiplicities(np.ones(300), 1024, 0), multiplicities(np.ones(300), 1024, 1)
    assert set(a) == {3, 4}
    assert (a != b).any()
    assert (a == multiplicities(np.ones(300), 1024, 0)).all()


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0, np.nan]])
def test_useless_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(SamplingError, match="positive"):
        multiplicities(np.array(weights), 10)


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * 0.4


ROTATION, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))


def test_energy_of_the_truth_is_zero_in_any_order() -> None:
    truth = cloud(120, 3)
    observation = MatchedPoints("v", ROTATION[:2], truth @ ROTATION[:2].T, 120)
    shuffled = torch.tensor(np.random.default_rng(1).permutation(truth), dtype=torch.float32)[None]
    assert float(observation.energy(shuffled, observation.match(shuffled))) < 1e-12


def test_energy_is_the_mean_squared_residual_of_the_best_matching() -> None:
    """Two points, by hand."""
    observation = MatchedPoints("v", np.eye(3)[:2], np.array([[0.0, 0.0], [1.0, 0.0]]), 2)
    x = torch.tensor([[[1.2, 0.0, 5.0], [0.0, 0.1, -5.0]]])
    match = observation.match(x)
    assert match.tolist() == [[1, 0]]
    assert float(observation.energy(x, match)) == pytest.approx((0.2**2 + 0.1**2) / 2)


def test_projections_do_not_see_depth() -> None:
    observation = MatchedPoints("v", ROTATION[:2], cloud(50, 2), 50)
    x = torch.tensor(cloud(50, 3, 7), dtype=torch.float32)[None]
    deeper = x + 0.7 * torch.tensor(ROTATION[2], dtype=torch.float32)
    torch.testing.assert_close(
        observation.energy(x, observation.match(x)), observation.energy(deeper, observation.match(deeper))
    )


def test_energy_gradient_at_a_fixed_match() -> None:
    observation = MatchedPoints("v", ROTATION[:2], cloud(30, 2), 30)
    x = torch.tensor(cloud(30, 3, 7), dtype=torch.float32)[None].requires_grad_(True)
    match = observation.match(x)
    (gradient,) = torch.autograd.grad(observation.energy(x, match).sum(), x)
    h, direction = 1e-2, torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        slope = (
            observation.energy(x + h * direction, match) - observation.energy(x - h * direction, match)
        ) / (2 * h)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-3)


@pytest.mark.parametrize("partial", [False, True])
def test_normal_equations_are_the_quadratic_of_the_energy(partial: bool) -> None:
    targets = cloud(12 if partial else 30, 3, 2)
    observation = MatchedPoints("s", np.eye(3), targets, 30, partial=partial, weight=2.0)
    x = torch.tensor(cloud(30, 3, 7), dtype=torch.float32)[None]
    match, sigma = observation.match(x), 0.05
    a, b = observation.normal_equations(x, match, sigma)

    def quadratic(at: torch.Tensor) -> torch.Tensor:
        return (at[..., None, :] @ a @ at[..., None] / 2).sum() - (b * at).sum()

    matched = len(targets)
    other = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    # energies are means over matched points; the likelihood is their sum over 2 sigma², times the weight
    scale = 2.0 * matched / (2 * sigma**2)
    expected = scale * (observation.energy(other, match) - observation.energy(x, match)).sum()
    assert float(quadratic(other) - quadratic(x)) == pytest.approx(float(expected), rel=1e-3)


def test_a_known_part_claims_its_number_of_points_once_each() -> None:
    part = cloud(12, 3, 2)
    observation = MatchedPoints("s", np.eye(3), part, 40, partial=True)
    x = torch.tensor(cloud(40, 3, 7), dtype=torch.float32)[None]
    match = observation.match(x)[0]
    assert sorted(match[match >= 0].tolist()) == list(range(12))
    assert int((match < 0).sum()) == 28
    with pytest.raises(SamplingError, match="40"):
        MatchedPoints("s", np.eye(3), cloud(41, 3), 40, partial=True)


def test_the_mean_of_a_cell_is_as_uncertain_as_its_width_and_number_say() -> None:
    """Points drawn in unit cells scatter by 1/12 per coordinate; the mean of k of them by 1/12k."""
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    inner = (grid > 0).all(1) & (grid < 5).all(1)
    variance = cell_variance(grid, np.full(len(grid), 1000))
    assert variance[inner] == pytest.approx(1 / 12 / 1000, rel=0.01)
    assert (cell_variance(grid, np.ones(len(grid), int)) == 0).all()


def test_a_coarse_point_moves_its_points_together() -> None:
    """Their mean goes where it was measured; their places about it stay."""
    observation = MatchedPoints("c", np.eye(3), np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]), 40)
    x = torch.tensor(
        np.repeat([[0.3, 0.2, 0.0], [4.5, 0.0, 0.1]], 20, axis=0) + cloud(40, 3), dtype=torch.float32
    )
    match = observation.match(x[None])
    a, b = observation.normal_equations(x[None], match, 0.01)
    moved = torch.linalg.solve(a, b)[0]
    for half in (slice(0, 20), slice(20, 40)):
        target = torch.tensor([0.0, 0.0, 0.0]) if half.start == 0 else torch.tensor([5.0, 0.0, 0.0])
        torch.testing.assert_close(moved[half].mean(0), target, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            moved[half] - moved[half].mean(0), x[half] - x[half].mean(0), atol=1e-4, rtol=0
        )


def test_samples_do_not_depend_on_the_batch() -> None:
    observation = MatchedPoints("v", ROTATION[:2], cloud(100, 2), 200)
    x = torch.tensor(np.stack([cloud(200, 3, i) for i in range(3)]), dtype=torch.float32)
    together = observation.match(x)
    for i in range(3):
        assert (together[i] == observation.match(x[i : i + 1])[0]).all()


def test_targets_that_are_not_finite_are_refused() -> None:
    with pytest.raises(SamplingError, match="finite"):
        MatchedPoints("v", np.eye(3), np.full((4, 3), np.nan), 8)
