"""Projection of density maps by central slices of their Fourier transform, and its exact adjoint.

By the projection-slice theorem the 2D transform of ``f(V, R)`` is the plane of V's transform that is
perpendicular to the viewing direction. One transform of the map serves all views, and a view of n
pixels across costs about n² instead of n³.

``f`` here is a chain of linear steps: divide the map by the interpolation kernel's transform, zero-pad
it ``padding`` times, transform, interpolate each view's coefficients (:mod:`.slice_interpolation`),
shift by a phase ramp, transform back to pixels. The adjoint is the transpose of each step in turn, so
that ``<f V, r> = <V, f^T r>`` to rounding.

Conventions are those of :mod:`.volume_projection`: an object point x appears at ``R x + s``, summed (not
averaged) along z, origin at voxel and pixel ``n // 2``. What differs:

* maps are cubes, and density outside the inscribed sphere (``|x| >= n / 2``) counts as zero, since it
  would leave the image at some rotation;
* images are periodic: what a shift moves out on one side comes in on the other;
* frequencies at and beyond Nyquist, ``|k| >= n / 2``, are dropped;
* nothing is differentiable: use :meth:`SliceProjector.backproject` as the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

from engine.conventions import image_centre
from engine.forward.slice_interpolation import (
    MARGIN,
    Taps,
    find_taps,
    gather,
    kernel_transform,
    kernel_width,
    planes,
    scatter,
)

PADDING = 1.5
"""Side of the padded box over that of the map; 1.5 to 2 is sensible."""


@dataclass(frozen=True)
class Views:
    """Directions and shifts made ready for interpolation, for as many uses as wanted.

    Attributes
    ----------
    taps : of all views' coefficients in turn.
    ramp : (views or 1, coefficients); multiplies coefficients about the object's origin to make those of
        the images.
    count : number of views.
    """

    taps: Taps
    ramp: Complex[Tensor, "ramps coefficients"]
    count: int


class SliceProjector:
    """Projector and adjoint for maps of one size, with their grids computed once.

    For a step with many views: ``views = p.views(R)``, ``x = p.images(p.slices(p.transform(V), views),
    views)``, and back ``p.transform_adjoint(p.insert(p.coefficients(r, views), views))``: one transform of
    the map each way, and the same ``views`` both ways.

    Parameters
    ----------
    size : n, voxels along each side of the map, at least 2.
    padding : side of the padded box over n, from 1.25 to 4; rounded up to a size that transforms fast.
    device : where maps and images are.
    dtype : float32 or float64.

    Raises
    ------
    ValueError
        If the size or the padding is out of range, or the dtype is another one.
    """

    def __init__(
        self,
        size: int,
        *,
        padding: float = PADDING,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if size < 2:
            raise ValueError(f"a map needs at least 2 voxels along each axis, not {size}")
        if not 1.25 <= padding <= 4.0:
            raise ValueError(f"padding must be from 1.25 to 4, not {padding}")
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"maps must be float32 or float64, not {dtype}")
        self.size = size
        self.points = padded_size(size, padding)
        self.device = torch.device(device)
        self.dtype = dtype
        self._beta = kernel_width(self.points / size)
        centre = image_centre(size)
        self._before = self.points // 2 - centre
        places = np.arange(size) - centre
        profile = 1.0 / kernel_transform(places.astype(np.float64), self.points, self._beta)
        squared = np.add.outer(np.add.outer(places**2, places**2), places**2)
        correction = profile[:, None, None] * profile[:, None] * profile * (4 * squared < size**2)
        # how much of a coefficient the grid receives in all, when it is inserted
        self.kernel_mass = float(kernel_transform(np.zeros(1), self.points, self._beta)[0]) ** 3
        self._correction = torch.from_numpy(correction).to(self.device, dtype)
        ky = np.fft.fftfreq(size, 1.0 / size).astype(np.int64)
        kx = np.arange(size // 2 + 1)
        inside = 4 * (ky[:, None] ** 2 + kx**2) < size**2
        self._disc = torch.from_numpy(np.flatnonzero(inside)).to(self.device)
        rows, cols = np.nonzero(inside)
        self._frequencies = torch.from_numpy(np.stack([kx[cols], ky[rows]], 1)).to(self.device, dtype)
        # half of the plane stands for the whole: all columns but the first count twice
        self._twice = torch.from_numpy(np.where(cols == 0, 1.0, 2.0) / size**2).to(self.device, dtype)

    @property
    def frequencies(self) -> Float[Tensor, "coefficients 2"]:
        """(coefficients, 2) xy, cycles per image side, of a slice's coefficients: half a disc."""
        return self._frequencies

    def project(
        self,
        volume: Float[Tensor, "z y x"],
        rotations: Float[Tensor, "views 3 3"],
        *,
        shifts_px: Float[Tensor, "views 2"] | None = None,
    ) -> Float[Tensor, "views y x"]:
        """Project a map in several directions; arguments as for :func:`project`."""
        views = self.views(rotations, shifts_px=shifts_px)
        return self.images(self.slices(self.transform(volume), views), views)

    def backproject(
        self,
        images: Float[Tensor, "views y x"],
        rotations: Float[Tensor, "views 3 3"],
        *,
        shifts_px: Float[Tensor, "views 2"] | None = None,
    ) -> Float[Tensor, "z y x"]:
        """Exact adjoint of :meth:`project`; arguments as for :func:`backproject`."""
        views = self.views(rotations, shifts_px=shifts_px)
        return self.transform_adjoint(self.insert(self.coefficients(images, views), views))

    @torch.no_grad()
    def views(
        self, rotations: Float[Tensor, "views 3 3"], *, shifts_px: Float[Tensor, "views 2"] | None = None
    ) -> Views:
        """Make directions ready for use.

        Parameters
        ----------
        rotations : (views, 3, 3), ``x_view = R @ x``.
        shifts_px : (views, 2) xy, pixels: where the object's origin appears relative to ``n // 2``.

        Raises
        ------
        ValueError
            If shapes don't fit.
        """
        count = len(rotations)
        if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
            raise ValueError(f"rotations must have shape (views, 3, 3), not {tuple(rotations.shape)}")
        if shifts_px is not None and tuple(shifts_px.shape) != (count, 2):
            raise ValueError(f"shifts must have shape ({count}, 2), not {tuple(shifts_px.shape)}")
        # a frequency k of the image is at R^T (k, 0) in the map
        scale = self.points / self.size
        axes = rotations.to(self.device, self.dtype)[:, :2] * scale
        positions = (self._frequencies @ axes).reshape(-1, 3)
        taps = find_taps(positions, self.points, self._beta)
        where = self._frequencies.new_full((1, 2), float(image_centre(self.size)))
        if shifts_px is not None:
            where = where + shifts_px.to(self.device, self.dtype)
        angle = where @ self._frequencies.T * (-2.0 * math.pi / self.size)
        return Views(taps, torch.polar(torch.ones_like(angle), angle), count)

    @torch.no_grad()
    def transform(self, volume: Float[Tensor, "z y x"]) -> Complex[Tensor, "kx ky kz"]:
        """The map's Fourier transform on the padded grid, corrected for the interpolation to come.

        Returns
        -------
        Tensor
            (planes, N, N) **xyz**; k_x from ``-MARGIN`` to ``N/2 + MARGIN``, k_y and k_z in FFT order. The
            centre of the map is at N/2 in the padded box, so neighbours alternate in sign.

        Raises
        ------
        ValueError
            If the map has another size.
        """
        if tuple(volume.shape) != (self.size,) * 3:
            raise ValueError(f"a cube of {self.size} voxels is needed, not {tuple(volume.shape)}")
        pad = (self._before, self.points - self.size - self._before)
        rows = functional.pad(volume.detach().to(self.device, self.dtype) * self._correction, pad)
        half = torch.fft.rfft(rows, dim=2)
        last = half.shape[2] - 1
        # real rows: coefficients beyond either end of the half are conjugates of those inside
        low = half[:, :, 1 : MARGIN + 1].flip(2).conj()
        high = half[:, :, last - MARGIN : last].flip(2).conj()
        rows = torch.cat([low, half, high], 2).transpose(1, 2)
        sheets = torch.fft.fft(functional.pad(rows, pad), dim=2).permute(1, 2, 0)
        transform: Tensor = torch.fft.fft(functional.pad(sheets, pad), dim=2)
        return transform

    @torch.no_grad()
    def transform_adjoint(self, transform: Complex[Tensor, "kx ky kz"]) -> Float[Tensor, "z y x"]:
        """Exact adjoint of :meth:`transform` (not its inverse): back to voxels."""
        keep = slice(self._before, self._before + self.size)
        sheets = torch.fft.ifft(transform, dim=2, norm="forward")[:, :, keep].permute(2, 0, 1)
        rows = torch.fft.ifft(sheets, dim=2, norm="forward")[:, :, keep].transpose(1, 2)
        last = self.points // 2
        half = rows[:, :, MARGIN : MARGIN + last + 1].clone()
        half[:, :, 1 : MARGIN + 1] += rows[:, :, :MARGIN].flip(2).conj()
        half[:, :, last - MARGIN : last] += rows[:, :, -MARGIN:].flip(2).conj()
        # irfft counts all but the first and last columns twice, the adjoint wants each once
        half[:, :, [0, last]] *= 2.0
        real: Tensor = torch.fft.irfft(half, n=self.points, dim=2, norm="forward")[:, :, keep]
        return real * (0.5 * self._correction)

    @torch.no_grad()
    def slices(
        self, transform: Complex[Tensor, "kx ky kz"], views: Views
    ) -> Complex[Tensor, "views coefficients"]:
        """Central slices of a map's transform, about the object's origin (before any shift)."""
        return gather(transform, views.taps).view(views.count, len(self._disc))

    @torch.no_grad()
    def insert(
        self, slices: Complex[Tensor, "views coefficients"], views: Views
    ) -> Complex[Tensor, "kx ky kz"]:
        """Exact adjoint of :meth:`slices`: the padded grid on which all views are summed."""
        values = torch.view_as_real(slices.resolve_conj()).reshape(-1, 2).T.contiguous()
        values[1] *= views.taps.side
        grid = values.new_zeros(2, planes(self.points), self.points, self.points)
        scatter(values, views.taps, grid)
        return torch.complex(grid[0], grid[1])

    @torch.no_grad()
    def images(
        self, slices: Complex[Tensor, "views coefficients"], views: Views
    ) -> Float[Tensor, "views y x"]:
        """Pixels of slices, each shifted to where its object appears."""
        if not views.count:
            return self._twice.new_zeros(0, self.size, self.size)
        half = slices.new_zeros(views.count, self.size * (self.size // 2 + 1))
        half[:, self._disc] = slices * views.ramp
        # axis by axis: of column 0 the last transform takes the real part whatever the library does
        columns = torch.fft.ifft(half.view(views.count, self.size, self.size // 2 + 1), dim=1)
        images: Tensor = torch.fft.irfft(columns, n=self.size, dim=2)
        return images

    @torch.no_grad()
    def coefficients(
        self, images: Float[Tensor, "views y x"], views: Views
    ) -> Complex[Tensor, "views coefficients"]:
        """Exact adjoint of :meth:`images`: coefficients weighted by how often they count, shifted back.

        Divide by :attr:`multiplicity` for the Fourier coefficients of the images themselves.

        Raises
        ------
        ValueError
            If the images don't fit the views or the size.
        """
        if tuple(images.shape) != (views.count, self.size, self.size):
            raise ValueError(
                f"{tuple(images.shape)} images don't fit {views.count} views of {self.size} pixels"
            )
        if not views.count:
            return views.ramp.new_zeros(0, len(self._disc))
        half: Tensor = torch.fft.rfft2(images.detach().to(self.device, self.dtype)).flatten(1)
        return half[:, self._disc] * views.ramp.conj() * self._twice

    @property
    def multiplicity(self) -> Float[Tensor, " coefficients"]:
        """(coefficients,) 2 / n², or 1 / n² in column k_x = 0, whose coefficients come in pairs."""
        return self._twice


def project(
    volume: Float[Tensor, "z y x"],
    rotations: Float[Tensor, "views 3 3"],
    *,
    shifts_px: Float[Tensor, "views 2"] | None = None,
) -> Float[Tensor, "views y x"]:
    """Project a map in several directions.

    Parameters
    ----------
    volume : (z, y, x), a cube; density outside the inscribed sphere counts as zero.
    rotations : (views, 3, 3), ``x_view = R @ x``.
    shifts_px : (views, 2) xy, pixels: where the object's origin appears relative to the image
        centre ``n // 2``. None means no shift. Images are periodic.

    Returns
    -------
    Tensor
        (views, y, x), summed (not averaged) along z, without frequencies beyond Nyquist.

    Raises
    ------
    ValueError
        If the volume is not a cube of at least 2 voxels or shapes don't fit.
    """
    return _projector(volume.shape[0], str(volume.device), volume.dtype).project(
        volume, rotations, shifts_px=shifts_px
    )


def backproject(
    images: Float[Tensor, "views y x"],
    rotations: Float[Tensor, "views 3 3"],
    size: int | tuple[int, int, int],
    *,
    shifts_px: Float[Tensor, "views 2"] | None = None,
) -> Float[Tensor, "z y x"]:
    """Exact adjoint of :func:`project`: ``<project(V), r> = <V, backproject(r)>``.

    Parameters
    ----------
    images : (views, y, x), square.
    rotations : (views, 3, 3), as for :func:`project`.
    size : voxels along each side, or three equal numbers.
    shifts_px : (views, 2) xy, pixels, as for :func:`project`.

    Returns
    -------
    Tensor
        (z, y, x), summed over the views; zero outside the inscribed sphere.

    Raises
    ------
    ValueError
        If shapes don't fit or the sizes differ.
    """
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ValueError(f"slices need a cube, not {size} voxels")
    projector = _projector(sides.pop(), str(images.device), images.dtype)
    return projector.backproject(images, rotations, shifts_px=shifts_px)


def padded_size(size: int, padding: float) -> int:
    """The smallest even number from ``padding * size`` on that has no prime factor above 11."""
    points = 2 * math.ceil(size * padding / 2)
    while not _smooth(points):
        points += 2
    # the margins must not overlap
    return max(points, 4 * MARGIN)


def _smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7, 11):
        while number % prime == 0:
            number //= prime
    return number == 1


@lru_cache(maxsize=4)
def _projector(size: int, device: str, dtype: torch.dtype) -> SliceProjector:
    return SliceProjector(size, device=device, dtype=dtype)
