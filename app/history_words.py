"""The words of a step of the history: which values it changed, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.forms import label_of

_LONGEST = 28  # characters of a value in a step's words


class _Absent:
    """Where a key has no value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()

Differences = dict[tuple[str, str], tuple[Any, Any]]  # (part, key) → value before and after


def describe(changed: Differences) -> str:
    """Which values changed, and how, e.g. ``samples 5 → 8``."""
    leaves = leaves_of(changed)
    kinds = [name.removesuffix("kind") for name, _, _ in leaves if name.endswith(".kind")]
    shown = [
        leaf for leaf in leaves
        if leaf[0].endswith(".kind") or not any(leaf[0].startswith(stem) for stem in kinds)
    ]  # fmt: skip
    if len(shown) == 1:
        name, before, after = shown[0]
        start = "" if before is ABSENT else f"{_words(before)} "
        return f"{_label(name)} {start}→ {_words(after)}"
    names = list(dict.fromkeys(_label(name) for name, _, _ in shown))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def leaves_of(changed: Differences) -> list[tuple[str, Any, Any]]:
    """Name, value before and value after of what changed, down to the items of dictionaries."""
    found: list[tuple[str, Any, Any]] = []

    def add(name: str, before: Any, after: Any) -> None:
        if isinstance(before, dict) and isinstance(after, dict):
            for key in {**before, **after}:
                pair = before.get(key, ABSENT), after.get(key, ABSENT)
                if pair[0] != pair[1]:
                    add(f"{name}.{key}", *pair)
        else:
            found.append((name, before, after))

    for (part, key), (before, after) in changed.items():
        add(f"{part}.{key}", before, after)
    return found


def _label(name: str) -> str:
    parts = name.split(".")
    label = label_of(parts[-2] if parts[-1] == "kind" else parts[-1])
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _words(value: Any) -> str:
    if value is ABSENT or value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        text = ", ".join(_words(v) for v in value)
    elif isinstance(value, Path) or (isinstance(value, str) and "/" in value):
        text = Path(value).name
    else:
        text = str(value).replace("_", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
