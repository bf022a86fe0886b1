"""Whether a downloaded file is whole, and what it should be.

Damage (a cut or altered archive) is worth another download. A whole archive with something else in
it is not: the server has it so.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from engine.errors import InputError
from engine.io.accessions import Kind
from engine.io.limits import MAX_TEXT_BYTES, MAX_TEXT_EXPANSION, MIN_TEXT_BUDGET
from engine.io.mrc_header import HEADER_BYTES, parse_header
from engine.io.streams import GZIP_MAGIC, is_gzipped, open_bytes

_CHUNK = 1 << 20
_TRAILING = 1 << 20  # bytes after the voxels that some writers leave
_CIF = re.compile(rb"(?:\s++|#[^\n]*+\n)*+data_", re.IGNORECASE)


class UnfitError(InputError):
    """A whole file that is not what was asked for: downloading it again can't help."""


@dataclass(frozen=True)
class Digests:
    """What is computed from a file's bytes, as they lie there (compressed).

    Attributes
    ----------
    bytes : how many.
    sha256, md5 : hexadecimal.
    """

    bytes: int
    sha256: str
    md5: str


def digest(path: Path) -> Digests:
    """Digests of a file.

    Raises
    ------
    InputError
        If it can't be read.
    """
    sha, md5, count = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with open(path, "rb") as handle:
            while chunk := handle.read(_CHUNK):
                sha.update(chunk)
                md5.update(chunk)
                count += len(chunk)
    except OSError as exc:
        raise InputError(
            f"The file can't be read ({exc.strerror or exc}).", "Check its permissions and the disk.", path
        ) from exc
    return Digests(count, sha.hexdigest(), md5.hexdigest())


def wrong_start(start: bytes) -> str:
    """What the first bytes are instead of a gzip archive, in words; empty if they may be one."""
    if GZIP_MAGIC.startswith(start[:2]):
        return ""
    if start.lstrip()[:1] == b"<":
        return "a web page instead of the file"
    return "something else than a gzip archive"


def check_whole(path: Path, kind: Kind) -> None:
    """Decompress a downloaded file to its end and look whether it is of its kind.

    Memory stays small, and no more is decompressed than such a file may hold.

    Raises
    ------
    UnfitError
        If the archive is whole and holds something else, or more than a file of its kind may.
    InputError
        If the archive is damaged or cut off.
    """
    if not is_gzipped(path):
        raise UnfitError("The server sent something else than a gzip archive.", "", path)
    with open_bytes(path) as stream:
        if kind == "map":
            _check_map(stream, path)
        else:
            _check_structure(stream, path)


def _check_structure(stream: BufferedIOBase, path: Path) -> None:
    start = stream.read(_CHUNK)
    limit = min(MAX_TEXT_BYTES, max(MIN_TEXT_BUDGET, MAX_TEXT_EXPANSION * path.stat().st_size))
    _drain(stream, limit - len(start), path)
    if not _CIF.match(start):
        raise UnfitError("The archive holds something else than mmCIF.", "", path)


def _check_map(stream: BufferedIOBase, path: Path) -> None:
    block = stream.read(HEADER_BYTES)
    try:
        header = parse_header(block, path)
    except InputError as exc:
        # First to the end: a damaged archive can begin with a header that makes no sense.
        with suppress(UnfitError):
            _drain(stream, max(MIN_TEXT_BUDGET, MAX_TEXT_EXPANSION * path.stat().st_size), path)
        raise UnfitError(exc.problem, exc.advice, path) from exc
    expected = header.extended_bytes + header.data_bytes
    found = _drain(stream, expected + _TRAILING, path)
    if found < expected:
        raise UnfitError("The map holds fewer voxels than its header declares.", "", path)


def _drain(stream: BufferedIOBase, limit: int, path: Path) -> int:
    """Read to the end, so that the archive's checksum is compared; the bytes read."""
    found = 0
    while chunk := stream.read(_CHUNK):
        found += len(chunk)
        if found > limit:
            raise UnfitError("The archive expands to far more than such a file holds.", "", path)
    return found
