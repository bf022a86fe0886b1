"""Misfit in units of the stated error, and the error that the residuals speak for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.numerics.mixtures import kmeans_points
from engine.observations.matched import MatchedPoints
from engine.observations.misfit import chi_square, expected_energy, fitted_sigma, left_open, residuals

VIEW = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0][:2]


def far_apart(n: int = 729) -> np.ndarray:
    """Points whose projections lie so far apart that noise can't exchange them."""
    side = round(n ** (1 / 2))
    plane = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(float)
    return plane @ VIEW


def one(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float32)[None]


@pytest.mark.parametrize("sigma", [0.02, 0.08])
def test_the_truth_fits_noisy_evidence_to_the_stated_error(sigma: float) -> None:
    truth = far_apart()
    noisy = truth @ VIEW.T + sigma * np.random.default_rng(1).normal(size=(len(truth), 2))
    observation = MatchedPoints("v", VIEW, noisy, len(truth))
    x = one(truth)
    match = observation.match(x)
    assert float(chi_square(observation, x, match, sigma)) == pytest.approx(1.0, abs=0.12)
    assert float(chi_square(observation, x, match, 2 * sigma)) == pytest.approx(0.25, abs=0.03)
    assert fitted_sigma(observation, x, match) == pytest.approx(sigma, rel=0.06)


def test_fitted_error_and_misfit_agree() -> None:
    """With the fitted error the misfit is 1 by construction, where all cells have the same variance."""
    rng = np.random.default_rng(5)
    observation = MatchedPoints("v", VIEW, rng.normal(size=(80, 2)), 80)
    x = one(rng.normal(size=(80, 3)))
    match = observation.match(x)
    fitted = fitted_sigma(observation, x, match)
    assert float(chi_square(observation, x, match, fitted)) == pytest.approx(1.0, rel=1e-3)


def test_without_noise_the_misfit_is_the_energy_per_coordinate_over_the_variance() -> None:
    rng = np.random.default_rng(5)
    observation = MatchedPoints("v", VIEW, rng.normal(size=(80, 2)), 80)
    x = one(rng.normal(size=(80, 3)))
    match = observation.match(x)
    energy = float(observation.energy(x, match))
    assert float(chi_square(observation, x, match, 0.3)) == pytest.approx(energy / 2 / 0.3**2, rel=1e-5)


def test_a_measured_point_is_compared_with_the_mean_of_its_points() -> None:
    """Four points around each of two coarse ones: their means are exact, so nothing contradicts."""
    centres = np.array([[0.0, 0, 0], [10.0, 0, 0]])
    around = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    points = (centres[:, None] + around).reshape(-1, 3)
    observation = MatchedPoints("coarse", np.eye(3), centres, 8)
    x = one(points)
    match = observation.match(x)
    residual, used, variance = residuals(observation, x, match)
    assert float(residual.abs().max()) < 1e-6
    assert used.tolist() == [[1.0, 1.0]]
    assert (variance > 0).all()
    assert float(chi_square(observation, x, match, 0.1)) < 1e-10
    assert float(observation.energy(x, match)) == pytest.approx(1.0)  # which the raw energy hides


def test_a_known_part_is_judged_by_its_own_points_only() -> None:
    whole = np.random.default_rng(2).normal(size=(60, 3))
    part = whole[:20] + 0.05 * np.random.default_rng(3).normal(size=(20, 3))
    observation = MatchedPoints("subunit", np.eye(3), part, 60, partial=True)
    x = one(whole)
    found = float(chi_square(observation, x, observation.match(x), 0.05))
    assert 0.5 < found < 1.5


def test_uncertainty_of_an_estimate_is_added() -> None:
    observation = MatchedPoints("v", VIEW, far_apart() @ VIEW.T, 729)
    x = one(far_apart())
    match = observation.match(x)
    assert fitted_sigma(observation, x, match) == pytest.approx(1e-4)
    assert fitted_sigma(observation, x, match, 0.03**2) == pytest.approx(0.03, rel=1e-3)


def test_the_expected_energy_is_the_errors_alone_where_every_point_has_its_own() -> None:
    observation = MatchedPoints("v", VIEW, far_apart() @ VIEW.T, 729)
    assert expected_energy(observation, 0.03) == pytest.approx(2 * 0.03**2, rel=1e-5)


def test_points_of_a_filled_body_have_about_the_expected_energy_to_its_coarse_points() -> None:
    """A ball filled evenly and its k-means: the energy of the truth is that of cells, not of errors."""
    rng = np.random.default_rng(0)
    ball = rng.uniform(-1, 1, (3000, 3))
    ball = ball[np.linalg.norm(ball, axis=1) < 1][:900]
    coarse = kmeans_points(ball, 40, seed=0)
    observation = MatchedPoints("coarse", np.eye(3), coarse.points_A, len(ball), weights=coarse.weights)
    x = one(ball)
    ratio = float(observation.energy(x, observation.match(x))) / expected_energy(observation, 0.01)
    assert 0.6 < ratio < 1.2


def test_what_evidence_leaves_open_is_the_least_determined_direction_without_one_projection() -> None:
    """Along the axes, so that it can be told by hand."""
    truth = far_apart()
    x, prior, seen = one(truth)[0], 0.5, 1 / (1 / 0.01**2 + 1 / 0.5**2)
    first, second, third = (
        MatchedPoints(n, np.eye(3)[rows], truth[:, rows], len(truth))
        for n, rows in (("a", [0, 1]), ("b", [1, 2]), ("c", [0, 2]))
    )
    # one view taken away, the other leaves its depth open; of three, every direction is still seen by one
    np.testing.assert_allclose(left_open([first, second], x, 0.01, prior), prior**2, rtol=1e-4)
    np.testing.assert_allclose(left_open([first, second, third], x, 0.01, prior), seen, rtol=1e-4)
    np.testing.assert_allclose(left_open([], x, 0.01, prior), prior**2, rtol=1e-5)
    part = MatchedPoints("part", np.eye(3), truth[:100], len(truth), partial=True)
    told = left_open([first, part], x, 0.01, prior)
    np.testing.assert_allclose(told[:100], seen, rtol=1e-4)  # the known part needs no view
    np.testing.assert_allclose(told[100:], prior**2, rtol=1e-4)


def test_coarse_points_leave_the_width_of_their_cells_open() -> None:
    rng = np.random.default_rng(0)
    ball = rng.uniform(-1, 1, (900, 3))
    coarse = kmeans_points(ball, 40, seed=0)
    map_ = MatchedPoints("coarse", np.eye(3), coarse.points_A, len(ball), weights=coarse.weights)
    view = MatchedPoints("view", VIEW, ball @ VIEW.T, len(ball))
    told = float(left_open([view, map_], one(ball)[0], 0.01, 0.6).mean())
    cell = (8 / 40) ** (2 / 3) / 12  # of a cube with that share of the volume
    assert told == pytest.approx(cell, rel=0.5)
