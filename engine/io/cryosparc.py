r"""cryoSPARC datasets (.cs): tables of images with paths, indices and pixel sizes.

A .cs file is a NumPy array of records, one per image; the pixels are in the .mrc files that it names.
Newer versions may compress it (magic ``\x95CSDAT``), which is refused with advice. Nothing is unpickled.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io import npy
from engine.io.image_references import ImageReferences
from engine.io.limits import MAX_VOXELS, PIXEL_SIZE_RANGE_A
from engine.io.streams import check_file, fill, head, is_gzipped, open_bytes, refuse_foreign

NPY_MAGIC = b"\x93NUMPY"
_HEADER_BYTES = 1 << 18
_MAX_BYTES = 1 << 30
_ADVICE = "Give the class averages of a 2D classification (…_class_averages.cs) or of Select 2D."
_COPY_AGAIN = "Copy or export it again."


def read_dataset(path: str | Path) -> NDArray[Any]:
    """Read the records.

    Parameters
    ----------
    path : .cs file, plain or gzipped.

    Returns
    -------
    (n,) structured array with cryoSPARC's field names, e.g. ``blob/path``.

    Raises
    ------
    InputError
        If the file is missing, damaged, compressed by cryoSPARC, holds Python objects, or no records.
    """
    path = check_file(path)
    shape, dtype, offset = _header(path)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    bound = path.stat().st_size * (1032 if is_gzipped(path) else 1)
    if size > _MAX_BYTES:
        raise InputError(f"The dataset claims {size >> 20:,} MiB.", _COPY_AGAIN, path)
    with open_bytes(path) as stream:
        stream.read(offset)
        block = np.empty(min(size, bound), np.uint8)
        done = fill(stream, block)
    if done < size:
        raise InputError(f"The file ends early: {done:,} of {size:,} bytes are there.", _COPY_AGAIN, path)
    return block.view(dtype)


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    start = head(path, _HEADER_BYTES)
    if not start.startswith(NPY_MAGIC):
        refuse_foreign(start, path)
        raise InputError("This is not a cryoSPARC dataset.", _ADVICE, path)
    handle = io.BytesIO(start)
    try:
        shape, _, dtype = npy.read_header(handle, _HEADER_BYTES)
    except ValueError as exc:
        if b"|O" in start[:8192]:
            raise _of_objects(path) from exc
        raise InputError("The dataset's header is damaged.", _COPY_AGAIN, path) from exc
    if dtype.hasobject:
        raise _of_objects(path)
    if dtype.names is None or len(shape) != 1:
        raise InputError("This is a NumPy array, not a cryoSPARC dataset.", _ADVICE, path)
    if not 0 < shape[0] <= MAX_VOXELS or dtype.itemsize == 0:
        raise InputError("The dataset holds no records.", _ADVICE, path)
    return shape, dtype, handle.tell()


def _of_objects(path: Path) -> InputError:
    return InputError(
        "The dataset holds Python objects, which Verglas never unpickles.",
        "Export it with a newer cryoSPARC, whose datasets hold plain text and numbers.",
        path,
    )


def read_references(path: str | Path) -> ImageReferences:
    """The images that a dataset names.

    Counts come from ``…_particles.cs`` of the same iteration where it lies beside, because a dataset of
    class averages doesn't hold them.

    Raises
    ------
    InputError
        As :func:`read_dataset`; or if it names no images, or images of different pixel sizes.
    """
    path = Path(path)
    table = read_dataset(path)
    fields = set(table.dtype.names or ())
    if not {"blob/path", "blob/idx"} <= fields or table["blob/path"].ndim != 1 or table["blob/idx"].ndim != 1:
        shown = ", ".join(sorted({name.partition("/")[0] for name in fields})[:8])
        raise InputError(f"The dataset names no images (it holds {shown}).", _ADVICE, path)
    if table["blob/path"].dtype.kind not in "SU" or table["blob/idx"].dtype.kind not in "iu":
        raise InputError("The dataset's paths or indices are of the wrong kind.", _COPY_AGAIN, path)
    indices = table["blob/idx"].astype(np.int64)
    if (indices < 0).any() or (indices > 2**31 - 1).any():
        raise InputError("Some of the dataset's indices are impossible.", _COPY_AGAIN, path)
    try:
        names = npy.texts(table["blob/path"])
    except ValueError as exc:
        raise InputError(f"The dataset's paths are damaged: {exc}.", _COPY_AGAIN, path) from exc
    notes: list[str] = []
    resolutions = _column(table, "blob/res_A")
    if resolutions is not None:
        resolutions = np.where(np.isfinite(resolutions) & (resolutions > 0), resolutions, np.nan)
    counts = _counts(path, indices, names, notes)
    return ImageReferences(
        names,
        indices.astype(np.int32),
        _pixel_size(table, notes, path),
        counts,
        resolutions,
        tuple(notes),
    )


def _column(table: NDArray[Any], name: str) -> NDArray[np.float64] | None:
    if name not in (table.dtype.names or ()) or table[name].ndim != 1 or table[name].dtype.kind not in "fiu":
        return None
    return table[name].astype(np.float64)


def _pixel_size(table: NDArray[Any], notes: list[str], path: Path) -> float:
    sizes = _column(table, "blob/psize_A")
    low, high = PIXEL_SIZE_RANGE_A
    if sizes is None or not np.isfinite(sizes).all() or (sizes < low).any() or (sizes > high).any():
        notes.append("The dataset does not say the pixel size: give it.")
        return 0.0
    if np.ptp(sizes) > 0.002 * sizes.max():
        raise InputError(
            f"The images have different pixel sizes ({sizes.min():.4g} to {sizes.max():.4g} Å).",
            "Split the dataset.",
            path,
        )
    # Stored in single precision: 1.345 comes back as 1.34500003.
    return float(f"{sizes[0]:.6g}")


def _counts(
    path: Path, indices: NDArray[np.int64], names: tuple[str, ...], notes: list[str]
) -> NDArray[np.float64] | None:
    """Particles per class from the particles of the same job, if they lie beside and all fit."""
    for ending, other in (
        ("class_averages.cs", "particles.cs"),
        ("templates_selected.cs", "particles_selected.cs"),
    ):
        if not path.name.endswith(ending) or len(set(names)) != 1:
            continue
        beside = path.with_name(path.name.removesuffix(ending) + other)
        if not beside.is_file():
            return None
        try:
            particles = read_dataset(beside)
        except InputError:
            return None
        classes = _column(particles, "alignments2D/class")
        if classes is None or not ((classes >= 0) & (classes < 1e6)).all():
            return None
        found = np.bincount(classes.astype(np.int64), minlength=int(indices.max()) + 1)
        if len(found) > indices.max() + 1 and ending == "class_averages.cs":
            return None
        notes.append(f"The numbers of particles were counted in {beside.name}.")
        return found[indices].astype(np.float64)
    return None
