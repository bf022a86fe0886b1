"""Where each class average of a run stands in the motion, and its pose in the map of its own conformation.

``conformations.npz`` in a run's ``results`` folder holds ``latents`` (n, q), ``covariances`` (n, q, q),
``rotations`` (n, 3, 3) and ``shifts_px`` (n, 2) of the prepared images, in their order, and ``left_out``
(m, 2) of some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.npz_results import ADVICE, read_arrays, write_arrays

NAME = "conformations.npz"
_NAMES = ("latents", "covariances", "rotations", "shifts_px", "left_out")


@dataclass(frozen=True)
class Conformations:
    """Latents and poses of all prepared images.

    Attributes
    ----------
    latents : (n, q) float32, mean 0 and variance 1 over the images, along components of falling strength.
    covariances : (n, q, q) float32 of what a view leaves open.
    rotations : (n, 3, 3) float32, ``x_view = R @ x``.
    shifts_px : (n, 2) float32 xy, pixels of the prepared images.
    left_out : (m, 2) float32, correlation of some images with the map of their neighbours and with that of
        all images, both made without the image itself.
    """

    latents: NDArray[np.float32]
    covariances: NDArray[np.float32]
    rotations: NDArray[np.float32]
    shifts_px: NDArray[np.float32]
    left_out: NDArray[np.float32]

    def moves(self) -> bool:
        """Whether neighbours foretell an image better than all images do, by twice its standard error."""
        gain = self.left_out[:, 0].astype(np.float64) - self.left_out[:, 1]
        return bool(gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)))


def write_conformations(results: str | Path, found: Conformations) -> Path:
    """Write the file atomically; its path."""
    return write_arrays(
        Path(results) / NAME, {name: np.asarray(getattr(found, name), np.float32) for name in _NAMES}
    )


def read_conformations(results: str | Path, count: int) -> Conformations:
    """Read what :func:`write_conformations` wrote, for so many images.

    Raises
    ------
    InputError
        If the file is missing or damaged, or belongs to other images.
    """
    path = Path(results) / NAME
    arrays = read_arrays(path, "file of conformations", _NAMES)
    latents = arrays["latents"]
    components = latents.shape[-1] if latents.ndim == 2 else 0
    tried = max(2, len(arrays["left_out"])) if arrays["left_out"].ndim else 0
    shapes = {
        "latents": (count, components), "covariances": (count, components, components),
        "rotations": (count, 3, 3), "shifts_px": (count, 2), "left_out": (tried, 2),
    }  # fmt: skip
    fits = components > 0 and all(
        arrays[name].shape == shape
        and arrays[name].dtype.kind == "f"
        and bool(np.isfinite(arrays[name].astype(np.float64)).all())
        for name, shape in shapes.items()
    )
    if not fits:
        raise InputError(f"The conformations don't fit {count} class averages.", ADVICE, path)
    return Conformations(**{name: arrays[name].astype(np.float32) for name in shapes})
