"""Steerable principal components: images as sums of ``f(r) exp(i m phi)``.

Averaged over all in-plane rotations, the covariance of a set of images does not mix angular orders m
(Zhao & Singer 2013), so its principal components are found one order at a time, from radial profiles.
With the mirrored copies included they are real functions of the radius.

The profiles come from quintic splines on a polar grid; the coefficients are then fitted to the pixels
by least squares, so that the polar grid decides the components but not how well an image is met.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.interpolate import BSpline, CubicSpline
from torch import Tensor

from engine.errors import InputError

SOFT_EDGE_PX = 2.0  # a mask's soft edge may reach so far beyond its radius
RADIAL_STEP_PX = 0.5
_SPLINE = 5  # of the splines
FIT_ERROR = 0.01  # of a pixel that may be left, as a share of the spread about the mean
_LEAST = 1e-7  # of the largest eigenvalue: below are rounding errors


@dataclass(frozen=True)
class Disc:
    """The pixels of a square image within a radius of its centre, pixel n//2.

    Attributes
    ----------
    box : side, px.
    rows : (pixels,) flat indices.
    x, y : (pixels,) coordinates, px.
    radius : px.
    mask_radius : of the mask in it, px.
    """

    box: int
    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: float
    mask_radius: float


def disc(box: int, mask_radius_px: float) -> Disc:
    """The disc that holds a mask and its soft edge, and that quarter turns leave as it is."""
    # pixel 0 of an even box has no opposite
    radius = min(mask_radius_px + SOFT_EDGE_PX, (box + 1) // 2 - 1e-3)
    axis = np.arange(box) - box // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    rows = np.flatnonzero(x * x + y * y <= radius * radius)
    return Disc(
        box,
        rows,
        x.ravel()[rows].astype(float),
        y.ravel()[rows].astype(float),
        float(radius),
        float(mask_radius_px),
    )


@dataclass(frozen=True)
class SteerableBasis:
    """Functions ``f_mq(r) exp(i m phi)`` on the pixels of a disc, around a mean image.

    An image is ``mean + Re sum_mq c_mq f_mq(r) exp(i m phi)``. Orders have different numbers of radial
    functions; the tables are padded with zeros.

    Attributes
    ----------
    box : side of the images, px.
    rows : (pixels,) flat indices of the disc's pixels.
    mean : (pixels,) a radial function, the same for every turned image.
    functions : (orders * radial, pixels) complex, ``f exp(i m phi)``.
    orders, radial : the sizes of the padded table.
    """

    box: int
    rows: Tensor
    mean: Float[Tensor, " pixels"]
    functions: Complex[Tensor, "functions pixels"]
    orders: int
    radial: int

    def to(self, device: torch.device | str) -> SteerableBasis:
        """The same basis on another device."""
        return replace(
            self,
            rows=self.rows.to(device),
            mean=self.mean.to(device),
            functions=self.functions.to(device),
        )

    def mirror(
        self, coefficients: Complex[Tensor, "orders radial items"]
    ) -> Complex[Tensor, "orders radial items"]:
        """Coefficients of the images under ``x -> -x``, i.e. ``phi -> pi - phi``."""
        sign = 1.0 - 2.0 * (torch.arange(self.orders, device=coefficients.device) % 2)
        return sign.view(-1, 1, 1) * coefficients.conj().resolve_conj()

    def turn(
        self, coefficients: Complex[Tensor, "orders radial items"], angle_rad: float
    ) -> Complex[Tensor, "orders radial items"]:
        """Coefficients of the images turned from x towards y."""
        m = torch.arange(self.orders, device=coefficients.device)
        return (
            torch.polar(torch.ones_like(m, dtype=torch.float32), -angle_rad * m).view(-1, 1, 1) * coefficients
        )

    def analyse(self, images: Float[Tensor, "n y x"]) -> Complex[Tensor, "orders n radial"]:
        """Products of ``image - mean`` with the functions, summed over pixels."""
        pixels = images.flatten(1)[:, self.rows].float() - self.mean
        products = torch.complex(pixels @ self.functions.real.T, pixels @ self.functions.imag.T)
        return products.view(-1, self.orders, self.radial).permute(1, 0, 2)

    def synthesise(self, coefficients: Complex[Tensor, "n orders radial"]) -> Float[Tensor, "n y x"]:
        """Images of coefficients."""
        flat = coefficients.flatten(1)
        pixels = flat.real @ self.functions.real - flat.imag @ self.functions.imag + self.mean
        out = pixels.new_zeros(len(flat), self.box * self.box)
        out[:, self.rows] = pixels
        return out.view(-1, self.box, self.box)

    def energies(
        self, coefficients: Complex[Tensor, "orders radial items"], angles: int
    ) -> Float[Tensor, "items angles"]:
        """Squared norms of ``image - mean`` on the pixels, at each of ``angles`` equal rotations.

        A pixel grid is not quite isotropic, so they are not quite the same at all angles.
        """
        used = self.functions.abs().amax(dim=1) > 0
        real = torch.cat([self.functions.real[used], -self.functions.imag[used]])
        gram = (real @ real.T).contiguous()
        # quarter turns permute the pixels of the disc
        distinct = angles // 4 if angles % 4 == 0 else angles
        found = []
        for a in range(distinct):
            flat = self.turn(coefficients, 2 * math.pi * a / angles).flatten(0, 1)[used].T
            vectors = torch.cat([flat.real, flat.imag], dim=1)
            found.append((vectors @ gram * vectors).sum(1))
        return torch.stack(found, dim=1).repeat(1, angles // distinct)


@dataclass(frozen=True)
class Expansion:
    """Images in a basis.

    Attributes
    ----------
    coefficients : (orders, radial, items); items run over shifts, then images.
    explained : share of the variance about the mean that the basis holds.
    """

    coefficients: Complex[Tensor, "orders radial items"]
    explained: float


def fit_basis(
    images: NDArray[np.float32], region: Disc, shifts: list[tuple[float, float]], components: int
) -> tuple[SteerableBasis, Expansion]:
    """Principal components of images, their rotations and mirror images, and the images in them.

    Parameters
    ----------
    images : (n, y, x).
    region : pixels that count.
    shifts : (x, y) px by which the images are also moved.
    components : at most so many real components; an order m > 0 needs two for each radial function.

    Raises
    ------
    InputError
        If the images don't differ from a radial pattern.
    """
    grid = _polar_grid(region)
    r, phi = np.hypot(region.x, region.y), np.arctan2(region.y, region.x)
    ring = _polar(images.mean(axis=0, dtype=np.float64)[None], grid).mean(axis=(1, 2))
    radial = CubicSpline(grid.radii, ring)
    # What the mask makes of a constant background stays where it is when the particle moves.
    edge = radial(np.maximum(r, region.mask_radius - SOFT_EDGE_PX))
    pixels = images.reshape(len(images), -1)[:, region.rows]
    pixels = edge + _shifted(pixels - edge, region, shifts)
    # The mean is a radial function: the edge of the mask is in it and turns exactly.
    mean = radial(r)
    target = (pixels - mean).astype(np.float32)
    moved = np.zeros((len(target), region.box**2), np.float32)
    moved[:, region.rows] = target
    leading = _leading(_polar(moved.reshape(-1, region.box, region.box), grid), grid, components)
    if not leading:
        raise InputError(
            "The images hold nothing but rings around their centres.", "Check the file and the contrast."
        )
    orders, radial = 1 + max(leading), max(len(f) for f in leading.values())
    functions = np.zeros((orders, radial, len(r)), np.complex64)
    variances = np.zeros((orders, radial))
    for m, components_of in leading.items():
        values = CubicSpline(grid.radii, np.stack([f for _, f in components_of]), axis=1)(r)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        functions[m, : len(values)] = values * np.exp(1j * m * phi)
        variances[m, : len(values)] = [v for v, _ in components_of]
    coefficients, left = _fitted(functions.reshape(-1, len(r)), variances.ravel(), target)
    basis = SteerableBasis(
        region.box,
        torch.from_numpy(region.rows),
        torch.from_numpy(mean.astype(np.float32)),
        torch.from_numpy(functions.reshape(-1, len(r))),
        orders,
        radial,
    )
    table = torch.from_numpy(coefficients.reshape(len(target), orders, radial)).permute(1, 2, 0).contiguous()
    return basis, Expansion(table, 1 - left)


def _shifted(
    pixels: NDArray[np.float64], region: Disc, shifts: list[tuple[float, float]]
) -> NDArray[np.float64]:
    """Images on a disc moved by Fourier phases, shifts running slowest."""
    if shifts == [(0.0, 0.0)]:
        return pixels
    box = region.box
    images = np.zeros((len(pixels), box * box))
    images[:, region.rows] = pixels
    spectrum = np.fft.rfft2(images.reshape(-1, box, box))
    ky, kx = np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None, :]
    phases = [np.exp(-2j * np.pi * (kx * x + ky * y)) for x, y in shifts]
    moved = np.concatenate([np.fft.irfft2(spectrum * p, s=(box, box)) for p in phases])
    return moved.reshape(len(moved), -1)[:, region.rows]


@dataclass(frozen=True)
class _PolarGrid:
    box: int
    radii: NDArray[np.float64]
    spokes: int
    interpolation: sparse.csr_matrix  # of spline coefficients


def _polar_grid(region: Disc) -> _PolarGrid:
    radii = np.arange(0, region.radius + RADIAL_STEP_PX / 2, RADIAL_STEP_PX)
    spokes = 8 * math.ceil(2 * math.pi * (region.radius + 1) / 8)
    angle = 2 * np.pi * np.arange(spokes) / spokes
    x = np.outer(radii, np.cos(angle)).ravel() + region.box // 2
    y = np.outer(radii, np.sin(angle)).ravel() + region.box // 2
    return _PolarGrid(region.box, radii, spokes, _interpolation(x, y, region.box))


def _polar(images: NDArray[Any], grid: _PolarGrid) -> NDArray[np.float64]:
    """Images on a polar grid: (radii, spokes, images)."""
    coefficients = [ndimage.spline_filter(i, _SPLINE, np.float64, mode="mirror").ravel() for i in images]
    values: NDArray[np.float64] = grid.interpolation @ np.stack(coefficients, axis=1)
    return values.reshape(len(grid.radii), grid.spokes, -1)


def _leading(
    polar: NDArray[np.float64], grid: _PolarGrid, components: int
) -> dict[int, list[tuple[float, NDArray[np.float64]]]]:
    """For each order that is needed its leading components: variance and radial part."""
    spectrum = np.fft.rfft(polar, axis=1)[:, :-1] / grid.spokes  # (radii, orders, images)
    weight = np.sqrt(grid.radii)
    found: list[tuple[float, int, NDArray[np.float64]]] = []
    for m in range(spectrum.shape[1]):
        g = spectrum[:, m]
        covariance = (g @ g.conj().T).real / g.shape[1]
        value, vector = np.linalg.eigh(weight[:, None] * covariance * weight)
        for v, u in zip(value[::-1], vector.T[::-1], strict=True):
            if v > 0:
                # the eigenfunction itself, also where its weight is 0
                found.append((float(v), m, covariance @ (weight * u) / v))
    found.sort(key=lambda f: -f[0])
    leading: dict[int, list[tuple[float, NDArray[np.float64]]]] = {}
    used = 0
    for strength, m, f in found:
        used += 1 if m == 0 else 2
        if used > components or strength < _LEAST * found[0][0]:
            break
        # of a real coefficient of a function of unit norm on the pixels
        variance = 2 * math.pi * RADIAL_STEP_PX * strength * (1 if m == 0 else 2)
        leading.setdefault(m, []).append((variance, f))
    return leading


def _interpolation(x: NDArray[np.float64], y: NDArray[np.float64], box: int) -> sparse.csr_matrix:
    """Spline coefficients of a flat image to its values at points (pixel coordinates)."""
    half = _SPLINE // 2
    base_x, base_y = np.floor(x).astype(int), np.floor(y).astype(int)
    kernel = BSpline.basis_element(np.arange(_SPLINE + 2) - (_SPLINE + 1) / 2, extrapolate=False)
    offsets = np.arange(-half, half + 2)
    taps = []
    for dy in offsets:
        wy = np.nan_to_num(kernel(y - base_y - dy))
        for dx in offsets:
            w = wy * np.nan_to_num(kernel(x - base_x - dx))
            iy, ix = base_y + dy, base_x + dx
            inside = (iy >= 0) & (iy < box) & (ix >= 0) & (ix < box)
            taps.append((w[inside], np.flatnonzero(inside), (iy * box + ix)[inside]))
    values, rows, columns = (np.concatenate(t) for t in zip(*taps, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(x), box * box))


def _fitted(
    functions: NDArray[np.complex64], variances: NDArray[np.float64], target: NDArray[np.float32]
) -> tuple[NDArray[np.complex64], float]:
    """Coefficients c of ``target ≈ Re sum c f`` and the share of the target's energy that is left.

    Plain least squares would use functions that the images hardly contain to meet the last of the
    pixels, and what it meets that way does not turn. So their variances are a prior.
    """
    used = np.flatnonzero(variances > 0)
    real = np.concatenate([functions[used].real, -functions[used].imag]).astype(np.float64)
    gram = real @ real.T
    error = FIT_ERROR**2 * np.square(target).mean(dtype=np.float64)
    gram[np.diag_indices_from(gram)] += error / np.tile(variances[used], 2)
    solved = np.linalg.solve(gram, real @ target.T.astype(np.float64)).T
    left = float(np.square(target - solved @ real).sum() / np.square(target).sum(dtype=np.float64))
    coefficients = np.zeros((len(target), len(functions)), np.complex64)
    coefficients[:, used] = solved[:, : len(used)] + 1j * solved[:, len(used) :]
    return coefficients, left
