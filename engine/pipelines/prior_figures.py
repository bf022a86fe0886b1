"""Pictures of a prior's quality: samples beside real clouds, statistics, nearest training clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from engine.io.atomic import atomic_path
from engine.metrics.nearest_training import unit_size
from engine.metrics.prior_quality import STATISTICS

Array = NDArray[np.float64]
_COLOURS = {"samples": "#d55e00", "references": "#0072b2", "training": "#009e73"}  # Okabe & Ito
_DEPTH = {
    "samples": LinearSegmentedColormap.from_list("samples", ["#f6ddcb", "#e5894a", "#7a3300"]),
    "references": LinearSegmentedColormap.from_list("references", ["#d3e4f0", "#4a97c9", "#003a5c"]),
}
_COLUMNS, _PAIRS = 8, 3


def save_both(figure: Figure, path: Path) -> None:
    """Write ``path`` with the endings .png and .svg, each whole or not at all."""
    for kind, dpi in (("png", 130), ("svg", 130)):
        with atomic_path(path.with_name(f"{path.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=dpi)


# ---- samples beside real clouds -----------------------------------------------------------------


def samples_figure(
    samples: Array, real: Array, nearest: Sequence[int] | None = None, distances: Array | None = None
) -> Figure:
    """A contact sheet: up to 24 samples, each above the real cloud that is nearest to it.

    All clouds are at the same scale, seen along z; near points are dark and large, far ones pale and
    small.

    Parameters
    ----------
    samples, real : (n, points, 3), (m, points, 3), normalised.
    nearest : (k,) for the first k samples the index of the real cloud that is shown below; None shows
        the first real clouds.
    distances : (n,) to the nearest training cloud, radii of gyration, for the titles.
    """
    most = len(samples) if nearest is None else min(len(samples), len(nearest))
    shown = min(most, _COLUMNS * _PAIRS)
    columns = min(shown, _COLUMNS)
    bands = -(-shown // columns)
    cell, head, gap = 1.7, 0.98, 0.3
    width = max(columns * cell, 4 * cell) + 0.5  # room for the words above
    height = bands * 2 * cell + (bands - 1) * gap + head + 0.08
    figure = Figure(figsize=(width, height))
    outer = figure.add_gridspec(
        bands, 1, left=0.4 / width, right=(0.4 + columns * cell) / width, bottom=0.08 / height,
        top=1 - head / height, hspace=gap / (2 * cell),
    )  # fmt: skip
    figure.text(
        0.1 / width, 1 - 0.1 / height, "Samples above real clouds",
        va="top", fontsize=12, weight="bold",
    )  # fmt: skip
    below = "the reference nearest to the sample as it lies" if nearest is not None else "references"
    note = "" if distances is None else " Number: distance to the nearest training cloud, radii of gyration."
    for x, colour, words in (
        (0.1, "samples", "■ samples"),
        (1.1, "references", f"■ {below}"),
    ):
        figure.text(x / width, 1 - 0.36 / height, words, va="top", fontsize=9, color=_COLOURS[colour])
    figure.text(
        0.1 / width, 1 - 0.55 / height, f"Seen along z at one scale; near points dark, far ones pale.{note}",
        va="top", fontsize=8, color="0.3",
    )  # fmt: skip
    below_of = list(range(len(real))) if nearest is None else [int(i) for i in nearest]
    everything = np.concatenate([samples[:shown].reshape(-1, 3), real.reshape(-1, 3)])
    reach = 1.06 * float(np.percentile(np.abs(everything), 99.9))
    for band in range(bands):
        grid = outer[band].subgridspec(2, columns, wspace=0.03, hspace=0.03)
        for column in range(columns):
            k = band * columns + column
            if k >= shown:
                break
            top, bottom = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
            shaded(top, samples[k], "samples", reach)
            title = f"{k + 1}" if distances is None else f"{k + 1}   {distances[k]:.2f}"
            top.set_title(title, fontsize=8, pad=2)
            if below_of:
                shaded(bottom, real[below_of[k % len(below_of)]], "references", reach)
            if column == 0:
                for ax, words in ((top, "sample"), (bottom, "real")):
                    ax.set_ylabel(words, fontsize=9)
    return figure


def shaded(ax: Axes, points: Array, colours: str, reach: float) -> None:
    """Draw (n, 3) points seen along z, far ones first: pale and small behind, dark and large in front."""
    order = np.argsort(points[:, 2])
    depth = points[order, 2]
    low, high = np.percentile(depth, (1, 99))
    near = np.clip((depth - low) / max(float(high - low), 1e-9), 0, 1)
    ax.scatter(
        points[order, 0], points[order, 1], c=_DEPTH[colours](near), s=2.0 + 5.0 * near,
        linewidths=0, rasterized=True,
    )  # fmt: skip
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for spine in ax.spines.values():
        spine.set(color="0.85", linewidth=0.6)


# ---- statistics ---------------------------------------------------------------------------------


def statistics_figure(values: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Distributions of each statistic, samples against references (and training clouds).

    Parameters
    ----------
    values : ``samples``, ``references``, perhaps ``training`` to what
        :func:`engine.metrics.prior_quality.shape_statistics` found.
    """
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for ax, (name, words) in zip(axes, STATISTICS.items(), strict=False):
        everything = np.concatenate([measured[name] for measured in values.values()])
        low, high = float(everything.min()), float(everything.max())
        # a little wider than the values, so that one value alone has a bin, too
        pad = 0.02 * (high - low) or 0.02 * max(abs(high), 1e-6)
        edges = np.linspace(low - pad, high + pad, 26)
        _histograms(ax, {who: measured[name] for who, measured in values.items()}, edges)
        ax.set_xlabel(words)
        ax.set_ylabel("share of clouds")
    last = axes[len(STATISTICS)]
    last.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    last.legend(handles, labels, frameon=False, loc="center left", title="lengths: normalised units")
    figure.suptitle("Shape statistics of samples and of real clouds")
    return figure


