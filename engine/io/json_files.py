"""Small JSON files of a run's results: written whole, read with every failure named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.io.atomic import write_text
from engine.io.streams import read_text

LARGEST_BYTES = 256 << 20
"""Beyond this a result file isn't one."""


def plain(value: Any) -> Any:
    """The same in what JSON can hold: lists for arrays and tuples, None for numbers that aren't finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write one object atomically; numpy values are fine, values that aren't finite become null.

    Raises
    ------
    VerglasError
        If the file can't be written.
    """
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read one object.

    Raises
    ------
    InputError
        If the file is missing, too large, not JSON, or holds something else than an object.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path, limit=LARGEST_BYTES))
    except (ValueError, RecursionError) as exc:
        raise InputError(
            "The file is damaged: it is not JSON.", "Copy it again, or run again.", path
        ) from exc
    if not isinstance(content, dict):
        raise InputError("The file is damaged: it holds no named values.", "Run again.", path)
    return content
