"""Motion from images at known poses: latents, neighbours, their maps, and poses in these."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.distillation.ab_initio import directions
from engine.distillation.motion import Motion, fit_motion
from engine.distillation.neighbours import NeighbourSearch, joined, kernel_weights, neighbour_map
from engine.distillation.pose_search import PoseSearch
from engine.forward.fourier_slice import SliceProjector
from engine.metrics.volumes import soft_sphere
from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import symmetrise
from tests.engine.numerics.gaussian_blobs import correlation
from tests.engine.sds_run import blob

SIZE, COUNT, K_MAX = 24, 120, 6
MASK = torch.from_numpy(soft_sphere(SIZE, SIZE / 2 - 2))
STILL = torch.zeros(COUNT, 2)


@pytest.fixture(scope="module")
def arms() -> np.ndarray:
    return np.random.default_rng(4).uniform(-0.8, 0.8, COUNT)


@pytest.fixture(scope="module")
def rotations() -> torch.Tensor:
    return torch.from_numpy(random_rotations(COUNT, np.random.default_rng(7))).float()


@pytest.fixture(scope="module")
def images(arms: np.ndarray, rotations: torch.Tensor) -> PoseSearch:
    projector = SliceProjector(SIZE, padding=2.0)
    bodies = [torch.from_numpy(blob(arm, SIZE)) for arm in arms]
    shown = [projector.project(body, turn[None])[0] for body, turn in zip(bodies, rotations, strict=True)]
    return PoseSearch(torch.stack(shown))


@pytest.fixture(scope="module")
def motion(images: PoseSearch, rotations: torch.Tensor) -> Motion:
    return fit_motion(
        images, rotations, STILL, components=2, k_max=K_MAX, rounds=12, mask=MASK, seed=0
    )  # fmt: skip


def test_the_first_latent_tells_the_arm(motion: Motion, arms: np.ndarray) -> None:
    assert abs(np.corrcoef(motion.latents[:, 0].numpy(), arms)[0, 1]) > 0.9


def test_latents_are_standardised_and_components_fall(motion: Motion) -> None:
    spread = motion.latents.T @ motion.latents / COUNT + motion.covariances.mean(dim=0)
    torch.testing.assert_close(spread, torch.eye(2), atol=0.15, rtol=0)
    assert motion.latents.mean(dim=0).abs().max() < 0.15
    norms = motion.maps[1:].flatten(1).norm(dim=1)
    assert norms[0] > norms[1]
    assert abs(float(motion.maps[1].flatten() @ motion.maps[2].flatten())) < 0.05 * float(norms[0] * norms[1])


def test_near_images_show_similar_arms(motion: Motion, arms: np.ndarray) -> None:
    distances = motion.distances()
    torch.testing.assert_close(distances, distances.T, rtol=1e-3, atol=1e-3)
    assert distances.diagonal().abs().max() == 0
    weights = kernel_weights(distances, 10, own=False).numpy()
    apart = np.abs(arms[:, None] - arms)
    assert (weights * apart).sum() / weights.sum() < 0.35 * apart.mean()


def test_a_fit_goes_on_from_another(images: PoseSearch, rotations: torch.Tensor, motion: Motion) -> None:
    how = {"components": 2, "k_max": K_MAX, "mask": MASK, "seed": 0}
    seen: list[int] = []
    first = fit_motion(
        images, rotations, STILL, rounds=3, **how, watch=lambda number, found: seen.append(number)
    )  # type: ignore[arg-type]
    assert seen == [1, 2, 3]
    again = fit_motion(images, rotations, STILL, rounds=3, **how)  # type: ignore[arg-type]
    assert torch.equal(first.latents, again.latents)
    after = fit_motion(images, rotations, STILL, rounds=1, start=motion, **how)  # type: ignore[arg-type]
    assert abs(np.corrcoef(after.latents[:, 0], motion.latents[:, 0])[0, 1]) > 0.99
    with pytest.raises(ValueError, match="one round"):
        fit_motion(images, rotations, STILL, rounds=0, **how)  # type: ignore[arg-type]


def test_with_a_point_group_mean_and_components_have_it(rotations: torch.Tensor, arms: np.ndarray) -> None:
    projector = SliceProjector(SIZE, padding=2.0)
    shown = [
        projector.project(torch.from_numpy(symmetrise(blob(arm, SIZE), "C2")), turn[None])[0]
        for arm, turn in zip(arms, rotations, strict=True)
    ]
    found = fit_motion(
        PoseSearch(torch.stack(shown)), rotations, STILL, components=3, k_max=K_MAX, rounds=8, mask=MASK,
        seed=0, symmetry="C2",
    )  # fmt: skip
    for density in found.maps.numpy():
        assert correlation(density, symmetrise(density, "C2")) > 0.99
    known = np.column_stack([np.ones(COUNT), found.latents.numpy()])
    told = known @ np.linalg.lstsq(known, arms, rcond=None)[0]
    assert np.corrcoef(told, arms)[0, 1] > 0.85


@pytest.mark.parametrize("own", [True, False])
def test_as_many_neighbours_count_as_are_asked_for(own: bool) -> None:
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(80, 2)))
    points[0] = 50.0  # far from all others
    distances = (points[:, None] - points).square().sum(dim=-1)
    weights = kernel_weights(distances, 12, own=own)
    effective = weights.sum(dim=1) ** 2 / weights.square().sum(dim=1)
    torch.testing.assert_close(effective, torch.full_like(effective, 12), rtol=0.02, atol=0)
    assert (weights.diagonal() == float(own)).all()
    assert float(weights.max()) == 1.0
    with pytest.raises(ValueError, match="can't count"):
        kernel_weights(distances, 80)


def test_the_map_of_similar_images_is_nearer_to_the_truth_than_that_of_all(
    images: PoseSearch, rotations: torch.Tensor, motion: Motion, arms: np.ndarray
) -> None:
    weights = kernel_weights(motion.distances(), 20)
    for row in (int(arms.argmin()), int(arms.argmax())):
        near, of_all = (
            neighbour_map(images, rotations, STILL, w, k_max=8, mask=MASK).numpy()
            for w in (weights[row], torch.ones(COUNT))
        )
        true = blob(arms[row], SIZE)
        assert correlation(near, true) > correlation(of_all, true) + 0.01
        assert near.min() >= 0


def test_a_map_is_joined_from_the_frequencies_of_two() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIZE, SIZE, SIZE, generator=generator) for _ in range(2))
    torch.testing.assert_close(joined(a, a, 6), a, atol=1e-5, rtol=1e-5)
    spectra = [torch.fft.fftn(density) for density in (a, b, joined(a, b, 6))]
    torch.testing.assert_close(spectra[2][2, 0, 1], spectra[0][2, 0, 1], atol=1e-3, rtol=0.05)
    torch.testing.assert_close(spectra[2][0, 11, 3], spectra[1][0, 11, 3], atol=1e-3, rtol=0.05)
    torch.testing.assert_close(
        spectra[2][6, 0, 0], (spectra[0] + spectra[1])[6, 0, 0] / 2, atol=1e-3, rtol=1e-3
    )


def test_a_pose_is_found_in_a_map_without_its_image(
    images: PoseSearch, rotations: torch.Tensor, motion: Motion
) -> None:
    weights = kernel_weights(motion.distances(), 20, own=False)
    wrong = torch.from_numpy(random_rotations(1, np.random.default_rng(1))[0]).float()
    search = NeighbourSearch(images, directions(200), k_coarse=6, k_fine=8)
    near = 0
    for row in range(6):
        volume = neighbour_map(images, rotations, STILL, weights[row], k_max=8, mask=MASK)
        found, shift, score = search(row, volume, wrong, torch.zeros(2), step_px=0.3)
        angle = torch.rad2deg(torch.acos(((found * rotations[row]).sum() - 1) / 2))
        near += bool(angle < 8) and bool(shift.norm() < 0.6) and score > 0.9
    assert near >= 5
