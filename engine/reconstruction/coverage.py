"""Which part of a map its images measured: in Fourier space, in unseen views, and in each voxel.

A view measures the plane of the map's transform that is perpendicular to it (central slice theorem). A
particle no wider than D has a transform that changes over about 1/D, so a coefficient at distance d from the
nearest plane is partly known: for density that fills a ball of diameter D without any order, the correlation
between coefficients d apart is the ball's own transform, ``c(d) = 3 (sin u - u cos u) / u³``, ``u = pi d D``,
and the nearest plane explains the share ``c²`` of a coefficient's variance (:func:`explained`).

That is what is *measurable*. How well a least-squares map of these very images, with their noise, does at a
distance and a frequency is found on random density with the images' spectrum (:func:`calibrated_trust`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from engine.forward.map_posterior import shell_filtered, shell_totals
from engine.reconstruction.least_squares import data_map, volume_power
from engine.reconstruction.problem import PosedProblem

DISTANCES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 11.0)
"""Edges of the bins of distances from the nearest plane, cycles per box."""

RINGS = 4
"""Width of the bins of frequency, cycles per box."""

_FIRST_ZERO = 4.4934


@dataclass(frozen=True)
class FourierCoverage:
    """How much of a map was measured.

    Attributes
    ----------
    share : (n, n, n // 2 + 1) of each coefficient's variance (``rfftn``) that the images explain, 0 to 1.
    measured : (shells,) mean share of a shell's coefficients that the images explain, 0 to 1.
    supplied_power : (shells,) share of the map's own power in a shell that lies where they don't.
    supplied : the same share over all shells but the zero frequency.
    fraction : (n, n, n) in each voxel the share of the local variance of density that lies there.
    """

    share: Float[Tensor, "kz ky kx"]
    measured: Float[Tensor, " shells"]
    supplied_power: Float[Tensor, " shells"]
    supplied: float
    fraction: Float[Tensor, "z y x"]


def distance_to_planes(
    positions: Float[Tensor, "*some 3"], rotations: Float[Tensor, "views 3 3"]
) -> Float[Tensor, "*some"]:
    """Distance of frequencies (xyz, in the map's frame) from the nearest measured plane; same unit."""
    normals = rotations[:, 2].to(positions)
    nearest: Tensor = (positions @ normals.T).abs().amin(-1)
    return nearest


def explained(distance: Float[Tensor, "*some"], diameter: float) -> Float[Tensor, "*some"]:
    """Share of a coefficient's variance that one at this distance explains, ``c²``; 0 from its first zero.

    Parameters
    ----------
    distance : cycles per box.
    diameter : of the particle, as a part of the box.
    """
    u = (torch.pi * diameter * distance).clamp_min(1e-3).double()
    c = 3 * (torch.sin(u) - u * torch.cos(u)) / u**3
    return torch.where(u < _FIRST_ZERO, c.square(), torch.zeros_like(c)).to(distance)


def grid_frequencies(size: int, like: Tensor) -> Float[Tensor, "kz ky kx 3"]:
    """Frequencies xyz, cycles per box, of each coefficient of ``rfftn`` of a map."""
    whole = torch.fft.fftfreq(size, 1 / size, device=like.device, dtype=like.dtype)
    half = torch.fft.rfftfreq(size, 1 / size, device=like.device, dtype=like.dtype)
    z, y, x = torch.meshgrid(whole, whole, half, indexing="ij")
    return torch.stack([x, y, z], -1)


def measured_share(problem: PosedProblem, diameter_px: float) -> Float[Tensor, "kz ky kx"]:
    """Share of the variance of each coefficient (``rfftn``) that the images explain."""
    frequencies = grid_frequencies(problem.size, problem.mask)
    distance = distance_to_planes(frequencies, problem.all_rotations)
    return explained(distance, diameter_px / problem.size)


def fourier_coverage(
    volume: Float[Tensor, "z y x"], problem: PosedProblem, diameter_px: float, *, blur_voxels: float = 2.0
) -> FourierCoverage:
    """What of a map its images measured, and what came from elsewhere.

    Parameters
    ----------
    diameter_px : of the particle.
    blur_voxels : width of the Gaussian window in which the variance of density is local.
    """
    share = measured_share(problem, diameter_px)
    transform = torch.fft.rfftn(volume)
    power = transform.abs().square()
    count, all_power = shell_totals(torch.ones_like(share)), shell_totals(power)
    missed = shell_totals(power * (1 - share))
    tiny = 1e-30
    measured_part: Tensor = torch.fft.irfftn(transform * share, s=volume.shape)
    fraction = _local_share(volume - measured_part, measured_part, blur_voxels)
    return FourierCoverage(
        share,
        (shell_totals(share) / count).to(volume),
        (missed / all_power.clamp_min(tiny)).to(volume),
        float(missed[1:].sum() / all_power[1:].sum().clamp_min(tiny)),
        fraction * (problem.mask > 0),
    )


def _local_share(part: Tensor, other: Tensor, blur: float) -> Tensor:
    """Local variance of one part over that of both, each about its local mean."""
    size = part.shape[0]
    k = torch.arange(size // 2 + 1, device=part.device, dtype=part.dtype) / size
    window = torch.exp(-2 * (torch.pi * blur * k).square())

    def variance(density: Tensor) -> Tensor:
        mean = shell_filtered(density, window)
        return (shell_filtered(density.square(), window) - mean.square()).clamp_min(0)

    first, second = variance(part), variance(other)
    return first / (first + second).clamp_min(1e-3 * float((first + second).max()) + 1e-30)


@dataclass(frozen=True)
class CalibratedTrust:
    """How far a least-squares map is right at a distance from the nearest plane and at a frequency.

    Attributes
    ----------
    table : (distances, rings) one minus the relative error, 0 to 1.
    """

    table: Float[Tensor, "distances rings"]

    def of_views(
        self, rotations: Float[Tensor, "views 3 3"], measured: Float[Tensor, "measured 3 3"], size: int
    ) -> Float[Tensor, "views y half"]:
        """Trust in each coefficient (``rfft2``) of views of the map."""
        frequencies = grid_frequencies(size, self.table)[0][..., :2]
        positions = torch.einsum("yxa,vab->vyxb", frequencies, rotations[:, :2].to(frequencies))
        distance = distance_to_planes(positions, measured)
        return self._look_up(distance, frequencies.norm(dim=-1).expand_as(distance))

    def _look_up(self, distance: Tensor, radius: Tensor) -> Tensor:
        edges = torch.tensor(DISTANCES[1:-1], device=distance.device, dtype=distance.dtype)
        row = torch.bucketize(distance, edges)
        column = (radius / RINGS).long().clamp_max(self.table.shape[1] - 1)
        return self.table[row, column]


@torch.no_grad()
def calibrated_trust(
    problem: PosedProblem, *, steps: int, phantoms: int = 2, seed: int = 0
) -> CalibratedTrust:
    """Reconstruct random density from the same poses with the same noise, and see how far it is right.

    The phantoms are white noise with the images' spectrum, cut by the mask and above zero, as the map is. The
    least-squares map is :func:`.data_map` with ``steps``.
    """
    size = problem.size
    generator = torch.Generator().manual_seed(seed)
    amplitude = volume_power(problem).sqrt()
    frequencies = grid_frequencies(size, problem.mask)
    distance = distance_to_planes(frequencies, problem.all_rotations)
    radius = frequencies.norm(dim=-1)
    rings = size // 2 // RINGS
    error, power = (torch.zeros(len(DISTANCES) - 1, rings, dtype=torch.float64) for _ in range(2))
    column = (radius / RINGS).long()
    for _ in range(phantoms):
        white = torch.randn(size, size, size, generator=generator).to(problem.mask)
        density = shell_filtered(white, amplitude) * problem.mask
        density = (density + density.std()).clamp_min(0) * problem.mask
        images = problem.seen(density)[:: problem.order]
        scale = float(images.square().mean().sqrt()) / problem.contrast
        noise = torch.randn(images.shape, generator=generator).to(images) * problem.noise * scale
        found = data_map(replace(problem, images=images + noise, noise=problem.noise * scale), steps=steps)
        wrong = (torch.fft.rfftn(found) - torch.fft.rfftn(density)).abs().square().double().cpu()
        right = torch.fft.rfftn(density).abs().square().double().cpu()
        for row, (low, high) in enumerate(pairwise(DISTANCES)):
            near = ((distance >= low) & (distance < high)).cpu()
            for ring in range(rings):
                here = near & (column.cpu() == ring)
                error[row, ring] += wrong[here].sum()
                power[row, ring] += right[here].sum()
    relative = torch.where(power > 0, (error / power.clamp_min(1e-30)).sqrt(), torch.ones_like(power))
    return CalibratedTrust((1 - relative).clamp(0, 1).to(problem.mask))
