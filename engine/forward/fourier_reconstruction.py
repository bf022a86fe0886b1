"""Maps from images of known pose: weighted sums in Fourier space, and the Wiener filter.

Model: the image of view v has the coefficients ``Y_v(k) = H_v(k) F(R_v^T k) + noise`` of variance
``1 / w_v(k)``, with F the map's transform, a priori zero with variance tau²(|k|). The best estimate under
Gaussian statistics, coefficient by coefficient, is (Scheres 2012, J. Mol. Biol. 415, 406)

``F = sum_v w_v H_v* Y_v / (sum_v w_v |H_v|² + 1 / tau²)``.

Both sums are collected on the padded grid of :class:`.SliceProjector` with the same kernel. Their ratio is
F smoothed by that kernel where views are dense, which the projector's correction in real space undoes.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from engine.forward.fourier_slice import SliceProjector
from engine.forward.slice_interpolation import MARGIN, planes, scatter

BATCH = 128
"""Views accumulated at once by :func:`reconstruct`."""

DENSE_PADDING = 2.0
"""Padding of :func:`reconstruct`: the ratio smooths over the kernel, which should be small in the map."""

EPSILON = 1e-3
"""Without tau²: what is added to the denominator, as a part of its mean."""


@torch.no_grad()
def backproject_with_weights(
    projector: SliceProjector,
    images: Float[Tensor, "views y x"],
    rotations: Float[Tensor, "views 3 3"],
    weights_per_image: Float[Tensor, " views"] | Float[Tensor, "views y half"],
    *,
    transfer: Float[Tensor, "views y half"] | None = None,
    shifts_px: Float[Tensor, "views 2"] | None = None,
) -> tuple[Complex[Tensor, "kx ky kz"], Float[Tensor, "kx ky kz"]]:
    """Numerator and denominator of the Wiener filter; those of several batches may be added.

    Parameters
    ----------
    projector : holds the size, the grid, device and dtype.
    images : (views, n, n).
    rotations : (views, 3, 3), ``x_view = R @ x``.
    weights_per_image : one over the variance of the noise in a coefficient of the unnormalised transform
        of an image: (views,), or (views, n, n // 2 + 1) per frequency in the order of ``rfft2``. White noise
        of variance s² per pixel makes it ``1 / (n² s²)``.
    transfer : (views, n, n // 2 + 1), contrast transfer functions H; None means 1.
    shifts_px : (views, 2) xy, pixels: where the object's origin appears relative to ``n // 2``.

    Returns
    -------
    numerator, denominator : on the padded half-space grid; see :meth:`.SliceProjector.transform` for its
        order. The denominator counts a view of weight 1 as 1 in each voxel that its slice passes of the
        Fourier transform of an unpadded map.

    Raises
    ------
    ValueError
        If shapes don't fit or a weight is negative.
    """
    views = projector.views(rotations, shifts_px=shifts_px)
    if bool((weights_per_image < 0).any()):
        raise ValueError("weights must not be negative")
    measured = projector.coefficients(images, views) / projector.multiplicity
    # Column k_x = 0 holds each coefficient and its mate, and the fold in `wiener` counts both.
    half = (0.5 + 0.5 * (projector.frequencies[:, 0] > 0)).to(projector.dtype)
    weights = half * _on_disc(projector, weights_per_image, views.count)
    modulation = None if transfer is None else _on_disc(projector, transfer, views.count)
    pulled = weights if modulation is None else weights * modulation
    counted = pulled if modulation is None else pulled * modulation
    parts = measured.real.new_empty(3, measured.numel())
    pulled_back = measured * pulled
    parts[0] = pulled_back.real.reshape(-1)
    parts[1] = pulled_back.imag.reshape(-1) * views.taps.side
    parts[2] = counted.reshape(-1)
    sums = parts.new_zeros(3, planes(projector.points), projector.points, projector.points)
    scatter(parts, views.taps, sums)
    scale = (projector.points / projector.size) ** 3 / projector.kernel_mass
    return torch.complex(sums[0], sums[1]) * scale, sums[2].abs() * scale


@torch.no_grad()
def wiener(
    projector: SliceProjector,
    numerator: Complex[Tensor, "kx ky kz"],
    denominator: Float[Tensor, "kx ky kz"],
    tau2_per_shell: Float[Tensor, " shells"] | float,
) -> Float[Tensor, "z y x"]:
    """The map whose transform is ``numerator / (denominator + 1 / tau²)``.

    Parameters
    ----------
    projector : the one that made the sums.
    numerator, denominator : of :func:`backproject_with_weights`.
    tau2_per_shell : (n // 2 + 1,), expected ``|F|²`` of the map's unnormalised transform in shells one
        cycle per box wide; or one number for all. 0 removes a shell, infinity leaves it unregularised.

    Returns
    -------
    Tensor
        (z, y, x); zero outside the inscribed sphere, without frequencies beyond Nyquist.

    Raises
    ------
    ValueError
        If there are not as many shells as the map has.
    """
    size = projector.size
    shells = size // 2 + 1
    tau2 = torch.as_tensor(tau2_per_shell, dtype=projector.dtype, device=projector.device)
    tau2 = tau2.expand(shells) if tau2.ndim == 0 else tau2
    if tau2.shape != (shells,):
        raise ValueError(f"a map of {size} voxels has {shells} shells, not {tuple(tau2.shape)}")
    radius = shell_radius(projector)
    inside = radius < size / 2
    prior = (1.0 / tau2)[torch.round(radius).long().clamp_max(shells - 1)]
    below = fold(denominator) + prior
    ratio = torch.where(inside & (below > 0), fold(numerator) / below, 0.0)
    return map_of(projector, ratio)


def map_of(projector: SliceProjector, half: Complex[Tensor, "kx ky kz"]) -> Float[Tensor, "z y x"]:
    """The map of a transform given on the half-space grid of :func:`shell_radius`."""
    grid = half.new_zeros(len(half) + 2 * MARGIN, *half.shape[1:])
    grid[MARGIN:-MARGIN] = half
    # The adjoint sums each coefficient kept once; all but the outer planes stand for two.
    grid[MARGIN + 1 : -MARGIN - 1] *= 2.0
    return projector.transform_adjoint(grid) * (projector.kernel_mass / projector.points**3)


@torch.no_grad()
def reconstruct(
    images: Float[Tensor, "views y x"],
    rotations: Float[Tensor, "views 3 3"],
    weights_per_image: Float[Tensor, " views"] | Float[Tensor, "views y half"] | None,
    size: int,
    *,
    transfer: Float[Tensor, "views y half"] | None = None,
    shifts_px: Float[Tensor, "views 2"] | None = None,
    tau2_per_shell: Float[Tensor, " shells"] | float | None = None,
    epsilon: float = EPSILON,
    padding: float = DENSE_PADDING,
) -> Float[Tensor, "z y x"]:
    """Reconstruct a map from images of known pose.

    Parameters
    ----------
    images : (views, n, n), at least one.
    rotations, transfer, shifts_px : see :func:`backproject_with_weights`.
    weights_per_image : likewise; None means 1 each.
    size : n.
    tau2_per_shell : see :func:`wiener`; None regularises all frequencies alike, by ``epsilon``.
    epsilon : added to the denominator as a part of its mean within Nyquist, if there is no tau².
    padding : see :class:`.SliceProjector`.

    Returns
    -------
    Tensor
        (z, y, x), in the units of a map whose projections are the images.

    Raises
    ------
    ValueError
        If there is no image or shapes don't fit.
    """
    if not len(images):
        raise ValueError("a reconstruction needs at least one image")
    projector = SliceProjector(size, padding=padding, device=images.device, dtype=images.dtype)
    weights = images.new_ones(len(images)) if weights_per_image is None else weights_per_image
    numerator, denominator = images.new_zeros((), dtype=images.dtype.to_complex()), images.new_zeros(())
    for start in range(0, len(images), BATCH):
        some = slice(start, start + BATCH)
        above, below = backproject_with_weights(
            projector,
            images[some],
            rotations[some],
            weights[some],
            transfer=None if transfer is None else transfer[some],
            shifts_px=None if shifts_px is None else shifts_px[some],
        )
        numerator, denominator = numerator + above, denominator + below
    if tau2_per_shell is None:
        within = shell_radius(projector) < size / 2
        tau2_per_shell = 1.0 / (epsilon * float(fold(denominator)[within].mean()))
    return wiener(projector, numerator, denominator, tau2_per_shell)


def shell_radius(projector: SliceProjector) -> Float[Tensor, "kx ky kz"]:
    """Cycles per (unpadded) box of each point of the half-space grid without its margins."""
    points = projector.points
    step = projector.size / points
    kx = torch.arange(points // 2 + 1, device=projector.device, dtype=projector.dtype) * step
    k = torch.fft.fftfreq(points, 1.0 / projector.size, device=projector.device, dtype=projector.dtype)
    return torch.sqrt((kx * kx)[:, None, None] + (k * k)[:, None] + k * k)


def _on_disc(projector: SliceProjector, values: Tensor, views: int) -> Tensor:
    """(views, coefficients) of one number per view, or of one per frequency of ``rfft2``."""
    values = values.to(projector.device, projector.dtype)
    if values.shape == (views,):
        return values[:, None].expand(views, len(projector.frequencies))
    if values.shape != (views, projector.size, projector.size // 2 + 1):
        raise ValueError(f"weights of shape {tuple(values.shape)} don't fit {views} views")
    x, y = projector.frequencies.long().T
    return values[:, torch.remainder(y, projector.size), x]


def fold(grid: Tensor) -> Tensor:
    """Bring what was spread to k_x < 0 to its mate: the sum over all views and *their* mates at k_x >= 0."""
    half = grid[MARGIN : len(grid) - MARGIN].clone()
    here = grid[: MARGIN + 1].flip(0, 1, 2).roll((1, 1), (1, 2))
    half[: MARGIN + 1] += here.conj() if here.is_complex() else here
    return half
