"""Colours of samples and of spread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.style import Theme

FROM_PRIOR = "prior"
MEASURED, SUPPLIED = "#ccd5de", "#d55e00"
"""Ends of :data:`FROM_PRIOR`: grey was measured, orange supplied by the prior; seen on any ground."""

RAMP = "viridis"  # perceptually uniform, readable by colour-blind eyes and in grey print


def rgb(colour: str) -> tuple[float, float, float]:
    """#rrggbb to three numbers in [0, 1]."""
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def sample_colours(count: int, theme: Theme) -> NDArray[np.float32]:
    """(count, 4) RGBA: the theme's series, then lighter and darker rounds of it."""
    base = np.array([rgb(c) for c in theme.series], np.float32)
    colours = np.ones((count, 4), np.float32)
    for i in range(count):
        turn, colour = divmod(i, len(base))
        toward = 1.0 if turn % 2 else 0.0
        share = 0.0 if turn == 0 else min(0.6, 0.25 * ((turn + 1) // 2))
        colours[i, :3] = base[colour] * (1 - share) + toward * share
    return colours


@cache
def ramp(name: str = RAMP) -> NDArray[np.float32]:
    """(256, 4) RGBA of a ramp, low values first: :data:`RAMP`, or :data:`FROM_PRIOR`."""
    if name == FROM_PRIOR:
        ends = np.array([[*rgb(MEASURED), 1], [*rgb(SUPPLIED), 1]], np.float32)
        share = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
        return np.asarray((1 - share) * ends[0] + share * ends[1], np.float32)
    from pyqtgraph import colormap

    table = colormap.get(RAMP).getLookupTable(0.0, 1.0, 256, mode="float")
    table = np.asarray(table, np.float32)
    return np.concatenate([table, np.ones((256, 1), np.float32)], 1) if table.shape[1] == 3 else table


def value_colours(
    values: NDArray[np.floating], low: float, high: float, name: str = RAMP
) -> NDArray[np.float32]:
    """(..., 4) RGBA of values between ``low`` and ``high`` in the colours of a ramp."""
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    colours: NDArray[np.float32] = ramp(name)[np.clip(np.nan_to_num(scaled) * 255, 0, 255).astype(np.intp)]
    return colours


def value_range(values: NDArray[np.floating]) -> tuple[float, float]:
    """Ends of the colour bar: 0 to the 98th percentile, rounded up to two digits."""
    high = float(np.percentile(values, 98)) if values.size else 1.0
    if not np.isfinite(high) or high <= 0:
        return 0.0, 1.0
    step = 10.0 ** (np.floor(np.log10(high)) - 1)
    return 0.0, float(np.ceil(high / step) * step)


def ticks(low: float, high: float, count: int = 3) -> Sequence[float]:
    """Evenly spaced labels of a colour bar."""
    return [float(v) for v in np.linspace(low, high, count)]
