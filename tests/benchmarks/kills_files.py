"""Whether files of a run are whole, and whether two runs hold the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from safetensors import safe_open

_TIMES = ("seconds", "minutes", "hours", "eta", "time", "started", "taken")
_BY_THE_CLOCK = ("learning_curve.csv",)
"""Rows are added every so many seconds: which steps they tell of is chance."""


def unreadable(folder: Path) -> list[str]:
    """Files that can't be read as what their names say; hidden temporary ones don't count."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith(".") or path.name in ("lock", "log.txt", "cancel", "pause"):
            continue
        if path.name.startswith("events"):
            continue  # grows by lines; the last may be half, and is passed over
        try:
            _content(path)
        except Exception as exc:
            found.append(f"{path.relative_to(folder)} can't be read: {type(exc).__name__}: {exc}")
    return found


def contents(run: Path) -> dict[str, Any]:
    """Everything in ``results/`` that doesn't say how long it took."""
    results = run / "results"
    paths = sorted(p for p in results.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p.relative_to(results).as_posix(): _content(p) for p in paths}


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs, in words; empty if nothing does."""
    told = [f"{name} is missing" for name in wanted if name not in found]
    told += [f"{name} is too much" for name in found if name not in wanted]
    return told + [
        f"{name} differs" for name in wanted if name in found and not _equal(wanted[name], found[name])
    ]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    return bool(a == b)


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix in (".mrc", ".mrcs"):
        with mrcfile.open(path) as file:
            return {"data": np.array(file.data), "voxel": np.array(file.voxel_size.tolist())}
    if path.suffix == ".safetensors":
        with safe_open(str(path), framework="np") as file:
            facts = {k: _timeless(_parsed(v)) for k, v in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()} | {"metadata": facts}  # noqa: SIM118
    if path.suffix in (".png", ".svg", ".webp"):
        if not path.stat().st_size:
            raise ValueError("it is empty")
        return "a picture"
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError("it is empty")
    if path.name in _BY_THE_CLOCK:
        return lines[0]
    return [line for line in lines if not line.startswith("#")]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not any(word in k for word in _TIMES)}
    return [_timeless(v) for v in value] if isinstance(value, list) else value
