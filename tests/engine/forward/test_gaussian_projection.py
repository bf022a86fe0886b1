"""Laws of Gaussians' projections: closed forms, central slices, exact gradients, equivariance."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.forward import gaussian_projection, volume_projection
from engine.forward.gaussian_projection import (
    Gaussians,
    fourier,
    project,
    quaternions_to_matrices,
    render_volume,
)
from engine.numerics.rotations import quaternion_to_matrix

BOTH = pytest.mark.parametrize("spheres", [True, False], ids=["spheres", "ellipsoids"])


def _some(
    count: int, spheres: bool, *, scale: float = 1.9, spread: float = 2.5, dtype: torch.dtype = torch.float64
) -> Gaussians:
    rng = np.random.default_rng(5)
    values = (
        rng.uniform(0.5, 2, count),
        rng.normal(size=(count, 3)) * spread,
        math.log(scale) + rng.uniform(-0.1, 0.25, (count, 1 if spheres else 3)),
        rng.normal(size=(count, 4)),
    )
    weights, means, scales, turns = (torch.tensor(v, dtype=dtype) for v in values)
    return Gaussians(weights, means, scales, None if spheres else turns)


def _rotations(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(Rotation.random(n, random_state=3).as_matrix(), dtype=dtype)


def _shifts(n: int) -> Tensor:
    return torch.tensor(np.random.default_rng(2).normal(size=(n, 2)) * 1.5)


def test_quaternions_turn_as_elsewhere() -> None:
    wxyz = np.random.default_rng(0).normal(size=(7, 4))
    np.testing.assert_allclose(
        quaternions_to_matrices(torch.tensor(wxyz)), quaternion_to_matrix(wxyz), atol=1e-12
    )


@BOTH
@pytest.mark.parametrize("size", [40, 41])
def test_images_have_the_analytic_transform(spheres: bool, size: int) -> None:
    gaussians, rotations, shifts = _some(9, spheres), _rotations(3), _shifts(3)
    images = project(gaussians, rotations, size, shifts_px=shifts)
    k = np.fft.fftfreq(size)
    frequencies = torch.tensor(np.stack(np.meshgrid(k, k), -1).reshape(-1, 2))  # xy, x fastest
    found = fourier(gaussians, rotations, frequencies, shifts_px=shifts).view(3, size, size)
    expected = torch.fft.fft2(torch.roll(images, (-(size // 2), -(size // 2)), (1, 2)))
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@BOTH
def test_projections_are_central_slices_of_the_rendered_volume(spheres: bool) -> None:
    """The volume's transform, summed up voxel by voxel in the plane of the view, is the image's."""
    size = 30
    gaussians, rotations = _some(5, spheres, spread=1.5), _rotations(4)
    volume = render_volume(gaussians, size)
    places = torch.arange(size, dtype=torch.float64) - size // 2
    frequencies = torch.tensor(np.random.default_rng(1).uniform(-0.3, 0.3, (40, 2)))
    sliced = []
    for rotation in rotations:
        in_map = frequencies @ rotation[:2]
        x, y, z = (torch.exp(-2j * math.pi * in_map[:, a, None] * places) for a in range(3))
        sliced.append(torch.einsum("zyx,kz,ky,kx->k", volume.to(x.dtype), z, y, x))
    found = fourier(gaussians, rotations, frequencies)
    assert (found - torch.stack(sliced)).abs().max() < 1e-5 * found.abs().max()


@BOTH
def test_agrees_with_the_projector_of_volumes(spheres: bool) -> None:
    """The same conventions: random views with shifts, up to what trilinear interpolation blurs."""
    gaussians, rotations, shifts = _some(6, spheres, scale=3.0), _rotations(3), _shifts(3)
    images = project(gaussians, rotations, 48, shifts_px=shifts)
    expected = volume_projection.project(render_volume(gaussians, 48), rotations, shifts_px=shifts)
    assert (images - expected).abs().max() < 0.03 * expected.max()
    assert (images.flip(2) - expected).abs().max() > 0.3 * expected.max()


@BOTH
def test_seen_from_above_the_volume_sums_to_the_image(spheres: bool) -> None:
    gaussians = _some(6, spheres)
    image = project(gaussians, torch.eye(3, dtype=torch.float64)[None], 40)[0]
    assert (render_volume(gaussians, 40).sum(0) - image).abs().max() < 2e-5 * image.max()


@BOTH
@pytest.mark.parametrize("of", ["images", "volume"])
def test_gradients_are_those_of_finite_differences(spheres: bool, of: str) -> None:
    gaussians, rotations, shifts = _some(3, spheres), _rotations(2), _shifts(2)
    given = [gaussians.weights, gaussians.means, gaussians.log_scales, gaussians.quaternions]
    leaves = tuple(value.clone().requires_grad_() for value in given if value is not None)

    def images(*values: Tensor) -> Tensor:
        return project(Gaussians(*values), rotations, 20, shifts_px=shifts)

    def volume(*values: Tensor) -> Tensor:
        return render_volume(Gaussians(*values), 14)

    function: Callable[..., Tensor] = images if of == "images" else volume
    weights = torch.randn(
        function(*leaves).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    gradients = torch.autograd.grad((function(*leaves) * weights).sum(), leaves)
    step = 1e-5
    for number, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        for place in np.ndindex(tuple(leaf.shape)):
            sides = []
            for sign in (1, -1):
                moved = [value.detach().clone() for value in leaves]
                moved[number][place] += sign * step
                sides.append(float((function(*moved) * weights).sum()))
            # what is cut off at five standard deviations is not differentiated
            slope = (sides[0] - sides[1]) / (2 * step)
            assert float(gradient[place]) == pytest.approx(slope, rel=1e-4, abs=1e-4)
    assert all(float(gradient.abs().max()) > 0.01 for gradient in gradients)


def test_turning_the_object_is_turning_the_views() -> None:
    gaussians, views = _some(8, False), _rotations(4)
    turn = _rotations(5)[4]
    axes = np.asarray(
        Rotation.from_matrix((turn @ gaussians.roots() / _lengths(gaussians)).numpy()).as_quat()
    )
    turned = Gaussians(
        gaussians.weights,
        gaussians.means @ turn.T,
        gaussians.log_scales,
        torch.tensor(axes[:, [3, 0, 1, 2]]),
    )
    images = project(turned, views, 32)
    torch.testing.assert_close(images, project(gaussians, views @ turn, 32), rtol=0, atol=1e-12)
    assert (images - project(gaussians, views, 32)).abs().max() > 0.05


def _lengths(gaussians: Gaussians) -> Tensor:
    return gaussians.log_scales.exp()[:, None, :]


def test_round_ellipsoids_are_spheres() -> None:
    spheres = _some(40, True)
    ellipsoids = Gaussians(
        spheres.weights, spheres.means, spheres.log_scales.expand(40, 3), _some(40, False).quaternions
    )
    rotations, shifts = _rotations(3), _shifts(3)
    first = project(spheres, rotations, 36, shifts_px=shifts)
    second = project(ellipsoids, rotations, 36, shifts_px=shifts)
    assert (first - second).abs().max() < 1e-5 * first.max()
    first, second = render_volume(spheres, 36), render_volume(ellipsoids, 36)
    assert (first - second).abs().max() < 1e-5 * first.max()


@BOTH
def test_one_gaussian_is_where_the_pose_says(spheres: bool) -> None:
    """Its mass, its centre and its peak; of the ellipsoid the width along each axis, too."""
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=torch.float64)
    scales = [1.5] if spheres else [1.5, 2.5, 3.5]
    gaussian = Gaussians(
        torch.tensor([3.0], dtype=torch.float64),
        torch.tensor([[4.0, 1.0, -2.0]], dtype=torch.float64),
        torch.tensor([scales], dtype=torch.float64).log(),
        None if spheres else torch.tensor([[2.0, 0, 0, 0]], dtype=torch.float64),
    )
    image = project(gaussian, quarter, 48, shifts_px=torch.tensor([[0.0, 2.0]], dtype=torch.float64))[0]
    # x, y = 4, 1 turns to -1, 4 and moves to -1, 6
    assert np.unravel_index(int(image.argmax()), image.shape) == (24 + 6, 24 - 1)
    assert image.sum().item() == pytest.approx(3.0, rel=1e-4)
    wide, high = (1.5, 1.5) if spheres else (2.5, 1.5)
    assert image.max().item() == pytest.approx(3.0 / (2 * math.pi * wide * high), rel=1e-9)
    columns = torch.arange(48) - 24.0 + 1
    assert float((image.sum(0) * columns**2).sum()) / 3 == pytest.approx(wide**2, rel=1e-3)


def test_beyond_the_edge_nothing_folds_back() -> None:
    """Windows are moved inside the image, the Gaussian in them is not."""
    far = torch.tensor([[9.0, 0, 0], [0, -30.0, 0], [400.0, 0, 0]], dtype=torch.float64)
    gaussians = Gaussians(
        torch.ones(3, dtype=torch.float64),
        far,
        torch.zeros(3, 3, dtype=torch.float64),
        torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).expand(3, 4),
    )
    image = project(gaussians, torch.eye(3, dtype=torch.float64)[None], 16)[0]
    assert int(image[8].argmax()) == 15
    # centre two pixels beyond the last
    beyond = sum(math.exp(-0.5 * d * d) for d in range(2, 6)) / math.sqrt(2 * math.pi)
    assert image.sum().item() == pytest.approx(beyond, rel=1e-4)
    large = project(gaussians, torch.eye(3, dtype=torch.float64)[None], 32)[0]
    torch.testing.assert_close(image, large[8:24, 8:24], rtol=0, atol=1e-6)


@BOTH
def test_no_gaussians_make_empty_images(spheres: bool) -> None:
    gaussians = _some(0, spheres)
    assert torch.equal(project(gaussians, _rotations(2), 8), torch.zeros(2, 8, 8, dtype=torch.float64))
    assert torch.equal(render_volume(gaussians, 8), torch.zeros(8, 8, 8, dtype=torch.float64))
    assert project(_some(3, spheres), _rotations(0), 8).shape == (0, 8, 8)


@BOTH
def test_chunks_change_nothing(spheres: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    gaussians, rotations = _some(30, spheres, dtype=torch.float32), _rotations(3, torch.float32)
    images, volume = project(gaussians, rotations, 24), render_volume(gaussians, 24)
    monkeypatch.setattr(gaussian_projection, "_CHUNK_CPU", 2000)
    monkeypatch.setattr(gaussian_projection, "_CHUNK_SPHERES", 24**2 * 7)
    torch.testing.assert_close(project(gaussians, rotations, 24), images, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(render_volume(gaussians, 24), volume, rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    gaussians = _some(2, True)
    with pytest.raises(ValueError, match="scales"):
        Gaussians(gaussians.weights, gaussians.means, gaussians.log_scales.expand(2, 3))
    with pytest.raises(ValueError, match="pixel"):
        project(gaussians, _rotations(2), 0)
