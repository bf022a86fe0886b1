"""Ensemble and images to a map: what is read off members and images, and that the map is a better answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.forward.fourier_slice import SliceProjector
from engine.forward.gaussians import splat_volume
from engine.forward.map_posterior import shell_filtered, shell_sums
from engine.numerics.fourier import fsc
from engine.numerics.rotations import random_rotations
from engine.pipelines.density_refinement import agreement, background_and_noise, refine, signal_power

N = 32


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def density(points: np.ndarray, resolution: float = 3.0) -> torch.Tensor:
    origin = -float(N // 2)
    return torch.from_numpy(
        splat_volume(
            points, voxel_size_A=1.0, shape=(N, N, N), origin_A=(origin,) * 3, resolution_A=resolution
        )
    )


def object_points(count: int = 400) -> np.ndarray:
    rng = np.random.default_rng(3)
    arms = [c + rng.normal(scale=1.2, size=(count // 4, 3)) for c in rng.uniform(-6, 6, (4, 3))]
    return np.concatenate(arms)


def members(points: np.ndarray, spread: float = 1.0, count: int = 4) -> torch.Tensor:
    """Clouds of an eighth of the points, each displaced as a whole and one by one."""
    rng = np.random.default_rng(4)
    return torch.stack(
        [density(points[i::8] + rng.normal(scale=spread, size=(len(points[i::8]), 3))) for i in range(count)]
    )


def test_agreement_is_the_planted_share_of_common_power() -> None:
    common, own = noise(N, N, N), noise(12, N, N, N, seed=1)
    share, total = agreement(common + 0.5 * own)
    # low shells hold few coefficients
    torch.testing.assert_close(share[4:], torch.full_like(share[4:], 0.8), atol=0.1, rtol=0)
    torch.testing.assert_close(total[4:] / N**3, torch.full_like(share[4:], 1.25), atol=0.12, rtol=0)
    identical, _ = agreement(common.expand(3, -1, -1, -1))
    torch.testing.assert_close(identical, torch.ones_like(identical))
    with pytest.raises(ValueError, match="two members"):
        agreement(common[None])


def test_the_signal_is_told_from_the_noise() -> None:
    k = torch.linspace(0, 1, N // 2 + 1)
    expected = 5.0 * torch.exp(-k)
    planted = expected * 0.7 * torch.exp(-3.0 * k.square())
    _, count = shell_sums(noise(40, N, N), noise(40, N, N), 2)
    found = signal_power(planted + 0.4, count, expected, 0.4)
    torch.testing.assert_close(found[1:], planted[1:], atol=0.05, rtol=0.12)
    # far above the noise the images' own spectrum counts, whatever was expected
    other = 50.0 * torch.exp(-2 * k) * (1 + 0.5 * torch.sin(6 * k))
    found = signal_power(other + 0.01, count, expected, 0.01)
    torch.testing.assert_close(found[2:-2], other[2:-2], atol=0, rtol=0.1)


def test_background_and_noise_are_those_of_the_border() -> None:
    images = 3.0 + 0.5 * noise(4, 64, 64)
    images[:, 16:48, 16:48] += 20
    background, deviation = background_and_noise(images)
    torch.testing.assert_close(background, torch.full((4,), 3.0), atol=0.12, rtol=0)
    torch.testing.assert_close(deviation, torch.full((4,), 0.5), atol=0.1, rtol=0)


@pytest.mark.parametrize("stated", [0.0, 0.5])
def test_the_map_is_nearer_to_the_object_than_the_blurred_cloud(stated: float) -> None:
    points = object_points()
    truth, clouds = density(points), members(points)
    projector = SliceProjector(N)
    rotations = torch.from_numpy(random_rotations(3, np.random.default_rng(5))).float()
    views = projector.views(rotations)
    images = projector.project(truth, rotations)
    deviation = stated * float(images.std())
    # images have scales of their own
    images = (images + deviation * noise(3, N, N)) * torch.tensor([1.0, 3.0, 0.2]).view(-1, 1, 1)
    scaled = deviation * torch.tensor([1.0, 3.0, 0.2])
    result = refine(clouds, projector, views, images, scaled, torch.ones_like(images), blur_voxels=1.5)
    before, after = (
        fsc(m.numpy(), truth.numpy())[1][1 : N // 3].mean() for m in (clouds.mean(0), result.density)
    )
    assert after > before + (0.05 if stated else 0.15)
    # in the members' units, and not outside of them
    assert float(result.density.sum()) == pytest.approx(float(clouds.mean(0).sum()), rel=0.25)
    outside = shell_filtered(clouds.mean(0), torch.exp(-torch.arange(N // 2 + 1.0).square() / 40)) < 1e-5
    assert float(result.density[outside].abs().mean()) < 0.02 * float(result.density.max())


def test_shells_in_which_members_agree_are_trusted() -> None:
    points = object_points()
    projector = SliceProjector(N)
    rotations = torch.from_numpy(random_rotations(2, np.random.default_rng(5))).float()
    views, images = projector.views(rotations), projector.project(density(points), rotations)
    none, whole = torch.zeros(2), torch.ones_like(images)
    vague = refine(
        members(points, 1.5), projector, views, images, none, whole, blur_voxels=1.5, iterations=2
    ).trust
    sure = refine(
        members(points, 0.3), projector, views, images, none, whole, blur_voxels=1.5, iterations=2
    ).trust
    assert (sure[2:8] > vague[2:8]).all()
    assert float(vague[1]) > 0.8
    assert float(vague[10]) < 0.3
