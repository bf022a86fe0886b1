"""All prepared class averages on one page, with what was found out about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from engine.conventions import image_centre

MOST_SHOWN = 400
_JUNK, _REPEAT, _MASK = "#d55e00", "#0072b2", "#56b4e9"  # Okabe & Ito
_CELL_IN = 1.25


def contact_sheet(images: NDArray[np.float32], record: Mapping[str, Any], title: str) -> Figure:
    """A page of thumbnails.

    Each is labelled with its number in the file, its score and, where known, its particles (or its
    share of them). Junk has an orange frame, the repeat of a view a blue one with the number of the
    image that it repeats. The circle is the mask.

    Parameters
    ----------
    images : (n, box, box) prepared images; at most 400 are drawn.
    record : from :func:`engine.io.averages.averages_record`.
    title : above everything.
    """
    entries = record["images"][:MOST_SHOWN]
    shown = len(entries)
    columns = int(np.clip(np.ceil(np.sqrt(1.6 * shown)), 4, 20))
    rows = -(-shown // columns)
    head_in = 0.75
    width, height = columns * _CELL_IN + 0.2, rows * (_CELL_IN + 0.22) + head_in
    figure = Figure(figsize=(width, height))
    top = 1 - head_in / height
    grid = figure.add_gridspec(
        rows, columns, left=0.1 / width, right=1 - 0.1 / width, bottom=0.05 / height, top=top,
        wspace=0.06, hspace=0.24,
    )  # fmt: skip
    more = f"   (first {shown} of {len(images)})" if shown < len(images) else ""
    figure.text(0.1 / width, 1 - 0.08 / height, title + more, va="top", fontsize=10, weight="bold")
    figure.text(0.1 / width, 1 - 0.27 / height, _legend(entries), va="top", fontsize=8)
    middle = image_centre(images.shape[-1])
    counts = [e["count"] for e in entries if e["count"] is not None]
    shares = bool(counts) and sum(counts) <= 1.5
    for k, entry in enumerate(entries):
        axes = figure.add_subplot(grid[k // columns, k % columns])
        low, high = np.percentile(images[k], (0.5, 99.8))
        axes.imshow(images[k], cmap="gray", origin="lower", vmin=low, vmax=max(high, low + 1e-6))
        axes.add_patch(
            Circle((middle, middle), record["mask_radius_px"], fill=False, ec=_MASK, lw=0.5, alpha=0.7)
        )
        axes.set(xticks=[], yticks=[])
        colour, mark = "black", ""
        if entry["junk"]:
            colour, mark = _JUNK, " junk"
        elif entry["duplicate_of"] is not None:
            colour, mark = _REPEAT, f" = {entry['duplicate_of']}"
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=0.5 if colour == "black" else 2.2)
        axes.set_title(f"{entry['row']}{mark}", loc="left", fontsize=7, pad=2, color=colour, weight="bold")
        axes.set_title(_right(entry, shares), loc="right", fontsize=6, pad=2)
    return figure


def _legend(entries: list[Mapping[str, Any]]) -> str:
    junk = sum(bool(e["junk"]) for e in entries)
    repeats = sum(e["duplicate_of"] is not None for e in entries)
    known = any(e["count"] is not None for e in entries)
    return (
        f"Bold: number in the file. Right: {'particles, ' if known else ''}score. Circle: mask.\n"
        f"Orange: junk ({junk}). Blue: the same view as another, = its number ({repeats})."
    )


def _right(entry: Mapping[str, Any], shares: bool) -> str:
    score = f"{entry['score']:.2f}"
    if entry["count"] is None:
        return score
    return f"{100 * entry['count']:.2g} %  {score}" if shares else f"{entry['count']:,.0f}  {score}"
