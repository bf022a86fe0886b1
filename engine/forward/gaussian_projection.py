"""Sums of 3D Gaussians: projections along z, voxels and Fourier transforms, all in closed form.

The density is ``rho(x) = sum_g w_g N(x; mu_g, C_g)``: weights are masses, and ``C = Q diag(s)^2 Q^T`` with
standard deviations s and a rotation Q. Under a view ``x -> R x + s`` and the sum along z it becomes a sum
of 2D Gaussians with the same weights, centres ``(R mu)_xy + s`` and the upper left 2 x 2 block of
``R C R^T`` (Zwicker et al., EWA splatting, 2001, without perspective; Kerbl et al., 3D Gaussian splatting,
2023). Nothing covers anything: images add up.

Conventions are those of :mod:`.volume_projection`: an object point x appears at ``R x + s``, the origin is
at voxel and pixel ``n // 2``, images are indexed yx and volumes zyx. All lengths are in pixels of the
image, which are as large as the voxels.

A pixel's value is the Gaussian *at the pixel's centre*, a voxel's that at the voxel's, and an image is the
exact integral along z, not a sum over voxels. Averaging over the area of a pixel instead would add 1/12 px²
to both variances and multiply the transform by ``sinc(kx) sinc(ky)``: it is the same as Gaussians a little
wider, and matters where they are narrower than about a pixel. There samples also alias: at a standard
deviation of 0.5 px the sum over pixels changes by 1.4 % along each axis as the Gaussian moves between pixel
centres, at 1 px by less than 1e-8.

Spheres are separable, so images of them are one matrix product a view. Ellipsoids are evaluated within
:data:`REACH` standard deviations, beyond which less than 4e-6 of the peak is lost. Both are differentiable
in all parameters (once).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from engine.conventions import image_centre

REACH = 5.0
"""Standard deviations beyond which ellipsoids are cut off."""

_STEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)
"""Half-widths, in pixels, of the windows that ellipsoids are evaluated in; beyond, the whole image is."""

_CHUNK_CPU, _CHUNK_GPU = 2**17, 2**24
"""Values evaluated at once: on a CPU what stays in its cache."""

_FAR = 60.0
"""Squared distance, in standard deviations, beyond which a sphere's profile is as good as zero (1e-13)."""

_CHUNK_SPHERES = 2**22
"""Values along one axis held at once where spheres are multiplied out."""


@dataclass(frozen=True)
class Gaussians:
    """3D Gaussians in the frame of the object.

    Attributes
    ----------
    weights : (gaussians,) masses; the integral of the density in voxel units.
    means : (gaussians, 3) xyz, pixels, relative to the object's origin.
    log_scales : (gaussians, 1) of spheres or (gaussians, 3) of ellipsoids: logarithms of standard deviations,
        pixels.
    quaternions : (gaussians, 4) wxyz, of any length but zero: turn an ellipsoid's own axes into the object's
        frame. None for spheres.
    """

    weights: Float[Tensor, " gaussians"]
    means: Float[Tensor, "gaussians 3"]
    log_scales: Float[Tensor, "gaussians axes"]
    quaternions: Float[Tensor, "gaussians 4"] | None = None

    def __post_init__(self) -> None:
        axes = 1 if self.quaternions is None else 3
        if self.log_scales.shape[1] != axes:
            raise ValueError(f"{axes} scales a Gaussian are needed, not {self.log_scales.shape[1]}")

    def roots(self) -> Float[Tensor, "gaussians 3 3"]:
        """Matrices A with ``A A^T`` the covariance: columns are axes as long as the standard deviations."""
        scales = self.log_scales.exp()
        if self.quaternions is None:
            return scales[:, :, None] * torch.eye(3, dtype=scales.dtype, device=scales.device)
        return quaternions_to_matrices(self.quaternions) * scales[:, None, :]

    def covariances(self) -> Float[Tensor, "gaussians 3 3"]:
        """(gaussians, 3, 3) xyz, px²."""
        roots = self.roots()
        return roots @ roots.transpose(1, 2)


