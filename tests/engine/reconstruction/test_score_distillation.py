"""Score distillation at known poses: each term is the gradient that it says it is."""

from __future__ import annotations

import pytest
import torch

from engine.reconstruction.models import VoxelModel
from engine.reconstruction.score_distillation import (
    Terms,
    distil_at_poses,
    filtered,
    ipsm_terms,
    sds_residual,
)
from engine.reconstruction.view_denoiser import RandomViews, ViewDenoiser, level
from engine.specs.known_poses import InlinePrior, PosedSds
from tests.engine.reconstruction.known_pose_cases import SIZE, blobs, problem_of, rotations, scale


def shrinking(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """A nonlinear denoiser: pulls pixels to where tanh bends them."""
    return torch.tanh(x) / (1 + sigma.view(-1, 1, 1) ** 2)


DENOISER = ViewDenoiser(shrinking, scale())


def terms_at(x: torch.Tensor, sigma: float = 0.4) -> tuple[Terms, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    implied = torch.randn(x.shape, generator=generator)
    trust = torch.rand(len(x), SIZE, SIZE // 2 + 1, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    return ipsm_terms(x, implied, trust, DENOISER, sigma, noise), noise


@pytest.mark.parametrize("name", ["data", "sds", "rectified", "inline", "geometry"])
def test_each_term_is_the_gradient_of_its_loss(name):
    """Loss ``sum |x - stop(target)|² / 2`` for all but R2, which is linear in x: ``<x, stop(R2)>``."""
    volume = blobs(2).double()
    problem = problem_of(blobs(1), 3, whole=True, positive=False)
    turned = problem.rotations
    project = problem.projector.project
    x = project(volume.float(), turned)
    if name == "data":
        residual = x - problem.images
    elif name == "sds":
        residual = sds_residual(x, DENOISER, 0.4, torch.randn(x.shape))
    else:
        residual = getattr(terms_at(x)[0], name)

    def loss(density: torch.Tensor) -> float:
        seen = project(density.float(), turned).double()
        if name == "inline":
            return float((seen * residual).sum())
        # geometry is W (x - y): the gradient of the squared distance under the metric W
        moved = (seen - x.double()) if name != "geometry" else None
        if moved is None:
            trust = torch.rand(
                len(x), SIZE, SIZE // 2 + 1,
                generator=_skipped(torch.Generator().manual_seed(1), x.shape),
            )  # fmt: skip
            step = (seen - x.double()).float()
            return float((step * residual).sum() + 0.5 * (step * filtered(step, trust)).sum())
        return float(0.5 * (residual.double() + moved).square().sum())

    direction = blobs(5).double() * 0.05
    ahead, behind = loss(volume + direction), loss(volume - direction)
    slope = float((direction * problem.pull(residual).double()).sum())
    assert slope == pytest.approx((ahead - behind) / 2, rel=2e-3)


def _skipped(generator: torch.Generator, shape: torch.Size) -> torch.Generator:
    torch.randn(shape, generator=generator)  # what terms_at draws first
    return generator


def test_a_step_descends_along_that_gradient():
    problem = problem_of(blobs(1), 3, whole=True, positive=False)
    start = blobs(2)
    model = VoxelModel(problem, start)
    residual = model.project(problem.rotations, problem.shifts_px) - problem.images
    model.descend(problem.rotations, problem.shifts_px, residual, 0.1)
    expected = start - 0.1 / SIZE * problem.pull(residual)
    assert torch.allclose(model.volume(), expected, atol=1e-5)


def test_without_trust_ipsm_is_score_distillation():
    x = torch.randn(3, SIZE, SIZE)
    noise = torch.randn(x.shape)
    nothing = torch.zeros(3, SIZE, SIZE // 2 + 1)
    terms = ipsm_terms(x, torch.randn(x.shape), nothing, DENOISER, 0.5, noise)
    assert torch.allclose(terms.rectified, sds_residual(x, DENOISER, 0.5, noise), atol=1e-5)
    assert float(terms.inline.abs().max()) < 1e-5
    assert float(terms.geometry.abs().max()) < 1e-6


def test_with_all_trust_the_rectified_view_is_what_the_images_imply():
    x, implied = torch.randn(3, SIZE, SIZE), torch.randn(3, SIZE, SIZE)
    terms = ipsm_terms(x, implied, torch.ones(3, SIZE, SIZE // 2 + 1), DENOISER, 0.5, torch.randn(x.shape))
    assert torch.allclose(terms.rectified, x - implied, atol=1e-5)
    assert torch.allclose(terms.geometry, x - implied, atol=1e-5)
    # inside the trusted part R1 + R2 is score distillation
    assert terms.inline.abs().max() > 0.1


def test_images_alone_are_fitted():
    problem = problem_of(blobs(), 6)
    model = VoxelModel(problem, torch.zeros_like(problem.mask))
    before = float(problem.images.square().mean())
    residual = distil_at_poses(problem, model, None, None, seed=0, steps=40)
    assert residual != residual  # nobody was asked
    assert float(problem.missing(model.volume()).square().mean()) < 0.05 * before


def test_what_the_denoiser_knows_gets_into_unseen_views():
    """A denoiser that always answers with one round view makes the map round."""
    axis = torch.arange(SIZE) - SIZE // 2
    ball = torch.exp(-(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float() / 18)
    problem = problem_of(ball, 1)
    view = problem.images[0]
    scaled = scale()
    knowing = ViewDenoiser(lambda x, sigma: scaled.to_denoiser(view[None]).expand_as(x), scaled)
    errors = []
    for denoiser, settings in ((None, None), (knowing, PosedSds(steps=40, views=8, weight=2.0))):
        model = VoxelModel(problem, torch.zeros_like(problem.mask))
        distil_at_poses(problem, model, denoiser, settings, seed=0, steps=40)
        errors.append(float((model.volume() - ball).norm() / ball.norm()))
    assert errors[1] < 0.3 * errors[0]


def test_ipsm_must_be_told_what_is_implied():
    problem = problem_of(blobs(), 2)
    model = VoxelModel(problem, torch.zeros_like(problem.mask))
    with pytest.raises(ValueError, match="IPSM needs"):
        distil_at_poses(problem, model, DENOISER, InlinePrior(steps=2, views=2), seed=0)


def test_the_same_seed_gives_the_same_views_and_levels_fall():
    first, second = RandomViews(3, torch.device("cpu")), RandomViews(3, torch.device("cpu"))
    assert torch.equal(first.rotations(4), second.rotations(4))
    assert torch.equal(first.noise(2, 8), second.noise(2, 8))
    assert not torch.equal(first.rotations(4), second.rotations(4)[[1, 0, 2, 3]])
    assert [level(1.0, 0.25, i, 3) for i in range(3)] == pytest.approx([1.0, 0.5, 0.25])
    assert torch.equal(rotations(2), rotations(2))
