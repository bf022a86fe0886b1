"""Bytes and text of input files, plain or gzipped, with every failure named.

Nothing here trusts a file: names may be folders or pipes, gzip streams may be cut off or expand to
terabytes, text may be binary. Each case is an :class:`InputError` that says what to do.
"""

from __future__ import annotations

import errno
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.limits import MAX_TEXT_BYTES, MAX_TEXT_EXPANSION, MIN_TEXT_BUDGET

GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20

_PICKLE_ADVICE = "Verglas never unpickles. Save the arrays as npz, or the poses as STAR."
_TIFF_ADVICE = "Convert it to MRC, for example with tif2mrc of IMOD."
_CRYOSPARC_ADVICE = "Convert it to STAR, for example with csparc2star.py of pyem."

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"BZh", "a bzip2 archive", "Unpack it first (bunzip2), or compress it with gzip."),
    (b"\xfd7zXZ\x00", "an xz archive", "Unpack it first (unxz), or compress it with gzip."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first (unzstd), or compress it with gzip."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", "Unpack it first."),
    (b"PK\x03\x04", "a zip or npz archive", "Unpack it first, or open it as points or as an ensemble."),
    (
        b"\x95CSDAT",
        "a compressed cryoSPARC dataset",
        "Export the job from cryoSPARC, which writes plain datasets; or c" + _CRYOSPARC_ADVICE[1:],
    ),
    (b"\x80\x02", "a pickled Python object", _PICKLE_ADVICE),
    (b"\x80\x03", "a pickled Python object", _PICKLE_ADVICE),
    (b"\x80\x04", "a pickled Python object", _PICKLE_ADVICE),
    (b"\x80\x05", "a pickled Python object", _PICKLE_ADVICE),
    (b"II*\x00", "a TIFF image", _TIFF_ADVICE),
    (b"MM\x00*", "a TIFF image", _TIFF_ADVICE),
    (b"\x89PNG", "a PNG picture", "Verglas needs the numbers: export the image as MRC."),
    (b"\xff\xd8\xff", "a JPEG picture", "Verglas needs the numbers: export the image as MRC."),
    (b"%PDF", "a PDF document", "Give the data file itself."),
    (b"<!DOCTYPE", "a web page", "The download gave a page instead of the data: fetch the file again."),
    (b"<html", "a web page", "The download gave a page instead of the data: fetch the file again."),
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the file itself with `git lfs pull`."),
)

_ONLY_CLASS_AVERAGES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Convert it to MRC, in EMAN2 with e2proc2d.py or e2proc3d.py."),
    (
        b"\x93NUMPY",
        "a NumPy array or a cryoSPARC dataset",
        "Save an array of points as npz. A .cs file: c" + _CRYOSPARC_ADVICE[1:],
    ),
)
"""Formats of class averages, which nothing else is read from."""


def check_file(path: str | Path) -> Path:
    """The path, if a regular, non-empty, existing file is there.

    Raises
    ------
    InputError
        For anything else: missing, a folder, a pipe or device, a loop of links, no permission, empty.
    """
    path = Path(path)
    try:
        status = os.stat(path)
    except ValueError as exc:
        raise InputError("This is not a file name.", "Choose a file.", repr(str(path))) from exc
    except OSError as exc:
        raise _os_error(exc, path) from exc
    if stat.S_ISDIR(status.st_mode):
        raise InputError("This is a folder, not a file.", "Choose a file inside it.", path)
    if not stat.S_ISREG(status.st_mode):
        raise InputError("This is a device or a pipe, not a file.", "Save the data to a file first.", path)
    if status.st_size == 0:
        raise InputError("The file is empty (0 bytes).", "Copy or download it again.", path)
    return path


def _os_error(exc: OSError, path: Path) -> InputError:
    if isinstance(exc, FileNotFoundError):
        return InputError("There is no such file.", "Check the name and the folder.", path)
    if isinstance(exc, PermissionError):
        return InputError("The file may not be read.", "Ask its owner for read permission.", path)
    if exc.errno == errno.ELOOP:
        return InputError("The link points to itself.", "Choose the file that it should point to.", path)
    return InputError(
        f"The file can't be read ({exc.strerror or exc}).", "Copy it to a local disk and try again.", path
    )


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BufferedIOBase]:
    """The file's bytes, decompressed when the content (not the name) is gzip.

    Every failure to read inside the block becomes an :class:`InputError`.
    """
    path = check_file(path)
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
                    yield stream
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise InputError(
            f"The gzip archive is damaged or cut off ({exc}).", "Copy or download it again.", path
        ) from exc
    except MemoryError as exc:
        raise InputError(
            "The file does not fit into memory.", "Bin or crop it, or use a larger computer.", path
        ) from exc
    except OSError as exc:
        raise _os_error(exc, path) from exc


