"""Parameters of motion read off a reconstructed map: which conformation of the phantom fits it best?

The map is brought onto a few key conformations; from the best fit it is compared with every conformation
of a grid, brought onto the winner, and compared once more; a parabola through the neighbours gives
parameters between the grid's. Nothing of the truth enters. The box is the same with its two sides
exchanged, so its angles are reported as the smaller and the larger one, true and found alike.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from engine.metrics.volumes import soft_sphere
from engine.numerics.fourier_sampling import fourier_resample
from engine.numerics.volume_alignment import align, apply_alignment
from engine.phantoms.box import WIDEST_DEG
from engine.pipelines.simulate_phantom import Phantom, phantom_volume

Array = NDArray[np.float64]
WORK_SIZE = 40


class MotionFit:
    """All conformations of a phantom on a grid of its parameters.

    Parameters
    ----------
    phantom : ``box`` or ``capsid``.
    size : box of the maps that will be fitted.
    """

    def __init__(self, phantom: Phantom, size: int) -> None:
        self.phantom, self.size = phantom, size
        self.axes = [np.linspace(0, WIDEST_DEG, 13)] * 2 if phantom == "box" else [np.linspace(0, 1, 25)]
        self.work = min(size, WORK_SIZE)
        self.mask = soft_sphere(self.work)
        shape = [len(a) for a in self.axes]
        self.templates = np.stack(
            [self._vector(phantom_volume(phantom, np.array(p), size)) for p in product(*self.axes)]
        ).reshape(*shape, -1)
        spread = (0, 6, 12) if phantom == "box" else (0, 8, 16, 24)
        self.keys = [k for k in product(*[spread] * len(shape)) if list(k) == sorted(k)]

    def __call__(self, density: NDArray[np.float32]) -> tuple[Array, float]:
        """Parameters (ordered for the box) and the correlation with the best conformation."""
        fits = [align(density, self._density(k), work_size=32) for k in self.keys]
        best = max(range(len(fits)), key=lambda i: fits[i].score)
        scores = self._scores(apply_alignment(density, fits[best]))
        peak = np.unravel_index(int(scores.argmax()), scores.shape)
        again = self._scores(apply_alignment(density, align(density, self._density(peak))))
        if again.max() > scores.max():
            scores, peak = again, np.unravel_index(int(again.argmax()), again.shape)
        found = np.array([_between(scores, peak, axis, self.axes[axis]) for axis in range(scores.ndim)])
        return np.sort(found), float(scores.max())

    def _density(self, place: tuple[np.intp, ...] | tuple[int, ...]) -> NDArray[np.float32]:
        parameters = np.array([axis[i] for axis, i in zip(self.axes, place, strict=True)])
        return phantom_volume(self.phantom, parameters, self.size)

    def _vector(self, density: NDArray[np.float32]) -> NDArray[np.float32]:
        small = fourier_resample(density, self.work)
        small = self.mask * (small - (self.mask * small).sum() / self.mask.sum())
        return (small / max(float(np.linalg.norm(small)), 1e-12)).ravel()

    def _scores(self, density: NDArray[np.float32]) -> Array:
        return np.asarray(self.templates @ self._vector(density), np.float64)


def _between(scores: Array, peak: tuple[np.intp, ...], axis: int, values: Array) -> float:
    i = int(peak[axis])
    line = np.moveaxis(scores, axis, -1)[tuple(p for k, p in enumerate(peak) if k != axis)]
    if not 0 < i < len(line) - 1:
        return float(values[i])
    left, middle, right = line[i - 1 : i + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(values[i] + np.clip(shift, -0.5, 0.5) * (values[1] - values[0]))


def motion_report(names: tuple[str, ...], true: Array, found: Array) -> dict[str, object]:
    """Correlation and mean error of each parameter, true (n, p) against found (n, p)."""
    true = np.sort(true, axis=1)
    labels = ("smaller lid angle, °", "larger lid angle, °") if len(names) == 2 else ("arm opening s",)
    return {
        label: {
            "correlation": _pearson(true[:, k], found[:, k]),
            "mean_absolute_error": float(np.abs(true[:, k] - found[:, k]).mean()),
            "true": true[:, k].tolist(),
            "found": found[:, k].tolist(),
        }
        for k, label in enumerate(labels)
    }


def _pearson(a: Array, b: Array) -> float | None:
    if len(a) < 3 or not a.std() > 0 or not b.std() > 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])
