"""Figures of a capsule as SVG, drawn from result files without torch; the same bytes for the same run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.errors import VerglasError
from engine.events import Energies
from engine.io.json_files import read_json
from engine.io.volumes import FOURIER_COVERAGE, OF_VOLUMES, SdsResults
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe & Ito
_FSC = {
    "fsc": "mean map and model, unmasked",
    "fsc_half": "two halves of the class averages",
    "fsc_truth": "map and reference",
    "fsc_truth_least_squares": "least squares and reference",
}


def figures(
    spec: JobSpec, run: RunDir, metrics: Mapping[str, Any], tell: Callable[[str], None]
) -> dict[str, bytes]:
    """SVG by name, of whatever the run has.

    Parameters
    ----------
    tell : told of each figure that could not be drawn, and why.
    """
    drawings: dict[str, Callable[[], Any]] = {
        "fsc": lambda: _fsc(metrics),
        "energies": lambda: _energies(run),
        "rmsd": lambda: _rmsd(metrics),
        "calibration": lambda: _calibration(metrics),
        "starts": lambda: _starts(metrics),
        "learning_curve": lambda: _learning(run),
        "denoising": lambda: _denoising(metrics),
    }
    if spec.kind in OF_VOLUMES:
        results = SdsResults(run.path, in_hand=True)
        drawings |= {
            "correlations": lambda: _correlations(results),
            "landscape": lambda: _landscape(results),
            "coverage": lambda: _coverage(run),
            "slices": lambda: _slices(results),
        }
    drawn: dict[str, bytes] = {}
    for name, draw in drawings.items():
        try:
            figure = draw()
        except (VerglasError, KeyError, ValueError, TypeError, IndexError) as exc:
            tell(f"The figure {name} could not be drawn ({type(exc).__name__}).")
            continue
        if figure is not None:
            drawn[name] = _svg(figure)
    return drawn


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # here: it takes long to import

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _svg(figure: Any) -> bytes:
    import matplotlib

    target = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "verglas", "svg.fonttype": "none"}):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": "Verglas"})
    return target.getvalue()


def _plain_log(axis: Any) -> None:
    """Ticks at 1, 2, 5 of each decade in plain numbers, which every SVG reader shows."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _array(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _fsc(metrics: Mapping[str, Any]) -> Any:
    curves = {k: metrics[k] for k in _FSC if isinstance(metrics.get(k), dict) and "correlation" in metrics[k]}
    if not curves:
        return None
    figure, (ax,) = _figure(6.4, 4.4)
    finest, lowest = 0.0, 0.0
    for colour, (key, part) in zip(_COLOURS, curves.items(), strict=False):
        x, y = _array(part["frequency_per_A"]), _array(part["correlation"])
        ax.plot(x[1:], y[1:], color=colour, linewidth=1.8, label=_FSC[key])
        finest, lowest = max(finest, float(x.max())), min(lowest, float(np.nanmin(y[1:])))
    for threshold in (0.5, 0.143) if {"fsc_half"} & set(curves) else (0.5,):
        ax.axhline(threshold, color="0.55", linewidth=0.8, linestyle="--", zorder=0)
        ax.text(0.995 * finest, threshold + 0.01, f"{threshold:g}", ha="right", va="bottom", color="0.35")
    ax.set(
        xlim=(0, finest), ylim=(min(-0.1, lowest - 0.05), 1.03), xlabel="spatial frequency (1/Å)",
        ylabel="Fourier shell correlation",
    )  # fmt: skip
    ax.legend(frameon=False, fontsize=9)
    return figure


