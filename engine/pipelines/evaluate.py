"""How good an ensemble is: against a truth if there is one, and by its own spread."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.metrics.ensemble import matched, spread_of_matched
from engine.metrics.fsc import ensemble_fsc
from engine.metrics.point_clouds import chamfer, earth_movers
from engine.metrics.reliability import distances_to, reliability
from engine.metrics.rmsd import rmsd_table
from engine.metrics.stated_error import SHARE, StatedError
from engine.pipelines.truth import Truth, TruthLike, load_truth
from engine.types import Ensemble

SCHEMA_VERSION = 1


def evaluate(
    ensemble: Ensemble,
    truth: TruthLike | None,
    *,
    seed: int = 0,
    error: StatedError | None = None,
) -> dict[str, Any]:
    """Measure an ensemble.

    Parameters
    ----------
    ensemble : in Å.
    truth : see :func:`engine.pipelines.truth.load_truth`; None measures spread and energies only.
    seed : of the k-means that reduces the truth to points.
    error : stated error of each point, Å, as the run has written it.

    Returns
    -------
    dict
        Ready for JSON. ``per_sample`` maps each measure to one value per member and ``summary`` to its
        ``mean`` and ``sd`` (n - 1; None for a single member):

        - ``chamfer``, ``emd`` in units of the frame's scale, unaligned, and ``chamfer_A``, ``emd_A``;
        - ``rmsd_points_A``, ``rmsd_atoms_A`` after scaling to the truth's radius of gyration and rigid
          alignment, ``rmsd_points_unaligned_A``, ``rmsd_atoms_unaligned_A`` without;
        - ``energy``: mean over the observations.

        Besides: ``energies`` (names, per sample), ``spread`` (Å), ``fsc`` (model-map), ``truth``, and
        ``reliability`` (:mod:`engine.metrics.reliability`) where the members are draws from a posterior; and
        ``stated_error``: ``median_A``, ``within_A`` (the distance within which 90 % of all points are to be
        expected), and ``reliability``, its own. Measures that do not apply (no truth; no atoms) are left out.

    Raises
    ------
    InputError
        If the truth can't be used or the ensemble holds points that are not finite.
    """
    points = np.asarray(ensemble.points_A, np.float64)
    if points.ndim != 3 or points.shape[0] == 0 or not np.isfinite(points).all():
        raise InputError("The ensemble is empty or holds points that are not finite.", "Run it again.")
    energies = np.asarray(ensemble.energies, np.float64).reshape(len(points), -1)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": ensemble.kind,
        "samples": points.shape[0],
        "points": points.shape[1],
        "frame": asdict(ensemble.frame),
        "truth": None,
        "energies": {
            "names": list(ensemble.observation_names),
            "unit": "mean squared residual per point, (frame scale)²",
            "per_sample": energies.tolist(),
        },
    }
    per_sample: dict[str, list[float]] = {}
    if truth is not None:
        reference = load_truth(truth, points.shape[1], seed=seed)
        report["truth"] = {
            "path": reference.path,
            "name": Path(reference.path).name,
            "kind": reference.kind,
            "atoms": None if reference.atoms_A is None else len(reference.atoms_A),
            "notes": list(reference.notes),
        }
        per_sample = _against(points, reference, ensemble.frame.scale_A)
        report["fsc"] = _fsc(points, reference)
    if energies.shape[1]:
        per_sample["energy"] = energies.mean(1).tolist()
    report["per_sample"] = per_sample
    report["summary"] = {name: _mean_sd(values) for name, values in per_sample.items()}
    in_order = np.asarray(matched(points), np.float64)
    report["spread"] = _spread(in_order)
    if truth is not None and ensemble.kind == "posterior" and len(points) > 1:
        report["reliability"] = _reliability(in_order, reference)
    if error is not None and error.radius.shape == points.shape[1:2]:
        within = error.within()
        report["stated_error"] = {
            "share": SHARE,
            "median_A": float(np.median(error.radius)),
            "within_A": within,
        }
        if truth is not None:
            judged = _reliability(points, reference, error)
            if "observed" in judged:
                distances = distances_to(points.mean(0), reference.points_A)
                judged["share_within"] = float((distances <= within).mean())
            report["stated_error"]["reliability"] = judged
    cleaned: dict[str, Any] = _finite(report)
    return cleaned


def read_stated_error(results: Path, points: int) -> StatedError | None:
    """The stated error that a run has written for so many points; None where there is none."""
    try:
        radius, freedom = (
            npy.read_array(results / f"{name}.npy").astype(np.float64) for name in ("error", "error_freedom")
        )
    except (OSError, ValueError):
        return None
    fits = radius.shape == freedom.shape == (points,) and bool((radius >= 0).all() and (freedom > 0).all())
    return StatedError(radius, freedom) if fits else None


def format_table(report: dict[str, Any]) -> str:
    """A report of :func:`evaluate` as plain text for people, with units."""
    members = "sample" if report["samples"] == 1 else "samples"
    lines = [f"Ensemble: {report['samples']} {members} of {report['points']} points ({report['kind']})"]
    truth = report["truth"]
    if truth is None:
        lines.append("Truth:    none given, so accuracy is unknown; the spread is not an error estimate")
    else:
        atoms = f", {truth['atoms']:,} heavy atoms" if truth["atoms"] is not None else ""
        lines.append(f"Truth:    {truth['name'] or 'given'} ({truth['kind']}{atoms})")
    lines.append("")
    rows: list[tuple[str, str, str]] = []
    for name, title, factor, unit in _ROWS:
        if name in report["summary"]:
            rows.append((title, _plus_minus(report["summary"][name], factor), unit))
    curve = report.get("fsc")
    if curve and "correlation" in curve:
        value = curve["resolution_0p5_A"]
        shown = f"{value:.1f}" if value is not None else f"beyond {curve['nyquist_A']:.1f}"
        rows.append(("Resolution of the mean map, FSC 0.5", shown, "Å (model-map, unmasked, unaligned)"))
    spread = report["spread"]
    if report["samples"] > 1:
        rows.append(("Spread between samples, median point", f"{spread['median_A']:.2f}", "Å"))
        rows.append(("Spread between samples, 90 % of points below", f"{spread['p90_A']:.2f}", "Å"))
    error = report.get("stated_error")
    if error:
        rows.append(("Stated error: 90 % of points expected within", f"{error['within_A']:.2f}", "Å"))
        judged = error.get("reliability", {})
        if "share_within" in judged:
            rows.append(("Points within that of the truth", f"{100 * judged['share_within']:.0f}", "%"))
    if "factor" in report.get("reliability", {}):
        rows.append(("Error over stated spread", f"{report['reliability']['factor']:.2f}", "(1: honest)"))
    width, middle = max((len(r[0]) for r in rows), default=0), max((len(r[1]) for r in rows), default=0)
    lines += [f"{title:<{width}}  {value:>{middle}}  {unit}" for title, value, unit in rows]
    notes = [
        *(truth["notes"] if truth else ()),
        *([curve["problem"]] if curve and "problem" in curve else ()),
    ]
    return "\n".join([*lines, *([""] if notes else []), *(f"Note: {n}" for n in notes)])


_ROWS = (
    ("rmsd_points_A", "RMSD to the truth's points, scaled and aligned", 1, "Å"),
    ("rmsd_atoms_A", "RMSD of atoms to nearest point, scaled and aligned", 1, "Å"),
    ("rmsd_points_unaligned_A", "RMSD to the truth's points, as reconstructed", 1, "Å"),
    ("rmsd_atoms_unaligned_A", "RMSD of atoms to nearest point, as reconstructed", 1, "Å"),
    ("chamfer", "Chamfer distance ×100", 100, "of the frame's scale"),
    ("emd", "Earth Mover's distance ×100", 100, "of the frame's scale"),
    ("chamfer_A", "Chamfer distance", 1, "Å"),
    ("emd_A", "Earth Mover's distance", 1, "Å"),
    ("energy", "Misfit to the evidence ×1000", 1000, "(frame scale)²"),
)


def _against(points: NDArray[np.float64], truth: Truth, scale_A: float) -> dict[str, list[float]]:
    cd, emd = chamfer(points, truth.points_A), earth_movers(points, truth.points_A)
    tables = [asdict(rmsd_table(member, truth.points_A, truth.atoms_A)) for member in points]
    found = {
        "chamfer": (cd / scale_A).tolist(),
        "emd": (emd / scale_A).tolist(),
        "chamfer_A": cd.tolist(),
        "emd_A": emd.tolist(),
    }
    names = {
        "rmsd_points_A": "points_A",
        "rmsd_atoms_A": "atoms_A",
        "rmsd_points_unaligned_A": "points_unaligned_A",
        "rmsd_atoms_unaligned_A": "atoms_unaligned_A",
    }
    for name, key in names.items():
        if tables[0][key] is not None:
            found[name] = [float(table[key]) for table in tables]
    return found


def _fsc(points: NDArray[np.float64], truth: Truth) -> dict[str, Any]:
    try:
        if truth.density is not None:
            curve = ensemble_fsc(points, truth.density)
        else:
            atoms = truth.points_A if truth.atoms_A is None else truth.atoms_A
            curve = ensemble_fsc(points, atoms, weights=truth.weights)
    except InputError as exc:
        # the other measures stand without the curve
        return {"problem": f"No FSC: {exc}"}
    found = asdict(curve)
    found["frequency_per_A"] = curve.frequency_per_A.tolist()
    found["correlation"] = curve.correlation.tolist()
    found["label"] = "model-map, threshold 0.5, unmasked, unaligned"
    return found


def _spread(points: NDArray[np.float64]) -> dict[str, Any]:
    per_point = spread_of_matched(points)
    return {
        "mean_A": float(per_point.mean()),
        "median_A": float(np.median(per_point)),
        "p90_A": float(np.quantile(per_point, 0.9)),
        "max_A": float(per_point.max()),
        "per_point_A": np.round(per_point, 4).tolist(),
    }


def _reliability(
    points: NDArray[np.float64], truth: Truth, error: StatedError | None = None
) -> dict[str, Any]:
    try:
        found = asdict(reliability(points, truth.points_A, error))
    except InputError as exc:
        return {"problem": str(exc)}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found.items()}


def _mean_sd(values: list[float]) -> dict[str, float | None]:
    array = np.asarray(values)
    return {"mean": float(array.mean()), "sd": float(array.std(ddof=1)) if len(array) > 1 else None}


def _plus_minus(entry: dict[str, float | None], factor: float) -> str:
    mean, sd = entry["mean"], entry["sd"]
    if mean is None:
        return "not finite"
    return f"{mean * factor:.2f}" + (f" ± {sd * factor:.2f}" if sd is not None else "")


def _finite(value: Any) -> Any:
    """The same, with None for every float that JSON can't hold."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
