"""The validation table of a capsule: what was measured of a result, against what, and what was not."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.specs.job import JobSpec

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One line: what, its value with unit, and how it was measured or why not."""

    measure: str
    value: str
    how: str


def rows(spec: JobSpec, metrics: Mapping[str, Any]) -> list[Row]:
    """The table of a run.

    Parameters
    ----------
    metrics : its ``metrics.json``; what is missing there is said not to have been measured.
    """
    of_kind = {"dps": _of_points, "sds": _of_averages, "known_poses": _of_known_poses}
    return of_kind.get(spec.kind, _of_training)(metrics)


def _of_points(m: Mapping[str, Any]) -> list[Row]:
    found = [
        Row(
            "Members of the ensemble", f"{m.get('samples')} × {m.get('points')} points", "drawn independently"
        )
    ]
    truth = _part(m, "truth")
    by = f"against the reference {truth.get('name') or ''} ({truth.get('kind')}), which was no input"
    summary = _part(m, "summary")
    for key, title in (
        ("rmsd_points_A", "RMSD to the reference's points, scaled and aligned"),
        ("rmsd_points_unaligned_A", "RMSD to the reference's points, as reconstructed"),
        ("rmsd_atoms_A", "RMSD of atoms to the nearest point, scaled and aligned"),
        ("rmsd_atoms_unaligned_A", "RMSD of atoms to the nearest point, as reconstructed"),
    ):
        if truth and key in summary:
            found.append(Row(title, _mean_sd(summary[key], "Å"), f"mean ± sd over members, {by}"))
    if not truth:
        found.append(Row("Accuracy (RMSD)", NOT_MEASURED, "no reference structure was given"))
    fsc = _part(m, "fsc")
    if "correlation" in fsc:
        beyond = f"beyond {fsc['nyquist_A']:.1f} Å" if "nyquist_A" in fsc else "beyond Nyquist"
        found.append(
            Row(
                "Resolution of the mean map, FSC 0.5",
                _angstrom(fsc.get("resolution_0p5_A"), beyond),
                f"{fsc.get('label', 'model-map')}; {by}",
            )  # fmt: skip
        )
    else:
        found.append(Row("FSC to a model", NOT_MEASURED, str(fsc.get("problem", "no reference was given"))))
    found.append(
        Row("FSC of half maps (0.143)", NOT_MEASURED, "a few projections can't be divided into half sets")
    )
    spread = _part(m, "spread")
    if spread and (m.get("samples") or 0) > 1:
        found.append(
            Row(
                "Spread between members",
                f"{spread['median_A']:.2f} Å median, {spread['p90_A']:.2f} Å for 90 %",
                "RMS deviation of each point; no estimate of error",
            )  # fmt: skip
        )
    error = _part(m, "stated_error")
    if error:
        found.append(
            Row(
                "Stated error",
                f"90 % of points within {error['within_A']:.2f} Å",
                "fitted on structures whose truth is known",
            )  # fmt: skip
        )
        judged = _part(error, "reliability").get("share_within")
        found.append(
            Row("Points within it of the reference", _percent(judged), f"{by}; 90 % if calibrated")
            if judged is not None
            else Row("Calibration of the stated error here", NOT_MEASURED, "no reference was given")
        )
    else:
        found.append(Row("Stated error", NOT_MEASURED, "only for posterior samples from evidence"))
    gauge = _part(m, "gauge")
    found.append(
        Row(
            "Share of the prior, median point",
            _percent(gauge.get("median")),
            "0 %: evidence alone decides; 100 %: the prior does",
        )  # fmt: skip
        if gauge
        else Row("Share of the prior", NOT_MEASURED, "no control was drawn (`control`)")
    )
    misfit = _part(m, "misfit")
    for name, fitted in zip(misfit.get("names", []), misfit.get("fitted_A", []), strict=False):
        found.append(
            Row(f"Misfit of {name}", _angstrom(fitted, "—"), f"RMS; stated error {misfit['stated_A']:.2f} Å")
        )
    return found


def _of_averages(m: Mapping[str, Any]) -> list[Row]:
    found = []
    agreement = _part(m, "agreement")
    if agreement:
        found.append(
            Row(
                "Independent starts that agree",
                f"{agreement.get('agree')} of {agreement.get('starts')}",
                f"correlation after alignment above {agreement.get('threshold')}, mirror allowed",
            )  # fmt: skip
        )
    found += _fsc_rows(
        m, "fsc_half", "half sets of class averages",
        "no half sets were refined (`half_sets`)",
        "halves of class averages are not gold-standard half sets of particles",
    )  # fmt: skip
    found += _fsc_rows(m, "fsc_truth", "reference map", "no reference map was given", "the map was no input")
    found += [_median(m, "correlation", "Correlation of class averages with projections, median", "masked")]
    found += [_median(m, "confidence", "Confidence of the poses, median (of 1)", "weight of the best poses")]
    found.append(Row("Volumes of single class averages", str(m.get("volumes", 0)), "one per class average"))
    found.append(Row("Handedness", NOT_MEASURED, "projections don't tell a structure from its mirror image"))
    return found


