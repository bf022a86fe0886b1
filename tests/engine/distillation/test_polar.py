"""Polar grids: their values are Fourier sums, and turning an image is a shift along its rings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.conventions import image_centre
from engine.distillation.polar import PolarGrid, in_plane
from engine.forward.fourier_slice import SliceProjector
from engine.numerics.rotations import random_rotations
from tests.engine.sds_run import blob

SIZE = 24


@pytest.fixture(scope="module")
def projector() -> SliceProjector:
    return SliceProjector(SIZE, padding=2.0)


@pytest.fixture(scope="module")
def body() -> torch.Tensor:
    return torch.from_numpy(blob(0.4, SIZE))


def rotations(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(random_rotations(count, np.random.default_rng(seed))).float()


@pytest.mark.parametrize("size", [16, 17])
def test_rings_are_fourier_sums(size: int) -> None:
    images = np.random.default_rng(0).normal(size=(3, size, size))
    grid = PolarGrid(SliceProjector(size, padding=2.0, dtype=torch.float64), 6, 10)
    found = grid.images(torch.from_numpy(images)).numpy()
    place = np.arange(size) - image_centre(size)
    for ring, angle in ((0, 0), (0, 3), (4, 7), (5, 9)):
        phi = 2 * np.pi * angle / 10
        kx, ky = (ring + 1) * np.cos(phi), (ring + 1) * np.sin(phi)
        wave = np.exp(-2j * np.pi * (ky * place[:, None] + kx * place) / size)
        expected = (images * wave).sum(axis=(1, 2))
        np.testing.assert_allclose(found[:, ring, angle], expected, atol=1e-10)
    assert grid.images(torch.zeros(0, size, size, dtype=torch.float64)).shape == (0, 6, 10)


def test_slices_are_transforms_of_projections(projector: SliceProjector, body: torch.Tensor) -> None:
    grid, views = PolarGrid(projector, 9, 24), rotations(5)
    slices = grid.slices(projector.transform(body), views)
    images = grid.images(projector.project(body, views))
    assert float((slices - images).abs().max()) < 2e-3 * float(images.abs().max())


def test_many_views_are_done_in_parts(projector: SliceProjector, body: torch.Tensor) -> None:
    grid, views = PolarGrid(projector, 4, 8), rotations(300)
    transform = projector.transform(body)
    every = grid.slices(transform, views)
    torch.testing.assert_close(every[290:], grid.slices(transform, views[290:]))


def test_turning_in_the_plane_is_a_shift_along_the_rings(
    projector: SliceProjector, body: torch.Tensor
) -> None:
    angles, steps = 36, 5
    grid, views = PolarGrid(projector, 9, angles), rotations(4)
    turn = in_plane(torch.tensor(2 * np.pi * steps / angles).float())
    transform = projector.transform(body)
    straight, turned = grid.slices(transform, views), grid.slices(transform, turn @ views)
    torch.testing.assert_close(
        turned, straight.roll(steps, dims=2), rtol=0, atol=1e-3 * float(straight.abs().max())
    )


def test_in_plane_rotations_go_from_x_towards_y() -> None:
    turned = in_plane(torch.tensor([np.pi / 2, 0.3])) @ torch.tensor([1.0, 0.0, 0.0])
    expected = torch.tensor([[0.0, 1.0, 0.0], [np.cos(0.3), np.sin(0.3), 0.0]], dtype=turned.dtype)
    torch.testing.assert_close(turned, expected)


def test_ramps_undo_shifts(projector: SliceProjector, body: torch.Tensor) -> None:
    grid, views = PolarGrid(projector, 9, 24), rotations(3)
    shifts = torch.tensor([[1.3, -0.4], [0.0, 2.0], [-1.7, 0.6]])
    centred = grid.images(projector.project(body, views))
    moved = grid.images(projector.project(body, views, shifts_px=shifts))
    # what leaves a periodic image on one side is not seen by the sums, so not to rounding
    assert float((moved * grid.ramp(shifts) - centred).abs().max()) < 2e-3 * float(centred.abs().max())
    assert float((moved - centred).abs().max()) > 0.1 * float(centred.abs().max())


def test_independent_coefficients_are_those_of_the_plane(projector: SliceProjector) -> None:
    # of the k² π coefficients within a radius half are independent; rings are one cycle wide
    grid = PolarGrid(projector, 11, 24)
    assert float(grid.independent.sum()) == pytest.approx(np.pi * 11.5**2 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("k_max", "angles", "words"), [(12, 24, "don't fit"), (0, 24, "don't"), (5, 7, "even")]
)
def test_impossible_grids(projector: SliceProjector, k_max: int, angles: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PolarGrid(projector, k_max, angles)
