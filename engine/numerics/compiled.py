"""Functions compiled to machine code at their first call, which then need no GIL.

What was compiled is kept in the user's cache folder, one folder for each version of the sources: the compiler
would not notice that a function in another file, whose code it has taken in, has changed. This also works
where Verglas itself is installed read-only.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit
from platformdirs import user_cache_dir

Function = Callable[..., Any]
ENGINE = Path(__file__).resolve().parents[1]
COMPILED = ("assignment", "numerics/compiled.py")
"""Where in the engine compiled functions are; all of it decides about which cache is used."""


def _digest() -> str:
    found = hashlib.sha256(numba.__version__.encode())
    for name in COMPILED:
        place = ENGINE / name
        for source in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            found.update(source.read_bytes())
    return found.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code of these sources is kept; a temporary folder where the user's can't be written."""
    home = Path(os.environ.get("VERGLAS_CACHE") or user_cache_dir("verglas", appauthor=False))
    folder = home / "compiled" / _digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="verglas-"))


setattr(numba.config, "CACHE_DIR", str(cache_folder()))  # noqa: B010 - its settings are made at import


def compiled(function: Function) -> Function:
    """Compile for numbers and arrays.

    What a test wraps around every function of the engine to check its types is taken off first: the
    compiler wants the plain function.
    """
    made: Function = njit(nogil=True, cache=True)(inspect.unwrap(function))
    return made


def inlined(function: Function) -> Function:
    """As :func:`compiled`, for what is called in inner loops: its code goes into that of its caller."""
    made: Function = njit(nogil=True, forceinline=True)(inspect.unwrap(function))
    return made


def inlined_fast(function: Function) -> Function:
    """As :func:`inlined`; sums may be taken in another order, so that loops use wide registers.

    For functions whose arguments are all finite.
    """
    made: Function = njit(nogil=True, forceinline=True, fastmath=True)(inspect.unwrap(function))
    return made