def is_gzipped(path: Path) -> bool:
    """Whether the content of an existing file is gzip."""
    try:
        with open(check_file(path), "rb") as raw:
            return raw.read(2) == GZIP_MAGIC
    except OSError as exc:
        raise _os_error(exc, path) from exc


def head(path: str | Path, count: int) -> bytes:
    """The first ``count`` bytes after decompression, or fewer."""
    with open_bytes(path) as stream:
        return stream.read(count)


def fill(stream: BufferedIOBase, target: NDArray[np.uint8]) -> int:
    """Read into ``target`` until it is full or the stream ends; returns the bytes read.

    The caller allocates with ``np.empty``: pages are touched only as bytes arrive, so a header that
    promises more than the file holds costs no memory.
    """
    view = memoryview(target)  # type: ignore[arg-type]
    done = 0
    while done < len(view):
        got = stream.readinto(view[done : done + _CHUNK])
        if not got:
            break
        done += got
    return done


def read_text(path: str | Path, *, limit: int = MAX_TEXT_BYTES) -> str:
    """The whole file as text.

    Parameters
    ----------
    path : plain or gzipped.
    limit : bytes after decompression.

    Raises
    ------
    InputError
        If the file is binary, not UTF-8 or Latin-1, larger than ``limit``, or expands
        suspiciously.
    """
    path = check_file(path)
    budget = limit
    if is_gzipped(path):
        budget = min(budget, max(MIN_TEXT_BUDGET, MAX_TEXT_EXPANSION * path.stat().st_size))
    chunks: list[bytes] = []
    size = 0
    with open_bytes(path) as stream:
        while chunk := stream.read(_CHUNK):
            if not chunks:
                refuse_foreign(chunk, path)
            if b"\x00" in chunk:
                raise InputError("This is a binary file, not text.", "Check that it is the right file.", path)
            size += len(chunk)
            if size > budget:
                raise InputError(
                    f"The text is longer than {budget >> 20} MiB"
                    + (", far more than its gzip archive should hold." if budget < limit else "."),
                    "It is damaged, hostile, or not for this program: check that it is the right file.",
                    path,
                )
            chunks.append(chunk)
    return decode(b"".join(chunks), path)


def decode(content: bytes, path: Path) -> str:
    """UTF-8, or Latin-1 where it isn't UTF-8; refuses empty content and unprintable junk."""
    if not content.strip():
        raise InputError("The file is empty.", "Copy or download it again.", path)
    sample = content[:65536]
    control = sum(sample.count(bytes([c])) for c in range(32) if c not in (9, 10, 11, 12, 13, 26, 27))
    if control > len(sample) // 100:
        raise InputError("This is a binary file, not text.", "Check that it is the right file.", path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def refuse_foreign(start: bytes, path: Path) -> None:
    """Raise InputError if the first bytes belong to a well-known format that isn't read here."""
    for signature, what, advice in _SIGNATURES:
        if start.startswith(signature):
            raise InputError(f"This is {what}, which Verglas doesn't read.", advice, path)
    for signature, what, advice in _ONLY_CLASS_AVERAGES:
        if start.startswith(signature):
            raise InputError(f"This is {what}, which Verglas reads as class averages only.", advice, path)
    if _is_spider(start):
        raise InputError(
            "This is a SPIDER image, which Verglas reads as class averages only.",
            "Convert it to MRC, for example with `cp to mrc` of SPIDER or e2proc2d.py of EMAN2.",
            path,
        )
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("The text is stored as UTF-16.", "Save it as UTF-8 (plain text).", path)


def _is_spider(start: bytes) -> bool:
    """SPIDER headers are floats: the record length is four bytes per column, the header whole records."""
    if len(start) < 92:
        return False
    for order in "<>":
        words = np.frombuffer(start, f"{order}f4", 23)
        columns, records, header_bytes, record_bytes = words[11], words[12], words[21], words[22]
        if columns >= 1 and record_bytes == 4 * columns and header_bytes == records * record_bytes:
            return True
    return False


def stem(path: Path) -> str:
    """The file's name without suffixes: ``a/6fml.cif.gz`` gives ``6fml``."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem
