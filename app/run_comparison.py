"""Two runs beside each other: settings that differ, and what was measured. Plain functions."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from app.forms import label_of
from app.measures import measures_of
from engine.jobs.run_dir import RunDir

LONGEST_LIST = 12  # entries that are shown; of longer lists the number
_RESOLUTION = re.compile(r"resolution_0p(\d+)_A")
_SAID = ("energies", "frame", "truth", "summary")  # said better by the measures, or by the settings
_INDICES = ("medoid", "best")
_UNITS = {"A": "Å", "deg": "°", "px": "px"}


@dataclass(frozen=True)
class Row:
    """One line: values in words; empty where a run has no such setting or measure."""

    group: str
    label: str
    first: str
    second: str

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return self.first == self.second


def compare(first: Path, second: Path) -> list[Row]:
    """Settings and measures of two runs, in the order of the settings.

    Raises
    ------
    VerglasError
        If one of them is no run.
    """
    specs = [dict(_settings(RunDir.open(path).spec())) for path in (first, second)]
    measured = [dict(_measures(path)) for path in (first, second)]
    return [*_rows("Settings", *specs), *_rows("Measured", *measured)]


def as_csv(rows: list[Row], names: tuple[str, str]) -> str:
    """A table for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", "", *names])
    writer.writerows([row.group, row.label, row.first, row.second] for row in rows)
    return text.getvalue()


def _rows(group: str, first: dict[str, str], second: dict[str, str]) -> Iterator[Row]:
    extra = [label for label in second if label not in first]
    for label in [*first, *extra]:
        yield Row(group, label, first.get(label, ""), second.get(label, ""))


def _settings(model: BaseModel, where: str = "") -> Iterator[tuple[str, str]]:
    """Label with unit, and value in words, of every setting."""
    for name, info in type(model).model_fields.items():
        if name == "schema_version":
            continue
        value = getattr(model, name)
        label = f"{where}{label_of(name)}"
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{label}: ")
            continue
        if isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            for number, item in enumerate(value, 1):
                yield from _settings(item, f"{label} {number}: ")
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = f" ({extra['unit']})" if extra.get("unit") else ""
        yield f"{label}{unit}", _words(value)


def _words(value: Any) -> str:
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        shown = ", ".join(_words(item) for item in value)
        return shown if len(value) <= LONGEST_LIST else f"{len(value)} values: {shown[:60]}…"
    return str(value)


def _measures(folder: Path) -> Iterator[tuple[str, str]]:
    run = RunDir.open(folder)
    ended = run.outcome()
    if ended is not None:
        yield "Outcome", ended.type
        if hasattr(ended, "seconds"):
            yield "Time (s)", f"{ended.seconds:.0f}"
    try:
        metrics = json.loads((run.results / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(metrics, dict):
        return
    if "per_sample" in str(metrics.get("energies", "")):
        for measure in measures_of(metrics):
            unit = f" ({measure.unit})" if measure.unit else ""
            yield f"{measure.label}{unit}", measure.mean_text.removesuffix(measure.unit).strip()
    yield from _numbers({k: v for k, v in metrics.items() if k not in _SAID})


def _numbers(values: dict[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """Single numbers, at most two tables deep; curves and matrices are for plots."""
    for key, value in values.items():
        label = f"{where}{_label(key)}"
        if isinstance(value, dict) and where.count(": ") < 2:
            yield from _numbers(value, f"{label}: ")
        elif key in _INDICES:
            continue
        elif isinstance(value, bool):
            yield label, "yes" if value else "no"
        elif isinstance(value, int | float) and key != "schema_version" and np.isfinite(value):
            yield label, f"{value:.4g}"


def _label(key: str) -> str:
    """A measure's name in words with its unit."""
    fsc = _RESOLUTION.fullmatch(key)
    if fsc is not None:
        return f"falls below 0.{fsc[1]} at (Å)"
    stem, _, unit = key.rpartition("_")
    if stem and unit in _UNITS:
        return f"{stem.replace('_', ' ').capitalize()} ({_UNITS[unit]})"
    text = key.replace("_", " ").replace("fsc", "FSC").replace("rmse", "RMSE").replace("rmsd", "RMSD")
    return text[:1].upper() + text[1:]
