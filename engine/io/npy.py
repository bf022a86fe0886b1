"""NumPy's files, from anybody: headers and arrays of npy, and how far an npz archive may expand.

numpy reads a header as a Python literal, which runs nothing but raises whatever its tokeniser stumbles
on, and believes the sizes in it. Nothing is ever unpickled.
"""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError

MAX_HEADER_BYTES = 10_000
"""What numpy takes for harmless; a cryoSPARC dataset of many columns has more."""
MAX_EXPANSION = 40
"""Coordinates compress two to five times; an archive that expands further is a decompression bomb."""
MIN_BUDGET = 32 << 20
"""Bytes to which small archives may expand whatever the ratio."""

DAMAGE: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, SyntaxError, ArithmeticError,
    RuntimeError, SystemError, AssertionError, MemoryError, tokenize.TokenError, struct.error,
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What numpy and zipfile raise for files that are not what they say."""


def read_header(
    stream: BufferedIOBase, most: int = MAX_HEADER_BYTES
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype of an npy file; the stream then stands at the first value.

    Parameters
    ----------
    most : bytes that the header may have.

    Raises
    ------
    ValueError
        If it is not such a header, or one of impossible sizes.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(stream, max_header_size=most)
    except DAMAGE as exc:
        raise ValueError("its header is damaged") from exc
    if any(isinstance(n, bool) or n < 0 for n in shape) or len(shape) > 32:
        raise ValueError(f"its shape can't be: {str(shape)[:60]}")
    return tuple(int(n) for n in shape), bool(fortran_order), dtype


def read_array(path: str | Path) -> NDArray[Any]:
    """One array of numbers; not ``np.load``, which also takes archives and pickles apart.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is no npy file of numbers, or ends early.
    """
    with open(path, "rb") as handle:
        shape, fortran_order, dtype = read_header(handle)
        if dtype.kind not in "biufc":
            raise ValueError("it holds no numbers")
        count, start = math.prod(shape), handle.tell()
        if count * dtype.itemsize > handle.seek(0, 2) - start:
            raise ValueError("it ends early")
        handle.seek(start)
        values = np.fromfile(handle, dtype, count)
    return values.reshape(shape, order="F" if fortran_order else "C")


def member(archive: Any, name: str) -> NDArray[Any]:
    """An array of an open npz, which may hold anything else under that name.

    Raises
    ------
    Any of :data:`DAMAGE`
        If it can't be read, or is no array.
    """
    found = archive[name]
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{name} is no array")
    return found


def texts(array: NDArray[Any]) -> tuple[str, ...]:
    """The entries of an array of text, which may hold numbers that are no characters.

    Raises
    ------
    ValueError
        If it is no array of text.
    """
    if array.dtype.kind not in "USiu":
        raise ValueError("it holds no text")
    try:
        values = array.ravel().tolist()
    except (SystemError, ValueError) as exc:
        raise ValueError("it holds characters that can't be") from exc
    return tuple(
        v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v).encode("utf-8", "replace").decode()
        for v in values
    )


def check_expansion(path: Path, advice: str, largest: int) -> None:
    """Refuse an npz archive that unpacks to more than ``largest`` bytes, or suspiciously far.

    Members never give more than the archive's directory says, so that is all that counts.

    Raises
    ------
    InputError
        If it does.
    OSError, or others of :data:`DAMAGE`
        If it can't be read or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > min(largest, max(MIN_BUDGET, MAX_EXPANSION * path.stat().st_size)):
        raise InputError(f"The archive would unpack to {size / 2**20:,.0f} MiB.", advice, path)
