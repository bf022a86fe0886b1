"""Bring one density map onto another: rotation, shift and, if allowed, mirror image, from anywhere.

Maps from images with unknown poses come in any orientation and either hand, so nothing may depend on
where the search starts. It goes in four steps, all on values of the maps' Fourier transforms:

1. Where the density is and how far it reaches give the centres and what "coarse" means.
2. Thousands of evenly spread rotations, both hands and 125 shifts are compared at a resolution of about
   a fifth of the object. What is equal in all directions is left out, or a round shell would fit anyhow.
3. The best few of each hand are refined by Gauss-Newton steps in rotation, shift and scale (least
   squares of the complex coefficients, so strong ones count most), at growing resolution.
4. The best correlation wins.

Convention, for all of this module: positions are xyz in voxels from voxel ``n // 2``. A point x of the
mobile map comes to ``R m(x) + s``, where m mirrors z if the alignment is mirrored. So the moved map at u
is the mobile one at ``m(R^T (u - s))``, as :func:`engine.forward.volume_projection.project` turns maps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter
from torch import Tensor

from engine.conventions import image_centre
from engine.numerics.fourier_sampling import Spectrum, check_cube, fourier_resample, half_ball
from engine.numerics.rotations import rotation_grid
from engine.types import FloatArray

Array = NDArray[np.float64]

GRID = 4608
"""Rotations compared: every rotation is within about 10 degrees of one of them."""
_COARSE, _MIDDLE, _FINE = 10.0, 20.0, 40.0
"""Highest angular orders 2π k r / n that are compared in each stage, r the object's radius."""
_KEPT, _STEPS = (16, 6, 2), (3, 4, 4)
"""Candidates of each hand refined in each stage, and steps."""
_APART = np.deg2rad(12.0)
"""Candidates of a hand closer than this are one."""
_MOST_COEFFICIENTS = 12_000


@dataclass(frozen=True)
class VolumeAlignment:
    """Rigid motion that brings a mobile map onto a target; see the module for the convention.

    Attributes
    ----------
    rotation : (3, 3), proper.
    shift_px : (3,) xyz, voxels of the maps that were aligned.
    mirrored : whether the mobile map is mirrored in z first.
    score : correlation of the moved map with the target, over the resolution at which they were aligned.
    score_other_hand : the best with the other hand, NaN if it was not tried. Close to ``score``, the
        maps don't tell the hands apart.
    """

    rotation: Array
    shift_px: Array
    mirrored: bool
    score: float
    score_other_hand: float = float("nan")

    def rescaled(self, factor: float) -> VolumeAlignment:
        """The same for maps whose voxels are ``factor`` times smaller (boxes as much larger)."""
        return replace(self, shift_px=self.shift_px * factor)

    def inverse(self) -> VolumeAlignment:
        """The motion that brings the target onto the mobile map."""
        back = self.matrix().T  # the mirror is done first again: R m = (m R)^T
        flip = np.array([1, 1, -1 if self.mirrored else 1])
        return replace(self, rotation=np.asarray(back * flip), shift_px=np.asarray(-(back @ self.shift_px)))

    def after(self, first: VolumeAlignment) -> VolumeAlignment:
        """The motion that does ``first``, then this; its score is the lower of the two."""
        both = self.matrix() @ first.matrix()
        mirrored = self.mirrored != first.mirrored
        return VolumeAlignment(
            np.asarray(both * np.array([1, 1, -1 if mirrored else 1])),
            np.asarray(self.matrix() @ first.shift_px + self.shift_px),
            mirrored,
            min(self.score, first.score),
        )

    def matrix(self) -> Array:
        """(3, 3) rotation and mirror together: x comes to ``matrix() @ x + shift_px``."""
        return np.asarray(self.rotation * np.array([1, 1, -1 if self.mirrored else 1]))


