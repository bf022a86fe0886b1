"""Pictures of evidence and results, for the demo and for reports; written as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from engine.conventions import image_centre
from engine.io.atomic import atomic_path
from engine.observations.evidence import Evidence
from engine.types import ImageStack

Array = NDArray[np.floating]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe & Ito: told apart by colour-blind readers
_AXES = ("x", "y", "z")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def evidence_figure(images: ImageStack, evidence: Sequence[Evidence]) -> Figure:
    """Projections as given (top) and the weighted points that stand for them (bottom).

    Parameters
    ----------
    evidence : one per image, in the same order; points in Å about the image centre.
    """
    count = len(evidence)
    figure = Figure(figsize=(3.1 * count + 0.6, 6.4), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    box, pixel = images.images.shape[-1], images.pixel_size_A
    low = (-image_centre(box) - 0.5) * pixel
    extent = (low, low + box * pixel, low, low + box * pixel)
    for k, item in enumerate(evidence):
        top, bottom = axes[0, k], axes[1, k]
        top.imshow(images.images[k], cmap="gray", origin="lower", extent=extent)
        top.set_title(f"{item.name}: image")
        weights = np.ones(len(item.points_A)) if item.weights is None else np.asarray(item.weights)
        bottom.scatter(
            *item.points_A.T, s=4 * weights / weights.mean(), color=_COLOURS[0], linewidths=0, alpha=0.7
        )
        bottom.set_title(f"{item.name}: {len(item.points_A)} points")
        for ax in (top, bottom):
            ax.set(xlim=extent[:2], ylim=extent[2:], aspect="equal", xlabel="x (Å)")
            if k == 0:
                ax.set_ylabel("y (Å)")
    return figure


def clouds_figure(clouds: Mapping[str, Array], spread: Mapping[str, Array]) -> Figure:
    """The same three directions of each cloud, coloured by the spread between samples where it is known.

    Parameters
    ----------
    clouds : title to (points, 3), Å.
    spread : title to (points,), Å; clouds without are grey.
    """
    figure = Figure(figsize=(3.1 * len(clouds) + 1.0, 9.0), layout="constrained")
    axes = figure.subplots(3, len(clouds), squeeze=False)
    everything = np.concatenate(list(clouds.values()))
    centre, half = everything.mean(0), 1.05 * float(np.abs(everything - everything.mean(0)).max())
    most = max((float(np.percentile(s, 98)) for s in spread.values()), default=1.0)
    drawn = None
    for column, (title, points) in enumerate(clouds.items()):
        for row, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
            ax, depth = axes[row, column], 3 - a - b
            order = np.argsort(points[:, depth])
            if title in spread:
                drawn = ax.scatter(
                    points[order, a],
                    points[order, b],
                    c=spread[title][order],
                    s=7,
                    cmap="viridis",
                    vmin=0,
                    vmax=most,
                )
            else:
                ax.scatter(points[order, a], points[order, b], color="0.35", s=7)
            ax.set(
                xlim=(centre[a] - half, centre[a] + half), ylim=(centre[b] - half, centre[b] + half),
                aspect="equal",
                xlabel=f"{_AXES[a]} (Å)", ylabel=f"{_AXES[b]} (Å)" if column == 0 else "",
            )  # fmt: skip
            if row == 0:
                ax.set_title(title)
    if drawn is not None:
        figure.colorbar(drawn, ax=axes, label="spread between samples (Å)", shrink=0.5)
    return figure


def quality_figure(reports: Mapping[str, Mapping[str, Any]]) -> Figure:
    """RMSDs of every sample (left) and model-map FSC of the mean (right), method beside method.

    Parameters
    ----------
    reports : method to the report of :func:`engine.pipelines.evaluate.evaluate`.
    """
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    measures = {
        "rmsd_points_A": "points,\naligned",
        "rmsd_points_unaligned_A": "points,\nas placed",
        "rmsd_atoms_A": "atoms,\naligned",
        "rmsd_atoms_unaligned_A": "atoms,\nas placed",
    }
    width = 0.8 / len(reports)
    for k, (method, report) in enumerate(reports.items()):
        for j, key in enumerate(measures):
            values = np.asarray(report["per_sample"][key])
            x = j + (k - (len(reports) - 1) / 2) * width
            left.bar(
                x, values.mean(), 0.9 * width, color=_COLOURS[k], alpha=0.45, label=method if j == 0 else None
            )
            left.scatter(np.full(len(values), x), values, s=9, color=_COLOURS[k], zorder=3)
        fsc = report["fsc"]
        right.plot(fsc["frequency_per_A"], fsc["correlation"], color=_COLOURS[k], label=method)
    left.set_xticks(range(len(measures)), list(measures.values()))
    left.set(ylabel="RMSD to the truth (Å)", title="Every sample")
    right.axhline(0.5, color="0.6", linewidth=0.8)
    right.text(right.get_xlim()[1], 0.51, "0.5", ha="right", va="bottom", color="0.4")
    right.set(
        xlabel="spatial frequency (1/Å)",
        ylabel="FSC to the truth",
        title="Mean map (model-map FSC)",
        ylim=(-0.1, 1.03),
    )
    right.legend(frameon=False)
    return figure