def _histograms(ax: Axes, values: Mapping[str, Array], edges: Array) -> None:
    """Filled for the real ones, lines for the others; shares, so that sets of any size compare."""
    order = sorted(values, key=lambda who: who != "references")
    for who in order:
        counts = np.histogram(values[who], edges)[0] / len(values[who])
        label = f"{who} ({len(values[who])})"
        if who == "references":
            ax.stairs(counts, edges, fill=True, color=_COLOURS[who], alpha=0.3, label=label)
        else:
            style: dict[str, Any] = {"linewidth": 1.8} if who == "samples" else {"linestyle": "--"}
            ax.stairs(counts, edges, color=_COLOURS[who], label=label, **style)
    ax.spines[["top", "right"]].set_visible(False)


# ---- nearest training clouds --------------------------------------------------------------------


@dataclass(frozen=True)
class Closest:
    """A sample and its nearest training cloud, for a picture.

    Attributes
    ----------
    cloud, training : (points, 3).
    rotation, shift : of :class:`engine.metrics.nearest_training.Neighbour`.
    name, training_name : for the title.
    distance : after alignment, radii of gyration.
    """

    cloud: Array
    training: Array
    rotation: Array
    shift: Array
    name: str
    training_name: str
    distance: float


def nearest_figure(samples: Array, references: Array, threshold: float, closest: Sequence[Closest]) -> Figure:
    """Distances to the nearest training cloud: of samples and of clouds that were never trained on.

    Below: the samples that come nearest, and their training clouds laid on them.

    Parameters
    ----------
    samples, references : (n,), (m,) distances, radii of gyration.
    threshold : 5th percentile of the references.
    """
    figure = Figure(figsize=(10.0, 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1.1, 1))
    left, right = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
    edges = np.linspace(0, 1.03 * float(max(samples.max(), references.max(), 1e-6)), 36)
    values = {"samples": samples, "references": references}
    _histograms(left, values, edges)
    left.set(ylabel="share of clouds", title="Distribution")
    for who, measured in values.items():
        steps = np.arange(1, len(measured) + 1) / len(measured)
        right.step(np.sort(measured), steps, where="post", color=_COLOURS[who], label=who)
    right.axhline(0.05, color="0.7", linewidth=0.8)
    right.text(right.get_xlim()[1], 0.06, "5 %", ha="right", va="bottom", color="0.4", fontsize=8)
    right.set(ylabel="share that is closer", title="Cumulative", ylim=(0, 1.02))
    right.spines[["top", "right"]].set_visible(False)
    for ax in (left, right):
        ax.axvline(threshold, color="0.4", linestyle=":", label="5th percentile of references")
        ax.set_xlabel("distance to the nearest training cloud (radii of gyration)")
    left.legend(frameon=False)
    figure.suptitle(
        "Are samples copies of training clouds? Left of the dotted line only 5 % of samples should lie."
    )
    for k, item in enumerate(closest[:3]):
        ax = figure.add_subplot(grid[1, 2 * k : 2 * k + 2])
        sample = unit_size(item.cloud)
        training = unit_size(item.training) @ item.rotation.T + item.shift
        for points, who in ((training, "training"), (sample, "samples")):
            ax.scatter(
                points[:, 0], points[:, 1], s=5, color=_COLOURS[who], alpha=0.6, linewidths=0,
                rasterized=True, label={"training": "training cloud, aligned", "samples": "sample"}[who],
            )  # fmt: skip
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.margins(0.08)
        ax.set_title(f"{item.name}: {item.distance:.3f} to {item.training_name}", fontsize=9)
        if k == 0:
            ax.legend(frameon=False, fontsize=8, loc="upper left", markerscale=2)
    return figure
