"""Expectation and maximisation: poses of projections are found given the map, and the map given the poses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.distillation.ab_initio import directions
from engine.distillation.pose_search import PoseSearch, PosteriorPoses
from engine.numerics.fourier import fsc
from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import point_group, symmetrise
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map, correlation
from tests.engine.sds_run import blob

SIZE, COUNT, K_MAX, ANGLES = 24, 24, 9, 60


@pytest.fixture(scope="module")
def body() -> torch.Tensor:
    return torch.from_numpy(blob(0.4, SIZE))


def rotations(count: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(random_rotations(count, np.random.default_rng(seed))).float()


def certain(truth: torch.Tensor, shifts: torch.Tensor | None = None) -> PosteriorPoses:
    """One pose for each image, without doubt."""
    n = len(truth)
    return PosteriorPoses(
        truth[:, None],
        torch.zeros(n, 1, 2) if shifts is None else shifts[:, None],
        torch.ones(n, 1),
        torch.zeros(n),
        torch.zeros(1),
        torch.zeros(n),
    )


def degrees(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    trace = torch.einsum("nij,nij->n", a, b)
    return np.rad2deg(np.arccos(np.clip((trace.numpy() - 1) / 2, -1, 1)))


@pytest.fixture(scope="module")
def search(body: torch.Tensor) -> PoseSearch:
    empty = PoseSearch(torch.zeros(1, SIZE, SIZE))
    return PoseSearch(empty.projector.project(body, rotations(COUNT)))


@pytest.fixture(scope="module")
def found(search: PoseSearch, body: torch.Tensor) -> PosteriorPoses:
    variance = 1e-3 * search.power(K_MAX, ANGLES)
    return search.expect(body, directions(1200), variance, angles=ANGLES)


def test_poses_of_projections_are_found(found: PosteriorPoses) -> None:
    wrong = degrees(found.rotations[:, 0], rotations(COUNT))
    # the directions lie about 6 degrees apart, the turns 6
    assert np.max(wrong) < 9
    assert np.median(wrong) < 4
    assert float(found.correlation.min()) > 0.97
    torch.testing.assert_close(found.weights.sum(dim=1), torch.ones(COUNT))
    assert (found.weights.diff(dim=1) <= 0).all()
    assert (found.shifts_px == 0).all()


def test_an_exact_candidate_wins_with_nothing_left_over(search: PoseSearch, body: torch.Tensor) -> None:
    candidates = torch.cat([rotations(300, seed=9), rotations(COUNT)])
    power = search.power(K_MAX, ANGLES)
    found = search.expect(body, candidates, 1e-3 * power, angles=ANGLES, keep=1)
    assert degrees(found.rotations[:, 0], rotations(COUNT)).max() < 0.1
    # the outer rings of a smooth body hold next to nothing, and count like the others
    assert float(found.correlation.min()) > 0.99
    assert float(found.correlation.median()) > 0.9997
    assert (found.residual < 1e-2 * power).all()
    assert (found.residual[:6] < 1e-4 * power[:6]).all()


def test_shifts_are_found(body: torch.Tensor) -> None:
    truth = rotations(8)
    steps = torch.tensor([-1.0, 0.0, 1.0])
    tried = torch.cartesian_prod(steps, steps)
    places = tried[[0, 1, 2, 3, 5, 6, 7, 8]]
    projector = PoseSearch(torch.zeros(1, SIZE, SIZE)).projector
    search = PoseSearch(projector.project(body, truth, shifts_px=places))
    variance = 1e-3 * search.power(K_MAX, ANGLES)
    found = search.expect(body, truth, variance, angles=ANGLES, shifts_px=tried)
    torch.testing.assert_close(found.shifts_px[:, 0], places)
    assert degrees(found.rotations[:, 0], truth).max() < 0.1
    # and a map from them lies in the middle
    back = search.maximise(certain(rotations(8), places), k_max=K_MAX)
    assert correlation(back.numpy(), body.numpy()) > 0.8


def test_a_large_variance_leaves_doubt(search: PoseSearch, body: torch.Tensor) -> None:
    power = search.power(K_MAX, ANGLES)
    sure = search.expect(body, directions(100), 0.01 * power, angles=ANGLES)
    unsure = search.expect(body, directions(100), 100 * power, angles=ANGLES)
    assert float(unsure.weights[:, 0].max()) < 0.3
    assert float(sure.weights[:, 0].mean()) > 0.5


def test_rows_are_a_part_of_all(search: PoseSearch, body: torch.Tensor) -> None:
    variance = 0.1 * search.power(K_MAX, ANGLES)
    rows = torch.tensor([2, 7, 20])
    every = search.expect(body, directions(100), variance, angles=ANGLES)
    some = search.expect(body, directions(100), variance, angles=ANGLES, rows=rows)
    torch.testing.assert_close(some.rotations[:, 0], every.rotations[rows, 0])
    torch.testing.assert_close(some.weights, every.weights[rows], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(some.correlation, every.correlation[rows])
    torch.testing.assert_close(some.log_evidence, every.log_evidence[rows], rtol=1e-3, atol=1e-2)
    poses = certain(rotations(COUNT)[rows])
    alone = PoseSearch(search.images[rows]).maximise(poses, k_max=K_MAX)
    torch.testing.assert_close(search.maximise(poses, k_max=K_MAX, rows=rows), alone)


def test_the_same_every_time(search: PoseSearch, body: torch.Tensor, found: PosteriorPoses) -> None:
    variance = 1e-3 * search.power(K_MAX, ANGLES)
    again = search.expect(body, directions(1200), variance, angles=ANGLES)
    for name in ("rotations", "weights", "correlation", "residual", "log_evidence"):
        assert torch.equal(getattr(found, name), getattr(again, name)), name
    a, b = (search.maximise(poses, k_max=K_MAX) for poses in (found, again))
    assert torch.equal(a, b)


def test_the_map_from_true_poses_has_its_scale_and_detail(body: torch.Tensor) -> None:
    truth = rotations(300, seed=3)
    projector = PoseSearch(torch.zeros(1, SIZE, SIZE)).projector
    search = PoseSearch(projector.project(body, truth))
    back = search.maximise(certain(truth), k_max=K_MAX).numpy()
    a, b = back.ravel().astype(float), body.numpy().ravel().astype(float)
    assert (a @ b) / (b @ b) == pytest.approx(1.0, abs=0.05)
    _, shells = fsc(back, body.numpy())
    assert (shells[:K_MAX] > 0.97).all()


def test_nothing_beyond_the_largest_ring(search: PoseSearch) -> None:
    back = search.maximise(certain(rotations(COUNT)), k_max=4).numpy()
    power = np.abs(np.fft.fftn(back)) ** 2
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    assert power[radius > 6].sum() < 1e-3 * power.sum()


def test_weights_share_an_image(search: PoseSearch) -> None:
    """The same pose twice with half the weight each is that pose once."""
    one = certain(rotations(COUNT))
    twice = PosteriorPoses(
        one.rotations.repeat(1, 2, 1, 1), one.shifts_px.repeat(1, 2, 1), torch.full((COUNT, 2), 0.5),
        one.correlation, one.residual, one.log_evidence,
    )  # fmt: skip
    torch.testing.assert_close(
        search.maximise(twice, k_max=K_MAX), search.maximise(one, k_max=K_MAX), rtol=1e-3, atol=1e-4
    )


def test_a_point_group_makes_the_map_symmetric(search: PoseSearch) -> None:
    poses, group = certain(rotations(COUNT)), torch.from_numpy(point_group("D2")).float()
    free = search.maximise(poses, k_max=7).numpy()
    held = search.maximise(poses, k_max=7, group=group).numpy()
    assert correlation(held, symmetrise(held, "D2")) > 0.999
    assert correlation(free, symmetrise(free, "D2")) < 0.96


def test_a_symmetric_body_needs_few_images_with_its_group() -> None:
    points = asymmetric_points(SIZE, 3, count=9)
    group = point_group("D2")
    body = torch.from_numpy(blob_map(np.concatenate([points @ g.T for g in group]), SIZE))
    truth = rotations(5, seed=5)
    projector = PoseSearch(torch.zeros(1, SIZE, SIZE)).projector
    search = PoseSearch(projector.project(body, truth))
    with_group = search.maximise(certain(truth), k_max=8, group=torch.from_numpy(group).float())
    without = search.maximise(certain(truth), k_max=8)
    right, wrong = (correlation(v.numpy(), body.numpy()) for v in (with_group, without))
    assert right > 0.95
    assert 1 - right < 0.6 * (1 - wrong)
