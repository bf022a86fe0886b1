"""Which part of a map was measured, shell by shell, ready to be shown. Plain numpy.

Files may be damaged or of another version: what doesn't fit is left out, and nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_SHARE = 1e-3  # of a shell, for its correlation to mean something


@dataclass(frozen=True, eq=False)
class FourierCoverage:
    """Shares of the shells of Fourier space, from low to high frequency.

    Attributes
    ----------
    frequency_per_A : (n,) of the shells, rising, above 0.
    measured : (n,) share of each shell that lies within reach of a view.
    supplied_power : (n,) share of the map's own power in each shell that lies where nothing was measured.
    fsc : by name, (n,) correlations with the reference; NaN where unknown.
    views, symmetry, sentence : as the run tells them.
    """

    frequency_per_A: Array
    measured: Array
    supplied_power: Array
    fsc: dict[str, Array] = field(default_factory=dict)
    views: int = 0
    symmetry: str = "C1"
    sentence: str = ""

    def half_measured_A(self) -> float:
        """The resolution, Å, up to which at least half of every shell was measured; infinite for nowhere."""
        short = np.flatnonzero(~(self.measured >= 0.5))
        if not len(short):
            return float(1 / self.frequency_per_A[-1])
        return float(1 / self.frequency_per_A[short[0] - 1]) if short[0] else float("inf")


FSC_NAMES = {
    "fsc_truth_measured": "FSC, reference, where measured",
    "fsc_truth_unmeasured": "FSC, reference, elsewhere",
}


def coverage_of(content: Mapping[str, Any]) -> FourierCoverage | None:
    """What ``fourier_coverage.json`` says; None if it can't be used."""
    frequency, measured = _numbers(content.get("frequency_per_A")), _numbers(content.get("measured"))
    supplied = _numbers(content.get("supplied_power"))
    if not len(frequency) or not len(frequency) == len(measured) == len(supplied):
        return None
    keep = np.isfinite(frequency) & (frequency > 0)
    if not keep.any():
        return None
    fsc = {}
    for (key, name), share in zip(FSC_NAMES.items(), (measured, 1 - measured), strict=True):
        values = _numbers(content.get(key))
        if len(values) != len(frequency):
            continue
        values = np.where(share > LEAST_SHARE, values, np.nan)  # of next to nothing it says nothing
        if np.isfinite(values[keep]).any():
            fsc[name] = values[keep]
    views = content.get("views")
    return FourierCoverage(
        frequency[keep],
        np.clip(measured[keep], 0, 1),
        np.clip(supplied[keep], 0, 1),
        fsc,
        views if type(views) is int and views > 0 else 0,
        str(content.get("symmetry") or "C1"),
        str(content.get("sentence") or ""),
    )


def words_of(found: FourierCoverage) -> str:
    """The same in words, for those who see no curves."""
    if found.sentence:
        return found.sentence
    half = found.half_measured_A()
    if not np.isfinite(half):
        return "No shell of Fourier space was measured by half."
    return f"At least half of each shell of Fourier space was measured down to {half:.3g} Å."


def _numbers(values: Any) -> Array:
    if not isinstance(values, list):
        return np.zeros(0)
    return np.array([v if isinstance(v, int | float) and v is not True else np.nan for v in values], float)
