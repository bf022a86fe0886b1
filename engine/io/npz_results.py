"""Reading back the npz files of a run's results, which anybody may have changed since."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.atomic import atomic_path

LARGEST_BYTES = 64 << 20
ADVICE = "Use the results of a finished run, or run again."


def write_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> Path:
    """Write arrays atomically and without pickle; the path."""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)
    return path


def read_arrays(
    path: Path, what: str, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[np.generic]]:
    """The arrays of these names; optional ones only if they are there.

    Parameters
    ----------
    what : the content in words, for messages, e.g. ``landscape``.

    Raises
    ------
    InputError
        If the file is missing, damaged, too large, or lacks an array.
    """
    try:
        npy.check_expansion(path, ADVICE, LARGEST_BYTES)
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                raise InputError(f"The {what} lacks {', '.join(missing)}.", ADVICE, path)
            return {
                name: npy.member(archive, name) for name in (*required, *optional) if name in archive.files
            }
    except FileNotFoundError:
        raise InputError("There is no such file.", ADVICE, path) from None
    except InputError:
        raise
    except npy.DAMAGE as exc:
        raise InputError(f"The {what} is damaged.", ADVICE, path) from exc