def quaternions_to_matrices(wxyz: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotation matrices of quaternions, which are normalised first; differentiable."""
    w, x, y, z = (wxyz / wxyz.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).view(-1, 3, 3)


def project(
    gaussians: Gaussians,
    rotations: Float[Tensor, "views 3 3"],
    size: int,
    *,
    shifts_px: Float[Tensor, "views 2"] | None = None,
    offsets_px: Float[Tensor, "views gaussians 2"] | None = None,
) -> Float[Tensor, "views y x"]:
    """Project Gaussians in several directions.

    Parameters
    ----------
    rotations : (views, 3, 3), ``x_view = R @ x``.
    size : pixels along each side of the images.
    shifts_px : (views, 2) xy, pixels: where the object's origin appears relative to ``n // 2``.
    offsets_px : (views, gaussians, 2) xy, pixels: moves each Gaussian in each view. Zeros whose gradient is
        taken tell how far each view alone would move it.

    Returns
    -------
    Tensor
        (views, y, x), the integral along z at the pixels' centres. What leaves the image is lost.

    Raises
    ------
    ValueError
        If shapes don't fit or the size is not positive.
    """
    centres = _centres(gaussians, rotations, size, shifts_px) + image_centre(size)
    if offsets_px is not None:
        centres = centres + offsets_px
    views, count = centres.shape[:2]
    if gaussians.quaternions is None:
        scales = gaussians.log_scales[:, 0].exp()
        masses = gaussians.weights / (2 * math.pi * scales**2)
        x, y = (_profile(centres[:, :, axis], scales, size) for axis in (0, 1))
        # (views, y, gaussians) @ (views, gaussians, x)
        return (y * masses[:, None]).transpose(1, 2) @ x
    axes = torch.einsum("vij,gjk->vgik", rotations.to(centres)[:, :2], gaussians.roots())
    xx, xy, yy = _products(axes[:, :, 0], axes[:, :, 1])
    view = torch.arange(views, device=centres.device)[:, None].expand(views, count)
    splats = (gaussians.weights.expand(views, count), centres, torch.stack([xx, xy, yy], 2))
    return _add_ellipses((views, size, size), view.flatten(), *(s.flatten(0, 1) for s in splats))


def render_volume(gaussians: Gaussians, size: int) -> Float[Tensor, "z y x"]:
    """The density at the centres of voxels, a cube of ``size`` voxels about the origin.

    Ellipsoids are cut by planes of equal z, in each of which they are 2D Gaussians.
    """
    if size < 1:
        raise ValueError(f"a volume needs at least one voxel, not {size}")
    means = gaussians.means + image_centre(size)
    if gaussians.quaternions is None:
        volume = means.new_zeros(size * size, size)
        step = max(1, _CHUNK_SPHERES // size**2)
        every = (gaussians.weights, means, gaussians.log_scales[:, 0].exp())
        parts = (torch.split(values, step) for values in every)
        for weights, centres, scales in zip(*parts, strict=True):
            masses = weights * (2 * math.pi * scales**2) ** -1.5
            x, y, z = (_profile(centres[:, axis], scales, size) for axis in (0, 1, 2))
            volume = volume + torch.einsum("gz,gy->zyg", z * masses[:, None], y).flatten(0, 1) @ x
        return volume.view(size, size, size)
    covariances = gaussians.covariances()
    across, along = covariances[:, :2, 2], covariances[:, 2, 2]
    planes = torch.arange(size, device=means.device)
    above = planes - means[:, 2, None]
    which, plane = torch.nonzero(above.detach() ** 2 < REACH**2 * along.detach()[:, None], as_tuple=True)
    # of a Gaussian, the part at a given z is Gaussian again, its mean moved and its variance reduced
    height, variance = above[which, plane], along[which]
    lean = across[which] / variance[:, None]
    density = torch.exp(-0.5 * height**2 / variance) / torch.sqrt(2 * math.pi * variance)
    xx, xy, yy = (
        covariances[:, i, j][which] - lean[:, i] * across[which, j] for i, j in ((0, 0), (0, 1), (1, 1))
    )
    return _add_ellipses(
        (size, size, size),
        plane,
        gaussians.weights[which] * density,
        means[which, :2] + lean * height[:, None],
        torch.stack([xx, xy, yy], 1),
    )


def fourier(
    gaussians: Gaussians,
    rotations: Float[Tensor, "views 3 3"],
    frequencies: Float[Tensor, "frequencies 2"],
    *,
    shifts_px: Float[Tensor, "views 2"] | None = None,
) -> Complex[Tensor, "views frequencies"]:
    """Fourier transforms of projections: ``sum_g w_g exp(-2 pi i k.m_g - 2 pi^2 k.C_g k)``.

    Parameters
    ----------
    frequencies : (frequencies, 2) xy, cycles per pixel.

    Notes
    -----
    Phases count from pixel ``n // 2``. These are central slices of the volume's transform. The discrete
    transform of :func:`project` is the same but for what aliases from beyond Nyquist.
    """
    centres = _centres(gaussians, rotations, 1, shifts_px)
    k = frequencies.to(centres)
    axes = torch.einsum("vij,gjk->vgik", rotations.to(centres)[:, :2], gaussians.roots())
    damping = -2 * math.pi**2 * torch.einsum("ki,vgij->vgkj", k, axes).square().sum(-1)
    phase = -2 * math.pi * torch.einsum("ki,vgi->vgk", k, centres)
    amplitudes = gaussians.weights[:, None] * damping.exp()
    return torch.complex((amplitudes * phase.cos()).sum(1), (amplitudes * phase.sin()).sum(1))


def _centres(
    gaussians: Gaussians, rotations: Tensor, size: int, shifts_px: Tensor | None
) -> Float[Tensor, "views gaussians 2"]:
    if size < 1:
        raise ValueError(f"an image needs at least one pixel, not {size}")
    if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
        raise ValueError(f"rotations must have shape (views, 3, 3), not {tuple(rotations.shape)}")
    if shifts_px is not None and tuple(shifts_px.shape) != (len(rotations), 2):
        raise ValueError(f"shifts must have shape ({len(rotations)}, 2), not {tuple(shifts_px.shape)}")
    centres = torch.einsum("vij,gj->vgi", rotations.to(gaussians.means)[:, :2], gaussians.means)
    return centres if shifts_px is None else centres + shifts_px.to(centres)[:, None]


def _products(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)


def _profile(
    centres: Float[Tensor, "*views gaussians"], scales: Float[Tensor, " gaussians"], size: int
) -> Float[Tensor, "*views gaussians size"]:
    places = torch.arange(size, device=centres.device, dtype=centres.dtype)
    squared = ((places - centres[..., None]) / scales[:, None]) ** 2
    # far out a value would be denormal, which makes products ten times slower
    return torch.exp(-0.5 * squared.clamp_max(_FAR))


def _add_ellipses(
    shape: tuple[int, int, int],
    image: Int[Tensor, " splats"],
    masses: Float[Tensor, " splats"],
    centres: Float[Tensor, "splats 2"],
    covariances: Float[Tensor, "splats 3"],
) -> Float[Tensor, "images y x"]:
    """2D Gaussians added to the images whose numbers they carry.

    Parameters
    ----------
    centres : (splats, 2) xy, counted from pixel 0.
    covariances : (splats, 3) xx, xy, yy.
    """
    xx, xy, yy = covariances.unbind(1)
    determinant = xx * yy - xy * xy
    inverse = torch.stack([yy / determinant, -xy / determinant, xx / determinant], 1)
    peaks = masses / (2 * math.pi * determinant.sqrt())
    reach = REACH * torch.maximum(xx, yy).detach().sqrt()
    images: Tensor = _Ellipses.apply(shape, image, reach, peaks, centres, inverse)  # type: ignore[no-untyped-call]
    return images


@dataclass(frozen=True)
class _Windows:
    """Splats with windows of one size: where these lie in the flat images, and offsets from the centres."""

    rows: Int[Tensor, " some"]
    starts: Int[Tensor, "some height"]
    x: Float[Tensor, "some width"]
    y: Float[Tensor, "some height"]


def _windows(
    shape: tuple[int, int, int], image: Tensor, reach: Tensor, centres: Tensor
) -> Iterator[_Windows]:
    _, height, width = shape
    steps = torch.tensor(_STEPS, device=reach.device, dtype=reach.dtype)
    bucket = torch.bucketize(reach + 0.5, steps)
    for number in torch.unique(bucket).tolist():
        half = _STEPS[number] if number < len(_STEPS) else max(height, width)
        across, down = min(2 * half + 1, width), min(2 * half + 1, height)
        chunk = max(1, (_CHUNK_GPU if reach.is_cuda else _CHUNK_CPU) // (across * down))
        for rows in torch.split(torch.nonzero(bucket == number)[:, 0], chunk):
            nearest = centres[rows].round().long() - half
            # windows that would leave the image move inside: then no value needs a mask
            left, top = nearest[:, 0].clamp(0, width - across), nearest[:, 1].clamp(0, height - down)
            line = top[:, None] + torch.arange(down, device=rows.device)
            column = left[:, None] + torch.arange(across, device=rows.device)
            starts = (image[rows, None] * height + line) * width + left[:, None]
            yield _Windows(rows, starts, column - centres[rows, :1], line - centres[rows, 1:])


class _Ellipses(torch.autograd.Function):
    """Values in windows around the centres; gradients are moments of the images' gradient times values."""

    @staticmethod
    def forward(
        ctx: Any,
        shape: tuple[int, int, int],
        image: Tensor,
        reach: Tensor,
        peaks: Tensor,
        centres: Tensor,
        inverse: Tensor,
    ) -> Tensor:
        ctx.shape = shape
        ctx.save_for_backward(image, reach, peaks, centres, inverse)
        flat = peaks.new_zeros(math.prod(shape))
        for window in _windows(shape, image, reach, centres):
            values = _unit_values(window, inverse).mul_(peaks[window.rows, None, None])
            places = window.starts[:, :, None] + torch.arange(window.x.shape[1], device=flat.device)
            flat.scatter_add_(0, places.flatten(), values.flatten())
        return flat.view(shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, reach, peaks, centres, inverse = ctx.saved_tensors
        gradient = gradients[0].contiguous().flatten()
        # of weight 1; x, y; xx, xy, yy
        moments = peaks.new_zeros(len(peaks), 6)
        for window in _windows(ctx.shape, image, reach, centres):
            width = window.x.shape[1]
            rows = gradient.as_strided((len(gradient) - width + 1, width), (1, 1))
            values = rows.index_select(0, window.starts.flatten()).view(*window.starts.shape, width)
            weighted = values * _unit_values(window, inverse)
            powers = torch.stack([torch.ones_like(window.x), window.x, window.x**2], 2)
            along = weighted @ powers
            y = window.y
            total = torch.stack([torch.ones_like(y), y, y**2], 1) @ along
            moments[window.rows] = total[:, (0, 0, 1, 0, 1, 2), (0, 1, 0, 2, 1, 0)]
        weighted = moments[:, 1:] * peaks[:, None]
        x, y, xx, xy, yy = weighted.unbind(1)
        a, b, c = inverse.unbind(1)
        return (
            None,
            None,
            None,
            moments[:, 0],
            torch.stack([a * x + b * y, b * x + c * y], 1),
            torch.stack([-0.5 * xx, -xy, -0.5 * yy], 1),
        )


def _unit_values(window: _Windows, inverse: Tensor) -> Float[Tensor, "some height width"]:
    """``exp(-(a x^2 + 2 b x y + c y^2) / 2)``: a Gaussian in x whose centre depends on y, times one in y."""
    a, b, c = inverse[window.rows].unbind(1)
    values = window.x[:, None, :] + (window.y * (b / a)[:, None])[:, :, None]
    values = values.square_().mul_(-0.5 * a[:, None, None]).exp_()
    return values.mul_(torch.exp(-0.5 * (c - b * b / a)[:, None] * window.y**2)[:, :, None])
