"""Images and slices of maps on a polar grid of frequencies, where turning in the plane is a shift.

All in-plane rotations of an image against a slice are then one circular correlation along the angle,
done for all images and views at once by a Fourier transform along it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from engine.conventions import image_centre
from engine.forward.fourier_slice import SliceProjector
from engine.forward.slice_interpolation import Taps, find_taps, gather, kernel_width

_VIEWS_AT_ONCE = 256


class PolarGrid:
    """Rings of 1 to ``k_max`` cycles per box, each with ``angles`` equidistant samples.

    Parameters
    ----------
    projector : of the maps whose slices are wanted; its box is that of the images.
    k_max : radius of the largest ring; below Nyquist.
    angles : samples per ring, even.

    Raises
    ------
    ValueError
        If a ring would lie beyond Nyquist or the number of angles is odd.
    """

    def __init__(self, projector: SliceProjector, k_max: int, angles: int) -> None:
        if not 1 <= k_max < projector.size / 2:
            raise ValueError(f"rings up to {k_max} don't fit a box of {projector.size}")
        if angles < 4 or angles % 2:
            raise ValueError(f"an even number of angles is needed, not {angles}")
        self.projector, self.k_max, self.angles = projector, k_max, angles
        device, dtype = projector.device, projector.dtype
        self.radii = torch.arange(1, k_max + 1, device=device, dtype=dtype)
        phi = torch.arange(angles, device=device, dtype=dtype) * (2 * math.pi / angles)
        self.frequencies: Float[Tensor, "rings angles 2"] = torch.stack(
            [self.radii[:, None] * phi.cos(), self.radii[:, None] * phi.sin()], dim=-1
        )
        self.independent: Float[Tensor, " rings"] = math.pi * self.radii
        """Independent complex coefficients of a real image on each ring: half its circumference."""

    def images(self, images: Float[Tensor, "n y x"]) -> Complex[Tensor, "n rings angles"]:
        """Fourier coefficients of images about pixel ``n // 2``, exact at every sample."""
        size = images.shape[-1]
        places = torch.arange(size, device=images.device, dtype=images.dtype) - image_centre(size)
        flat = self.frequencies.reshape(-1, 2) * (-2 * math.pi / size)
        along_x = torch.polar(torch.ones_like(flat[:, :1]), flat[:, :1] * places)
        along_y = torch.polar(torch.ones_like(flat[:, 1:]), flat[:, 1:] * places)
        found = [((along_y @ image.to(along_y.dtype)) * along_x).sum(dim=1) for image in images]
        if not found:
            return along_x.new_zeros(0, self.k_max, self.angles)
        return torch.stack(found).view(len(images), self.k_max, self.angles)

    def slices(
        self, transform: Complex[Tensor, "kx ky kz"], rotations: Float[Tensor, "views 3 3"]
    ) -> Complex[Tensor, "views rings angles"]:
        """The same for projections of a map, from its :meth:`.SliceProjector.transform`."""
        return self.slices_at(transform, self.taps(rotations))

    def taps(self, rotations: Float[Tensor, "views 3 3"]) -> list[Taps]:
        """Where slices in some directions lie, ready for the transforms of many maps."""
        scale = self.projector.points / self.projector.size
        flat = self.frequencies.reshape(-1, 2) * scale
        return [
            find_taps((flat @ some[:, :2]).reshape(-1, 3), self.projector.points, kernel_width(scale))
            for some in torch.split(rotations.to(flat), _VIEWS_AT_ONCE)
        ]

    def slices_at(
        self, transform: Complex[Tensor, "kx ky kz"], taps: list[Taps]
    ) -> Complex[Tensor, "views rings angles"]:
        """Slices of a map in the directions of :meth:`taps`."""
        found = torch.cat([gather(transform, some) for some in taps])
        return found.view(-1, self.k_max, self.angles)

    def ramp(self, shifts_px: Float[Tensor, "n 2"]) -> Complex[Tensor, "n rings angles"]:
        """Factors that move images *back* by shifts (xy), so that what was at the shift is at the centre."""
        angle = torch.einsum("rac,nc->nra", self.frequencies, shifts_px.to(self.frequencies))
        angle = angle * (2 * math.pi / self.projector.size)
        return torch.polar(torch.ones_like(angle), angle)


def samples_on_rings(k_max: int) -> int:
    """Angles that are enough for the largest of some rings; even."""
    return max(36, 4 * k_max)


def in_plane(angles_rad: Float[Tensor, " *n"]) -> Float[Tensor, "*n 3 3"]:
    """Rotations about z, from x towards y."""
    c, s = angles_rad.cos(), angles_rad.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).view(*angles_rad.shape, 3, 3)
