"""Reading slices off a padded Fourier transform between its grid points, and the transpose of that.

A coefficient at a position p between the points of a grid of N points per period is the sum of the
``TAPS`` nearest points along each axis, weighted by the "exponential of semicircle" of Barnett,
Magland & af Klinteberg 2019 (SIAM J. Sci. Comput. 41, C479), ``exp(beta (sqrt(1 - u²) - 1))`` with
``u = 2 (p - i) / TAPS``. The map has been divided by the kernel's Fourier transform beforehand
(gridding), so that on the average over p nothing is lost.

The map is real: only ``k_x >= 0`` is kept, and a slice's coefficients at ``p_x < 0`` are read as the
conjugates of those at -p. Next to the edges of the half-space the kernel needs planes beyond it;
``MARGIN`` of them are kept on either side. The grid lies in memory as (k_x, k_y, k_z) with k_z fastest,
the order in which transforms along x, y, then z leave it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

TAPS = 4
"""Grid points per axis that a coefficient is interpolated from."""

MARGIN = TAPS // 2
"""Planes kept beyond k_x = 0 and beyond k_x = N/2."""

GATHER_CHUNK, SCATTER_CHUNK, GPU_CHUNK = 2**14, 2**9, 2**18
"""Coefficients whose neighbours are in memory at once. On a busy computer torch's threads wait long for
each other at the end of every step: gathering makes few long steps, scattering (which torch does in one
thread) makes steps so short that torch doesn't split them."""

_QUADRATURE = 200


def kernel_width(padding: float) -> float:
    """The kernel's beta for an oversampled grid: ``0.976 pi TAPS (1 - 1 / (2 padding))``.

    The main lobe of the kernel's transform then ends just where the nearest alias of the map begins
    (Barnett et al. 2019); the factor just below 1 leaves a little room, as theirs does.
    """
    return 0.976 * math.pi * TAPS * (1.0 - 0.5 / padding)


def kernel_transform(positions: NDArray[np.float64], points: int, beta: float) -> NDArray[np.float64]:
    """The kernel's Fourier transform at positions in the map, by Gauss-Legendre quadrature.

    Parameters
    ----------
    positions : voxels from the centre.
    points : N, points of the padded grid per axis.
    beta : see :func:`kernel_width`.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    kernel = np.exp(beta * (np.sqrt(1.0 - nodes**2) - 1.0)) * weights
    waves = np.cos(np.pi * TAPS / points * np.multiply.outer(positions, nodes))
    return np.asarray(0.5 * TAPS * (waves @ kernel), np.float64)


@dataclass(frozen=True)
class Taps:
    """Where the coefficients of some slices lie in the padded grid.

    Neighbours are the sums of a row (x and y) and a place in it (z), weights their products.

    Attributes
    ----------
    rows : (coefficients, TAPS²), flat index of the start of the row.
    row_weights : (coefficients, TAPS²), the kernel in x and y, signed.
    places : (coefficients, TAPS), index in the row.
    place_weights : (coefficients, TAPS), the kernel in z, signed. The signs together are
        ``(-1)^(i_x + i_y + i_z)``, which belongs to a map whose centre is voxel N/2 of the padded box.
    side : (coefficients,) 1, or -1 where the coefficient is the conjugate of what is read.
    """

    rows: Int[Tensor, "coefficients squared"]
    row_weights: Float[Tensor, "coefficients squared"]
    places: Int[Tensor, "coefficients taps"]
    place_weights: Float[Tensor, "coefficients taps"]
    side: Float[Tensor, " coefficients"]


def planes(points: int) -> int:
    """Planes k_x that the grid keeps: 0 to N/2 and the margins."""
    return points // 2 + 1 + 2 * MARGIN


def find_taps(positions: Float[Tensor, "coefficients 3"], points: int, beta: float) -> Taps:
    """Neighbours and weights.

    Parameters
    ----------
    positions : (coefficients, 3) xyz, in points of the padded grid, shorter than N/2.
    points : N, even.
    beta : see :func:`kernel_width`.
    """
    side = 1.0 - 2.0 * (positions[:, 0] < 0).to(positions.dtype)
    there = positions * side[:, None]
    first = torch.ceil(there - TAPS / 2)
    step = torch.arange(TAPS, device=positions.device, dtype=positions.dtype)
    distance = ((there - first)[:, :, None] - step) * (2.0 / TAPS)
    weights = torch.exp(beta * (torch.sqrt((1.0 - distance * distance).clamp_min(0.0)) - 1.0))
    weights = weights * (1.0 - 2.0 * torch.remainder(step, 2.0))
    odd = torch.remainder(first.sum(dim=1), 2.0)
    weights[:, 2] *= (1.0 - 2.0 * odd)[:, None]
    wide = points * points * planes(points) > torch.iinfo(torch.int32).max
    i = (first[:, :, None] + step).to(torch.int64 if wide else torch.int32)
    x = (i[:, 0] + MARGIN) * (points * points)
    y = torch.remainder(i[:, 1], points) * points
    rows = (x[:, :, None] + y[:, None, :]).view(-1, TAPS**2)
    row_weights = (weights[:, 0, :, None] * weights[:, 1, None, :]).view(-1, TAPS**2)
    return Taps(rows, row_weights, torch.remainder(i[:, 2], points), weights[:, 2].contiguous(), side)


def gather(grid: Complex[Tensor, "kx ky kz"], taps: Taps) -> Complex[Tensor, " coefficients"]:
    """The coefficients of the slices."""
    rows = torch.view_as_real(grid.contiguous()).view(-1, 2)
    found = rows.new_empty(len(taps.side), 2)
    for some in _chunks(taps, GATHER_CHUNK):
        index, weight = _neighbours(taps, some)
        found[some] = functional.embedding_bag(index, rows, per_sample_weights=weight, mode="sum")
    found[:, 1] *= taps.side
    return torch.view_as_complex(found)


def scatter(
    values: Float[Tensor, "parts coefficients"], taps: Taps, onto: Float[Tensor, "parts kx ky kz"]
) -> None:
    """Transpose of the interpolation, part by part, added to ``onto`` in place.

    The parts are real numbers: for the transpose of :func:`gather` the real part, and the imaginary
    part times ``taps.side``. A grid point always has the same sign, so that the magnitude of a sum of
    positive numbers is what an unsigned kernel would have made of them.
    """
    flat = onto.view(len(onto), -1)
    for some in _chunks(taps, SCATTER_CHUNK):
        index, weight = _neighbours(taps, some)
        index = index.view(-1)
        for part, value in zip(flat, values, strict=True):
            part.index_add_(0, index, (weight * value[some, None]).view(-1))


def _chunks(taps: Taps, on_cpu: int) -> list[slice]:
    step = on_cpu if taps.side.device.type == "cpu" else GPU_CHUNK
    return [slice(start, start + step) for start in range(0, len(taps.side), step)]


def _neighbours(taps: Taps, some: slice) -> tuple[Tensor, Tensor]:
    """Flat indices and weights, (coefficients, TAPS³) each."""
    index = taps.rows[some, :, None] + taps.places[some, None, :]
    weight = taps.row_weights[some, :, None] * taps.place_weights[some, None, :]
    return index.view(-1, TAPS**3), weight.view(-1, TAPS**3)
