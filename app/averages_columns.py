"""Numbers about each class average by which the gallery sorts, and that it writes below the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NUMBER = "number"
"""The key of the order in the file."""

_KNOWN = {
    # name in the file: title, unit, whether large values are good
    "rlnClassDistribution": ("Share of the particles", "%", True),
    "rlnAccuracyRotations": ("Accuracy of rotations", "°", False),
    "rlnAccuracyTranslationsAngst": ("Accuracy of shifts", "Å", False),
    "rlnAccuracyTranslations": ("Accuracy of shifts", "px", False),
    "rlnOverallFourierCompleteness": ("Fourier completeness", "%", True),
    "rlnPredictedClassScore": ("Predicted class score", "", True),
    "rlnClassScore": ("Class score", "", True),
    "rlnMaxValueProbDistribution": ("Probability of the pose", "", True),
    "rlnLogLikeliContribution": ("Log-likelihood", "", True),
    "rlnNrOfSignificantSamples": ("Significant samples", "", False),
    "rlnCtfMaxResolution": ("CTF resolution", "Å", False),
    "rlnCtfFigureOfMerit": ("CTF figure of merit", "", True),
    "rlnDefocusU": ("Defocus", "Å", False),
    "blob/res_A": ("Resolution", "Å", False),
    "alignments2D/cross_cor": ("2D correlation", "", True),
    "alignments2D/error": ("2D error", "", False),
    "alignments2D/class_ess": ("Effective classes", "", False),
    "alignments3D/cross_cor": ("3D correlation", "", True),
    "alignments3D/error": ("3D error", "", False),
    "alignments3D/alpha": ("Scale", "", True),
    "ctf/df1_A": ("Defocus", "Å", False),
}
_HIDDEN = ("rlnAngle", "rlnOrigin", "rlnCoordinate", "rlnOptics", "rlnGroup", "rlnRandom", "rlnMicrograph")
_ALREADY = ("rlnParticleNr", "rlnEstimatedResolution", "blob/res_A", "blob/idx")


@dataclass(frozen=True)
class Column:
    """One number per image.

    Attributes
    ----------
    key : unique.
    title : for people, begins with a capital.
    values : (n,) NaN where nothing is known.
    unit : ``Å``, ``°``, ``%`` (values are shares then), ``particles`` or empty.
    high_first : whether large values come first unless the user says otherwise.
    """

    key: str
    title: str
    values: Values
    unit: str = ""
    high_first: bool = True

    @property
    def unknown(self) -> int:
        """How many images have no value."""
        return int(np.count_nonzero(~np.isfinite(self.values)))

    def text(self, image: int, *, long: bool = False) -> str:
        """The value of one image, with its unit; empty where it isn't known."""
        value = float(self.values[image])
        if not np.isfinite(value):
            return f"{self.title.lower()} unknown" if long else ""
        if self.unit == "particles":
            return f"{value:,.0f} particles" if long else f"{value:,.0f}"
        if self.unit == "%":
            shown = f"{100 * value:.3g} %"
        else:
            number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
            shown = f"{number} {self.unit}".strip()
        return f"{self.title.lower()} {shown}" if long and self.key != "resolution" else shown

    def order(self, *, descending: bool) -> NDArray[np.intp]:
        """Images sorted by it, equal ones as in the file; those without a value are last either way."""
        keys = -self.values if descending else self.values
        return np.argsort(np.where(np.isfinite(keys), keys, np.inf), kind="stable")


def of_averages(
    counts: NDArray[np.floating] | None,
    resolutions_A: NDArray[np.floating] | None,
    others: Mapping[str, NDArray[np.floating]] | None = None,
) -> tuple[Column, ...]:
    """The columns of a set of class averages.

    Parameters
    ----------
    counts : (n,) particles, or their shares where their sum is 1.
    resolutions_A : (n,).
    others : (n,) by the file's own name.
    """
    found = []
    others = dict(others or {})
    if counts is not None:
        shares = counts.sum() <= 1.5
        unit = "%" if shares else "particles"
        found.append(Column("particles", "Particles", np.asarray(counts, float), unit))
        if shares:
            others.pop("rlnClassDistribution", None)
    if resolutions_A is not None:
        found.append(Column("resolution", "Resolution", _finite(resolutions_A), "Å", high_first=False))
    for name, values in others.items():
        if name in _ALREADY or name.startswith(_HIDDEN):
            continue
        title, unit, high = _KNOWN.get(name, (_title(name), "", True))
        found.append(Column(name, title, _finite(values), unit, high_first=high))
    return tuple(found)


def _finite(values: NDArray[np.floating]) -> Values:
    found = np.asarray(values, np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _title(name: str) -> str:
    bare = name.removeprefix("rln")
    return bare[:1].upper() + bare[1:]
