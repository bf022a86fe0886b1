"""Laws of the slice projector: analytic truth, exact adjoint, conventions, reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.forward import fourier_reconstruction, slice_interpolation, volume_projection
from engine.forward.fourier_reconstruction import backproject_with_weights, reconstruct, wiener
from engine.forward.fourier_slice import SliceProjector, backproject, padded_size, project
from engine.numerics.fourier import fsc

BLOBS = np.array([[3.0, -2.0, 4.0], [-5.0, 1.5, 2.0], [0.5, 6.0, -4.5], [2.0, 4.0, 0.0]])
MASSES = np.array([1.0, 2.0, 0.7, 1.5])


def _rotations(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    turns = Rotation.random(n, random_state=5).as_matrix()
    return torch.tensor(np.concatenate([np.eye(3)[None], turns])[:n], dtype=dtype)


def _phantom(size: int, width: float) -> Tensor:
    """An asymmetric map of Gaussian blobs, sampled from its formula."""
    z, y, x = np.mgrid[:size, :size, :size] - size // 2
    squared = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in BLOBS * size / 32]
    volume = sum(m * np.exp(-0.5 * s / width**2) for m, s in zip(MASSES, squared, strict=True))
    return torch.tensor(volume / (2 * np.pi * width**2) ** 1.5)


def _truth(size: int, width: float, rotations: Tensor, shifts: Tensor) -> Tensor:
    """Its projections in closed form."""
    y, x = np.mgrid[:size, :size] - size // 2
    images = []
    for rotation, shift in zip(rotations.double().numpy(), shifts.double().numpy(), strict=True):
        seen = BLOBS * size / 32 @ rotation.T
        squared = [(x - a - shift[0]) ** 2 + (y - b - shift[1]) ** 2 for a, b, _ in seen]
        images.append(sum(m * np.exp(-0.5 * s / width**2) for m, s in zip(MASSES, squared, strict=True)))
    return torch.tensor(np.stack(images) / (2 * np.pi * width**2))


def _error(found: Tensor, truth: Tensor) -> Tensor:
    """Relative error of each image."""
    return (found.double() - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)


@pytest.mark.parametrize("size", [16, 17, 22])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("padding", [1.25, 1.5, 2.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_backprojection_is_the_exact_adjoint(
    size: int, shifted: bool, padding: float, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(7)
    projector = SliceProjector(size, padding=padding, dtype=dtype)
    rotations = _rotations(5, dtype)
    volume = torch.rand(size, size, size, generator=generator, dtype=dtype)
    images = torch.rand(5, size, size, generator=generator, dtype=dtype)
    shifts = torch.randn(5, 2, generator=generator, dtype=dtype) * 2 if shifted else None
    one = (projector.project(volume, rotations, shifts_px=shifts).double() * images.double()).sum()
    back = projector.backproject(images, rotations, shifts_px=shifts)
    assert one.item() == pytest.approx((volume.double() * back.double()).sum().item(), rel=tolerance)
    assert abs(one.item()) > 1.0


@pytest.mark.parametrize("size", [10, 11])
def test_every_step_is_the_transpose_of_its_partner(size: int) -> None:
    """Also off the Hermitian subspace, where errors of half-space bookkeeping would hide."""
    generator = torch.Generator().manual_seed(3)
    projector = SliceProjector(size, dtype=torch.float64)
    views = projector.views(_rotations(3), shifts_px=torch.randn(3, 2, generator=generator))
    volume = torch.randn(size, size, size, generator=generator, dtype=torch.float64)
    images = torch.randn(3, size, size, generator=generator, dtype=torch.float64)
    transform = projector.transform(volume)
    grid = torch.randn(transform.shape, generator=generator, dtype=transform.dtype)
    slices = projector.slices(grid, views)
    disc = torch.randn(slices.shape, generator=generator, dtype=slices.dtype)

    def inner(a: Tensor, b: Tensor) -> float:
        return float((a.conj() * b).sum().real)

    assert inner(transform, grid) == pytest.approx(inner(volume, projector.transform_adjoint(grid)))
    assert inner(slices, disc) == pytest.approx(inner(grid, projector.insert(disc, views)))
    assert inner(projector.images(disc, views), images) == pytest.approx(
        inner(disc, projector.coefficients(images, views))
    )


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize(("padding", "bound"), [(1.25, 4e-3), (1.5, 2e-3), (2.0, 1e-3)])
def test_projections_of_blobs_against_the_closed_form(size: int, padding: float, bound: float) -> None:
    rotations, shifts = _rotations(6), torch.tensor(np.random.default_rng(1).normal(0, 1.5, (6, 2)))
    truth = _truth(size, 2.0, rotations, shifts)
    projector = SliceProjector(size, padding=padding)
    volume = _phantom(size, 2.0)
    found = projector.project(volume.float(), rotations.float(), shifts_px=shifts.float())
    assert _error(found, truth).max() < bound
    trilinear = volume_projection.project(volume, rotations, shifts_px=shifts)
    assert _error(found, truth).max() < 0.2 * _error(trilinear, truth).min()


@pytest.mark.parametrize("size", [32, 33])
def test_conventions_are_those_of_the_trilinear_projector(size: int) -> None:
    rotations, shifts = (
        _rotations(5),
        torch.tensor([[0.0, 0.0], [2.0, -1.0], [0.3, 1.7], [-3.0, 0.5], [1, 1]]),
    )
    volume = _phantom(size, 2.5)
    found = project(volume, rotations, shifts_px=shifts)
    other = volume_projection.project(volume, rotations, shifts_px=shifts)
    for image, twin in zip(found, other, strict=True):
        assert np.corrcoef(image.numpy().ravel(), twin.numpy().ravel())[0, 1] > 0.9995
    wrong = [project(volume, rotations.transpose(1, 2))[1:], found.flip(1), found.transpose(1, 2)]
    for images in wrong:
        for image, twin in zip(images, other[-len(images) :], strict=True):
            assert np.corrcoef(image.numpy().ravel(), twin.numpy().ravel())[0, 1] < 0.98
    torch.testing.assert_close(found.sum((1, 2)), volume.sum().expand(5), rtol=2e-3, atol=0.0)


@pytest.mark.parametrize("size", [32, 33])
def test_backprojections_of_blobs_against_the_closed_form(size: int) -> None:
    """A voxel receives of each image the value where it appears, here between the pixels."""
    rotations, centres = _rotations(4), BLOBS[:, :2] * size / 48
    y, x = np.mgrid[:size, :size] - size // 2

    def image(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8.0) for a, b in centres)

    z = np.mgrid[:size, :size, :size] - size // 2
    seen = np.einsum("vij,jzyx->vizyx", rotations.numpy(), z[::-1])
    truth = image(seen[:, 0], seen[:, 1]).sum(0) * ((z**2).sum(0) < (0.45 * size) ** 2)
    found = backproject(torch.tensor(image(x, y)).expand(4, -1, -1), rotations, size).numpy()
    assert np.linalg.norm((found - truth) * (truth != 0)) < 2e-3 * np.linalg.norm(truth)
    assert found[0, 0, 0] == 0  # outside the inscribed sphere


def test_batches_and_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rotations = _rotations(6)
    volume, images = torch.randn(12, 12, 12).double(), torch.randn(6, 12, 12).double()
    together = project(volume, rotations), backproject(images, rotations, 12)
    monkeypatch.setattr(slice_interpolation, "GATHER_CHUNK", 37)
    monkeypatch.setattr(slice_interpolation, "SCATTER_CHUNK", 41)
    torch.testing.assert_close(project(volume, rotations), together[0])
    torch.testing.assert_close(backproject(images, rotations, 12), together[1])
    parts = [backproject(images[a : a + 2], rotations[a : a + 2], 12) for a in (0, 2, 4)]
    torch.testing.assert_close(sum(parts), together[1])


def test_no_views() -> None:
    none = torch.zeros(0, 3, 3)
    assert project(torch.ones(6, 6, 6), none).shape == (0, 6, 6)
    assert not backproject(torch.zeros(0, 6, 6), none, 6).any()


def test_padded_sizes_transform_fast() -> None:
    assert [padded_size(n, 1.5) for n in (2, 43, 64, 88)] == [8, 66, 96, 132]


def test_what_does_not_fit_is_refused() -> None:
    turn = torch.eye(3)[None]
    with pytest.raises(ValueError, match="at least 2"):
        SliceProjector(1)
    with pytest.raises(ValueError, match="padding"):
        SliceProjector(8, padding=1.0)
    with pytest.raises(ValueError, match="float32"):
        SliceProjector(8, dtype=torch.float16)
    with pytest.raises(ValueError, match="cube"):
        project(torch.ones(8, 8, 9), turn)
    with pytest.raises(ValueError, match="cube"):
        backproject(torch.ones(1, 8, 8), turn, (9, 8, 8))
    with pytest.raises(ValueError, match="don't fit"):
        backproject(torch.ones(1, 8, 9), turn, 8)


@pytest.mark.parametrize("size", [32, 33])
def test_many_projections_give_the_map_back(size: int) -> None:
    rotations = _rotations(400, torch.float32)
    shifts = torch.randn(400, 2, generator=torch.Generator().manual_seed(2))
    images = _truth(size, 1.2, rotations, shifts).float()
    found = reconstruct(images, rotations, None, size, shifts_px=shifts)
    volume = _phantom(size, 1.2)
    frequency, correlation = fsc(found.numpy(), volume.numpy())
    assert correlation[(frequency > 0) & (frequency <= 0.4)].min() > 0.99
    assert (found.double() - volume).norm() < 0.06 * volume.norm()


def test_denominator_counts_the_views_of_a_voxel() -> None:
    """Two views of weights 1 and 3: the sum over the unpadded grid is 4 times a whole disc."""
    projector = SliceProjector(24, dtype=torch.float64)
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    images = torch.zeros(2, 24, 24, dtype=torch.float64)
    _, denominator = backproject_with_weights(projector, images, _rotations(2), weights)
    half = fourier_reconstruction.fold(denominator)
    half[1:-1] *= 2.0
    disc = projector.multiplicity.sum().item() * 24**2
    per_voxel = (24 / projector.points) ** 3
    assert half.sum().item() * per_voxel == pytest.approx(4 * disc, rel=0.02)


def test_weights_choose_among_contradicting_images_and_transfer_is_undone() -> None:
    size, rotations = 24, _rotations(150, torch.float32)
    volume = _phantom(size, 1.5)
    good = _truth(size, 1.5, rotations, torch.zeros(150, 2)).float()
    ramp = torch.linspace(-0.4, -1.0, size // 2 + 1).expand(150, size, -1)
    dimmed = torch.fft.irfft2(torch.fft.rfft2(good) * ramp, s=(size, size))
    images = torch.cat([dimmed, torch.randn(good.shape, generator=torch.Generator().manual_seed(1))])
    weights = torch.cat([torch.ones(150), torch.zeros(150)])
    found = reconstruct(
        images,
        rotations.repeat(2, 1, 1),
        weights,
        size,
        transfer=torch.cat([ramp, torch.ones_like(ramp)]),
    )
    assert (found.double() - volume).norm() < 0.08 * volume.norm()


def test_wiener_shrinks_by_tau2_and_removes_shells_without_power() -> None:
    size, rotations = 24, _rotations(300)
    projector = SliceProjector(size, dtype=torch.float64)
    images = _truth(size, 1.5, rotations, torch.zeros(300, 2))
    ones = torch.ones(300, dtype=torch.float64)
    sums = backproject_with_weights(projector, images, rotations, ones)
    free = wiener(projector, *sums, float("inf"))
    shrunk = wiener(projector, *sums, 1e-9)
    tau2 = torch.full((13,), torch.inf, dtype=torch.float64)
    tau2[5:] = 0.0
    low = wiener(projector, *sums, tau2)
    assert shrunk.abs().max() < 1e-3 * free.abs().max()
    frequency, correlation = fsc(low.numpy(), free.numpy())
    assert correlation[1:4].min() > 0.99
    spectrum = torch.fft.fftn(low).abs().amax((1, 2))
    assert spectrum[7:12].max() < 0.02 * spectrum[0]
    with pytest.raises(ValueError, match="13 shells"):
        wiener(projector, *sums, torch.ones(4, dtype=torch.float64))
    with pytest.raises(ValueError, match="negative"):
        backproject_with_weights(projector, images, rotations, -ones)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_cpu() -> None:
    rotations, volume, images = _rotations(4, torch.float32), torch.rand(21, 21, 21), torch.rand(4, 21, 21)
    there = [a.cuda() for a in (volume, rotations, images)]
    torch.testing.assert_close(
        project(there[0], there[1]).cpu(), project(volume, rotations), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        backproject(there[2], there[1], 21).cpu(), backproject(images, rotations, 21), rtol=1e-4, atol=1e-4
    )
