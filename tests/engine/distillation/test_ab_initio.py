"""A map from projections in unknown directions, from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.distillation.ab_initio import (
    Round,
    Schedule,
    directions,
    random_poses,
    refine_locally,
    search,
)
from engine.distillation.pose_search import PoseSearch
from engine.errors import Cancelled
from engine.metrics.volumes import soft_sphere
from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import point_group, self_correlation
from engine.numerics.volume_alignment import align, apply_alignment
from tests.engine.numerics.gaussian_blobs import correlation
from tests.engine.sds_run import blob

SIZE, COUNT = 24, 40
PLAN = Schedule(rounds=14, k_first=3, k_last=7, views=160, angles=36, share=0.6)
SHORT = Schedule(rounds=3, k_first=3, k_last=5, views=40, angles=24, share=0.5)


@pytest.fixture(scope="module")
def body() -> torch.Tensor:
    return torch.from_numpy(blob(0.4, SIZE))


@pytest.fixture(scope="module")
def mask() -> torch.Tensor:
    return torch.from_numpy(soft_sphere(SIZE, SIZE / 2 - 2))


def truth() -> torch.Tensor:
    return torch.from_numpy(random_rotations(COUNT, np.random.default_rng(7))).float()


@pytest.fixture(scope="module")
def images(body: torch.Tensor) -> PoseSearch:
    projector = PoseSearch(torch.zeros(1, SIZE, SIZE)).projector
    return PoseSearch(projector.project(body, truth()))


@pytest.fixture(scope="module")
def starts(images: PoseSearch, mask: torch.Tensor) -> list[Round]:
    return [search(images, PLAN, seed=seed, mask=mask) for seed in (1, 2, 3)]


def test_a_start_from_nothing_finds_the_body(starts: list[Round], body: torch.Tensor) -> None:
    reached = []
    for found in starts:
        mobile = found.volume.numpy()
        moved = apply_alignment(mobile, align(mobile, body.numpy(), work_size=24))
        reached.append(correlation(moved, body.numpy()))
    assert max(reached) > 0.9, reached
    # and the one that fits the images best is a right one
    best = int(np.argmax([float(found.poses.correlation.mean()) for found in starts]))
    assert reached[best] > max(reached) - 0.05


def test_the_last_round_has_all_images_in_the_mask(starts: list[Round], mask: torch.Tensor) -> None:
    found = starts[0]
    assert (found.number, found.total, found.k_max) == (PLAN.rounds, PLAN.rounds, PLAN.k_last)
    assert found.poses.rotations.shape[0] == COUNT
    assert float(found.volume.min()) >= 0
    assert float(found.volume[mask == 0].abs().max()) == 0


def test_refining_never_fits_worse(starts: list[Round], images: PoseSearch, mask: torch.Tensor) -> None:
    found = max(starts, key=lambda each: float(each.poses.correlation.mean()))
    for step in (4.0, 2.0, 1.0):
        # with next to no step: how well the poses fit the same map as they are
        before = refine_locally(images, found, step_deg=1e-4, shift_px=0.0, mask=mask).poses
        after = refine_locally(images, found, step_deg=step, shift_px=step / 6, mask=mask)
        assert (after.poses.correlation >= before.correlation - 1e-5).all()
        assert float(after.poses.correlation.mean()) > float(before.correlation.mean())
        found = after
    assert found.poses.weights.shape == (COUNT, 1)
    assert (found.number, found.k_max) == (PLAN.rounds, PLAN.k_last)


def test_refining_brings_poses_nearer(images: PoseSearch, body: torch.Tensor, mask: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    wrong = torch.from_numpy(rng.normal(size=(COUNT, 3)) * np.deg2rad(3.0)).float()
    x, y, z = wrong.unbind(1)
    o = torch.zeros_like(x)
    turns = torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).view(-1, 3, 3))
    poses = replace(random_poses(COUNT, rng), rotations=(turns @ truth())[:, None])

    def error(found: Round) -> float:
        trace = torch.einsum("nij,nij->n", found.poses.rotations[:, 0], truth())
        return float(((trace - 1) / 2).clamp(-1, 1).arccos().mean().rad2deg())

    found = Round(1, 1, body, poses, 9)
    before = error(found)
    for step in (3.0, 1.5, 0.75):
        # always against the true map
        found = replace(
            refine_locally(images, found, step_deg=step, shift_px=0.2, mask=mask), volume=body
        )  # fmt: skip
    assert error(found) < 0.3 * before
    assert float(found.poses.shifts_px.abs().max()) < 0.5


def test_the_same_seed_gives_the_same(images: PoseSearch, mask: torch.Tensor) -> None:
    a, b = (search(images, SHORT, seed=5, mask=mask) for _ in range(2))
    assert torch.equal(a.volume, b.volume)
    assert torch.equal(a.poses.rotations, b.poses.rotations)
    other = search(images, SHORT, seed=6, mask=mask)
    assert not torch.allclose(a.volume, other.volume)


def test_rounds_are_told_and_resolution_grows(images: PoseSearch, mask: torch.Tensor) -> None:
    told: list[Round] = []
    plan = replace(SHORT, rounds=6)
    last = search(images, plan, seed=0, mask=mask, watch=told.append)
    assert [found.number for found in told] == [1, 2, 3, 4, 5, 6]
    assert told[-1] is last
    rings = [found.k_max for found in told]
    assert rings == sorted(rings)
    assert (rings[0], rings[-1]) == (3, 5)
    # a part of the images in the first rounds, all in the last
    assert [len(found.poses.rotations) for found in told] == [20, 20, 20, 20, 40, 40]


def test_a_watcher_may_stop_the_search(images: PoseSearch, mask: torch.Tensor) -> None:
    told: list[int] = []

    def watch(found: Round) -> None:
        told.append(found.number)
        raise Cancelled

    with pytest.raises(Cancelled):
        search(images, SHORT, seed=0, mask=mask, watch=watch)
    assert told == [1]


def test_a_point_group_is_imposed_when_it_is_due(images: PoseSearch, mask: torch.Tensor) -> None:
    told: list[Round] = []
    group = torch.from_numpy(point_group("C3")).float()
    plan = replace(SHORT, rounds=3, symmetric_from=0.9)
    search(images, plan, seed=0, mask=mask, group=group, watch=told.append)
    fits = [self_correlation(found.volume.numpy(), "C3") for found in told]
    assert fits[-1] > 0.99
    assert 1 - fits[-1] < 0.3 * (1 - max(fits[:-1]))


def test_a_true_start_stays_true(images: PoseSearch, body: torch.Tensor, mask: torch.Tensor) -> None:
    plan = replace(PLAN, rounds=2, k_first=7, share=1.0, turned=False)
    found = search(images, plan, seed=0, mask=mask, start=body)
    assert correlation(found.volume.numpy(), body.numpy()) > 0.9


def test_directions_are_proper_and_even() -> None:
    found = directions(500)
    torch.testing.assert_close(found @ found.mT, torch.eye(3).expand(500, 3, 3), rtol=0, atol=1e-5)
    assert torch.allclose(torch.linalg.det(found), torch.ones(500), atol=1e-5)
    # what an image shows along is its rotation's last row
    view = found[:, 2]
    nearest = (view @ view.T - 2 * torch.eye(500)).amax(dim=1).clamp(-1, 1).arccos()
    even = np.sqrt(4 * np.pi / 500)
    assert 0.7 * even < float(nearest.min())
    assert float(nearest.max()) < 1.3 * even
    rest = torch.from_numpy(random_rotations(2000, np.random.default_rng(0))).float()[:, 2]
    assert float((rest @ view.T).amax(dim=1).clamp(-1, 1).arccos().max()) < 1.0 * even


def test_no_rounds_is_an_error(images: PoseSearch, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least one round"):
        search(images, replace(SHORT, rounds=0), seed=0, mask=mask)
