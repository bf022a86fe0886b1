"""SPIDER images and stacks of images, little- or big-endian.

A header is whole records of 4-byte floats; words are counted from 1 as in SPIDER's documentation: 1
slices, 2 rows, 5 kind, 12 columns, 13 header records, 22 header bytes, 23 record bytes, 24 stack
flag, 26 images in the stack, 38 pixel size in Å. A stack has an overall header, then each image with its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.limits import MAX_EDGE, MAX_VOXELS, PIXEL_SIZE_RANGE_A
from engine.io.streams import check_file, fill, head, is_gzipped, open_bytes, refuse_foreign

_HEADER_BYTES = 1024
_IMAGE = 1
_COPY_AGAIN = "Copy or download it again."


@dataclass(frozen=True)
class SpiderHeader:
    """What a SPIDER header says.

    Attributes
    ----------
    shape : images, rows, columns.
    order : ``<`` or ``>``.
    header_bytes : before the data, and before each image of a stack.
    stack : whether the images have headers of their own after the overall one.
    pixel_size_A : Å; 0 where the header doesn't say.
    """

    shape: tuple[int, int, int]
    order: str
    header_bytes: int
    stack: bool
    pixel_size_A: float

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        count, rows, columns = self.shape
        image = rows * columns * 4
        if self.stack:
            return self.header_bytes + count * (self.header_bytes + image)
        return self.header_bytes + image


def looks_like_spider(start: bytes) -> bool:
    """Whether the first bytes (at least 1024) are a SPIDER header of an image or of anything else."""
    return len(start) >= _HEADER_BYTES and start[208:211] != b"MAP" and _words(start) is not None


def read_header(path: str | Path) -> SpiderHeader:
    """The interpreted header alone.

    Raises
    ------
    InputError
        If the file can't be read, is not SPIDER, is a volume or a Fourier transform, or claims an
        impossible size.
    """
    path = check_file(path)
    start = head(path, _HEADER_BYTES)
    found = _words(start)
    if len(start) < _HEADER_BYTES:
        raise InputError(
            f"The file is only {len(start)} bytes long; a SPIDER header alone takes 1024.", _COPY_AGAIN, path
        )
    if found is None:
        refuse_foreign(start, path)
        raise InputError("This is not a SPIDER image.", "Check that it is the right file.", path)
    words, order = found
    slices, rows, kind, columns = (int(words[i - 1]) for i in (1, 2, 5, 12))
    if kind < 0:
        raise InputError("The file holds a Fourier transform.", "Transform it back in SPIDER.", path)
    if kind != _IMAGE or abs(slices) > 1:
        raise InputError("The file holds a SPIDER volume, not images.", "Convert it to MRC.", path)
    stack = bool(words[23] > 0 and words[25] >= 1)
    count = int(words[25]) if stack else 1
    if not (0 < rows <= MAX_EDGE and 0 < columns <= MAX_EDGE) or count * rows * columns > MAX_VOXELS:
        raise InputError(
            f"The header claims {count} images of {columns} × {rows} pixels.",
            "If that is right, bin the images; if not, the header is damaged.",
            path,
        )
    low, high = PIXEL_SIZE_RANGE_A
    size = float(words[37])
    # 1 is what programs write that don't know it.
    known = low <= size <= high and size != 1.0
    return SpiderHeader(
        (count, rows, columns), order, int(words[21]), stack, float(f"{size:.6g}") if known else 0.0
    )


def _words(start: bytes) -> tuple[NDArray[np.float64], str] | None:
    if len(start) < _HEADER_BYTES:
        return None
    for order in "<>":
        with np.errstate(invalid="ignore"):  # anything may be tried as floats
            words = np.frombuffer(start, f"{order}f4", _HEADER_BYTES // 4).astype(np.float64)
        key = words[[0, 1, 4, 11, 12, 21, 22, 23, 25]]
        if not np.isfinite(key).all() or (key != np.rint(key)).any() or np.abs(key).max() > 2**31:
            continue
        columns, records, header_bytes, record_bytes = words[11], words[12], words[21], words[22]
        if (
            columns >= 1
            and words[1] >= 1
            and records >= 1
            and record_bytes == 4 * columns
            and header_bytes == records * record_bytes
            and header_bytes >= _HEADER_BYTES
        ):
            return words, order
    return None


def read_images(path: str | Path) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    """Read all images.

    Returns
    -------
    images : (n, rows, columns) float32, as stored.
    pixel_size_A : Å; 0 where the header doesn't say.
    notes : what was assumed.

    Raises
    ------
    InputError
        As :func:`read_header`; or if the file ends early or values are not finite.
    """
    path = Path(path)
    header = read_header(path)
    count, rows, columns = header.shape
    bound = path.stat().st_size * (1032 if is_gzipped(path) else 1)
    with open_bytes(path) as stream:
        block = np.empty(min(header.file_bytes, bound), np.uint8)
        done = fill(stream, block)
    if done < header.file_bytes:
        raise InputError(
            f"The file ends early: {done:,} of {header.file_bytes:,} bytes are there.", _COPY_AGAIN, path
        )
    records = block[header.header_bytes :] if header.stack else block
    pixels = records.reshape(count, -1)[:, header.header_bytes :]
    images = np.ascontiguousarray(pixels).view(f"{header.order}f4").astype(np.float32)
    if not np.isfinite(images).all():
        raise InputError("Some values are not finite numbers.", "Export the images anew.", path)
    notes = () if header.pixel_size_A else ("The header does not say the pixel size: give it.",)
    return images.reshape(header.shape), header.pixel_size_A, notes