def align(
    mobile: FloatArray, target: FloatArray, *, mirror: bool = True, work_size: int = 48, rotations: int = GRID
) -> VolumeAlignment:
    """Find the motion that brings ``mobile`` onto ``target``; deterministic.

    Parameters
    ----------
    mobile, target : (n, n, n), the same n and voxel size. Contrast must agree, scale and offset needn't.
    mirror : also try the mirror image; images without poses can't tell the hand.
    work_size : maps are compared on at most so many voxels a side. 48 is precise to a small part of a
        voxel; 32 is about twice as fast.
    rotations : how many are compared first.

    Raises
    ------
    ValueError
        If the maps are not cubes of the same size, or hold values that are not finite.
    """
    n = check_cube(target)
    if check_cube(mobile) != n:
        raise ValueError(f"maps of the same size are needed, not {np.shape(mobile)} and {np.shape(target)}")
    size = min(n, work_size)
    moving, fixed = fourier_resample(mobile, size), fourier_resample(target, size)
    from_centre, first_reach = extent(moving)
    to_centre, second_reach = extent(fixed)
    # noise around a map makes it look larger than it is, and coarse too coarse
    reach = min(first_reach, second_reach)
    radii = [min(order * size / (2 * np.pi * reach), size / 2 - 1) for order in (_COARSE, _MIDDLE, _FINE)]
    spectra = Spectrum(moving, from_centre, radii[-1]), Spectrum(fixed, to_centre, radii[-1])
    hands = (False, True) if mirror else (False,)
    found = _coarse_search(*spectra, radii[0], hands, rotation_grid(rotations))
    for stage, radius in enumerate(radii):
        found = found.best_of_each_hand(_KEPT[stage])
        k = thinned(half_ball(radius))
        found = refine(
            spectra[0], spectra[1].at(k).expand(len(found.score), -1), k, found, steps=_STEPS[stage]
        )
    order = torch.argsort(found.score, descending=True)
    winner = int(order[0])
    hand = bool(found.mirrored[winner])
    others = found.score[found.mirrored != hand]
    rotation = found.rotation[winner].double().numpy()
    rotation = orthogonal(rotation)
    flip = np.array([1, 1, -1 if hand else 1])
    shift = to_centre + found.shift[winner].double().numpy() - rotation @ (flip * from_centre)
    return VolumeAlignment(
        rotation,
        np.asarray(shift * (n / size)),
        hand,
        float(found.score[winner]),
        float(others.max()) if len(others) else float("nan"),
    )


def apply_alignment(
    volume: FloatArray, alignment: VolumeAlignment, *, order: Literal[1, 3] = 3
) -> NDArray[np.float32]:
    """The mobile map where the alignment brings it; density from outside the box is zero.

    Parameters
    ----------
    volume : (n, n, n), the mobile map, or another in its frame with the same voxels.
    order : of the interpolating spline. 1 is fast and blurs a little; 3 keeps detail to near Nyquist.
    """
    n = check_cube(volume)
    source = np.asarray(volume, np.float32)
    centre = image_centre(n)
    inverse = alignment.matrix().T  # orthogonal, mirrored or not
    u = np.arange(n) - centre
    x, y, z = (u - s for s in alignment.shift_px)
    where = [
        inverse[row, 0] * x[None, None, :]
        + inverse[row, 1] * y[None, :, None]
        + inverse[row, 2] * z[:, None, None]
        + centre
        for row in (2, 1, 0)
    ]
    if order == 3:
        source = spline_filter(source, 3, output=np.float32)
    return np.asarray(
        map_coordinates(source, np.stack(where).astype(np.float32), order=order, prefilter=False), np.float32
    )


