"""Shapes as voxels: an npy array of zeros and ones, plain or gzipped."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.limits import MAX_VOXELS
from engine.io.streams import fill, head, open_bytes

_HEADER_BYTES = 1 << 16
_SMALLEST_EDGE, _LARGEST_EDGE = 4, 512
_ADVICE = "Save shapes with numpy.save as an array (shapes, z, y, x) that is 1 inside a shape and 0 outside."


def read_voxels(path: str | Path) -> NDArray[np.bool_]:
    """Read shapes, one after the other, so that no more than their bits are held in memory.

    Parameters
    ----------
    path : npy of booleans, whole or floating-point numbers that are 0 or 1, shape (shapes, z, y, x) or,
        with a channel as networks want it, (shapes, 1, z, y, x); may be gzipped.

    Returns
    -------
    (shapes, z, y, x), True inside.

    Raises
    ------
    InputError
        If the file is missing, cut off, not an array of that form, larger than 1024³ voxels in all, or
        holds other numbers than 0 and 1.
    """
    path = Path(path)
    start = io.BytesIO(head(path, _HEADER_BYTES))
    shape, dtype = _header(start, path)
    if len(shape) == 5 and shape[1] == 1:
        shape = (shape[0], *shape[2:])
    if len(shape) != 4 or shape[0] < 1:
        raise InputError(f"The array has shape {shape}, which is not one of shapes in 3D.", _ADVICE, path)
    if not all(_SMALLEST_EDGE <= edge <= _LARGEST_EDGE for edge in shape[1:]):
        raise InputError(
            f"The shapes have {' × '.join(map(str, shape[1:]))} voxels; "
            f"{_SMALLEST_EDGE} to {_LARGEST_EDGE} along each axis can be used.",
            "Sample them on another grid.",
            path,
        )
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"The file holds {math.prod(shape):,} voxels; {MAX_VOXELS:,} are the most.",
            "Divide it into several files.",
            path,
        )
    voxels = np.empty(shape, np.bool_)
    buffer = np.empty(math.prod(shape[1:]) * dtype.itemsize, np.uint8)
    with open_bytes(path) as stream:
        stream.read(start.tell())
        for row in range(shape[0]):
            if fill(stream, buffer) < len(buffer):
                raise InputError(
                    f"The file ends within shape {row + 1} of {shape[0]}.", "Copy or download it again.", path
                )
            values = buffer.view(dtype).reshape(shape[1:])
            if not ((values == 0) | (values == 1)).all():
                raise InputError(f"Shape {row + 1} holds other numbers than 0 and 1.", _ADVICE, path)
            voxels[row] = values == 1
    return voxels


def _header(start: io.BytesIO, path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and dtype; the stream then stands at the first number."""
    try:
        shape, fortran_order, dtype = npy.read_header(start)
    except ValueError as exc:
        raise InputError("This is not an npy file of voxels.", _ADVICE, path) from exc
    if dtype.kind not in "biuf":
        raise InputError("The array does not hold numbers.", _ADVICE, path)
    if fortran_order:
        raise InputError(
            "The array is stored in Fortran order.", "Save numpy.ascontiguousarray(array) instead.", path
        )
    return shape, dtype
