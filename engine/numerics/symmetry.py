"""Point groups: their rotations, maps made symmetric, and the axes of a map in any orientation.

Axes are where RELION puts them, so that a symmetrised map fits its ``--sym`` option:

=====  =============================================================================================
Cn     n-fold on z
Dn     n-fold on z, two-fold on x
T      three-fold on z, two-fold on (0, √2, 1)
O      four-folds on x, y and z
I      two-folds on x, y and z, a five-fold on (1, 0, φ) with φ the golden ratio (RELION's ``I``, ``I2``)
=====  =============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter
from scipy.spatial.transform import Rotation

from engine.conventions import image_centre
from engine.numerics.fourier_sampling import Spectrum, check_cube, fourier_resample, half_ball
from engine.numerics.rotations import rotation_grid
from engine.numerics.volume_alignment import (
    GRID,
    Candidates,
    VolumeAlignment,
    extent,
    orthogonal,
    refine,
    thinned,
    turned,
)
from engine.types import FloatArray

Array = NDArray[np.float64]

_GOLDEN = (1 + np.sqrt(5)) / 2
_GENERATORS: dict[str, tuple[tuple[int, tuple[float, float, float]], ...]] = {
    "T": ((3, (0, 0, 1)), (2, (0, np.sqrt(2), 1))),
    "O": ((4, (0, 0, 1)), (3, (1, 1, 1))),
    "I": ((2, (0, 0, 1)), (5, (1, 0, _GOLDEN))),
}
_MOST_FOLD = 60
_COARSE, _FINE = 10.0, 25.0
_KEPT = (16, 4)


def generators(name: str) -> Array:
    """Rotations (one or two, 3, 3) that generate a point group.

    Raises
    ------
    ValueError
        If the name is none of C1 to C60, D2 to D60, T, O and I, in either case.
    """
    text = name.strip().upper()
    if text in _GENERATORS:
        axes = _GENERATORS[text]
    else:
        match = re.fullmatch(r"([CD])(\d{1,2})", text)
        fold = int(match[2]) if match else 0
        if not match or not 1 <= fold <= _MOST_FOLD or text == "D1":
            raise ValueError(f"{name!r} is no point group: C1 to C60, D2 to D60, T, O or I")
        axes = ((fold, (0, 0, 1)),) if match[1] == "C" else ((fold, (0, 0, 1)), (2, (1, 0, 0)))
    turns = [Rotation.from_rotvec(2 * np.pi / n * np.array(axis) / np.linalg.norm(axis)) for n, axis in axes]
    return np.stack([t.as_matrix() for t in turns])


def point_group(name: str) -> Array:
    """All rotations of a point group, the identity first.

    Parameters
    ----------
    name : C1, Cn, Dn, T, O or I; see the module for where the axes are.

    Returns
    -------
    (order, 3, 3) float64.

    Raises
    ------
    ValueError
        If the name is none of them.
    """
    steps = generators(name)
    elements = [np.eye(3)]
    seen = {_key(np.eye(3))}
    for element in elements:  # grows while it is walked through
        for step in steps:
            product = orthogonal(step @ element)
            if _key(product) not in seen:
                seen.add(_key(product))
                elements.append(product)
    return np.stack(elements)


def _key(rotation: Array) -> tuple[int, ...]:
    return tuple(int(v) for v in np.rint(rotation * 1e4).ravel())


def symmetrise(volume: FloatArray, group: str) -> NDArray[np.float32]:
    """The mean of a map's copies turned by all rotations of a group about voxel ``n // 2``.

    Parameters
    ----------
    volume : (n, n, n), its axes where the group's are. Density outside the box counts as zero.
    group : C1, Cn, Dn, T, O or I.

    Raises
    ------
    ValueError
        If the map is not a cube, or the group is unknown.
    """
    n = check_cube(volume)
    elements = point_group(group)
    source = np.asarray(volume, np.float32)
    if len(elements) == 1:
        return source.copy()
    coefficients = spline_filter(source, 3, output=np.float32)
    axis = (np.arange(n) - image_centre(n)).astype(np.float32)
    total = source.astype(np.float64)
    for r in elements[1:].astype(np.float32):
        x, y, z = (
            r[0, i] * axis[None, None, :] + r[1, i] * axis[None, :, None] + r[2, i] * axis[:, None, None]
            for i in range(3)
        )
        where = np.stack([z, y, x]) + np.float32(image_centre(n))
        total += map_coordinates(coefficients, where, order=3, prefilter=False)
    return np.asarray(total / len(elements), np.float32)


def self_correlation(volume: FloatArray, group: str) -> float:
    """How symmetric a map is: its correlation with its symmetrised self, about voxel ``n // 2``.

    1 if it is symmetric. A map without any symmetry has about one over the square root of the group's
    order on top of what is equal in all directions.
    """
    a = np.asarray(volume, np.float64)
    b = symmetrise(volume, group).astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum() / size) if size > 0 else 0.0


def find_symmetry_axes(volume: FloatArray, group: str, *, work_size: int = 48) -> VolumeAlignment:
    """Find the motion that brings a map's symmetry axes to where the group's are.

    Self-correlation is the matter: thousands of orientations are compared by how well the map agrees
    with itself turned by the group's generators, what is equal in all directions left out. The best few
    are refined against their own symmetrised copy, which stays in place, to first order, when the map
    moves a little; so this converges like an alignment with a fixed map.

    Parameters
    ----------
    volume : (n, n, n), in any orientation.
    group : Cn, Dn, T, O or I.
    work_size : maps are compared on at most so many voxels a side.

    Returns
    -------
    VolumeAlignment
        Never mirrored; :func:`~engine.numerics.volume_alignment.apply_alignment` brings the map into the
        group's setting. Its score is the correlation with the symmetrised map, 1 if it is symmetric.
        What the group leaves open (a turn about the axis of Cn, a shift along it) is arbitrary.

    Raises
    ------
    ValueError
        If the map is not a cube, or the group is unknown.
    """
    n = check_cube(volume)
    elements, steps = point_group(group), generators(group)
    if len(elements) == 1:
        return VolumeAlignment(np.eye(3), np.zeros(3), False, 1.0)
    size = min(n, work_size)
    small = fourier_resample(volume, size)
    centre, reach = extent(small)
    radii = [min(order * size / (2 * np.pi * reach), size / 2 - 1) for order in (_COARSE, _FINE)]
    spectrum = Spectrum(small, centre, radii[-1])
    found = _coarse_search(spectrum, radii[0], steps)
    for radius, kept in zip(radii, _KEPT, strict=True):
        found = found.best_of_each_hand(kept)
        k = thinned(half_ball(radius))
        for _ in range(5):
            target = _symmetrised(spectrum, k, found, elements)
            found = refine(spectrum, target, k, found, steps=1)
    # the last step moved the map: judge it against what it is symmetrised to now
    target = _symmetrised(spectrum, k, found, elements)
    found = refine(spectrum, target, k, found, steps=0)
    winner = int(torch.argmax(found.score))
    rotation = orthogonal(found.rotation[winner].double().numpy())
    shift = found.shift[winner].double().numpy() - rotation @ centre
    return VolumeAlignment(rotation, np.asarray(shift * (n / size)), False, float(found.score[winner]))


def _coarse_search(spectrum: Spectrum, radius: float, steps: Sequence[Array] | Array) -> Candidates:
    k = half_ball(radius)
    bare = spectrum.without_mean_shells()
    rotations = torch.from_numpy(rotation_grid(GRID)).float()
    hands = torch.zeros(len(rotations), dtype=torch.bool)
    scores = []
    for rows in torch.split(rotations, 512):
        values = turned(bare, k, rows, hands[: len(rows)])
        power = (values.abs() ** 2).sum(1).clamp_min(1e-30)
        total = torch.zeros(len(rows))
        for step in steps:
            # the map turned by g has the coefficients F(R^T g^T k)
            again = turned(bare, k @ torch.from_numpy(np.asarray(step)).float(), rows, hands[: len(rows)])
            size = (again.abs() ** 2).sum(1).clamp_min(1e-30)
            total += (values * again.conj()).real.sum(1) / (power * size).sqrt()
        scores.append(total)
    return Candidates(rotations, torch.zeros(len(rotations), 3), hands, torch.cat(scores))


def _symmetrised(spectrum: Spectrum, k: torch.Tensor, found: Candidates, elements: Array) -> torch.Tensor:
    """Coefficients (candidates, k) of each candidate's turned and moved map, made symmetric."""
    total = torch.zeros(len(found.score), len(k), dtype=torch.complex64)
    angle = -2 * torch.pi / spectrum.size
    for element in torch.from_numpy(elements).float():
        where = k @ element
        phase = angle * (found.shift @ where.T)
        total += turned(spectrum, where, found.rotation, found.mirrored) * torch.polar(
            torch.ones_like(phase), phase
        )
    return total / len(elements)
