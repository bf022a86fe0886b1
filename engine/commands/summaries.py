"""What a finished run's measurements say, in words for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.commands.display import duration
from engine.io.volumes import OF_VOLUMES


def of_volumes(metrics: dict[str, Any]) -> list[str]:
    """Sentences about a run of score distillation from its ``metrics.json``; what is missing is left out."""
    lines = []
    count = metrics.get("volumes")
    if isinstance(count, int) and count > 0:
        each = metrics.get("seconds", {}).get("volumes") if isinstance(metrics.get("seconds"), dict) else None
        pace = f", {each / count:.1f} s each" if isinstance(each, int | float) else ""
        lines.append(f"A consensus map and {count} volumes of class averages{pace}.")
    else:
        lines.append("A consensus map.")
    for key in ("agreement", "fsc_half", "fsc_truth"):
        part = metrics.get(key)
        if isinstance(part, dict) and isinstance(part.get("sentence"), str):
            lines.append(part["sentence"])
    confidence = metrics.get("confidence")
    if isinstance(confidence, dict) and isinstance(confidence.get("median"), int | float):
        lines.append(f"Confidence of the poses, median: {confidence['median']:.2f} (of 1).")
    return lines + [f"Note: {note}" for note in metrics.get("notes") or () if isinstance(note, str)]


def of_known_poses(metrics: dict[str, Any]) -> list[str]:
    """Sentences about a volume at known poses from its ``metrics.json``; what is missing is left out."""
    count = metrics.get("images")
    source = f" from {count} images at their poses" if isinstance(count, int) else ""
    lines = [f"A volume{source}."]
    supplied = metrics.get("prior_supplied")
    if isinstance(supplied, int | float):
        lines.append(f"{100 * supplied:.0f} % of its power lies where no image measured anything.")
    for key, name in (("fsc_truth", ""), ("fsc_truth_least_squares", "Least squares alone: ")):
        part = metrics.get(key)
        if isinstance(part, dict) and isinstance(part.get("sentence"), str):
            lines.append(name + part["sentence"])
    return lines + [f"Note: {note}" for note in metrics.get("notes") or () if isinstance(note, str)]


def of_denoiser(metrics: dict[str, Any]) -> list[str]:
    """Sentences and a table about the training of a denoiser of images from its ``metrics.json``."""
    lines = []
    facts = []
    if isinstance(parameters := metrics.get("parameters"), int):
        facts.append(f"{parameters:,} parameters")
    if isinstance(steps := metrics.get("steps"), int):
        facts.append(f"{steps:,} steps")
    if isinstance(seen := metrics.get("images_seen"), int):
        facts.append(f"{seen:,} images seen")
    if isinstance(minutes := metrics.get("minutes"), int | float):
        facts.append(f"{duration(60 * minutes)} of training")
    if facts:
        lines.append("Denoiser: " + ", ".join(facts) + ".")
    trained = _numbers(metrics.get("validation_rmse_over_sigma"))
    closed = _numbers(metrics.get("closed_form_rmse_over_sigma"))
    if trained:
        lines.append("Error on images kept back, RMSE / σ (1 is no denoising; lower is better):")
        levels = sorted(trained, key=float)
        lines.append("  noise σ      " + "".join(f"{level:>8}" for level in levels))
        lines.append("  network      " + "".join(f"{trained[level]:8.3f}" for level in levels))
        if closed:
            shown = (f"{closed[level]:8.3f}" if level in closed else f"{'':8}" for level in levels)
            lines.append("  closed form  " + "".join(shown))
            better = sum(trained[level] < closed[level] for level in levels if level in closed)
            lines.append(
                f"The network is better than the closed form at {better} of "
                f"{sum(level in closed for level in levels)} noise levels."
            )
    return lines


def next_step(metrics: dict[str, Any] | None, folder: Path) -> str | None:
    """What to do with a completed run, or None where nothing is usual."""
    kind = (metrics or {}).get("kind")
    if kind in OF_VOLUMES:
        return f"Next: verglas export {folder} --format cxc"
    if kind == "train_denoiser":
        weights = folder / "results" / "denoiser.safetensors"
        return f'Next: in a run description, denoiser = {{ kind = "trained", weights = "{weights}" }}'
    if (folder / "results" / "ensemble.npz").exists():
        return f"Next: verglas export {folder} --format mmcif"
    return None


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    found = {}
    for key, number in value.items():
        try:
            float(key)
        except (TypeError, ValueError):
            continue
        if isinstance(number, int | float):
            found[str(key)] = float(number)
    return found