@dataclass
class Candidates:
    """Motions under consideration, about whole-numbered centres.

    Attributes
    ----------
    rotation : (c, 3, 3).
    shift : (c, 3) voxels.
    mirrored : (c,) bool.
    score : (c,) correlation.
    """

    rotation: Float[Tensor, "c 3 3"]
    shift: Float[Tensor, "c 3"]
    mirrored: Tensor
    score: Float[Tensor, " c"]

    def take(self, rows: Tensor) -> Candidates:
        """Some of them."""
        return Candidates(self.rotation[rows], self.shift[rows], self.mirrored[rows], self.score[rows])

    def best_of_each_hand(self, count: int) -> Candidates:
        """The best of each hand, apart from each other."""
        kept = list[int]()
        order = torch.argsort(self.score, descending=True).tolist()
        limit = 2 * np.sqrt(2) * np.sin(_APART / 2)
        for hand in (False, True):
            chosen = list[int]()
            for i in order:
                if len(chosen) == count:
                    break
                if bool(self.mirrored[i]) != hand:
                    continue
                away = (self.rotation[chosen] - self.rotation[i]).flatten(1).norm(dim=1) > limit
                if bool(away.all()):
                    chosen.append(i)
            kept += chosen
        return self.take(torch.tensor(kept))


def extent(volume: NDArray[np.float32]) -> tuple[NDArray[np.int64], float]:
    """Where the density is: its centre (xyz, whole voxels from ``n // 2``) and radius in voxels.

    Measured on what stands out from the background by a standard deviation, so that a flat or noisy
    background has no weight. The radius holds 95 % of it.
    """
    n = len(volume)
    mass = np.maximum(volume - (volume.mean() + volume.std()), 0.0).astype(np.float64)
    if not mass.any():
        return np.zeros(3, np.int64), n / 4
    axis = np.arange(n) - image_centre(n)
    sums = [mass.sum(axis=other) for other in ((0, 1), (0, 2), (1, 2))]
    centre = np.rint([s @ axis / mass.sum() for s in sums]).astype(np.int64)
    x, y, z = (axis - c for c in centre)
    squared = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    held = np.cumsum(np.bincount(squared.ravel(), mass.ravel()))
    radius = float(np.sqrt(np.searchsorted(held, 0.95 * held[-1])))
    return centre, float(np.clip(radius, n / 10, n / 2))


