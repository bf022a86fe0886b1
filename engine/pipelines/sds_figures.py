"""Pictures of score distillation's results, for the demo and for reports; arrays in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from engine.conventions import image_centre

Array = NDArray[np.floating]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe & Ito
_MOST_COLUMNS = 10
THRESHOLDS = (0.5, 0.143)


def averages_figure(
    averages: Array,
    projections: Array,
    pixel_size_A: float,
    *,
    which: Sequence[int] | None = None,
    correlations: Sequence[float] | None = None,
) -> Figure:
    """Class averages, the map's projections at their poses, and what is left between them.

    Parameters
    ----------
    averages, projections : (n, y, x) in the same order; projections are scaled to fit.
    which : rows to show, counted from 0; None spreads ten over all.
    correlations : (n,) of each average with its projection; None leaves them out.
    """
    rows = _spread(len(averages)) if which is None else list(which)
    figure = Figure(figsize=(1.25 * len(rows) + 1.3, 4.6), layout="constrained")
    axes = figure.subplots(3, len(rows), squeeze=False)
    drawn: Any = None
    for column, row in enumerate(rows):
        average, projection = averages[row].astype(float), projections[row].astype(float)
        fitted = projection * float((average * projection).sum() / max(float((projection**2).sum()), 1e-300))
        reach = float(np.percentile(np.abs(average), 99.5)) or 1.0
        for k, image in enumerate((average, fitted, average - fitted)):
            ax = axes[k, column]
            colours: dict[str, Any] = (
                {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
                if k == 2
                else {"cmap": "gray", "vmin": min(float(average.min()), 0.0), "vmax": reach}
            )
            drawn = ax.imshow(image, origin="lower", **colours)
            ax.set(xticks=[], yticks=[])
        title = f"{row + 1}"
        if correlations is not None and np.isfinite(correlations[row]):
            title += f"\nr = {correlations[row]:.2f}"
        axes[0, column].set_title(title, fontsize=9)
    for k, name in enumerate(("class\naverage", "projection\nof the map", "difference")):
        axes[k, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    box = averages.shape[-1]
    axes[2, 0].set_xlabel(f"{box * pixel_size_A:.0f} Å", fontsize=9)
    figure.colorbar(drawn, ax=axes[2, :], ticks=[-reach, 0, reach], format="%.1f", shrink=0.8, pad=0.01)
    return figure


def map_figure(density: Array, voxel_size_A: float, *, level: float | None = None, title: str = "") -> Figure:
    """A map's projections along its three axes (top) and its central slices (bottom), with one contour.

    Parameters
    ----------
    density : (z, y, x).
    level : density of the contour that is drawn in the slices; None draws none.
    """
    figure = Figure(figsize=(9.4, 6.3), layout="constrained")
    axes = figure.subplots(2, 3)
    middle = [image_centre(n) for n in density.shape]
    # view along axis 0, 1, 2 of the array: z, y, x; what is left keeps its order (rows, columns)
    views = (("z", "x", "y", 0), ("y", "x", "z", 1), ("x", "y", "z", 2))
    low, high = float(np.percentile(density, 1)), float(density.max())
    for column, (along, across, up, axis) in enumerate(views):
        slice_ = np.take(density, middle[axis], axis=axis)
        extent = _extent(slice_.shape, voxel_size_A)
        for ax, picture, name in (
            (axes[0, column], density.sum(axis), f"projection along {along}"),
            (axes[1, column], slice_, f"slice {along} = 0"),
        ):
            colours = {"vmin": low, "vmax": high} if ax is axes[1, column] else {}
            drawn = ax.imshow(picture, origin="lower", extent=extent, cmap="gray", **colours)
            ax.set_title(name, fontsize=10)
            ax.set(xlabel=f"{across} (Å)", ylabel=f"{up} (Å)")
        if level is not None and slice_.min() < level < slice_.max():
            axes[1, column].contour(
                slice_, levels=[level], colors=_COLOURS[1], linewidths=1.0, extent=extent, origin="lower"
            )
    label = "density" if level is None else f"density; contour at {level:.3g}"
    figure.colorbar(drawn, ax=axes[1, :], label=label, pad=0.01)
    if title:
        figure.suptitle(title)
    return figure


def fsc_figure(
    curves: Mapping[str, tuple[Array, Array]],
    *,
    title: str = "",
    resolutions_A: Mapping[str, Mapping[float, float | None]] | None = None,
    quartiles: Mapping[str, tuple[Array, Array]] | None = None,
) -> Figure:
    """Fourier shell correlations against spatial frequency, with the 0.5 and 0.143 lines.

    Parameters
    ----------
    curves : legend text, which should say between what and with which mask, to (frequency, 1/Å;
        correlation).
    resolutions_A : for each curve threshold to resolution (Å), goes into the legend.
    quartiles : for curves that are medians, lower and upper quartile at their frequencies: a band.
    """
    figure = Figure(figsize=(7.2, 4.4 + 0.35 * len(curves)), layout="constrained")
    ax = figure.subplots()
    for k, (name, (frequency, correlation)) in enumerate(curves.items()):
        found = (resolutions_A or {}).get(name, {})
        said = [f"{t:g} at {r:.1f} Å" for t, r in found.items() if r is not None]
        colour = _COLOURS[k % len(_COLOURS)]
        text = name + (f": {', '.join(said)}" if said else "")
        # at frequency 0 are the maps' means, which say nothing about their shapes
        there = np.asarray(frequency) > 0
        x, y = np.asarray(frequency)[there], np.asarray(correlation)[there]
        ax.plot(x, y, color=colour, linewidth=1.8, label=text)
        if quartiles is not None and name in quartiles:
            low, high = (np.asarray(q)[there] for q in quartiles[name])
            ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    finest = max((float(np.max(f)) for f, _ in curves.values()), default=0.1)
    for threshold in THRESHOLDS:
        ax.axhline(threshold, color="0.55", linewidth=0.8, linestyle="--", zorder=0)
        ax.text(0.995 * finest, threshold + 0.01, f"{threshold:g}", ha="right", va="bottom", color="0.35")
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    lowest = min((float(np.min(c[1:], initial=1.0)) for _, c in curves.values()), default=0.0)
    ax.set(
        xlim=(0, finest), ylim=(min(-0.1, lowest - 0.03), 1.03), title=title,
        xlabel="spatial frequency (1/Å)", ylabel="Fourier shell correlation",
    )  # fmt: skip
    top = ax.secondary_xaxis("top")
    ticks = [t for t in ax.get_xticks() if 0 < t <= finest]
    top.set_xticks(ticks, [f"{1 / t:.3g}" for t in ticks])
    top.set_xlabel("resolution (Å)")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center")
    return figure


def tournament_figure(
    correlation: Array, groups: Sequence[Sequence[int]], *, medoid: int, sentence: str = ""
) -> Figure:
    """How far independent starts agree: their correlations after alignment, group beside group.

    Parameters
    ----------
    correlation : (n, n).
    groups : starts that agree, counted from 1; the order of the picture.
    medoid : the start that is reported, counted from 1; marked.
    sentence : the finding in words; becomes the title.
    """
    count = len(correlation)
    named = [start for group in groups for start in group]
    order = named + [start for start in range(1, count + 1) if start not in named]
    matrix = np.asarray(correlation)[np.ix_([s - 1 for s in order], [s - 1 for s in order])]
    side = max(3.6, 0.42 * count + 1.4)
    figure = Figure(figsize=(side + 1.1, side), layout="constrained")
    ax = figure.subplots()
    off = matrix[~np.eye(count, dtype=bool)]
    low = float(np.floor(10 * min(off.min(), 0.9)) / 10) if count > 1 else 0.0
    drawn = ax.imshow(matrix, cmap="viridis", vmin=low, vmax=1.0)
    names = [f"{start}{' ◆' if start == medoid else ''}" for start in order]
    ax.set_xticks(range(count), names, fontsize=9, rotation=90 if count > 12 else 0)
    ax.set_yticks(range(count), names, fontsize=9)
    ax.set(xlabel="start (◆ the one reported)", ylabel="start")
    if count <= 12:
        for (i, j), value in np.ndenumerate(matrix):
            dark = value < low + 0.6 * (1 - low)
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    first = 0
    for group in groups:
        if len(group) > 1:
            corner, width = first - 0.5, len(group)
            ax.plot(
                [corner, corner + width, corner + width, corner, corner],
                [corner, corner, corner + width, corner + width, corner],
                color=_COLOURS[1], linewidth=2.0, clip_on=False,
            )  # fmt: skip
        first += len(group)
    ax.set_title(sentence or "Agreement of independent starts", fontsize=10, wrap=True)
    figure.colorbar(drawn, ax=ax, label="correlation after alignment, mirror allowed", shrink=0.85)
    return figure


def landscape_figure(
    coordinates: Array,
    explained: Array,
    *,
    colour: Array | None = None,
    colour_label: str = "",
    marked: Mapping[int, str] | None = None,
) -> Figure:
    """Volumes in the plane of their two strongest differences (left), and how strong each one is (right).

    Parameters
    ----------
    coordinates : (n, k).
    explained : (k,) shares of variance.
    colour : (n,) a number for each volume, e.g. a known angle; None colours nothing.
    marked : row to a text that is written beside its point.
    """
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    flat = coordinates.shape[1] < 2
    second = np.zeros(len(coordinates)) if flat else coordinates[:, 1]
    paint: dict[str, Any] = {"color": _COLOURS[0]} if colour is None else {"c": colour, "cmap": "viridis"}
    drawn = left.scatter(coordinates[:, 0], second, s=22, linewidths=0.3, edgecolors="w", **paint)
    if colour is not None:
        figure.colorbar(drawn, ax=left, label=colour_label)
    for row, text in (marked or {}).items():
        left.annotate(text, (coordinates[row, 0], second[row]), textcoords="offset points", xytext=(5, 5))
    shares = [f"{100 * share:.0f} %" for share in explained]
    left.set(
        xlabel=f"component 1 ({shares[0]} of the variance)",
        ylabel="" if flat else f"component 2 ({shares[1]} of the variance)",
        title=f"{len(coordinates)} volumes; distance is RMS density difference",
        aspect="equal", adjustable="datalim",
    )  # fmt: skip
    numbers = np.arange(1, len(explained) + 1)
    right.bar(numbers, 100 * np.asarray(explained), color=_COLOURS[0])
    right.set_xticks(numbers)
    right.set(xlabel="component", ylabel="share of the variance (%)", title="Principal components")
    return figure


def _spread(count: int) -> list[int]:
    return [int(i) for i in np.unique(np.rint(np.linspace(0, count - 1, min(count, _MOST_COLUMNS))))]


def _extent(shape: tuple[int, ...], pixel_A: float) -> tuple[float, float, float, float]:
    """Å of the left, right, lower and upper edge of an image whose pixel n // 2 is at 0."""
    rows, columns = shape
    left, low = (-(image_centre(n) + 0.5) * pixel_A for n in (columns, rows))
    return left, left + columns * pixel_A, low, low + rows * pixel_A
