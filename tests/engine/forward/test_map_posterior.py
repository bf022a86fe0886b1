"""The posterior of a map given its projections: closed forms, limits, and what a prior must not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.forward.fourier_slice import SliceProjector
from engine.forward.map_posterior import (
    MapPrior,
    posterior_mean,
    shell_filtered,
    shell_sums,
    shells_of,
)
from engine.numerics.rotations import random_rotations

N = 16


def poses(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(random_rotations(count, np.random.default_rng(seed))).float()


def lump(seed: int = 0, width: float = 2.0) -> torch.Tensor:
    """A few Gaussians near the middle of the box."""
    axis = torch.arange(N, dtype=torch.float32) - N // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    out = torch.zeros(N, N, N)
    for a, b, c in np.random.default_rng(seed).uniform(-3, 3, (4, 3)):
        out += torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2))
    return out


def flat(size: int = N, value: float = 1.0) -> torch.Tensor:
    return torch.full((size // 2 + 1,), value)


def known(views: int, precision: float) -> torch.Tensor:
    return torch.full((views, N, N), precision)


def test_sums_over_shells_are_parsevals_and_count_every_coefficient_once() -> None:
    volume = shell_filtered(torch.randn(N, N, N, generator=torch.Generator().manual_seed(1)), flat())
    total, count = shell_sums(volume, volume, 3)
    assert float(total.sum()) == pytest.approx(N**3 * float(volume.square().sum()), rel=1e-4)
    whole = torch.fft.fftfreq(N, 1 / N)
    radius = (whole[:, None, None] ** 2 + whole[:, None] ** 2 + whole**2).sqrt().round().long()
    for shell in (0, 1, 4, N // 2):
        assert int(count[shell]) == int((radius == shell).sum())
    images = torch.randn(3, N, N, generator=torch.Generator().manual_seed(2))
    assert float(shell_sums(images, images, 2)[1][0]) == 3


def test_a_filter_of_ones_only_removes_the_corners() -> None:
    volume = lump()
    torch.testing.assert_close(shell_filtered(volume, flat()), volume, atol=1e-3, rtol=0)
    assert int(shells_of(N, 3).max()) > N // 2


def test_gradient_vanishes_at_the_answer() -> None:
    """The departure from the mean is the prior's covariance times the pulled-back residual."""
    projector, rotations = SliceProjector(N, padding=2.0), poses(3)
    views = projector.views(rotations)
    prior = MapPrior(0.5 * lump(1), 0.2 + lump(0, 3.0), torch.linspace(1.0, 0.2, N // 2 + 1))
    images = projector.project(lump(0), rotations)
    precision = torch.tensor([4.0, 1.0, 0.25]).view(-1, 1, 1) * (torch.rand(3, N, N) > 0.2)
    found = posterior_mean(projector, views, images, precision, prior, iterations=200, tolerance=1e-6)
    residual = (images - projector.project(found, rotations)) * precision
    pulled = prior.deviation * projector.backproject(residual, rotations)
    expected = prior.deviation * shell_filtered(pulled, prior.amplitude.square())
    torch.testing.assert_close(found - prior.mean, expected, atol=2e-3 * float(found.max()), rtol=1e-2)


def test_without_information_the_mean_stands_and_without_noise_the_images_are_met() -> None:
    projector, rotations = SliceProjector(N, padding=2.0), poses(2)
    views, truth = projector.views(rotations), lump(0)
    images = projector.project(truth, rotations)
    prior = MapPrior(torch.zeros_like(truth), lump(0, 3.0), flat())
    deaf = posterior_mean(projector, views, images, known(2, 1e-8), prior)
    assert float(deaf.abs().max()) < 1e-3 * float(truth.max())
    met = posterior_mean(projector, views, images, known(2, 1e4), prior, iterations=200)
    error = projector.project(met, rotations) - images
    assert float(error.norm()) < 0.02 * float(images.norm())


def test_nothing_departs_where_the_prior_is_certain() -> None:
    projector, rotations = SliceProjector(N, padding=2.0), poses(3)
    deviation = lump(0, 3.0)
    deviation[:, :, : N // 2] = 0
    mean = lump(1)
    prior = MapPrior(mean, deviation, flat())
    images = projector.project(lump(0), rotations)
    found = posterior_mean(projector, projector.views(rotations), images, known(3, 100.0), prior)
    torch.testing.assert_close(found[:, :, : N // 2], mean[:, :, : N // 2])
    assert float((found - mean).abs().max()) > 0.1


def test_bad_input_is_refused() -> None:
    projector, rotations = SliceProjector(N), poses(1)
    views, images = projector.views(rotations), torch.zeros(1, N, N)
    prior = MapPrior(lump(), lump(), flat())
    with pytest.raises(ValueError, match="negative"):
        posterior_mean(projector, views, images, known(1, -1.0), prior)
    with pytest.raises(ValueError, match="fit"):
        posterior_mean(projector, views, images, known(1, 1.0), MapPrior(lump(), lump(), flat(N + 4)))