def orthogonal(matrix: Array) -> Array:
    """The rotation nearest to a matrix that has drifted a little."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt, np.float64)


def thinned(k: Float[Tensor, "k 3"]) -> Float[Tensor, "kept 3"]:
    """At most 12,000 of them, drawn evenly and always the same."""
    if len(k) <= _MOST_COEFFICIENTS:
        return k
    rows = np.random.default_rng(0).permutation(len(k))[:_MOST_COEFFICIENTS]
    return k[torch.from_numpy(np.sort(rows))]


def turned(
    spectrum: Spectrum, k: Float[Tensor, "k 3"], rotation: Float[Tensor, "c 3 3"], mirrored: Tensor
) -> Complex[Tensor, "c k"]:
    """Transforms of the turned maps, not yet moved: F(m(R^T k))."""
    where = k @ rotation  # rows: (R^T k)^T
    signs = torch.ones(len(rotation), 1, 3)
    signs[mirrored.bool(), 0, 2] = -1
    return spectrum.at(where * signs)


def _coarse_search(
    moving: Spectrum, fixed: Spectrum, radius: float, hands: tuple[bool, ...], grid: Array
) -> Candidates:
    k = half_ball(radius)
    moving, fixed = moving.without_mean_shells(), fixed.without_mean_shells()
    target = fixed.at(k)
    # steps of a fifth of the finest wave: the phase at |k| = radius changes by about 70 degrees
    step = 0.2 * moving.size / radius
    shifts = step * torch.cartesian_prod(*[torch.arange(-2.0, 3.0)] * 3)
    phase = torch.exp((-2j * torch.pi / moving.size) * (k @ shifts.T).to(torch.complex64))
    weighted = target[:, None] * phase.conj()
    basis = torch.cat([weighted.real, weighted.imag])
    rotations = torch.from_numpy(grid).float()
    norm = torch.linalg.vector_norm(target).clamp_min(1e-30)
    parts = []
    for hand in hands:
        for rows in torch.split(rotations, 512):
            values = turned(moving, k, rows, torch.full((len(rows),), hand))
            match = torch.cat([values.real, values.imag], 1) @ basis
            size = torch.linalg.vector_norm(values, dim=1).clamp_min(1e-30)
            best, where = match.max(dim=1)
            parts.append(
                Candidates(rows, shifts[where], torch.full((len(rows),), hand), best / (size * norm))
            )
    return Candidates(
        torch.cat([p.rotation for p in parts]),
        torch.cat([p.shift for p in parts]),
        torch.cat([p.mirrored for p in parts]),
        torch.cat([p.score for p in parts]),
    )


def refine(
    moving: Spectrum,
    target: Complex[Tensor, "c k"],
    k: Float[Tensor, "k 3"],
    start: Candidates,
    *,
    steps: int,
) -> Candidates:
    """Gauss-Newton in rotation, shift and scale; each candidate keeps the best that it passed through.

    Least squares of ``target - a exp(-2πi k·s / n) F(m(R^T k))`` over a, s and small turns of R. The
    change with a turn is a central difference; the rest is in closed form.

    Parameters
    ----------
    moving : spectrum of the mobile map.
    target : coefficients of the target for each candidate.
    """
    radius = float(k.norm(dim=1).max())
    half_turn = 0.25 / radius  # coefficients at the rim move by a quarter of a Fourier pixel
    turns = small_rotations(torch.cat([torch.eye(3), -torch.eye(3)]) * half_turn)
    rotation, shift = start.rotation, start.shift
    best = replace(start, score=torch.full((len(rotation),), -2.0))
    angle = 2 * torch.pi / moving.size
    norm = torch.linalg.vector_norm(target, dim=1).clamp_min(1e-30)
    for step in range(steps + 1):
        phase = torch.polar(torch.ones(len(rotation), len(k)), -angle * (shift @ k.T))
        model = turned(moving, k, rotation, start.mirrored) * phase
        match = (target * model.conj()).real.sum(1)
        power = (model.abs() ** 2).sum(1).clamp_min(1e-30)
        score = match / (norm * power.sqrt())
        better = score > best.score
        best.rotation = torch.where(better[:, None, None], rotation, best.rotation)
        best.shift = torch.where(better[:, None], shift, best.shift)
        best.score = torch.where(better, score, best.score)
        if step == steps:
            break
        near = (turns[None] @ rotation[:, None]).reshape(-1, 3, 3)
        around = turned(moving, k, near, start.mirrored.repeat_interleave(6)).reshape(-1, 6, len(k))
        by_turn = (around[:, :3] - around[:, 3:]) * phase[:, None] / (2 * half_turn)
        by_shift = (-1j * angle) * k.T[None] * model[:, None]
        scale = (match / power)[:, None, None]
        jacobian = torch.cat([scale * by_turn, scale * by_shift, model[:, None]], 1)
        residual = target - scale[:, 0] * model
        normal = (jacobian @ jacobian.mH).real.double()
        slope = (jacobian @ residual.conj()[:, :, None]).real.double()
        diagonal = torch.diagonal(normal, dim1=1, dim2=2)
        damped = normal + torch.diag_embed(1e-3 * diagonal + 1e-9 * diagonal.amax(1, keepdim=True) + 1e-30)
        move = torch.linalg.solve(damped, slope)[:, :6, 0].float()
        turn, along = move[:, :3], move[:, 3:]
        # no further than the model can be trusted: the rim by one and a half Fourier pixels
        turn = turn * (1.5 / radius / turn.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
        along = along * (
            0.2 * moving.size / radius / along.norm(dim=1, keepdim=True).clamp_min(1e-12)
        ).clamp_max(1)
        rotation = small_rotations(turn) @ rotation
        shift = shift + along
    return best


def small_rotations(vectors: Float[Tensor, "c 3"]) -> Float[Tensor, "c 3 3"]:
    """Rotation vectors, radians, to matrices."""
    x, y, z = vectors.T
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    matrices: Tensor = torch.linalg.matrix_exp(cross)
    return matrices