def _energies(run: RunDir) -> Any:
    found = [e for e in run.events() if isinstance(e, Energies) and e.values]
    if not found:
        return None
    figure, (ax,) = _figure(6.4, 4.2)
    for colour, name in zip(_COLOURS, found[0].values, strict=False):
        batches: list[list[Energies]] = [[]]
        for event in found:
            if batches[-1] and event.step <= batches[-1][-1].step:
                batches.append([])  # the next batch of samples begins
            batches[-1].append(event)
        for i, batch in enumerate(batches):
            ax.plot([e.step for e in batch], [e.values.get(name, np.nan) for e in batch], color=colour,
                    linewidth=1.2, alpha=0.8, label=name if not i else None)  # fmt: skip
        stated = found[0].stated.get(name)
        if stated:
            ax.axhline(stated, color=colour, linewidth=0.8, linestyle=":")
    ax.set(yscale="log", xlabel="step", ylabel="energy (Å² per point)")
    _plain_log(ax.yaxis)
    ax.set_title("Misfit while samples are drawn; dotted: what the stated error expects", fontsize=10)
    ax.legend(frameon=False, fontsize=9)
    return figure


def _rmsd(metrics: Mapping[str, Any]) -> Any:
    measured = metrics.get("per_sample")
    titles = {
        "rmsd_points_A": "points,\naligned", "rmsd_points_unaligned_A": "points,\nas placed",
        "rmsd_atoms_A": "atoms,\naligned", "rmsd_atoms_unaligned_A": "atoms,\nas placed",
    }  # fmt: skip
    keys = [k for k in titles if isinstance(measured, dict) and measured.get(k)]
    if not keys or not isinstance(measured, dict):
        return None
    figure, (ax,) = _figure(5.2, 3.8)
    for place, key in enumerate(keys):
        values = _array(measured[key])
        ax.bar(place, np.nanmean(values), 0.6, color=_COLOURS[0], alpha=0.4)
        ax.scatter(place + np.linspace(-0.15, 0.15, len(values)), values, s=14, color=_COLOURS[0], zorder=3)
    ax.set_xticks(range(len(keys)), [titles[k] for k in keys])
    ax.set(ylabel="RMSD to the reference (Å)")
    return figure


def _calibration(metrics: Mapping[str, Any]) -> Any:
    error = metrics.get("stated_error")
    curves = {"spread of the samples": metrics.get("reliability")}
    if isinstance(error, dict):
        curves["stated error"] = error.get("reliability")
    usable = {k: c for k, c in curves.items() if isinstance(c, dict) and "observed" in c}
    if not usable:
        return None
    figure, (ax,) = _figure(4.6, 4.4)
    ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=0.8)
    for colour, (name, part) in zip(_COLOURS, usable.items(), strict=False):
        ax.plot(part["stated"], part["observed"], "o-", color=colour, markersize=4, label=name)
    ax.set(
        xlabel="probability stated", ylabel="share of points within", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )
    ax.legend(frameon=False, fontsize=9)
    return figure


def _starts(metrics: Mapping[str, Any]) -> Any:
    part = metrics.get("agreement")
    if not isinstance(part, dict) or not part.get("correlation"):
        return None
    matrix = np.array([_array(row) for row in part["correlation"]])
    count = len(matrix)
    if count < 2:
        return None
    figure, (ax,) = _figure(4.8, 4.2)
    low = float(np.floor(10 * min(np.nanmin(matrix), 0.9)) / 10)
    drawn = ax.imshow(matrix, cmap="viridis", vmin=low, vmax=1.0)
    ax.set_xticks(range(count), range(1, count + 1))
    ax.set_yticks(range(count), range(1, count + 1))
    ax.set(xlabel="start", ylabel="start")
    ax.set_title(str(part.get("sentence", "")), fontsize=9, wrap=True)
    figure.colorbar(drawn, ax=ax, label="correlation after alignment", shrink=0.85)
    return figure


