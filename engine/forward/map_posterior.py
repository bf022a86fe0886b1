"""The map that prior maps and projections of known pose agree on: a Gaussian posterior, solved exactly.

Model: ``V = mean + s * (k ⋆ u)`` with u white noise of unit variance, s a standard deviation for each
voxel and k a filter with one amplitude for each Fourier shell; images ``y_i = f(V, R_i) + noise``. So the
map may depart from its mean where s is large, in details as fine as k allows, and nowhere else. A view
fixes one plane of the map's Fourier transform. Because s is confined to the object, coefficients near that
plane are bound to it (an object d wide has a transform that changes over 1/d); farther away the mean stands.

The posterior mean minimises ``sum_i w_i |y_i - f(V, R_i)|² + |u|²`` with w one over the noise's variance;
its normal equations are solved for u by conjugate gradients, with the projector's exact adjoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.fourier_slice import SliceProjector, Views


@dataclass(frozen=True)
class MapPrior:
    """What is known about a map before the images are counted.

    Attributes
    ----------
    mean : (n, n, n) expected map.
    deviation : (n, n, n) not negative: s, where and how far the map may depart from it.
    amplitude : (n // 2 + 1,) k for each shell, one cycle per box wide.
    """

    mean: Float[Tensor, "z y x"]
    deviation: Float[Tensor, "z y x"]
    amplitude: Float[Tensor, " shells"]


def shells_of(size: int, dimensions: int, device: torch.device | str = "cpu") -> Tensor:
    """Shell (cycles per box, rounded) of each coefficient of ``rfftn`` of a cube or square; int64."""
    whole, half = torch.fft.fftfreq(size, 1 / size), torch.fft.rfftfreq(size, 1 / size)
    axes = torch.meshgrid(*[whole] * (dimensions - 1), half, indexing="ij")
    radius = torch.stack([a.square() for a in axes]).sum(0).sqrt()
    return radius.round().long().to(device)


def shell_filtered(
    volume: Float[Tensor, "z y x"], factors: Float[Tensor, " shells"]
) -> Float[Tensor, "z y x"]:
    """A map with each Fourier shell multiplied by its factor; the corners beyond Nyquist are removed."""
    size = volume.shape[-1]
    shells = shells_of(size, 3, volume.device)
    every = torch.cat([factors.to(volume), volume.new_zeros(1)])[shells.clamp_max(size // 2 + 1)]
    filtered: Tensor = torch.fft.irfftn(torch.fft.rfftn(volume) * every, s=volume.shape)
    return filtered


def shell_totals(values: Float[Tensor, "*axes half"]) -> Float[Tensor, " shells"]:
    """Sum over each shell of what is known of each coefficient of ``rfftn`` of a cube or square, float64.

    Corners beyond Nyquist are left out.
    """
    size = values.shape[0]
    # half the coefficients are stored; those strictly inside the last axis stand for two each
    twice = values.new_full((values.shape[-1],), 2.0)
    twice[0] = 1.0
    if size % 2 == 0:
        twice[-1] = 1.0
    shells = shells_of(size, values.ndim, values.device).clamp_max(size // 2 + 1).flatten()
    total = values.new_zeros(size // 2 + 2, dtype=torch.float64)
    total.index_add_(0, shells, (values * twice).flatten().double())
    return total[:-1]


def shell_sums(
    a: Float[Tensor, "*many n n"], b: Float[Tensor, "*many n n"], dimensions: int
) -> tuple[Float[Tensor, " shells"], Float[Tensor, " shells"]]:
    """Sum of ``Re F_a F_b*`` over each shell (maps) or ring (stacks of images), and the number of summands.

    Parameters
    ----------
    a, b : a cube with ``dimensions`` 3, or (images, n, n) with 2.

    Returns
    -------
    Tensor, Tensor
        (n // 2 + 1,) each, of unnormalised transforms; corners beyond Nyquist are left out.
    """
    axes = tuple(range(-dimensions, 0))
    fa = torch.fft.rfftn(a, dim=axes)
    fb = fa if b is a else torch.fft.rfftn(b, dim=axes)
    product = (fa * fb.conj()).real.reshape(-1, *fa.shape[-dimensions:])
    total = shell_totals(product.sum(0))
    count = shell_totals(torch.ones_like(product[0])) * len(product)
    return total.to(a.dtype), count.to(a.dtype)


@torch.no_grad()
def posterior_mean(
    projector: SliceProjector,
    views: Views,
    images: Float[Tensor, "views y x"],
    precision: Float[Tensor, "views y x"],
    prior: MapPrior,
    *,
    iterations: int = 40,
    tolerance: float = 1e-3,
) -> Float[Tensor, "z y x"]:
    """The map of highest posterior density, which is also its mean.

    Parameters
    ----------
    projector, views : of the images' poses.
    images : (views, n, n), in units in which projections of the map are their signal.
    precision : (views, n, n) one over the variance of the noise in each pixel; 0 where nothing was seen.
    iterations : of conjugate gradients, at most.
    tolerance : residual of the normal equations, as a part of that at the start, at which they end.

    Returns
    -------
    Tensor
        (n, n, n).

    Raises
    ------
    ValueError
        If a precision is negative or not finite, or shapes don't fit.
    """
    if not bool(torch.isfinite(precision).all()) or bool((precision < 0).any()):
        raise ValueError("precisions must be finite and not negative")
    if prior.deviation.shape != prior.mean.shape or len(prior.amplitude) != projector.size // 2 + 1:
        raise ValueError("the parts of the prior don't fit each other or the projector")

    def departure(u: Tensor) -> Tensor:
        return prior.deviation * shell_filtered(u, prior.amplitude)

    def seen(volume: Tensor) -> Tensor:
        return projector.images(projector.slices(projector.transform(volume), views), views)

    def pulled(stack: Tensor) -> Tensor:
        back = projector.transform_adjoint(projector.insert(projector.coefficients(stack, views), views))
        # the filter is real and even, so it is its own adjoint
        return shell_filtered(prior.deviation * back, prior.amplitude)

    residual = pulled(precision * (images - seen(prior.mean)))
    u, direction = torch.zeros_like(residual), residual.clone()
    squared = first = residual.square().sum()
    for _ in range(iterations):
        if not bool(squared > tolerance**2 * first):
            break
        image = pulled(precision * seen(departure(direction))) + direction
        step = squared / (direction * image).sum()
        u += step * direction
        residual -= step * image
        before, squared = squared, residual.square().sum()
        direction = residual + squared / before * direction
    return prior.mean + departure(u)
