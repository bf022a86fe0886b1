"""What an evaluation of a prior found, in words and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics import prior_quality as quality

Array = NDArray[np.float64]

DEFINITIONS = {
    "distances": "Normalised units; clouds are compared as they are, neither turned nor scaled.",
    "chamfer": "Sum over both directions of the mean distance to the nearest point (not squared).",
    "emd": "Mean distance under the best one-to-one matching, of points thinned by farthest-point sampling.",
    "one_nna_percent": "Leave-one-out accuracy of the nearest neighbour over samples and references; "
    "50 is best.",
    "cov_percent": "Share of references that are the nearest reference of a sample; more is better.",
    "mmd_x100": "Mean over references of the distance to the nearest sample, times 100; less is better.",
    "standard_error": "From 200 random halves of both sets (delete-half jackknife).",
    "training": "As many training clouds, drawn by the seed, in place of samples.",
    "training_turned": "The same, each turned at random: what a perfect prior gives that knows no preferred "
    "direction.",
    "nearest_training": "Chamfer distance to the nearest training cloud found, aligned without mirroring, in "
    "radii of gyration.",
}
"""What the numbers of a report mean; it travels with them."""


def compared_statistics(values: dict[str, dict[str, Array]]) -> dict[str, Any]:
    """Means with standard errors, and Kolmogorov-Smirnov distances to the references.

    Parameters
    ----------
    values : of ``samples``, ``references`` and others: what
        :func:`engine.metrics.prior_quality.shape_statistics` found.
    """
    report: dict[str, Any] = {}
    for name, words in quality.STATISTICS.items():
        report[name] = {"words": words}
        for who, measured in values.items():
            report[name][who] = vars(quality.mean_estimate(measured[name]))
            if who != "references":
                distance, p = quality.ks_distance(measured[name], values["references"][name])
                report[name][who] |= {"ks_distance": distance, "ks_p_value": p}
    return report


def format_table(report: dict[str, Any]) -> str:
    """The report as text: the table as in papers, memorisation, statistics."""
    against = report["against"]
    lines = [
        f"{report['compared']} samples against {report['compared']} of {against['clouds']} clouds of "
        f"{against['file']}, {against['points']} points each",
        "",
        f"{'':<28}{'1-NNA %':>16}{'COV %':>16}{'MMD x10²':>16}",
    ]
    titles = {"samples": "samples", "training": "training set", "training_turned": "training set, turned"}
    for measure, words in (("chamfer", "Chamfer"), ("emd", f"EMD, {report['emd_points']} points")):
        lines.append(f"{words:<28}{'50 is best':>16}{'more is better':>16}{'less is better':>16}")
        for name, row in report["table"].items():
            cells = [row[measure][k] for k in ("one_nna_percent", "cov_percent", "mmd_x100")]
            lines.append(f"  {titles[name]:<26}" + "".join(f"{_plus_minus(c):>16}" for c in cells))
    memory = report["memorisation"]
    if memory is not None:
        lines += [
            "",
            f"Nearest training cloud (radii of gyration): median {memory['median_samples']:.3f} for samples, "
            f"{memory['median_references']:.3f} for references.",
            f"{100 * memory['closer']:.1f} ± {100 * memory['standard_error']:.1f} % of samples are closer to "
            f"a training cloud than the closest 5 % of references ({memory['threshold']:.3f}); honest: 5 %.",
            f"{100 * memory['copies']:.1f} % are closer than any reference.",
        ]
    who = [w for w in ("samples", "references", "training") if w in next(iter(report["statistics"].values()))]
    lines += ["", f"{'':<40}" + "".join(f"{w:>18}" for w in who) + f"{'KS samples':>12}"]
    for entry in report["statistics"].values():
        columns = "".join(f"{_plus_minus(entry[w], 4):>18}" for w in who)
        lines.append(f"{entry['words']:<40}{columns}{entry['samples']['ks_distance']:>12.2f}")
    return "\n".join(lines)


def _plus_minus(cell: dict[str, float], digits: int = 2) -> str:
    return f"{cell['value']:.{digits}f} ± {cell['standard_error']:.{digits}f}"
