"""Files of many point clouds, from which priors are trained and on which samplers are measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy

_FORMAT_ADVICE = "A file of clouds is an npz with an array `points` of shape (clouds, points, 3) in [-1, 1]³."
_LARGEST_BYTES = 64 << 30


@dataclass(frozen=True)
class CloudSet:
    """Normalised clouds of equal size.

    Attributes
    ----------
    points : (clouds, points, 3), centred, largest absolute coordinate about 1; as stored (float16).
    names : (clouds,) entry names.
    scale_A : (clouds,) Å per normalised unit; 1 where the file doesn't say.
    """

    points: NDArray[np.floating]
    names: tuple[str, ...]
    scale_A: NDArray[np.floating]


def read_clouds(path: str | Path) -> CloudSet:
    """Read a file of clouds; ``points`` is required, ``name`` and ``scale_A`` are optional.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds no clouds, or clouds that are not finite or not
        normalised.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("There is no such file.", _FORMAT_ADVICE, path)
    try:
        npy.check_expansion(path, _FORMAT_ADVICE, _LARGEST_BYTES)
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays = {k: npy.member(archive, k) for k in ("points", "name", "scale_A") if k in archive}
    except InputError:
        raise
    except npy.DAMAGE as exc:
        raise InputError("The file can't be read as npz.", _FORMAT_ADVICE, path) from exc
    points = arrays.get("points")
    if points is None or points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind != "f":
        raise InputError("The file holds no clouds.", _FORMAT_ADVICE, path)
    if points.shape[0] < 1 or points.shape[1] < 16:
        raise InputError("The file holds no cloud of at least 16 points.", _FORMAT_ADVICE, path)
    largest = float(np.abs(points).max())
    if not np.isfinite(largest):
        raise InputError("Some points are not finite numbers.", "Remove or rebuild those clouds.", path)
    if largest > 3:
        raise InputError(
            f"The clouds are not normalised: the largest coordinate is {largest:.3g}.",
            "Centre each cloud and divide it by its largest absolute coordinate.",
            path,
        )
    count = len(points)
    names = arrays.get("name")
    scale = arrays.get("scale_A")
    if (names is not None and names.shape != (count,)) or (scale is not None and scale.shape != (count,)):
        raise InputError("`name` or `scale_A` does not have one entry per cloud.", _FORMAT_ADVICE, path)
    if scale is not None and (scale.dtype.kind not in "fiu" or not np.isfinite(scale).all()):
        raise InputError("`scale_A` holds no finite numbers.", _FORMAT_ADVICE, path)
    try:
        called = npy.texts(names) if names is not None else tuple(f"cloud {i + 1}" for i in range(count))
    except ValueError as exc:
        raise InputError(f"`name` is damaged: {exc}.", _FORMAT_ADVICE, path) from exc
    return CloudSet(
        points,
        called,
        np.asarray(scale, dtype=np.float64) if scale is not None else np.ones(count),
    )
