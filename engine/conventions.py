"""The one place where other programs' conventions become Verglas's.

Inside Verglas ``x_view = R @ x`` with column vectors, the projection runs along z and keeps
(x, y), volumes are indexed zyx, and the origin of a box of n voxels is voxel ``n // 2`` along
every axis, for odd and for even n (as after ``fftshift``). Readers and writers in ``engine.io``
call this module; nothing else needs to know what a file meant.

RELION
    ``rlnAngleRot, rlnAngleTilt, rlnAnglePsi`` (degrees, intrinsic ZYZ) make the matrix that
    RELION calls A, which takes object to view coordinates: ``R = Rz(-psi) Ry(-tilt) Rz(-rot)``
    with right-handed active Rz, Ry. The third row of R, the viewing direction in the object's
    coordinates, is ``(sin tilt cos rot, sin tilt sin rot, cos tilt)``. ``rlnOriginX/Y`` is the
    shift that brings the particle to the centre, so the object sits at *minus* the origin.
    In an odd box RELION's images have their origin one pixel later than everybody's, maps don't:
    see :func:`relion_image_centre`.
cryoSPARC
    ``alignments3D/pose`` is the rotation vector of ``R`` transposed; ``alignments3D/shift`` has
    RELION's sign, in pixels of ``alignments3D/psize_A``.
EMAN2
    ``az, alt, phi`` (degrees, intrinsic ZXZ): ``rot = az - 90``, ``tilt = alt``,
    ``psi = phi + 90``.
MRC
    A non-zero ``origin`` (Å) wins over ``nstart`` (voxels). ISPG 0 means a stack of images, 1 a
    volume, 401 a stack of volumes, but many writers put 0 everywhere.
Contrast
    Density positive inside (``white``). Raw micrographs show protein dark (``black``).

References
----------
Heymann, Chagoyen & Belnap, J. Struct. Biol. 151, 196 (2005), common conventions; Cheng et al.,
J. Struct. Biol. 192, 146 (2015), MRC2014. The RELION matrix is checked against projections that
RELION made by ``tests/benchmarks/conventions.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
# numpy's own ArrayLike leaves plain ints out when it is checked at run time.
Numbers: TypeAlias = NDArray[Any] | Sequence[Any] | float | int | np.number[Any]

ISPG_IMAGE_STACK = 0
ISPG_VOLUME = 1
ISPG_VOLUME_STACK = 401

CONTRAST_SIGN = {"white": 1.0, "black": -1.0}
"""What to multiply images by so that density is positive."""

GIMBAL_SINE = 1e-7
"""Below this sine of the tilt, rot and psi turn about the same axis."""


def image_centre(n: int) -> int:
    """Index of the origin along an axis of ``n`` pixels or voxels: ``n // 2``, odd or even."""
    return n // 2


def relion_image_centre(n: int) -> int:
    """Index where RELION puts the origin of an *image* of ``n`` pixels: ``n - n // 2``.

    Even boxes: the same as :func:`image_centre`. Odd boxes: one pixel more, in x and in y.
    RELION turns its maps in boxes padded to an even size, where nothing is lost, but brings the
    finished image back to the centre by moving every pixel by ``-(n // 2)`` cyclically
    (``CenterFFT(img, false)``, numpy's ``ifftshift``), which sends index 0 to ``n - n // 2``. For
    odd n the way back would be ``fftshift``. Projections of ``relion_project`` therefore appear at
    ``shifts_A = (1 pixel, 1 pixel)`` in an odd box although their rlnOriginX/Y is 0.
    ``relion_refine`` accepts even boxes only, so nothing but synthetic images shows it.
    """
    return n - n // 2


def centred_coordinates(n: int, spacing: float = 1.0) -> Array:
    """Coordinates (n,) of the pixels along one axis, zero at :func:`image_centre`."""
    return np.asarray((np.arange(n) - image_centre(n)) * float(spacing), np.float64)


def volume_origin_A(shape: tuple[int, int, int], voxel_size_A: Numbers) -> tuple[float, float, float]:
    """Origin that puts the object's (0, 0, 0) on the box's centre voxel.

    Parameters
    ----------
    shape : (nz, ny, nx).
    voxel_size_A : Å, one number or xyz.

    Returns
    -------
    tuple
        xyz, Å, of voxel [0, 0, 0].
    """
    size = np.broadcast_to(np.asarray(voxel_size_A, float), (3,))
    x, y, z = (-image_centre(n) * s for n, s in zip(shape[::-1], size, strict=True))
    return float(x), float(y), float(z)


