"""The closed-form denoiser is the softmax over its templates, and its templates are turned images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from engine.errors import InputError
from engine.priors.empirical import EmpiricalDenoiser

BOX, RADIUS = 17, 6.0
GRID = np.arange(BOX) - BOX // 2


def blobs(n: int = 5, box: int = BOX, radius: float = RADIUS, seed: int = 0) -> NDArray[np.float32]:
    """Smooth lopsided images that end within the mask, zero mean and unit variance."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, box, box))
    smooth = ndimage.gaussian_filter(noise, (0, 1.6, 1.6))
    axis = np.arange(box) - box // 2
    r = np.hypot(axis[:, None], axis)
    images = smooth * (0.5 + 0.5 * np.cos(np.pi * np.clip(r / radius, 0, 1)))
    return (images / images[:, r <= radius].std()).astype(np.float32)


def fitted(**options: float) -> EmpiricalDenoiser:
    settings = {"angle_step_deg": 30.0, "components": 4096} | options
    return EmpiricalDenoiser.fit(blobs(), mask_radius_px=RADIUS, **settings)  # type: ignore[arg-type]


def all_templates(d: EmpiricalDenoiser, images: int = 5) -> Tensor:
    return torch.stack(
        [d.template(i, a, mirrored=m) for m in (False, True) for i in range(images) for a in range(d.angles)]
    )


def noisy(n: int = 6, sigma: float = 0.5) -> Tensor:
    g = torch.Generator().manual_seed(3)
    clean = torch.from_numpy(blobs())[torch.arange(n) % 5]
    return clean + sigma * torch.randn(n, BOX, BOX, generator=g)


@pytest.mark.parametrize("angle_step_deg", [30.0, 51.4, 4.0])
@pytest.mark.parametrize("components", [20, 4096])
def test_is_the_softmax_over_templates_in_pixel_space(angle_step_deg: float, components: int) -> None:
    d = fitted(angle_step_deg=angle_step_deg, components=components)
    templates = all_templates(d).double()
    assert len(templates) == d.templates
    for sigma in (0.3, 1.0, 3.0):
        x = noisy(sigma=sigma)
        squared = (x.double()[:, None] - templates).square().sum(dim=(2, 3))
        weights = torch.softmax(-squared / (2 * sigma**2), dim=1)
        expected = torch.einsum("nt,tyx->nyx", weights, templates)
        found = d(x, torch.full((len(x),), sigma))
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)


