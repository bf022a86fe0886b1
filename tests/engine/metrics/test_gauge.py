"""What the evidence pins is told from what the prior invents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.metrics.gauge import assigned, distances, free_clouds, gauge
from engine.observations.matched import MatchedPoints
from engine.pipelines.draw import draw
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import Proximal

SIGMA, POINTS = 0.36, 160


def two_lobes() -> tuple[np.ndarray, np.ndarray]:
    """Points of an object of two lobes, and which belong to the first."""
    rng = np.random.default_rng(2)
    first = np.arange(POINTS) < POINTS // 2
    centre = np.where(first[:, None], -0.45, 0.45) * np.array([1.0, 0.2, 0.0])
    return centre + 0.2 * rng.standard_normal((POINTS, 3)), first


def control(observations: list[MatchedPoints], samples: int = 4) -> np.ndarray:
    x, _ = draw(
        GaussianDenoiser(SIGMA), observations, Proximal(steps=14), sample_seeds(0, samples),
        points=POINTS, device=torch.device("cpu"), watch=lambda step: None,
    )  # fmt: skip
    return x.double().numpy()


def view(truth: np.ndarray, *, seed: int) -> MatchedPoints:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return MatchedPoints(f"view {seed}", q[:2], truth @ q[:2].T, POINTS)


def test_a_part_that_no_evidence_places_is_marked_and_one_that_is_known_is_not() -> None:
    """One lobe is known in three dimensions; the other is seen in a single view, its depth by nobody."""
    truth, first = two_lobes()
    known = MatchedPoints("part", np.eye(3), truth[first], POINTS, partial=True)
    drawn = control([known, view(truth, seed=5)])
    found = gauge(truth, drawn, free_clouds(4, POINTS, SIGMA))
    assert np.median(found[first]) < 0.2
    assert np.quantile(found[~first], 0.1) > 0.5
    # ranks: nearly every hidden point is marked more than nearly every known one
    assert (found[~first][:, None] > found[first]).mean() > 0.95


def test_more_views_leave_less_to_the_prior() -> None:
    truth, _ = two_lobes()
    free = free_clouds(4, POINTS, SIGMA)
    medians = [
        float(np.median(gauge(truth, control([view(truth, seed=s) for s in range(n)]), free)))
        for n in (1, 2, 5)
    ]
    assert medians[0] > 1.3 * medians[2]
    assert medians[0] > medians[1] > medians[2]


def test_the_two_ends_of_the_scale() -> None:
    truth, _ = two_lobes()
    free = free_clouds(6, POINTS, SIGMA)
    rng = np.random.default_rng(0)
    exact = np.stack([truth[rng.permutation(POINTS)] for _ in range(3)])
    assert gauge(truth, exact, free).max() < 1e-9  # the evidence alone gives these points, in whatever order
    nothing = gauge(truth, free_clouds(6, POINTS, SIGMA, seed=9), free)
    assert np.median(nothing) == pytest.approx(1.0, abs=0.1)
    assert nothing.max() <= 1.0


def test_where_the_prior_has_moved_a_point_counts_as_left_to_it() -> None:
    """The evidence alone would put the last points elsewhere, and says so without any doubt."""
    truth, first = two_lobes()
    shown = truth + np.where(first[:, None], 0.0, [0.0, 0.0, 0.15])
    found = gauge(shown, np.stack([truth] * 3), free_clouds(3, POINTS, SIGMA))
    assert np.median(found[~first]) > 0.25
    assert np.median(found[first]) < 0.05


def test_distances_are_those_to_the_nearest_point_and_assignments_are_one_to_one() -> None:
    shown = np.array([[0.0, 0, 0], [10.0, 0, 0]])
    clouds = np.array([[[10.0, 1, 0], [9.0, 0, 0]], [[0.0, 0, 0], [10.0, 0, 0]]])
    np.testing.assert_allclose(distances(shown, clouds), np.sqrt([(81 + 0) / 2, (1 + 0) / 2]))
    np.testing.assert_array_equal(assigned(shown, clouds), [[1, 0], [0, 1]])