def relion_to_rotation(rot: Numbers, tilt: Numbers, psi: Numbers) -> Array:
    """RELION Euler angles to rotation matrices.

    Parameters
    ----------
    rot, tilt, psi : (...) degrees, broadcast against each other.

    Returns
    -------
    Array
        (..., 3, 3) with ``x_view = R @ x``.
    """
    angles = np.stack(np.broadcast_arrays(*(np.asarray(a, float) for a in (rot, tilt, psi))), axis=-1)
    ca, cb, cg = np.moveaxis(np.cos(np.deg2rad(angles)), -1, 0)
    sa, sb, sg = np.moveaxis(np.sin(np.deg2rad(angles)), -1, 0)
    rows = (
        (cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb),
        (-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb),
        (sb * ca, sb * sa, cb),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_to_relion(rotations: Numbers) -> Array:
    """Rotation matrices to RELION Euler angles.

    Where the tilt is 0° or 180° only the sum or difference of rot and psi is defined; rot is then
    0, as RELION writes it.

    Parameters
    ----------
    rotations : (..., 3, 3).

    Returns
    -------
    Array
        (..., 3) rot, tilt, psi in degrees; tilt in [0, 180], the others in (-180, 180].
    """
    r = np.asarray(rotations, float)
    sine = np.hypot(r[..., 2, 0], r[..., 2, 1])
    locked = sine < GIMBAL_SINE
    tilt = np.arctan2(sine, r[..., 2, 2])
    rot = np.where(locked, 0.0, np.arctan2(r[..., 2, 1], r[..., 2, 0]))
    # psi from what is left once rot is undone: exact at any tilt, where reading it off the third
    # column would turn rounding errors near the poles into a random in-plane angle.
    c, s = np.cos(rot), np.sin(rot)
    psi = np.arctan2(r[..., 0, 1] * c - r[..., 0, 0] * s, r[..., 1, 1] * c - r[..., 1, 0] * s)
    degrees: Array = np.rad2deg(np.stack([rot, tilt, psi], axis=-1))
    return np.asarray(np.where(degrees <= -180.0, degrees + 360.0, degrees) + 0.0)


def cryosparc_to_rotation(pose: Numbers) -> Array:
    """``alignments3D/pose`` rotation vectors (..., 3), radians, to matrices (..., 3, 3)."""
    from scipy.spatial.transform import Rotation  # heavy: the window starts without it

    vectors = np.asarray(pose, float)
    matrices: Array = Rotation.from_rotvec(-vectors.reshape(-1, 3)).as_matrix()
    return matrices.reshape(*vectors.shape[:-1], 3, 3)


def rotation_to_cryosparc(rotations: Numbers) -> Array:
    """Matrices (..., 3, 3) to ``alignments3D/pose`` rotation vectors (..., 3), radians."""
    from scipy.spatial.transform import Rotation

    matrices = np.asarray(rotations, float)
    vectors: Array = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return -vectors.reshape(*matrices.shape[:-2], 3)


def eman_to_rotation(az: Numbers, alt: Numbers, phi: Numbers) -> Array:
    """EMAN2 ``az, alt, phi`` in degrees to matrices (..., 3, 3)."""
    return relion_to_rotation(np.asarray(az, float) - 90.0, alt, np.asarray(phi, float) + 90.0)


def rotation_to_eman(rotations: Numbers) -> Array:
    """Matrices (..., 3, 3) to EMAN2 ``az, alt, phi`` (..., 3) in degrees, az and phi in [0, 360)."""
    rot, tilt, psi = np.moveaxis(rotation_to_relion(rotations), -1, 0)
    return np.stack([(rot + 90.0) % 360.0, tilt, (psi - 90.0) % 360.0], axis=-1)


def relion_origin_to_shift_A(origin: Numbers, unit_A: float = 1.0) -> Array:
    """``rlnOriginX/Y`` to :attr:`engine.types.Poses.shifts_A`.

    Parameters
    ----------
    origin : (..., 2) xy, the shift that RELION applies to the image to centre the particle.
    unit_A : Å per unit: 1 for ``rlnOriginXAngst``, the pixel size for ``rlnOriginX`` and for
        cryoSPARC's ``alignments3D/shift`` (``alignments3D/psize_A``).

    Returns
    -------
    Array
        (..., 2) xy, Å: where the object's origin appears, relative to the image centre.
    """
    return -np.asarray(origin, float) * float(unit_A) + 0.0


def shift_A_to_relion_origin(shifts_A: Numbers, unit_A: float = 1.0) -> Array:
    """Inverse of :func:`relion_origin_to_shift_A`."""
    return -np.asarray(shifts_A, float) / float(unit_A) + 0.0


def mrc_origin_A(
    nstart: Numbers, origin: Numbers, voxel_size_A: Numbers
) -> tuple[tuple[float, float, float], str]:
    """Where voxel [0, 0, 0] of an MRC map lies.

    Parameters
    ----------
    nstart : (3,) xyz, voxels (already in xyz order, not column/row/section).
    origin : (3,) xyz, Å.
    voxel_size_A : Å, one number or xyz.

    Returns
    -------
    tuple
        ``(origin_A xyz, source)`` with source ``origin``, ``nstart`` or ``zero``. A non-zero,
        finite ``origin`` wins, as in ChimeraX; nstart is what CCP4 programs write.
    """
    position = np.asarray(origin, float)
    start = np.asarray(nstart, float)
    if np.isfinite(position).all() and np.any(position != 0.0):
        source = "origin"
    elif np.any(start != 0.0):
        position, source = start * np.asarray(voxel_size_A, float), "nstart"
    else:
        position, source = np.zeros(3), "zero"
    x, y, z = (float(p) for p in position)
    return (x, y, z), source
