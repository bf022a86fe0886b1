"""Tables and figure of the deciding test: means with bootstrapped intervals, and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from tests.benchmarks.known_poses import CONTROLS, SNRS, VIEWS

ORDER = ("least squares", "TV", "data", "images denoised", "sds", "R1", "R1+R2", "denoised")
Row = dict[str, Any]


def paired(rows: Sequence[Row], a: str, b: str, measure: str = "area") -> NDArray[np.float64]:
    """(pairs, 2) of the cases that both arms did."""
    found = {arm: {r["case"]: r[measure] for r in rows if r["arm"] == arm} for arm in (a, b)}
    both = sorted(found[a].keys() & found[b].keys())
    return np.array([[found[a][case], found[b][case]] for case in both]).reshape(-1, 2)


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by 2000 bootstraps over cases."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def p_value(pairs: NDArray[np.float64]) -> float:
    """Two-sided Wilcoxon signed-rank test; 1 where nothing differs."""
    difference = pairs[:, 0] - pairs[:, 1]
    return float(wilcoxon(difference).pvalue) if len(pairs) and np.any(difference) else 1.0


def table(rows: Sequence[Row], measure: str = "area") -> str:
    """Markdown: an arm per column, a condition per row, mean of the measure and half of its 95 % interval."""
    lines = ["| K | SNR | poses | cases | " + " | ".join(ORDER) + " |", "|" + "-|" * (4 + len(ORDER))]
    for views in VIEWS:
        for snr in SNRS:
            for poses in ("random", "cone"):
                here = [r for r in rows if (r["views"], r["snr"], r["poses"]) == (views, snr, poses)]
                values = [np.array([r[measure] for r in here if r["arm"] == arm]) for arm in ORDER]
                if not len(values[0]):
                    continue
                best = max(float(v.mean()) for v in values if len(v))
                cells = [_cell(v, best) for v in values]
                words = f"{snr:g}" if snr else "∞"
                lines.append(
                    f"| {views} | {words} | {poses} | {len(values[0])} | " + " | ".join(cells) + " |"
                )
    return "\n".join(lines)


def _cell(values: NDArray[np.float64], best: float) -> str:
    if not len(values):
        return ""
    low, high = interval(values)
    mean = f"{values.mean():.2f}".lstrip("0")
    mean = f"**{mean}**" if values.mean() == best else mean
    return f"{mean} ± " + f"{(high - low) / 2:.2f}".lstrip("0")


def by_views(rows: Sequence[Row], against: Sequence[str], arm: str, measure: str = "area") -> str:
    """Markdown: for each K the arm's mean with its interval, and paired differences from others."""
    lines = [
        f"| K | {arm} | " + " | ".join(f"minus {b}" for b in against) + " |",
        "|" + "-|" * (2 + len(against)),
    ]
    for views in VIEWS:
        here = [r for r in rows if r["views"] == views]
        own = np.array([r[measure] for r in here if r["arm"] == arm])
        if not len(own):
            continue
        low, high = interval(own)
        cells = [f"{own.mean():.3f} ({low:.3f} to {high:.3f})"]
        for other in against:
            pairs = paired(here, arm, other, measure)
            if not len(pairs):
                cells.append("")
                continue
            difference = pairs[:, 0] - pairs[:, 1]
            low, high = interval(difference)
            better = int((difference > 0).sum())
            cells.append(
                f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f}), {better}/{len(pairs)}, "
                f"p {p_value(pairs):.1g}"
            )
        lines.append(f"| {views} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_conformation(rows: Sequence[Row], against: Sequence[str], arm: str) -> str:
    """Markdown: paired differences of each conformation's mean over random poses at SNR infinite and 1.

    Cases of one conformation are alike, so these are the independent ones.
    """
    lines = ["| K | conformations | " + " | ".join(f"minus {b}" for b in against) + " |"]
    lines.append("|" + "-|" * (2 + len(against)))
    kept = [r for r in rows if r["poses"] == "random" and r["snr"] in (0.0, 1.0)]
    for views in VIEWS:
        found: dict[tuple[str, int], dict[str, dict[float, float]]] = {}
        for r in kept:
            if r["views"] == views:
                of = found.setdefault((r["phantom"], r["conformation"]), {}).setdefault(r["arm"], {})
                of[r["snr"]] = r["area"]
        whole = [f for f in found.values() if all(len(f.get(a, {})) == 2 for a in (arm, *against))]
        if len(whole) < 2:
            continue
        cells = []
        for other in against:
            pairs = np.array([[np.mean(list(f[a].values())) for a in (arm, other)] for f in whole])
            difference = pairs[:, 0] - pairs[:, 1]
            better = int((difference > 0).sum())
            cells.append(f"{difference.mean():+.3f}, {better}/{len(pairs)}, p {p_value(pairs):.1g}")
        lines.append(f"| {views} | {len(whole)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def controls(rows: Sequence[Row]) -> str:
    """Markdown: arms with other denoisers or weights beside theirs, at the conditions they were made for."""
    lines = ["| arm | " + " | ".join(f"K = {k}" for k in VIEWS) + " |", "|" + "-|" * (1 + len(VIEWS))]
    kept = [r for r in rows if r["snr"] == 1.0 and r["poses"] == "random"]
    for arm in (*ORDER, *CONTROLS):
        cells = []
        for views in VIEWS:
            values = np.array([r["area"] for r in kept if r["arm"] == arm and r["views"] == views])
            cells.append(f"{values.mean():.3f} ± {values.std():.3f}" if len(values) else "")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def seconds(rows: Sequence[Row]) -> str:
    """Median seconds of each arm, and as a multiple of least squares in Fourier space."""
    found = {arm: np.median([r["seconds"] for r in rows if r["arm"] == arm] or [np.nan]) for arm in ORDER}
    return ", ".join(f"{arm} {value:.2f} s" for arm, value in found.items())


def figure(rows: Sequence[Row], path: Path) -> None:
    """Area under the FSC against the number of views, a panel per noise level and kind of poses."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown, axes = plt.subplots(
        2, len(SNRS), figsize=(10.5, 6.4), sharex=True, sharey="col", layout="constrained"
    )
    for row, poses in enumerate(("random", "cone")):
        for column, snr in enumerate(SNRS):
            axis = axes[row, column]
            for number, arm in enumerate(ORDER):
                kept = [r for r in rows if (r["arm"], r["snr"], r["poses"]) == (arm, snr, poses)]
                points = [np.array([r["area"] for r in kept if r["views"] == k]) for k in VIEWS]
                if not all(len(p) for p in points):
                    continue
                mean = np.array([p.mean() for p in points])
                ends = np.array([interval(p) for p in points])
                wide, colour = (2.4, "black") if arm == "denoised" else (1.2, f"C{number}")
                beside = np.array(VIEWS) + 0.07 * (
                    number - len(ORDER) / 2
                )  # so that bars don't hide each other
                axis.errorbar(
                    beside, mean, np.abs(ends.T - mean), label=arm, color=colour, lw=wide,
                    elinewidth=0.8, capsize=2,
                )  # fmt: skip
            axis.set_title(f"SNR {snr:g}, {poses} poses" if snr else f"no noise, {poses} poses", fontsize=10)
            axis.set_xticks(VIEWS)
            axis.grid(alpha=0.25)
            if row == 1:
                axis.set_xlabel("images")
            if column == 0:
                axis.set_ylabel("area under FSC to truth")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    shown.legend(handles, labels, loc="outside lower center", ncols=len(ORDER), fontsize=9)
    shown.savefig(path, dpi=110)
    plt.close(shown)


def report(rows: Sequence[Row], folder: Path) -> None:
    """Print all tables, and draw ``known_poses.png``."""
    if not rows:
        raise SystemExit("There is no row yet.")
    parts = [
        "## Area under the FSC to the truth", table(rows),
        "## By number of images",
        by_views(rows, ("least squares", "TV", "images denoised", "sds", "R1+R2"), "denoised"),
        "## Independent ones alone",
        by_conformation(rows, ("least squares", "TV", "sds"), "denoised"),
        "## Where nothing was measured",
        by_views(rows, ("least squares", "TV", "images denoised", "sds"), "denoised", "unmeasured"),
        "## Inline prior beside score distillation",
        by_views(rows, ("sds",), "R1"), by_views(rows, ("sds",), "R1+R2"),
        "## Controls (SNR 1, random poses)", controls(rows),
        "## Seconds for a map, median", seconds(rows),
    ]  # fmt: skip
    text = "\n\n".join(parts)
    (folder / "report.md").write_text(text + "\n")
    print(text)
    figure(rows, folder / "known_poses.png")
