"""The problem's projector and its adjoint, and what a point group makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from engine.numerics.symmetry import point_group
from engine.reconstruction.problem import MODEL_ERROR
from tests.engine.reconstruction.known_pose_cases import SIZE, blobs, problem_of


def test_pulling_is_the_adjoint_of_seeing():
    problem = problem_of(blobs(), 4)
    volume, residuals = torch.randn(SIZE, SIZE, SIZE), torch.randn(4, SIZE, SIZE)
    seen = float((problem.seen(volume).double() * residuals).sum())
    pulled = float((volume.double() * problem.pull(residuals)).sum())
    assert seen == pytest.approx(pulled, rel=1e-4)


def test_the_true_map_leaves_nothing_missing():
    volume = blobs()
    problem = problem_of(volume, 5)
    assert float(problem.missing(volume).abs().max()) < 1e-4 * float(problem.images.max())


def test_an_image_counts_at_every_pose_of_the_group():
    group = torch.from_numpy(point_group("C3")).float()
    volume = blobs()
    problem = problem_of(volume, 2, group=group)
    assert problem.order == 3
    assert problem.all_rotations.shape == (6, 3, 3)
    symmetric = torch.zeros_like(volume)
    # a map whose projections at R and R g agree for every g of the group is seen the same from all of them
    axis = torch.arange(SIZE) - SIZE // 2
    symmetric += torch.exp(-(axis[:, None, None] ** 2 / 30 + axis[:, None] ** 2 / 8 + axis**2 / 8).float())
    seen = problem.seen(symmetric).view(2, 3, SIZE, SIZE)
    assert float((seen - seen[:, :1]).abs().max()) < 2e-3 * float(seen.max())


def test_the_variance_has_a_floor_and_grows_with_noise():
    clean, noisy = problem_of(blobs(), 4), problem_of(blobs(), 4, noise=0.5)
    assert clean.variance == pytest.approx((MODEL_ERROR * clean.contrast) ** 2)
    assert noisy.variance > 0.25
    assert noisy.contrast == pytest.approx(clean.contrast, rel=0.15)


def test_density_is_allowed_where_the_mask_is_and_above_zero():
    problem = problem_of(blobs(), 3)
    found = problem.allowed(torch.full_like(problem.mask, -1.0))
    assert float(found.abs().max()) == 0
    free = problem_of(blobs(), 3, positive=False)
    assert torch.equal(free.allowed(torch.full_like(free.mask, -1.0)), -free.mask)


def test_images_and_poses_must_be_as_many():
    problem = problem_of(blobs(), 3)
    with pytest.raises((ValueError, TypeCheckError)):
        replace(problem, images=problem.images[:2])
    with pytest.raises(ValueError, match="at least one image"):
        replace(
            problem,
            images=problem.images[:0],
            rotations=problem.rotations[:0],
            shifts_px=problem.shifts_px[:0],
        )
