"""Fields of specs in words: names, choices, units, bounds, defaults, and what is wrong with a value."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

_WORDS = {
    "pixel_size_A": "Pixel size", "voxel_size_A": "Voxel size", "rotation": "Pose (w, x, y, z)",
    "shift_A": "Shift", "select": "Images used", "sigma": "Width σ", "sigma_max": "Highest noise σ",
    "sigma_min": "Lowest noise σ", "rho": "Level spacing ρ", "zeta": "Fresh noise ζ",
    "alpha": "Guidance α", "beta": "Churn β", "clamp": "Bound of φ",
    "observation_sigma": "Error of the evidence", "mass_fraction": "Share of the mass", "centre_A": "Centre",
    "scale_A": "Half-size", "points": "Points", "batch": "Samples at once", "control": "Control clouds",
    "mask_diameter_A": "Mask diameter", "centre": "Centre the particles", "box": "Working box",
    "volumes": "Volumes", "only": "Only these images", "restarts": "Independent starts",
    "refine_rounds": "Refinement rounds", "half_sets": "Refine half-sets too", "start": "Volumes start from",
    "views_first": "Views, first step", "views_last": "Views, last step", "sigma_first": "First noise σ",
    "sigma_last": "Last noise σ", "step_size": "Step size α", "anchor": "Weight of the image",
    "motion_rounds": "Motion rounds", "motion_components": "Motion components",
    "neighbours": "Similar images", "solvent": "Mask the solvent", "angle_step_deg": "Rotation step",
    "components": "Components",
    "shift_px": "Also shifted by", "architecture": "Network", "minutes": "Training time",
    "max_steps": "Most steps", "ema_decay": "Weight average", "p_mean": "Mean of ln σ",
    "p_std": "Spread of ln σ", "shift": "Random shift", "held_out": "Held out",
    "checkpoint_minutes": "Checkpoint every", "learning_rate": "Learning rate",
}  # fmt: skip
CHOICES = {
    ("contrast", "auto"): "find out", ("contrast", "white"): "particles are white",
    ("contrast", "black"): "particles are black", ("volumes", "one"): "one consensus volume",
    ("volumes", "each"): "one for each class average", ("start", "consensus"): "the consensus",
    ("start", "nothing"): "nothing, as published", ("architecture", "small"): "small, for a CPU",
    ("architecture", "paper"): "paper (3.9 M parameters)",
    ("architecture", "ribosome"): "ribosome (5.3 M parameters)",
    ("architecture", "equivariant"): "equivariant (default)",
    ("architecture", "kernel"): "kernel: plain channels",
    ("architecture", "point_e"): "Point-E transformer, for a GPU",
    ("augment", "SO3"): "at random (molecules)", ("augment", "O3"): "and mirrored at random",
    ("precision", "auto"): "find out",
}  # fmt: skip
ZERO_IS_AUTOMATIC = frozenset({"box", "batch"})
_BOUNDS = {
    "greater_than": ("gt", "greater than"), "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"), "less_than_equal": ("le", "at most"),
}  # fmt: skip


def label_of(name: str) -> str:
    """A field's name in words, without its unit suffix."""
    return _WORDS.get(name) or name.removesuffix("_A").replace("_", " ").capitalize()


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with some values, in a sentence that names the field."""
    first = error.errors()[0]
    message = said(first)
    where = next((str(part) for part in reversed(first["loc"]) if not isinstance(part, int)), "")
    return f"{label_of(where)}: {message}" if where and first["type"] != "value_error" else message


def said(item: Any, unit: str = "") -> str:
    """What pydantic says of one value, as a sentence; our own validators' words as they are."""
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if item["type"] in _BOUNDS:
        key, words = _BOUNDS[item["type"]]
        limit = item["ctx"][key]
        return f"Must be {words} {limit:g}{f' {unit}' if unit else ''}."
    return str(item["msg"]).rstrip(".") + "."


def limits_of(info: FieldInfo, unit: str = "") -> str:
    """The bounds of a field in words, e.g. ``From 2 to 1000``; empty where there are none."""
    found = {key: getattr(item, key) for item in info.metadata for key in ("ge", "gt", "le", "lt")
             if getattr(item, key, None) is not None}  # fmt: skip
    low = f"from {found['ge']:g}" if "ge" in found else f"more than {found['gt']:g}" if "gt" in found else ""
    high = ""
    if "le" in found:
        high = f"to {found['le']:.10g}" if "ge" in found else f"at most {found['le']:.10g}"
    elif "lt" in found:
        high = f"less than {found['lt']:.10g}"
    joint = " " if "ge" in found and "le" in found else ", "
    words = joint.join(part for part in (low, high) if part)
    return f"{words[:1].upper()}{words[1:]}{f' {unit}' if unit else ''}." if words else ""


def unit_of(info: FieldInfo) -> str:
    """The unit of a field; empty for pure numbers, text and choices."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return str(extra.get("unit") or "")


def in_words(name: str, value: Any, unit: str = "") -> str:
    """A value as its field shows it."""
    if value is None or value == ():
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return CHOICES.get((name, value), value.replace("_", " ")) or "empty"
    if value == 0 and name in ZERO_IS_AUTOMATIC:
        return "0, automatic"
    if isinstance(value, tuple):
        text = ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in value)
    else:
        text = f"{value:.8g}"
    return f"{text} {unit}" if unit else text
