"""The axis of all plots. Apart from them, since it needs pyqtgraph at once."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg


class PlainLogAxis(pg.AxisItem):  # type: ignore[misc]
    """A logarithmic axis with plain numbers at 1, 2 and 5 times powers of ten.

    Attributes
    ----------
    whole : only whole numbers, as of things that are counted.
    """

    whole = False

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:
        """Distances of ticks and where they begin."""
        spacing: list[tuple[float, float]] = super().tickSpacing(minVal, maxVal, size)
        return ([s for s in spacing if s[0] >= 1] or [(1.0, 0.0)]) if self.whole else spacing

    def logTickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        """0.2 rather than 2·10⁻¹; nothing where numbers would run into each other."""
        crowded = abs(self.range[1] - self.range[0]) > 0.7
        return [_plain(10.0**value, crowded=crowded) for value in values]


def _plain(value: float, *, crowded: bool) -> str:
    mantissa = value / 10 ** np.floor(np.log10(value) + 1e-9)
    if crowded and not any(abs(mantissa - m) < 0.01 for m in (1, 2, 5)):
        return ""
    return f"{value:.3g}" if value < 1e4 else f"{value:.0e}"
