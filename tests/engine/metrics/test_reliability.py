from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.metrics.reliability import reliability


def draws(members: int, points: int, *, told: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members and a truth around far-apart places; the members' spread is ``told`` times the truth's."""
    rng = np.random.default_rng(seed)
    places = 100.0 * np.stack(np.meshgrid(*[np.arange(12)] * 3), -1).reshape(-1, 3)[:points]
    widths = rng.uniform(0.5, 3.0, (points, 1))
    truth = places + widths * rng.normal(size=(points, 3))
    return places + told * widths * rng.normal(size=(members, points, 3)), truth


@pytest.mark.parametrize("members", [2, 3, 10])
def test_honest_draws_lie_on_the_diagonal_also_when_they_are_few(members: int) -> None:
    found = reliability(*draws(members, 1500))
    assert np.abs(found.observed - found.stated).max() < 0.04  # three standard errors of 1500 points
    assert found.factor == pytest.approx(1.0, abs=0.08)
    assert found.points == 1500


@pytest.mark.parametrize("told", [0.5, 2.0])
def test_too_narrow_and_too_wide_are_told_apart(told: float) -> None:
    members, truth = draws(12, 1500, told=told)
    found = reliability(members, truth)
    off = found.observed[5] - found.stated[5]
    assert (off < -0.2) if told < 1 else (off > 0.2)
    # the mean of twelve draws has an error of its own, so the factor is not quite the ratio of widths
    factor = np.sqrt((1 + told**2 / 12) / (told**2 * (1 + 1 / 12)))
    assert found.factor == pytest.approx(factor, rel=0.08)


def test_points_that_vary_more_are_more_wrong_where_the_spread_is_honest() -> None:
    found = reliability(*draws(10, 1500))
    assert (np.diff(found.spread_A) > 0).all()
    np.testing.assert_allclose(found.error_A, found.spread_A * np.sqrt(1.1), rtol=0.2)
    assert found.rank > 0.4
    shuffled = np.random.default_rng(3).permutation(1500)  # spreads that say nothing
    members, truth = draws(10, 1500)
    about = members - members.mean(0)
    told_wrongly = reliability(members.mean(0) + about[:, shuffled], truth)
    assert abs(told_wrongly.rank) < 0.1


def test_the_order_of_the_truths_points_does_not_matter() -> None:
    members, truth = draws(4, 60)
    shuffled = reliability(members, truth[np.random.default_rng(1).permutation(60)])
    np.testing.assert_array_equal(shuffled.observed, reliability(members, truth).observed)


def test_what_can_not_be_judged_is_refused() -> None:
    members, truth = draws(3, 20)
    with pytest.raises(InputError):
        reliability(members[:1], truth)
    with pytest.raises(InputError):
        reliability(members, truth[:10])
    with pytest.raises(InputError):
        reliability(np.repeat(members[:1], 3, 0), truth)
