"""Whole files or none: everything that Verglas writes appears complete under its name, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import VerglasError

_PART = ".part"


def unfinished(path: Path) -> bool:
    """Whether a name is that of a file that was being written: left over where a process was killed."""
    return path.name.startswith(".") and _PART in path.suffixes


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an exception.

    The temporary name keeps the suffix, because writers choose formats by it. The data reach the
    disk (fsync) before the name changes.

    Raises
    ------
    VerglasError
        If the folder can't be written or the disk is full; ``path`` then keeps what it had.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = "".join((_PART, *path.suffixes))
        handle, name = tempfile.mkstemp(prefix=".", suffix=suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp, and some writers, make files private; results are for the user's colleagues too.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as exc:
        raise VerglasError(
            f"The file can't be written ({exc.strerror or exc}).",
            "Check that the folder exists, is writable and has free space.",
            path,
        ) from exc
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_npy(path: str | Path, array: NDArray[Any]) -> None:
    """Write one array atomically as npy, without pickling."""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.save(handle, array, allow_pickle=False)
