"""Values of a map's Fourier transform between the grid points, and maps on other grids.

A map of n voxels a side has F(k) = sum over x of V(x) exp(-2πi k·x / n), with x counted from voxel
``n // 2`` (or from a centre near it) and k in cycles per box, both xyz. Turning a map turns its
transform, and moving it by s multiplies that by exp(-2πi k·s / n); so matching two maps needs only the
values at a few hundred or thousand k, however large the maps are.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from scipy.fft import fftn, fftshift, ifftn, ifftshift
from torch import Tensor
from torch.nn import functional

from engine.conventions import image_centre
from engine.types import FloatArray

PADDING = 2
"""Zeros around a map, so that its transform is smooth enough for linear interpolation."""


def fourier_resample(volume: FloatArray, size: int) -> NDArray[np.float32]:
    """A cubic map on a coarser or finer grid that spans the same box.

    Frequencies beyond the coarser grid are cut off; values keep their scale; voxel ``n // 2`` stays at
    voxel ``size // 2``.

    Parameters
    ----------
    volume : (n, n, n).
    size : voxels along each side of the result.

    Raises
    ------
    ValueError
        If the map isn't a cube.
    """
    n = check_cube(volume)
    if size == n:
        return np.asarray(volume, np.float32)
    spectrum = fftshift(fftn(ifftshift(np.asarray(volume, np.float32))))
    kept = min(n, size)
    a, b = image_centre(n) - image_centre(kept), image_centre(size) - image_centre(kept)
    cut = spectrum[a : a + kept, a : a + kept, a : a + kept]
    if kept % 2 == 0:
        cut = cut.copy()
        cut[0], cut[:, 0], cut[:, :, 0] = 0, 0, 0  # the Nyquist planes have lost their partners
    wide = np.zeros((size,) * 3, cut.dtype)
    wide[b : b + kept, b : b + kept, b : b + kept] = cut
    scale = np.float32((size / n) ** 3)
    return np.asarray(fftshift(ifftn(ifftshift(wide)).real) * scale, np.float32)


def check_cube(volume: FloatArray) -> int:
    """Voxels along a side. Raises ValueError unless (n, n, n) with n of at least 8 and finite values."""
    shape = np.shape(volume)
    if len(shape) != 3 or len(set(shape)) != 1 or shape[0] < 8:
        raise ValueError(f"a cubic map of at least 8 voxels a side is needed, not {shape}")
    if not np.isfinite(np.asarray(volume)).all():
        raise ValueError("the map holds values that are not finite")
    return int(shape[0])


def half_ball(radius: float) -> Float[Tensor, "k 3"]:
    """Whole-numbered k (xyz) with 0 < |k| <= radius, one of each pair k and -k."""
    reach = np.arange(-int(radius), int(radius) + 1)
    z, y, x = (a.ravel() for a in np.meshgrid(reach, reach, reach, indexing="ij"))
    first = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    keep = first & (x**2 + y**2 + z**2 <= radius**2)
    return torch.from_numpy(np.stack([x[keep], y[keep], z[keep]], 1).astype(np.float32))


class Spectrum:
    """The transform of a map about a centre, to be asked at any k within a radius.

    Parameters
    ----------
    volume : (n, n, n). What its faces hold on average counts as empty.
    centre : (3,) xyz, whole voxels: x is counted from ``n // 2`` plus this. Near the middle of the
        object the transform is smoothest.
    radius : largest |k| that will be asked for, cycles per box.
    """

    def __init__(self, volume: FloatArray, centre: NDArray[np.integer], radius: float) -> None:
        self.size = check_cube(volume)
        n, wide = self.size, PADDING * self.size
        # a pedestal would end abruptly at the faces of the box and drown the object
        density = np.asarray(volume, np.float32)
        faces = [density[0], density[-1], density[:, 0], density[:, -1], density[..., 0], density[..., -1]]
        density = density - np.float32(np.mean([f.mean(dtype=np.float64) for f in faces]))
        padded = np.zeros((wide,) * 3, np.float32)
        cells, places = [], []
        for shift in np.asarray(centre)[::-1]:
            start = image_centre(wide) - image_centre(n) - int(shift)
            low, high = max(start, 0), min(start + n, wide)
            places.append(slice(low, high))
            cells.append(slice(low - start, high - start))
        padded[tuple(places)] = density[tuple(cells)]
        # linear interpolation of the transform multiplies the map by sinc²: divided out beforehand
        edge = np.sinc((np.arange(wide) - image_centre(wide)) / wide).astype(np.float32) ** -2
        padded *= edge[:, None, None] * edge[:, None] * edge
        spectrum = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(torch.from_numpy(padded))))
        self.reach = min(int(np.ceil(PADDING * radius)) + 1, wide // 2 - 1)
        a, b = wide // 2 - self.reach, wide // 2 + self.reach + 1
        inner = torch.view_as_real(spectrum[a:b, a:b, a:b])
        self.grid = inner.permute(3, 0, 1, 2)[None].contiguous()

    def at(self, k: Float[Tensor, "*batch 3"]) -> Complex[Tensor, "*batch"]:
        """F at k (xyz), zero beyond the radius."""
        place = (k * (PADDING / self.reach)).reshape(1, 1, 1, -1, 3)
        values = functional.grid_sample(self.grid, place, "bilinear", "zeros", align_corners=True)
        return torch.view_as_complex(values.reshape(2, -1).T.contiguous()).reshape(k.shape[:-1])

    def without_mean_shells(self) -> Spectrum:
        """The same without what is equal in all directions about the centre.

        A hollow sphere with something on it looks like a hollow sphere; what tells directions apart is
        the rest.
        """
        other = Spectrum.__new__(Spectrum)
        other.size, other.reach = self.size, self.reach
        reach = torch.arange(-self.reach, self.reach + 1, dtype=torch.float32)
        # shells half a grid point wide: the transform of a hollow sphere turns over fast
        radius = 2 * torch.sqrt(reach[:, None, None] ** 2 + reach[:, None] ** 2 + reach**2)
        shell, share = radius.long().ravel(), (radius - radius.floor()).ravel()
        count = int(shell.max()) + 2
        flat = self.grid.reshape(2, -1)
        mass = torch.zeros(count).index_add_(0, shell, 1 - share).index_add_(0, shell + 1, share)
        # what a pass leaves, because the mean over a shell is not the value at its middle, the next takes
        for _ in range(3):
            sums = torch.zeros(2, count).index_add_(1, shell, flat * (1 - share))
            sums.index_add_(1, shell + 1, flat * share)
            mean = sums / mass.clamp_min(1e-6)
            flat = flat - (mean[:, shell] * (1 - share) + mean[:, shell + 1] * share)
        other.grid = flat.reshape(self.grid.shape)
        return other
