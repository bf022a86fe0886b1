"""Stated errors: their law, their calibration on planted truths, and what they may not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.metrics.reliability import reliability
from engine.metrics.stated_error import CALIBRATED, SHARE, ErrorModel, squares, stated_error

MODEL = ErrorModel(own=0.2, nearby=0.3, spacing=0.02, freedom=20.0)


def cloud(points: int = 900, members: int = 6, seed: int = 0) -> np.ndarray:
    """Members about places that lie far apart, with a spread of their own each."""
    rng = np.random.default_rng(seed)
    side = round(points ** (1 / 3)) + 1
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)[:points]
    places = 100.0 * grid + rng.normal(size=(points, 3))
    return places + rng.uniform(0.5, 4.0, (points, 1)) * rng.normal(size=(members, points, 3))


def planted_truth(members: np.ndarray, model: ErrorModel, seed: int = 1) -> np.ndarray:
    """A truth that follows the model's law about the members' mean."""
    rng = np.random.default_rng(seed)
    shape = members.shape[1:]
    tail = np.sqrt(model.freedom / rng.chisquare(model.freedom, (shape[0], 1)))
    return members.mean(0) + np.sqrt(model.variance(members))[:, None] * tail * rng.normal(size=shape)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_radii_hold_their_share_of_truths_that_follow_the_law(share: float) -> None:
    members = cloud(1700)
    error = np.linalg.norm(planted_truth(members, MODEL) - members.mean(0), axis=1)
    assert (error <= MODEL.radii(members, share)).mean() == pytest.approx(share, abs=0.025)


def test_the_one_distance_holds_its_share_of_all_points_together() -> None:
    members = cloud(1700)
    radii = MODEL.radii(members)
    error = np.linalg.norm(planted_truth(members, MODEL) - members.mean(0), axis=1)
    within = MODEL.within(radii)
    assert (error <= within).mean() == pytest.approx(SHARE, abs=0.02)
    assert MODEL.holding(radii, within) == pytest.approx(SHARE, abs=1e-6)
    assert np.min(radii) < within < np.max(radii)


def test_the_shipped_model_is_judged_reliable_by_a_truth_of_its_own() -> None:
    members = cloud(1700)
    stated = stated_error(members)
    assert stated is not None
    found = reliability(members, planted_truth(members, CALIBRATED), stated)
    assert np.abs(found.observed - found.stated).max() < 0.04
    assert found.factor == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(found.error_A, found.spread_A, rtol=0.2)


def test_a_wrong_scale_is_noticed() -> None:
    members = cloud(1700)
    truth, stated = planted_truth(members, CALIBRATED), stated_error(members)
    assert stated is not None
    assert reliability(members, truth, 0.5 * stated).factor == pytest.approx(2.0, rel=0.06)
    with pytest.raises(InputError, match="another number"):
        reliability(members, truth, stated[:-1])


def test_errors_scale_with_the_object_and_turn_with_it() -> None:
    members = cloud(200)
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    expected = stated_error(members)
    np.testing.assert_allclose(stated_error(3.0 * members @ turn.T + 50.0), 3.0 * expected, rtol=1e-9)
    order = np.random.default_rng(5).permutation(200)
    np.testing.assert_allclose(stated_error(members[::-1][:, order]), expected[order], rtol=1e-9)


def test_the_three_variances_are_what_they_are_called() -> None:
    members = cloud(60, members=4)
    s2, around2, d2 = squares(members).T
    mean = members.mean(0)
    np.testing.assert_allclose(s2, ((members - mean) ** 2).sum(-1).sum(0) / 3)
    distance = np.linalg.norm(mean[:, None] - mean, axis=-1)
    nearest = np.argsort(distance, axis=1)
    np.testing.assert_allclose(around2, s2[nearest[:, :17]].mean(1))
    np.testing.assert_allclose(d2, np.sort(distance, axis=1)[:, 1:9].__pow__(2).mean(1))


def test_what_has_no_spread_has_no_stated_error() -> None:
    members = cloud(30)
    assert stated_error(members[:1]) is None
    assert stated_error(np.repeat(members[:1], 3, 0)) is None
    one_point = stated_error(members[:, :1])
    assert one_point is not None
    assert one_point > 0
