"""What a run says about each of its points: spread, stated error, share of the prior; and B-factors of these.

Files beside the ensemble, (points,) float32, in the order of its points. Any may be missing: a single sample
has no spread, an older run no error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy


@dataclass(frozen=True)
class Meaning:
    """What one kind of value is called where it is stored as B-factor.

    Attributes
    ----------
    words : for a list of choices.
    formula : what the B-factor is, in ASCII.
    low, high : what small and large values say, for a legend.
    """

    words: str
    formula: str
    low: str
    high: str


MEANINGS = {
    "spread": Meaning(
        "Spread between samples",
        "8 pi^2 / 3 * (RMS deviation in Angstrom)^2",
        "agree among the samples",
        "vary",
    ),
    "error": Meaning(
        "Stated error",
        "Radius in Angstrom, holds the truth with 90 % probability",
        "are stated to be within a short distance of the truth",
        "may be far off",
    ),
    "gauge": Meaning(
        "Share of the prior",
        "Per cent of the freedom that the evidence leaves to the prior",
        "are put where they are by the evidence",
        "by the prior alone",
    ),
}
"""The choices for B-factors, by name; the files are called ``NAME.npy``."""


@dataclass(frozen=True)
class PointValues:
    """Values per point, each (points,) or None where the run doesn't have them.

    Attributes
    ----------
    spread : RMS deviation across the samples, Å (:func:`engine.metrics.ensemble.spread`).
    error : radius that holds the truth with 90 % probability, Å (:mod:`engine.metrics.stated_error`).
    gauge : 0 where the evidence alone decides, 1 where the prior does (:mod:`engine.metrics.gauge`).
    """

    spread: NDArray[np.float64] | None = None
    error: NDArray[np.float64] | None = None
    gauge: NDArray[np.float64] | None = None

    @property
    def kinds(self) -> list[str]:
        """Which there are."""
        return [name for name in MEANINGS if self.of(name) is not None]

    def of(self, kind: str) -> NDArray[np.float64] | None:
        """Those of a kind named in :data:`MEANINGS`."""
        found: NDArray[np.float64] | None = getattr(self, kind)
        return found

    def checked(self, points: int, path: Path) -> PointValues:
        """The same, if every array fits.

        Raises
        ------
        ValueError
            If an array hasn't one value per point.
        InputError
            Naming ``path``, if values are negative or not finite.
        """
        for name in self.kinds:
            values = np.asarray(self.of(name))
            if values.shape != (points,):
                raise ValueError(f"{name} must have shape ({points},), not {values.shape}")
            if not np.isfinite(values).all() or (values < 0).any():
                raise InputError(
                    f"The {name} holds values that are not finite or negative.", "Compute it again.", path
                )
        return self

    def b_factors(self, kind: str, points: int) -> NDArray[np.float64]:
        """B-factors (points,) of a kind; zeros where the run doesn't have it and it is the spread.

        Raises
        ------
        InputError
            If there is no such kind, or the run doesn't have it.
        """
        if kind not in MEANINGS:
            raise InputError(f"B-factors can't hold '{kind}'.", f"Choose one of: {', '.join(MEANINGS)}.")
        values = self.of(kind)
        if values is None and kind == "spread":
            return np.zeros(points)
        if values is None:
            there = f"It has: {', '.join(self.kinds)}." if self.kinds else "It has none of the others either."
            raise InputError(
                f"The run holds no {MEANINGS[kind].words.lower()} of its points.",
                f"{there} Runs of two samples or more, with the shipped prior, write it: run it again.",
            )
        values = np.asarray(values, np.float64)
        return b_factor(values) if kind == "spread" else values * (100.0 if kind == "gauge" else 1.0)


def b_factor(spread_A: NDArray[np.floating]) -> NDArray[np.float64]:
    """B-factors (Å²) of an isotropic RMS deviation s in three dimensions: ``8 pi^2 / 3 s^2``."""
    return np.asarray(8.0 * np.pi**2 / 3.0 * np.asarray(spread_A, np.float64) ** 2)


def read_point_values(results: Path, points: int) -> PointValues:
    """What a results folder holds for so many points; what is missing, damaged or of others is left out."""
    found: dict[str, NDArray[np.float64]] = {}
    for name in MEANINGS:
        try:
            values = npy.read_array(results / f"{name}.npy")
        except (OSError, ValueError):
            continue
        if values.shape == (points,) and values.dtype.kind in "fiu" and bool(np.isfinite(values).all()):
            found[name] = values.astype(np.float64)
    return PointValues(**found)
