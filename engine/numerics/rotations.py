"""Rotations of 3D space: uniform draws, grids, quaternions. Matrices act on column vectors from the left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engine.types import FloatArray


def random_rotations(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """``n`` proper rotations, uniform over SO(3).

    A normalised Gaussian quaternion is uniform on the 3-sphere, which covers SO(3) evenly twice.

    Returns
    -------
    (n, 3, 3).
    """
    return quaternion_to_matrix(rng.normal(size=(n, 4)))


def quaternion_to_matrix(wxyz: FloatArray) -> NDArray[np.float64]:
    """Quaternions (..., 4), order w, x, y, z, to matrices (..., 3, 3).

    They are normalised first. Raises ValueError for a quaternion of zero length or one that is not finite.
    """
    q = np.asarray(wxyz, np.float64)
    length = np.linalg.norm(q, axis=-1)
    if not (np.isfinite(length) & (length > 0)).all():
        raise ValueError("a quaternion must be finite and not zero")
    flat = (q / length[..., None]).reshape(-1, 4)
    matrices = Rotation.from_quat(flat[:, [1, 2, 3, 0]]).as_matrix()
    return np.asarray(matrices, np.float64).reshape(*q.shape[:-1], 3, 3)


def matrix_to_quaternion(rotations: FloatArray) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4), order w, x, y, z, with w >= 0.

    Raises ValueError for matrices that are not proper rotations.
    """
    r = np.asarray(rotations, np.float64)
    orthogonal = np.allclose(r @ np.swapaxes(r, -1, -2), np.eye(3), atol=1e-4)
    if not orthogonal or (np.linalg.det(r) < 0).any():
        raise ValueError("not a proper rotation matrix")
    q = Rotation.from_matrix(r.reshape(-1, 3, 3)).as_quat(canonical=True)
    return np.asarray(q[:, [3, 0, 1, 2]], np.float64).reshape(*r.shape[:-2], 4)


def rotation_grid(n: int) -> NDArray[np.float64]:
    """``n`` rotations spread evenly over SO(3), the same each time.

    Super-Fibonacci spirals on the 3-sphere (Alexa 2022, CVPR, doi:10.1109/CVPR52688.2022.00811).

    Returns
    -------
    (n, 3, 3).
    """
    phi = np.sqrt(2.0)
    psi = 1.533751168755204288118041  # real root of psi**4 = psi + 4
    s = np.arange(n) + 0.5
    inner, outer = np.sqrt(s / n), np.sqrt(1.0 - s / n)
    alpha, beta = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    first, second = np.stack([np.sin(alpha), np.cos(alpha)]), np.stack([np.sin(beta), np.cos(beta)])
    return quaternion_to_matrix(np.concatenate([inner * first, outer * second]).T)


def angle_between(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """Angle in radians of the rotation that takes ``a`` to ``b``; (..., 3, 3) each, broadcast."""
    # half the Frobenius distance is sqrt(2) sin(angle/2): accurate at small angles, where arccos isn't
    distance = np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64), axis=(-2, -1))
    return np.asarray(2 * np.arcsin(np.clip(distance / np.sqrt(8), 0, 1)))
