"""The likelihood step: its Gaussian, and how it finds correspondences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from engine.observations.matched import MatchedPoints
from engine.priors.edm import GaussianDenoiser
from engine.sampling.guidance import ProximalGuidance
from engine.sampling.likelihood import Likelihood, Matching
from engine.sampling.proximal import renoising
from engine.sampling.schedules import SampleNoise, noise_levels
from tests.engine.sampling.gaussian_case import NOISE_SD, H, KnownMatch, Y
from tests.engine.sampling.test_guidance import lumps, views


def recovered(matching: Matching, observations: list[MatchedPoints], points: int, seeds: list[int]) -> Tensor:
    guided = ProximalGuidance(
        GaussianDenoiser(0.4), Likelihood(observations, sigma=0.01, matching=matching, tolerance=0.5)
    )
    levels = noise_levels(30, 1.0, 0.005, 3.0)
    return renoising(guided, levels, SampleNoise(seeds), points=points, zeta=1.0, on_step=lambda *_: None)


def rmsd(x: Tensor, truth: Tensor) -> float:
    distance = torch.cdist(x.double(), truth.double()).square().numpy()
    return float(np.sqrt(distance[linear_sum_assignment(distance)].mean()))


@pytest.mark.parametrize("matching", ["joint", "independent"])
def test_draws_have_the_conditional_mean_and_covariance(matching: Matching) -> None:
    centre, variance, count = torch.tensor([0.2, 0.1, -0.3]), 0.04, 40_000
    likelihood = Likelihood([KnownMatch()], sigma=NOISE_SD, matching=matching)
    x = likelihood.draw(centre.expand(1, count, 3), variance, SampleNoise([1]))[0]
    precision = torch.eye(3) / variance + H.T @ H / NOISE_SD**2
    mean = torch.linalg.solve(precision, centre / variance + H.T @ Y / NOISE_SD**2)
    root = torch.linalg.cholesky(precision)
    error = count**-0.5
    assert (root.T @ (x.mean(0) - mean)).abs().max() < 4 * error
    assert (root.T @ torch.cov(x.T) @ root - torch.eye(3)).abs().max() < 6 * error
    torch.testing.assert_close(likelihood.mean(centre.expand(1, count, 3), variance)[0, 0], mean)


def test_a_point_is_matched_in_the_metric_of_what_the_others_leave_open() -> None:
    """The exact optimum of the Mahalanobis distance, found by brute force on its cost matrix."""
    g = torch.Generator().manual_seed(3)
    truth, x0 = torch.randn(40, 3, generator=g), torch.randn(1, 40, 3, generator=g)
    observation = views(truth, 1)[0]
    root = torch.randn(3, 3, generator=g)
    covariance, sigma = root @ root.T, 0.3
    match = observation.rematch(
        x0, covariance.expand(1, 40, 3, 3), torch.ones(1, 40, dtype=torch.bool), None, sigma
    )[0]
    h = observation.projector
    inverse = torch.linalg.inv(h @ covariance @ h.T + sigma**2 * torch.eye(2))
    off = (x0[0] @ h.T)[:, None] - observation.targets[None]
    cost = torch.einsum("ijk,kl,ijl->ij", off, inverse, off)
    rows, columns = linear_sum_assignment(cost.numpy())
    assert float(cost[torch.arange(40), match].sum()) == pytest.approx(
        float(cost[rows, columns].sum()), rel=1e-5
    )


@pytest.mark.parametrize("partial", [False, True])
def test_only_free_points_change_and_only_among_their_own_targets(partial: bool) -> None:
    g = torch.Generator().manual_seed(4)
    truth, x0 = torch.randn(30, 3, generator=g), torch.randn(2, 30, 3, generator=g)
    known = truth[:20] if partial else truth
    observation = MatchedPoints("part", np.eye(3), known.double().numpy(), 30, partial=partial)
    before = observation.match(x0)
    free = torch.rand(2, 30, generator=g) < 0.5
    covariance = torch.eye(3).expand(2, 30, 3, 3)
    after = observation.rematch(x0.flip(1), covariance, free, before, 0.1)
    assert (after != before).any()
    assert torch.equal(after[~free], before[~free])
    assert torch.equal(after.sort(dim=1).values, before.sort(dim=1).values)


def test_views_that_agree_keep_their_correspondences() -> None:
    """At the truth nothing contradicts: what was found stays, however far the next estimate lies."""
    truth = lumps(60)
    likelihood = Likelihood(views(truth, 3), sigma=0.01, matching="joint")
    torch.testing.assert_close(likelihood.mean(truth[None], 1e-6)[0], truth, atol=1e-4, rtol=0)
    before = [m.clone() for m in likelihood.matches]
    far = truth[None] + 0.3 * torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(5))
    z = likelihood.mean(far, 0.25)
    assert all(torch.equal(a, b) for a, b in zip(likelihood.matches, before, strict=True))
    assert rmsd(z[0], truth) < 0.005
    assert float(likelihood.energies.max()) < 1e-4


def test_joint_matching_finds_what_independent_matching_misses() -> None:
    truth = lumps(150)
    observations = views(truth, 3)
    joint, independent = (
        np.mean([rmsd(x, truth) for x in recovered(m, observations, 150, [1, 2, 3])])
        for m in ("joint", "independent")
    )
    assert joint < 0.7 * independent


def test_a_single_view_contradicts_nothing_and_is_matched_anew() -> None:
    truth = lumps(50)
    x = [recovered(m, views(truth, 1), 50, [7]) for m in ("joint", "independent")]
    torch.testing.assert_close(x[0], x[1], atol=1e-3, rtol=0)


def test_joint_matching_is_the_same_in_any_batch_and_follows_reordered_samples() -> None:
    truth = lumps(50)
    observations = views(truth, 3)
    together, alone = (recovered("joint", observations, 50, seeds) for seeds in ([1, 2], [2]))
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=0)
    likelihood = Likelihood(observations, sigma=0.01, matching="joint")
    x = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(6))
    likelihood.mean(x, 0.1)
    likelihood.reorder(torch.tensor([1, 1]))
    moved = likelihood.mean(x[[1, 1]], 0.05)
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=0)
