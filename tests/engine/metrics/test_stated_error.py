"""Stated errors: their law, their calibration on planted truths, and what they may not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.metrics.ensemble import spread_of_matched
from engine.metrics.reliability import reliability
from engine.metrics.stated_error import CALIBRATED, SHARE, ErrorModel, StatedError, stated_error


def cloud(points: int = 1700, members: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members about places far apart, with a spread of their own each; and what evidence leaves open."""
    rng = np.random.default_rng(seed)
    side = round(points ** (1 / 3)) + 1
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)[:points]
    places = 200.0 * grid + rng.normal(size=(points, 3))
    drawn = places + rng.uniform(0.5, 6.0, (points, 1)) * rng.normal(size=(members, points, 3))
    return drawn, rng.uniform(0.0, 30.0, points)


def planted_truth(members: np.ndarray, open_: np.ndarray, model: ErrorModel, seed: int = 1) -> np.ndarray:
    """A truth that follows the model's law about the members' mean."""
    rng = np.random.default_rng(seed)
    variance, freedom = model.law(spread_of_matched(members), open_, len(members))
    tail = np.sqrt(freedom / rng.chisquare(freedom))
    return members.mean(0) + (np.sqrt(variance) * tail)[:, None] * rng.normal(size=members.shape[1:])


def distances(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(truth - members.mean(0), axis=1)


@pytest.mark.parametrize("members", [2, 6])
def test_radii_hold_their_share_of_truths_that_follow_the_law(members: int) -> None:
    drawn, open_ = cloud(members=members)
    stated = CALIBRATED.stated(drawn, open_)
    error = distances(drawn, planted_truth(drawn, open_, CALIBRATED))
    assert (error <= stated.radius).mean() == pytest.approx(SHARE, abs=0.025)
    probability = stated.probability(error)  # uniform
    for share in (0.2, 0.5, 0.8):
        assert (probability <= share).mean() == pytest.approx(share, abs=0.04)


def test_the_one_distance_holds_its_share_of_all_points_together() -> None:
    drawn, open_ = cloud()
    stated = CALIBRATED.stated(drawn, open_)
    within = stated.within()
    error = distances(drawn, planted_truth(drawn, open_, CALIBRATED))
    assert (error <= within).mean() == pytest.approx(SHARE, abs=0.025)
    assert stated.probability(within).mean() == pytest.approx(SHARE, abs=1e-6)
    assert np.min(stated.radius) < within < np.max(stated.radius)


def test_the_expected_distance_is_the_root_mean_square() -> None:
    """For a freedom of 20; where tails are so long that it hardly exists, a finite number is told."""
    radius = np.full(20000, 5.0)
    stated = StatedError(radius, np.full(20000, 20.0))
    rng = np.random.default_rng(0)
    drawn = stated.deviation * np.sqrt(3 * rng.f(3, 20.0, 20000))
    assert stated.expected[0] == pytest.approx(np.sqrt((drawn**2).mean()), rel=0.03)
    assert np.isfinite(StatedError(radius[:3], np.full(3, 1.5)).expected).all()


def test_the_shipped_model_is_judged_reliable_by_a_truth_of_its_own() -> None:
    drawn, open_ = cloud()
    stated = stated_error(drawn, open_)
    assert stated is not None
    found = reliability(drawn, planted_truth(drawn, open_, CALIBRATED), stated)
    assert np.abs(found.observed - found.stated).max() < 0.04
    assert found.factor == pytest.approx(1.0, abs=0.06)
    assert found.rank > 0.15
    np.testing.assert_allclose(found.error_A, found.spread_A, rtol=0.35)


def test_a_wrong_scale_is_noticed() -> None:
    drawn, open_ = cloud()
    truth, stated = planted_truth(drawn, open_, CALIBRATED), CALIBRATED.stated(drawn, open_)
    halved = StatedError(0.5 * stated.radius, stated.freedom)
    assert reliability(drawn, truth, halved).factor == pytest.approx(2.0, rel=0.08)
    with pytest.raises(InputError, match="another number"):
        reliability(drawn, truth, StatedError(stated.radius[1:], stated.freedom[1:]))


def test_errors_scale_with_the_object_and_turn_with_it() -> None:
    drawn, open_ = cloud(200)
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    expected = stated_error(drawn, open_)
    order = np.random.default_rng(5).permutation(200)
    moved = stated_error((3.0 * drawn @ turn.T + 50.0)[::-1][:, order], 9.0 * open_[order])
    assert expected is not None
    assert moved is not None
    np.testing.assert_allclose(moved.radius, 3.0 * expected.radius[order], rtol=1e-9)


def test_more_spread_and_more_left_open_state_more_error() -> None:
    spread, open_ = np.linspace(0.1, 5, 40), np.linspace(20, 0.1, 40)
    base, _ = CALIBRATED.law(spread, open_, 5)
    assert (CALIBRATED.law(spread, open_ + 1.0, 5)[0] > base).all()
    assert (CALIBRATED.law(spread + 1.0, open_, 5)[0] > base).all()
    assert (CALIBRATED.law(spread, open_, 2)[0] > base).all()
    # what rests on the spread alone has the long tails of few members
    few, many = (CALIBRATED.law(np.ones(1), np.zeros(1), n)[1][0] for n in (2, 50))
    assert few < many < CALIBRATED.own_freedom
    assert CALIBRATED.law(np.zeros(1), np.ones(1), 5)[1][0] == pytest.approx(CALIBRATED.open_freedom)


def test_what_has_no_spread_has_no_stated_error() -> None:
    drawn, open_ = cloud(30)
    assert stated_error(drawn[:1], open_) is None
    assert stated_error(np.repeat(drawn[:1], 3, 0), open_) is None
