"""Several maps from images that show mixtures of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.forward.fourier_reconstruction import backproject_with_weights, fold, shell_radius, wiener
from engine.forward.fourier_regression import regress_maps
from engine.forward.fourier_slice import SliceProjector
from engine.numerics.rotations import random_rotations
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map

SIZE, VIEWS, K_MAX = 24, 250, 9


@pytest.fixture(scope="module")
def projector() -> SliceProjector:
    return SliceProjector(SIZE, padding=2.0)


@pytest.fixture(scope="module")
def rotations() -> torch.Tensor:
    return torch.from_numpy(random_rotations(VIEWS, np.random.default_rng(3))).float()


def body(seed: int) -> torch.Tensor:
    return torch.from_numpy(blob_map(asymmetric_points(SIZE, seed), SIZE))


def error(found: torch.Tensor, true: torch.Tensor, projector: SliceProjector) -> float:
    """Of the frequencies that were asked for."""
    a, b = (projector.transform(density)[3:-3] for density in (found, true))
    low = shell_radius(projector)[: len(a)] < K_MAX - 1
    return float((a - b)[low].norm() / b[low].norm())


def test_one_map_seen_alike_in_all_images_is_the_wiener_filter(
    projector: SliceProjector, rotations: torch.Tensor
) -> None:
    images = projector.project(body(1), rotations)
    one = torch.ones(VIEWS, 1)
    found = regress_maps(
        projector, images, rotations, one, one[:, :, None], ridge=torch.tensor([0.05]), k_max=K_MAX
    )[0]
    above, below = backproject_with_weights(projector, images, rotations, torch.ones(VIEWS))
    shells = torch.round(shell_radius(projector)).long()
    counted = fold(below)
    tau2 = torch.zeros(SIZE // 2 + 1)
    for shell in range(K_MAX + 1):
        tau2[shell] = 1 / (0.05 * counted[shells == shell].mean())
    torch.testing.assert_close(found, wiener(projector, above, below, tau2), atol=1e-5, rtol=1e-3)


def test_what_changes_is_told_from_what_does_not(projector: SliceProjector, rotations: torch.Tensor) -> None:
    still, moving = body(1), body(2)
    z = torch.from_numpy(np.random.default_rng(5).normal(size=VIEWS).astype(np.float32))
    shown = projector.project(still, rotations) + z[:, None, None] * projector.project(moving, rotations)
    shifts = torch.from_numpy(np.random.default_rng(6).uniform(-2, 2, (VIEWS, 2)).astype(np.float32))
    views = projector.views(rotations, shifts_px=shifts)
    moved = torch.stack([still, moving])
    parts = [projector.images(projector.slices(projector.transform(m), views), views) for m in moved]
    phi = torch.stack([torch.ones(VIEWS), z], dim=1)
    ridge = torch.tensor([1e-3, 1e-3])
    found = regress_maps(
        projector, parts[0] + z[:, None, None] * parts[1], rotations, phi, phi[:, :, None] * phi[:, None],
        ridge=ridge, k_max=K_MAX, shifts_px=shifts,
    )  # fmt: skip
    assert error(found[0], still, projector) < 0.08
    assert error(found[1], moving, projector) < 0.08
    # control: images without their shifts are taken for other maps
    wrong = regress_maps(
        projector, parts[0] + z[:, None, None] * parts[1], rotations, phi, phi[:, :, None] * phi[:, None],
        ridge=ridge, k_max=K_MAX,
    )  # fmt: skip
    assert error(wrong[1], moving, projector) > 0.2
    centred = regress_maps(
        projector, shown, rotations, phi, phi[:, :, None] * phi[:, None], ridge=ridge, k_max=K_MAX
    )
    assert error(centred[1], moving, projector) < 0.08


def test_what_is_not_known_of_the_mixture_shrinks_its_map(
    projector: SliceProjector, rotations: torch.Tensor
) -> None:
    """Twice the second moment of z, the same mean: half of the map, as 1 / (1 + 1)."""
    z = torch.from_numpy(np.random.default_rng(5).choice([-1.0, 1.0], VIEWS).astype(np.float32))
    images = z[:, None, None] * projector.project(body(2), rotations)
    phi = torch.stack([torch.ones(VIEWS), z], dim=1)
    second = phi[:, :, None] * phi[:, None]
    unsure = second.clone()
    unsure[:, 1, 1] += 1.0
    ridge = torch.tensor([1e-3, 1e-3])
    sure, half = (
        regress_maps(projector, images, rotations, phi, moments, ridge=ridge, k_max=K_MAX)[1]
        for moments in (second, unsure)
    )
    ratio = float((sure * half).sum() / sure.square().sum())
    assert ratio == pytest.approx(0.5, abs=0.03)


def test_frequencies_beyond_nyquist_are_refused(projector: SliceProjector, rotations: torch.Tensor) -> None:
    one = torch.ones(VIEWS, 1)
    images = torch.zeros(VIEWS, SIZE, SIZE)
    with pytest.raises(ValueError, match="frequencies up to 12"):
        regress_maps(
            projector, images, rotations, one, one[:, :, None], ridge=torch.tensor([0.1]), k_max=SIZE // 2
        )
