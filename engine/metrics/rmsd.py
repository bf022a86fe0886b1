"""Root mean square deviations of a reconstruction from the truth, as in the DPS paper, and unaligned.

The paper scales the model to the truth's radius of gyration and aligns it before it measures. Poses are
known, so position and size are part of the answer: the unaligned figures show what alignment hides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.assignment.exact import assign_points
from engine.numerics.alignment import align_kernel_correlation, match_radius_of_gyration
from engine.types import FloatArray


@dataclass(frozen=True)
class RmsdTable:
    """The four RMSDs of one reconstruction, Å; those against atoms are None where there are none.

    Attributes
    ----------
    points_A : against the truth's points, matched one to one, after scaling and alignment.
    atoms_A : from each heavy atom to the nearest model point, after the same scaling and alignment.
    points_unaligned_A, atoms_unaligned_A : the same without scaling or alignment.
    """

    points_A: float
    atoms_A: float | None
    points_unaligned_A: float
    atoms_unaligned_A: float | None


def rmsd_points(model: FloatArray, truth: FloatArray) -> float:
    """RMSD under the one-to-one matching that minimises it (exact linear assignment).

    Parameters
    ----------
    model, truth : (n, 3) with the same number of points, in the same unit.

    Raises
    ------
    ValueError
        If the clouds differ in size.
    """
    x, y = np.asarray(model, np.float64), np.asarray(truth, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"clouds of the same size are needed, not {x.shape} and {y.shape}")
    match = assign_points(torch.from_numpy(x)[None], torch.from_numpy(y)[None])[0].numpy()
    return float(np.sqrt(((x - y[match]) ** 2).sum(-1).mean()))


def rmsd_atoms(model: FloatArray, atoms: FloatArray) -> float:
    """``(1/N sum_n |x_n - x'_l(n)|²)^(1/2)`` over atoms x_n, where l(n) is the model point nearest to x_n.

    Not symmetric: stray model points far from every atom cost nothing here.

    Parameters
    ----------
    model, atoms : (points, 3), (N, 3) in the same unit.
    """
    distance = cKDTree(np.asarray(model, np.float64)).query(np.asarray(atoms, np.float64))[0]
    return float(np.sqrt((distance**2).mean()))


def aligned(model: FloatArray, truth: FloatArray) -> NDArray[np.float64]:
    """``model`` (n, 3) at the truth's radius of gyration and in its best rigid pose, without mirroring."""
    scaled = match_radius_of_gyration(model, truth)
    rotation, shift = align_kernel_correlation(scaled, truth)
    return np.asarray(scaled @ rotation.T + shift)


def rmsd_table(model_A: FloatArray, truth_A: FloatArray, atoms_A: FloatArray | None = None) -> RmsdTable:
    """All four RMSDs of one reconstruction.

    Scaled and aligned once, against the truth's points; the atoms lie in the same frame.

    Parameters
    ----------
    model_A, truth_A : (n, 3), Å; the truth reduced to as many points as the model has.
    atoms_A : (N, 3) heavy atoms, Å, or None.
    """
    moved = aligned(model_A, truth_A)
    return RmsdTable(
        points_A=rmsd_points(moved, truth_A),
        atoms_A=None if atoms_A is None else rmsd_atoms(moved, atoms_A),
        points_unaligned_A=rmsd_points(model_A, truth_A),
        atoms_unaligned_A=None if atoms_A is None else rmsd_atoms(model_A, atoms_A),
    )
