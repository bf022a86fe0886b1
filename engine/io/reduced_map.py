"""Maps of any size for looking at: read piece by piece and averaged over blocks of voxels on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import conventions
from engine.errors import InputError
from engine.io.mrc import read_header, read_volume, refuse_unusable_map
from engine.io.mrc_header import HEADER_BYTES, MrcHeader
from engine.io.streams import fill, is_gzipped, open_bytes
from engine.types import Volume

MOST_VOXELS = 256**3
"""What a picture needs, and what its surface can be worked out from in about a second."""


def read_reduced(path: str | Path, *, most_voxels: int = MOST_VOXELS) -> tuple[Volume, int]:
    """A density map with at most about this many voxels, and over how many along each edge it was averaged.

    Memory: the answer and one slab of the file. Smaller maps are read as they are.

    Raises
    ------
    InputError
        As :func:`engine.io.mrc.read_volume`.
    """
    path = Path(path)
    header = read_header(path)
    refuse_unusable_map(header, path)
    factor = int(np.ceil((float(np.prod(header.shape, dtype=np.int64)) / most_voxels) ** (1 / 3) - 1e-9))
    if factor <= 1:
        return read_volume(path), 1
    density = _averaged(path, header, factor)
    density = np.ascontiguousarray(np.transpose(density, [2 - header.axes.index(a) for a in (2, 1, 0)]))
    origin, _ = conventions.mrc_origin_A(header.nstart, header.origin_field_A, header.spacing_A)
    spacing = tuple(s * factor for s in header.spacing_A)
    shifted = tuple(o + s * (factor - 1) / 2 for o, s in zip(origin, header.spacing_A, strict=True))
    whole = " × ".join(str(n) for n in header.shape[::-1])
    note = f"The map has {whole} voxels; it is shown averaged over {factor} × {factor} × {factor} of them."
    return Volume(density, spacing, shifted, (*header.notes, note)), factor  # type: ignore[arg-type]


def _averaged(path: Path, header: MrcHeader, factor: int) -> NDArray[np.float32]:
    sections, rows, columns = header.shape
    skip = header.extended_bytes
    if not is_gzipped(path):
        there = path.stat().st_size - HEADER_BYTES
        if skip and there == header.data_bytes:
            skip = 0  # some entries declare symmetry records that aren't there
        if there - skip < header.data_bytes:
            raise _cut_off(path)
    nz, ny, nx = (n // factor for n in header.shape)
    result = np.empty((nz, ny, nx), np.float32)
    slab = np.empty(factor * rows * columns * header.dtype.itemsize, np.uint8)
    with open_bytes(path) as stream:
        stream.read(HEADER_BYTES)
        if skip:
            stream.read(skip)
        for z in range(nz):
            if fill(stream, slab) < len(slab):
                raise _cut_off(path)
            values = slab.view(header.dtype).reshape(factor, rows, columns)
            plane: NDArray[np.float32] = np.asarray(values.mean(0, dtype=np.float32))
            plane = plane[: ny * factor, : nx * factor]
            result[z] = plane.reshape(ny, factor, nx, factor).mean((1, 3))
    if not np.isfinite(result).all():
        raise InputError(
            "Some values are not finite numbers (NaN or infinite).", "Export the file anew.", path
        )
    if float(result.min()) == float(result.max()):
        raise InputError("All values are the same: there is nothing to see.", "Is it the right file?", path)
    return result


def _cut_off(path: Path) -> InputError:
    return InputError("The file ends early.", "Copy or download it again.", path)
