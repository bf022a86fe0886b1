"""What the colours of points mean: a number with a colour bar, or a name with a legend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.style import Theme
from app.viewers.colours import rgb, sample_colours, value_colours

NO_CHAIN = -1
MOST_NAMED = 7  # kinds that colour-blind eyes can still tell apart


@dataclass(frozen=True)
class Numbers:
    """A number for each point.

    Attributes
    ----------
    values : (n, points).
    ends : of the colour bar.
    title : with the unit.
    """

    values: NDArray[np.floating]
    ends: tuple[float, float]
    title: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, points)."""
        return self.values.shape

    def colours(self, chosen: NDArray[np.intp], keep: NDArray[np.intp], theme: Theme) -> NDArray[np.float32]:
        """(len(chosen) * len(keep), 4) RGBA of these points of these samples."""
        return value_colours(self.values[np.ix_(chosen, keep)], *self.ends).reshape(-1, 4)

    def overlay(self, theme: Theme) -> dict[str, object]:
        """What the overlay shows besides."""
        return {"colour_range": self.ends, "colour_title": self.title, "legend": (), "legend_title": ""}


@dataclass(frozen=True)
class Names:
    """A name for each point.

    Attributes
    ----------
    index : (n, points) into ``names``; :data:`NO_CHAIN` for none.
    names : most frequent first, so that the best colours go to them.
    title : of the legend.
    none : what a point without a name is called.
    """

    index: NDArray[np.integer]
    names: tuple[str, ...]
    title: str
    none: str = "None"

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, points)."""
        return self.index.shape

    def table(self, theme: Theme) -> NDArray[np.float32]:
        """(names + 1, 4) RGBA; the last row is for points without a name."""
        grey = np.array([[*rgb(theme.muted), 1.0]], np.float32)
        return np.concatenate([sample_colours(len(self.names), theme), grey])

    def colours(self, chosen: NDArray[np.intp], keep: NDArray[np.intp], theme: Theme) -> NDArray[np.float32]:
        """(len(chosen) * len(keep), 4) RGBA of these points of these samples."""
        found: NDArray[np.float32] = self.table(theme)[self.index[np.ix_(chosen, keep)]].reshape(-1, 4)
        return found

    def overlay(self, theme: Theme) -> dict[str, object]:
        """What the overlay shows besides."""
        entries = [*zip(self.names, self.table(theme), strict=False)]
        if (self.index == NO_CHAIN).any():
            entries.append((self.none, self.table(theme)[-1]))
        legend = tuple((name, hexadecimal(row)) for name, row in entries)
        return {"colour_range": None, "legend": legend, "legend_title": self.title}


Paint = Numbers | Names


def hexadecimal(row: NDArray[np.floating]) -> str:
    """#rrggbb of a colour."""
    return "#" + "".join(f"{round(float(c) * 255):02x}" for c in row[:3])