def _of_known_poses(m: Mapping[str, Any]) -> list[Row]:
    found = [Row("Images", str(m.get("images")), "at given poses")]
    supplied = m.get("prior_supplied")
    found.append(
        Row("Power supplied by the prior", _percent(supplied), "where no image measured Fourier coefficients")
        if supplied is not None
        else Row("Power supplied by the prior", NOT_MEASURED, "")
    )
    values = [v for v in m.get("correlation") or [] if isinstance(v, int | float)]
    found.append(
        Row(
            "Correlation of images with projections",
            f"{sorted(values)[len(values) // 2]:.3f} median, {min(values):.3f} lowest",
            "masked",
        )  # fmt: skip
        if values
        else Row("Correlation of images with projections", NOT_MEASURED, "")
    )
    found += _fsc_rows(m, "fsc_truth", "reference map", "no reference map was given", "the map was no input")
    if m.get("fsc_truth_least_squares"):
        found += _fsc_rows(
            m,
            "fsc_truth_least_squares",
            "reference map, least squares alone",
            "",
            "the map of the images alone",
        )
    found.append(
        Row("FSC of half maps (0.143)", NOT_MEASURED, "so few images can't be divided into half sets")
    )
    noise = m.get("noise")
    if isinstance(noise, int | float):
        found.append(Row("Noise of the images", f"{noise:.3g} of their contrast", "in the surroundings"))
    return found


def _of_training(m: Mapping[str, Any]) -> list[Row]:
    found = [Row("Steps", f"{m.get('steps', 0):,}", ""), Row("Parameters", f"{m.get('parameters', 0):,}", "")]
    trained = _part(m, "validation_rmse_over_sigma")
    closed = _part(m, "closed_form_rmse_over_sigma")
    held = m.get("held_out_images", m.get("validation_clouds"))
    for level in sorted(trained, key=float):
        beside = f"; closed form {closed[level]:.3f}" if level in closed else ""
        found.append(
            Row(
                f"RMSE / σ at σ = {level}",
                f"{trained[level]:.3f}",
                f"on {held} held out{beside}; 1: no denoising",
            )
        )
    if not trained:
        found.append(Row("Error of denoising", NOT_MEASURED, "nothing was held out"))
    found.append(
        Row("Quality of samples", NOT_MEASURED, "`verglas evaluate --prior` measures it for priors of clouds")
    )
    return found


def _fsc_rows(m: Mapping[str, Any], key: str, name: str, why_not: str, caution: str) -> list[Row]:
    part = _part(m, key)
    if not part:
        return [Row(f"FSC against {name}", NOT_MEASURED, why_not)]
    how = (
        f"against {part.get('against')}; {'aligned' if part.get('aligned') else 'not aligned'}"
        f"{', as its mirror image' if part.get('mirrored') else ''}; {part.get('mask')}; {caution}"
    )
    return [
        Row(f"Resolution, FSC {threshold} against {name}",
            _angstrom(part.get(f"resolution_0p{threshold[2:]}_A"), "not reached before Nyquist"), how)
        for threshold in ("0.5", "0.143")
    ]  # fmt: skip


def _median(m: Mapping[str, Any], key: str, title: str, how: str) -> Row:
    value = _part(m, key).get("median")
    return Row(title, f"{value:.3f}", how) if isinstance(value, int | float) else Row(title, NOT_MEASURED, "")


def _part(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _mean_sd(entry: Mapping[str, Any], unit: str) -> str:
    if entry.get("mean") is None:
        return "not finite"
    sd = entry.get("sd")
    return f"{entry['mean']:.2f}" + (f" ± {sd:.2f}" if sd is not None else "") + f" {unit}"


def _angstrom(value: Any, otherwise: str) -> str:
    return f"{value:.1f} Å" if isinstance(value, int | float) else otherwise


def _percent(value: Any) -> str:
    return f"{100 * value:.0f} %" if isinstance(value, int | float) else NOT_MEASURED


def as_markdown(table: Sequence[Row], title: str) -> str:
    """The table in Markdown."""
    lines = [
        f"# Validation of {title}" if title else "# Validation",
        "",
        "| Measure | Value | How |",
        "|---|---|---|",
    ]
    lines += [
        "| " + " | ".join(c.replace("|", "/") for c in (r.measure, r.value, r.how)) + " |" for r in table
    ]
    return "\n".join(lines) + "\n"


def as_csv(table: Sequence[Row]) -> str:
    """The table with commas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", "value", "how"])
    writer.writerows([r.measure, r.value, r.how] for r in table)
    return text.getvalue()