def test_templates_are_images_turned_about_pixel_n_half_from_x_towards_y() -> None:
    d = fitted()
    images = torch.from_numpy(blobs())
    for a, quarter in ((0, 0), (3, 1), (6, 2), (9, 3)):
        # torch.rot90 on (y, x) with k=-1 takes +x to +y, about the middle pixel of an odd box
        expected = torch.rot90(images[2], -quarter)
        torch.testing.assert_close(d.template(2, a), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(d.template(2, 0, mirrored=True), images[2].flip(1), rtol=0, atol=0.02)


def test_turning_is_as_accurate_as_quintic_splines() -> None:
    """Measured on images whose turned versions are known: sums of Gaussians."""
    rng = np.random.default_rng(1)
    box, radius, angle = 32, 14.0, np.deg2rad(25)
    axis = np.arange(box) - box // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    centres = rng.uniform(-7, 7, (8, 12, 2))
    weights = rng.uniform(-1, 1, (8, 12))

    def drawn(points: NDArray[np.float64]) -> NDArray[np.float32]:
        squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
        return np.einsum("ik,ikyx->iyx", weights, np.exp(-squared / (2 * 1.2**2))).astype(np.float32)

    images = drawn(centres)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = drawn(centres @ turn.T)
    d = EmpiricalDenoiser.fit(images, mask_radius_px=radius, components=4096)
    found = np.stack([d.template(i, 5).numpy() for i in range(8)])
    bilinear = ndimage.map_coordinates(
        np.pad(images[0], 0),
        [16 + np.cos(angle) * y - np.sin(angle) * x, 16 + np.sin(angle) * y + np.cos(angle) * x],
        order=1,
    )
    scale = images.std()
    error = np.sqrt(np.square(found - expected).mean()) / scale
    assert error < 0.01
    assert error < 0.1 * np.sqrt(np.square(bilinear - expected[0]).mean()) / scale


def test_mirrored_templates_are_views_from_behind() -> None:
    """A half turn about y, then projection along z, is x -> -x."""
    rng = np.random.default_rng(2)
    volume = ndimage.gaussian_filter(rng.standard_normal((BOX, BOX, BOX)), 1.5)
    r = np.sqrt(sum(g**2 for g in np.meshgrid(GRID, GRID, GRID)))
    volume *= 0.5 + 0.5 * np.cos(np.pi * np.clip(r / RADIUS, 0, 1))
    front, behind = volume.sum(0), volume[::-1, :, ::-1].sum(0)
    images = np.stack([front, volume.sum(1)]).astype(np.float32) / float(front.std())
    d = EmpiricalDenoiser.fit(images, mask_radius_px=RADIUS, components=4096)
    expected = torch.from_numpy((behind / front.std()).astype(np.float32))
    torch.testing.assert_close(d.template(0, 0, mirrored=True), expected, rtol=0, atol=0.02)


def test_without_noise_it_is_the_nearest_template() -> None:
    d = fitted()
    image = torch.stack([d.template(3, 7, mirrored=True), d.template(1, 2)])
    sigma = torch.full((2,), 1e-2)
    torch.testing.assert_close(d(image, sigma), image, rtol=0, atol=1e-4)
    p = d.posterior(image, sigma, k=3)
    assert p.image[:, 0].tolist() == [3, 1]
    assert p.mirrored[:, 0].tolist() == [True, False]
    torch.testing.assert_close(p.angle_rad[:, 0], torch.tensor([7.0, 2.0]) * 2 * np.pi / 12)
    assert float(p.weight[:, 0].min()) > 0.99
    assert p.weight.shape == (2, 3)


def test_in_pure_noise_it_is_the_mean() -> None:
    d = fitted()
    g = torch.Generator().manual_seed(0)
    x = 1e4 * torch.randn(2, BOX, BOX, generator=g)
    mean = all_templates(d).mean(0)
    torch.testing.assert_close(d(x, torch.full((2,), 1e4)), mean.expand(2, -1, -1), rtol=0, atol=5e-3)


def test_turns_and_mirrors_with_its_input() -> None:
    d = fitted()
    x, sigma = noisy(), torch.full((6,), 0.7)
    for change in (lambda t: torch.rot90(t, 1, (1, 2)), lambda t: t.flip(2), lambda t: t.flip(1)):
        torch.testing.assert_close(d(change(x), sigma), change(d(x, sigma)), rtol=0, atol=1e-4)


def test_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    d = fitted()
    x, sigma = noisy(), torch.linspace(0.2, 1.2, 6)
    together = d(x, sigma)
    monkeypatch.setattr("engine.priors.empirical._LARGEST", d.templates)
    apart = d(x, sigma)
    torch.testing.assert_close(apart, together, rtol=0, atol=1e-5)


def test_shifted_copies_are_templates() -> None:
    images = blobs(box=25)
    d = EmpiricalDenoiser.fit(images, mask_radius_px=8.0, shift_px=1.0, angle_step_deg=30, components=4096)
    assert d.templates == 9 * 2 * 12 * 5
    x = torch.from_numpy(np.roll(images[:2], (1, -1), axis=(1, 2)))
    torch.testing.assert_close(d(x, torch.full((2,), 0.05)), x, rtol=0, atol=0.05)
    assert d.posterior(x, torch.full((2,), 0.05)).image[:, 0].tolist() == [0, 1]


def test_noise_outside_the_mask_does_not_matter() -> None:
    d = fitted()
    x, sigma = noisy(), torch.full((6,), 0.5)
    corner = x.clone()
    corner[:, 0, 0] += 100
    torch.testing.assert_close(d(corner, sigma), d(x, sigma), rtol=0, atol=0)


def test_says_what_is_wrong_with_images() -> None:
    for bad in (np.zeros((3, 8, 9)), np.full((3, 9, 9), np.nan), np.zeros((3, 33, 33)), np.zeros((0, 9, 9))):
        with pytest.raises(InputError):
            EmpiricalDenoiser.fit(bad.astype(np.float32), mask_radius_px=4.0)
