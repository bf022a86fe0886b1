"""Images of known pose made ready: the particle in the middle, whatever the frame of the poses is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.forward.volume_projection import project
from engine.io.averages import normalised
from engine.io.posed_images import PosedStack
from engine.io.posed_preparation import prepare_posed
from engine.numerics.rotations import random_rotations
from engine.specs.known_poses import PosedImages

SIDE, PIXEL = 48, 2.0
SPEC = PosedImages(poses="poses.star")


def volume(centre_px: tuple[float, float, float]) -> torch.Tensor:
    """A lopsided particle whose centre of mass is at ``centre_px`` (xyz) from voxel n // 2."""
    axis = torch.arange(SIDE) - SIDE // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    cx, cy, cz = centre_px
    parts = [((4.0, 0.0, 0.0), 3.0), ((-4.0, 0.0, 0.0), 3.0)]
    found = torch.zeros(SIDE, SIDE, SIDE)
    for (dx, dy, dz), width in parts:
        squared = (x - cx - dx) ** 2 + (y - cy - dy) ** 2 + (z - cz - dz) ** 2
        found += torch.exp(-squared / (2 * width**2))
    return found


def posed(
    centre: tuple[float, float, float] = (0, 0, 0), *, shift: float = 0.0, stack_shift: float = 0.0,
    noise: float = 0.0, views: int = 6,
) -> PosedStack:  # fmt: skip
    rotations = random_rotations(views, np.random.default_rng(3))
    shifts = np.random.default_rng(4).normal(0, shift, (views, 2)) if shift else np.zeros((views, 2))
    appear = torch.from_numpy(shifts + stack_shift).float()
    images = project(volume(centre), torch.from_numpy(rotations).float(), shifts_px=appear).numpy()
    images = images + noise * np.random.default_rng(5).normal(0, 1, images.shape).astype(np.float32)
    return PosedStack(
        images, rotations, shifts * PIXEL, PIXEL, np.arange(views), ("s.mrcs",) * views, np.arange(views), "",
        1.0, False,
    )  # fmt: skip


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (3.0, -2.0, 4.0)])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_particles_centre_is_found_from_all_views_together(centre, shift):
    found = prepare_posed(posed(centre, shift=shift), SPEC)
    assert np.allclose(found.centre_A, np.array(centre) * PIXEL, atol=0.5 * PIXEL)
    middle = prepare_posed(posed(), SPEC)
    assert found.stack.images.shape == middle.stack.images.shape == (6, SIDE, SIDE)
    axis = np.arange(SIDE) - SIDE // 2
    density = (found.stack.images - found.background).clip(0)
    mass = density.sum((1, 2))
    assert np.abs((density.sum(1) * axis).sum(1) / mass).max() < 0.6
    assert np.abs((density.sum(2) * axis).sum(1) / mass).max() < 0.6


def test_a_shift_of_the_whole_stack_is_seen_and_told():
    found = prepare_posed(posed(stack_shift=1.0), SPEC)
    assert any("+1.0, +1.0 pixels" in note for note in found.notes)
    assert np.allclose(found.centre_A, 0, atol=0.4 * PIXEL)
    assert not any("pixels (x, y)" in note for note in prepare_posed(posed(), SPEC).notes)


def test_wrong_shifts_are_told_and_centres_of_mass_may_be_taken():
    wrong = posed(shift=1.0)
    wrong = replace(wrong, shifts_A=np.zeros_like(wrong.shifts_A))
    notes = prepare_posed(wrong, SPEC).notes
    assert any("contradict their shifts" in note for note in notes)
    found = prepare_posed(wrong, SPEC.model_copy(update={"centre": "mass"}))
    true = prepare_posed(posed(), SPEC)
    assert np.abs(found.stack.images - true.stack.images).max() < 0.35


def test_pure_noise_leaves_the_poses_origin():
    images = np.random.default_rng(0).normal(0, 1, (5, SIDE, SIDE)).astype(np.float32)
    noise = replace(posed(views=5), images=images)
    found = prepare_posed(noise, SPEC)
    assert np.linalg.norm(found.centre_A) < 0.2 * SIDE * PIXEL
    assert found.noise == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_noise_is_measured_in_units_of_the_contrast(noise):
    found = prepare_posed(posed(noise=noise), SPEC)
    clean = prepare_posed(posed(), SPEC)
    true = posed()
    scale = float(true.images.std() / clean.stack.images.std())
    expected = noise / scale
    # with noise the images' variance grows, and all is divided by it
    assert found.noise == pytest.approx(expected / np.hypot(1, expected), rel=0.3, abs=0.03)


def test_images_are_resampled_normalised_and_masked():
    found = prepare_posed(posed(), SPEC.model_copy(update={"box": 32}))
    assert found.stack.images.shape[-1] == 32
    assert found.stack.pixel_size_A == pytest.approx(PIXEL * found.field_of_view_px / 32)
    assert float(np.abs(found.stack.images[:, 0, 0]).max()) == 0
    assert found.background < 0


def test_equal_contrast_makes_variances_equal():
    images = posed().images * np.array([1, 2, 3, 4, 5, 6.0], np.float32)[:, None, None]
    found, background = normalised(images, 20.0, equal=True)
    spread = found.std((1, 2))
    assert spread.max() / spread.min() < 1.3
    assert background < 0
    with pytest.raises(InputError, match="no contrast"):
        normalised(np.zeros((2, 16, 16), np.float32), 6.0, equal=False)


def test_impossible_shifts_and_masks_are_refused():
    far = posed()
    with pytest.raises(InputError, match="out of their images"):
        prepare_posed(replace(far, shifts_A=far.shifts_A + 500.0, prepared=True), SPEC)
    with pytest.raises(InputError, match="pixels wide"):
        prepare_posed(far, SPEC.model_copy(update={"mask_diameter_A": 4.0}))
