"""What a prior's card says, in words: for the command line's table and the window's model card. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.io.prior_library import PriorEntry

UNSEEN = (
    "It has never seen anything but its training clouds: expect it to know shapes like these, and no others."
)


@dataclass(frozen=True)
class LevelError:
    """Denoising error on validation clouds at one noise level.

    Attributes
    ----------
    sigma : noise level, in units of the clouds' half-size.
    error : RMSE / σ; 1 is no denoising.
    shapeless : what the isotropic Wiener filter reaches, s/√(s² + σ²), that knows a cloud's size s and
        nothing of its shape; NaN where s is unknown.
    """

    sigma: float
    error: float
    shapeless: float


def number_of(table: dict[str, Any], key: str) -> float | None:
    """A finite number of a card, or None; cards come from files and may hold anything."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def level_errors(entry: PriorEntry) -> list[LevelError]:
    """The validation errors of a prior, low noise first; empty if the card has none."""
    errors = entry.trained.get("validation_rmse_over_sigma")
    if not isinstance(errors, dict):
        return []
    size = number_of(entry.card, "sigma_data")
    found = []
    for key in errors:
        try:
            sigma = float(key)
        except (TypeError, ValueError):
            continue
        error = number_of(errors, key)
        if error is not None and math.isfinite(sigma) and sigma > 0:
            found.append(LevelError(sigma, error, size / math.hypot(size, sigma) if size else math.nan))
    return sorted(found, key=lambda level: level.sigma)


def architecture_of(entry: PriorEntry) -> str:
    """The network's name; `unknown` if the card doesn't say."""
    value = entry.card.get("architecture")
    return value if isinstance(value, str) and value else "unknown"


def size_words(size: int) -> str:
    """Bytes as kB or MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def hours_words(hours: float) -> str:
    """A training time, e.g. ``24 min`` or ``8.0 h``."""
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min" if hours >= 1 / 60 else "under 1 min"


def card_rows(entry: PriorEntry) -> list[tuple[str, str]]:
    """(what, value) of everything that is known of a prior; what its card lacks is left out."""
    trained = entry.trained
    rows = [("Network", f"{architecture_of(entry)}{_options(entry)}, {entry.parameters:,} parameters")]
    points = number_of(entry.card, "points")
    data = _words(trained.get("clouds"))
    count = number_of(trained, "training_clouds")
    if count is not None or data or points is not None:
        clouds = f"{count:,.0f} clouds" if count is not None else "Clouds"
        clouds += f" of {points:.0f} points" if points is not None else ""
        rows.append(("Trained on", f"{clouds}{f', from {data}' if data else ''}"))
    licence = _words(trained.get("licence"))
    if licence:
        rows.append(("Licence of the data", licence))
    effort = []
    for key, words in (("steps", "steps"), ("clouds_seen", "clouds seen")):
        value = number_of(trained, key)
        if value is not None:
            effort.append(f"{value:,.0f} {words}")
    hours = number_of(trained, "hours")
    if hours is not None:
        effort.append(hours_words(hours))
    if effort:
        rows.append(("Training", ", ".join(effort)))
    device = _words(trained.get("device"))
    if device:
        rows.append(("Computed on", device))
    size = number_of(entry.card, "sigma_data")
    if size is not None:
        rows.append(("Spread of a cloud", f"σ_data {size:.4g} of its half-size"))
    rows.append(("File", f"{entry.path}, {size_words(entry.size)}"))
    rows.append(("sha256", entry.sha256))
    hashed = _words(trained.get("clouds_sha256"))
    if hashed:
        rows.append(("sha256 of the clouds", hashed))
    return rows


def _options(entry: PriorEntry) -> str:
    options = entry.card.get("options")
    if not isinstance(options, dict):
        return ""
    return "".join(f", {_words(k)} {_words(v)}" for k, v in options.items() if isinstance(v, int | float))


def _words(value: object) -> str:
    """A short text of a card on one line; empty for anything else."""
    return " ".join(str(value).split())[:200] if isinstance(value, str | int | float) else ""
