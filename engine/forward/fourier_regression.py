r"""Several maps at once from images that show different mixtures of them.

Model: image i shows ``sum_b phi_ib V_b`` from a known direction, with white noise; the coefficients phi
are known, or known up to their mean and second moments, as within expectation-maximisation. The best maps
solve, at each point k of the Fourier grid, one small linear system, of which the Wiener filter of
:mod:`.fourier_reconstruction` is the case of one map with phi = 1:

``sum_c (sum_i w_i <phi_ib phi_ic> + delta_bc ridge_b m(|k|)) V_c(k) = sum_i w_i <phi_ib> Y_i(k)``

with ``w_i`` the kernel that spreads an image's slice to the grid and ``m`` the mean of the first diagonal
element in a shell: the maximisation of probabilistic principal component
analysis (Tipping & Bishop 1999, J. R. Stat. Soc. B 61, 611) for maps that are seen in projection only
(Tagare et al. 2015, J. Struct. Biol. 191, 245).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_reconstruction import fold, map_of, shell_radius
from engine.forward.fourier_slice import SliceProjector
from engine.forward.slice_interpolation import planes, scatter

_VIEWS_AT_ONCE = 128


@torch.no_grad()
def regress_maps(
    projector: SliceProjector,
    images: Float[Tensor, "views y x"],
    rotations: Float[Tensor, "views 3 3"],
    mean: Float[Tensor, "views maps"],
    second: Float[Tensor, "views maps maps"],
    *,
    ridge: Float[Tensor, " maps"],
    k_max: int,
    shifts_px: Float[Tensor, "views 2"] | None = None,
) -> Float[Tensor, "maps z y x"]:
    """Maps whose mixtures explain the images.

    Parameters
    ----------
    projector : holds the size, the grid, device and dtype.
    images : (views, n, n).
    rotations, shifts_px : see :func:`.backproject_with_weights`.
    mean, second : of the coefficients; ``second`` is symmetric, and at least ``mean mean^T``. Those of the
        first map must not vanish.
    ridge : what is added for each map, as a part of a shell's mean number of images.
    k_max : largest frequency of the maps, cycles per box; below Nyquist.

    Returns
    -------
    Tensor
        (maps, z, y, x), in units in which their projections, so mixed, are the images.

    Raises
    ------
    ValueError
        If shapes don't fit or ``k_max`` is not below Nyquist.
    """
    if not 0 < k_max < projector.size / 2:
        raise ValueError(f"frequencies up to {k_max} don't fit a map of {projector.size} voxels")
    above, below = _sums(projector, images, rotations, mean, second, shifts_px)
    radius = shell_radius(projector)
    shells = torch.round(radius).long()
    inside = shells <= k_max
    counted = below[inside]
    total = torch.zeros(k_max + 1, device=counted.device, dtype=counted.dtype)
    number = torch.zeros_like(total)
    total.index_add_(0, shells[inside], counted[:, 0, 0])
    number.index_add_(0, shells[inside], torch.ones_like(counted[:, 0, 0]))
    per_shell = (total / number).clamp_min(1e-12)[shells[inside]]
    system = counted + torch.diag_embed(per_shell[:, None] * ridge.to(counted))
    right = torch.view_as_real(above[inside])
    solved = torch.view_as_complex(torch.linalg.solve(system, right).contiguous())
    grid = solved.new_zeros(*radius.shape, len(ridge))
    grid[inside] = solved
    return torch.stack([map_of(projector, coefficients) for coefficients in grid.unbind(-1)])


def _sums(
    projector: SliceProjector,
    images: Tensor,
    rotations: Tensor,
    mean: Tensor,
    second: Tensor,
    shifts_px: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Right side (kx, ky, kz, maps) and matrix (kx, ky, kz, maps, maps) of each system."""
    maps, points = mean.shape[1], projector.points
    row, column = torch.triu_indices(maps, maps).tolist()
    sums = images.new_zeros(2 * maps + len(row), planes(points), points, points)
    # Column k_x = 0 holds each coefficient and its mate, and the fold counts both.
    half = (0.5 + 0.5 * (projector.frequencies[:, 0] > 0)).to(projector.dtype)
    for some in torch.split(torch.arange(len(images), device=images.device), _VIEWS_AT_ONCE):
        views = projector.views(rotations[some], shifts_px=None if shifts_px is None else shifts_px[some])
        measured = projector.coefficients(images[some], views) / projector.multiplicity * half
        pulled = mean[some].T[:, :, None] * measured
        side = views.taps.side.view(measured.shape)
        products = second[some][:, row, column].T[:, :, None] * half
        parts = torch.cat([pulled.real, pulled.imag * side, products.expand(-1, *measured.shape)])
        scatter(parts.reshape(len(parts), -1), views.taps, sums)
    sums *= (points / projector.size) ** 3 / projector.kernel_mass
    # a point of the grid always has the same sign, which the first sum of products, all positive, shows
    products = sums[2 * maps :] * torch.sign(sums[2 * maps])
    above = torch.stack(
        [fold(torch.complex(sums[b], sums[maps + b])) for b in range(maps)], dim=-1
    )  # fmt: skip
    folded = torch.stack([fold(part) for part in products], dim=-1)
    below = folded.new_zeros(*folded.shape[:3], maps, maps)
    below[..., row, column] = folded
    below[..., column, row] = folded
    return above, below