def _learning(run: RunDir) -> Any:
    path = run.results / "learning_curve.csv"
    if not path.is_file():
        return None
    with open(path, newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    if not table:
        return None
    figure, (ax,) = _figure(6.4, 4.2)
    steps = _array([float(row["step"]) for row in table])
    levels = [k for k in table[0] if k.startswith("rmse_over_sigma_at_")]
    for colour, key in zip(_COLOURS, levels, strict=False):
        ax.plot(steps, [float(r[key]) if r[key] else np.nan for r in table], color=colour, marker=".",
                label=f"σ = {key.rsplit('_', 1)[-1]}")  # fmt: skip
    ax.set(xlabel="step", ylabel="RMSE / σ on what was held out")
    figure.legend(frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    return figure


def _denoising(metrics: Mapping[str, Any]) -> Any:
    curves = {
        "network": metrics.get("validation_rmse_over_sigma"),
        "closed form": metrics.get("closed_form_rmse_over_sigma"),
    }
    usable = {k: c for k, c in curves.items() if isinstance(c, dict) and c}
    if not usable:
        return None
    figure, (ax,) = _figure(5.4, 3.8)
    for colour, (name, part) in zip(_COLOURS, usable.items(), strict=False):
        levels = sorted(part, key=float)
        ax.plot([float(v) for v in levels], [part[v] for v in levels], "o-", color=colour, label=name)
    ax.axhline(1.0, color="0.6", linestyle="--", linewidth=0.8)
    ax.set(xscale="log", xlabel="noise level σ", ylabel="RMSE / σ on what was held out", ylim=(0, None))
    _plain_log(ax.xaxis)
    ax.legend(frameon=False, fontsize=9)
    return figure


def _correlations(results: SdsResults) -> Any:
    values = results.poses().correlation
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    figure, (ax,) = _figure(5.4, 3.6)
    ax.hist(values, bins=min(40, max(5, len(values) // 3)), color=_COLOURS[0], alpha=0.7)
    ax.axvline(float(np.median(values)), color=_COLOURS[1], label=f"median {np.median(values):.3f}")
    ax.set(xlabel="correlation of an image with the map's projection", ylabel="images")
    ax.legend(frameon=False, fontsize=9)
    return figure


def _landscape(results: SdsResults) -> Any:
    found = results.landscape()
    if found is None or found.coordinates.shape[1] < 2:
        return None
    figure, (left, right) = _figure(8.6, 4.0, 2)
    left.scatter(found.coordinates[:, 0], found.coordinates[:, 1], s=14, color=_COLOURS[0])
    left.set(xlabel="component 1", ylabel="component 2", title=f"{len(found.coordinates)} volumes")
    numbers = np.arange(1, len(found.explained) + 1)
    right.bar(numbers, 100 * np.asarray(found.explained), color=_COLOURS[0])
    right.set_xticks(numbers)
    right.set(xlabel="component", ylabel="share of the variance (%)", title="Principal components")
    return figure


def _coverage(run: RunDir) -> Any:
    path = run.results / FOURIER_COVERAGE
    if not path.is_file():
        return None
    part = read_json(path)
    figure, (ax,) = _figure(6.0, 3.8)
    x = _array(part["frequency_per_A"])
    ax.plot(x, 100 * _array(part["measured"]), color=_COLOURS[0], label="Fourier coefficients measured")
    ax.plot(x, 100 * _array(part["supplied_power"]), color=_COLOURS[1], label="power where none was measured")
    ax.set(
        xlabel="spatial frequency (1/Å)",
        ylabel="share of a shell (%)",
        ylim=(0, 105),
        xlim=(0, float(x.max())),
    )
    ax.legend(frameon=False, fontsize=9)
    return figure


def _slices(results: SdsResults) -> Any:
    volume = results.consensus()
    density, voxel = volume.density, float(volume.voxel_size_A[0])
    figure, axes = _figure(9.0, 3.4, 3)
    low, high = float(np.percentile(density, 1)), float(density.max())
    for ax, (axis, across, up, along) in zip(
        axes, ((0, "x", "y", "z"), (1, "x", "z", "y"), (2, "y", "z", "x")), strict=True
    ):
        half = density.shape[axis] // 2 * voxel
        cut = np.take(density, density.shape[axis] // 2, axis=axis)
        ax.imshow(cut, origin="lower", cmap="gray", vmin=low, vmax=high, extent=(-half, half) * 2)
        ax.set(title=f"slice {along} = 0", xlabel=f"{across} (Å)", ylabel=f"{up} (Å)")
    return figure
