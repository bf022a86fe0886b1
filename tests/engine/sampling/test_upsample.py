"""Splitting points: what is kept, what is drawn anew, and what a prior is shown."""

from __future__ import annotations

import pytest
import torch

from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import SampleNoise
from engine.sampling.upsample import InParts, upsample

SEEDS = [3, 4, 5]


def silent(i: int, sigma: float, x0: torch.Tensor) -> None:
    """Nobody watches."""


class Listener:
    """A denoiser that answers with its input, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return x


def test_each_part_holds_one_child_of_every_point() -> None:
    # coordinate 0 names the parent, 1 the child
    parents, children = torch.arange(50.0), torch.arange(4.0)
    x = torch.stack(torch.meshgrid(parents, children, torch.zeros(1), indexing="ij"), -1).view(1, 200, 3)
    listener = Listener()
    parts = InParts(listener, 4, SampleNoise([0]))
    again = parts(x, torch.ones(1))
    assert torch.equal(again, x)
    (seen,) = listener.seen
    assert seen.shape == (4, 50, 3)
    for part in seen:
        assert torch.equal(part[:, 0], parents)
    # every child is in one part, and the parts are mixed
    assert torch.equal(seen[:, :, 1].sort(dim=0).values, children[:, None].expand(4, 50))
    assert len(set(seen[0, :, 1].tolist())) == 4
    parts(x, torch.ones(1))
    assert not torch.equal(listener.seen[1], seen)
    with pytest.raises(ValueError, match="divide"):
        InParts(listener, 3, SampleNoise([0]))(x, torch.ones(1))


def test_a_denoiser_of_single_points_does_not_notice_the_parts() -> None:
    gaussian = GaussianDenoiser(0.3)
    x, sigma = (
        torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0.1, 0.2, 0.5]),
    )
    torch.testing.assert_close(InParts(gaussian, 4, SampleNoise(SEEDS))(x, sigma), gaussian(x, sigma))


def test_children_scatter_about_their_point_by_the_noise() -> None:
    coarse = torch.randn(1, 2000, 3, generator=torch.Generator().manual_seed(1))
    fine = upsample(lambda x, s: x, coarse, 4, [0.05, 0.0], SampleNoise([0]), silent)
    away = fine.view(1, 2000, 4, 3) - coarse[:, :, None]
    assert float(away.std()) == pytest.approx(0.05, rel=0.03)
    assert float(away.mean(2).std()) == pytest.approx(0.025, rel=0.05)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    coarse = torch.randn(3, 30, 3, generator=torch.Generator().manual_seed(2))
    levels = [0.1, 0.03, 0.0]

    def draw(which: slice) -> torch.Tensor:
        noise = SampleNoise(SEEDS[which])
        denoiser = InParts(lambda x, s: 0.9 * x + 0.1 * x.mean(1, keepdim=True), 4, noise)
        return upsample(denoiser, coarse[which], 4, levels, noise, silent)

    together = draw(slice(0, 3))
    for i in range(3):
        torch.testing.assert_close(draw(slice(i, i + 1)), together[i : i + 1])
