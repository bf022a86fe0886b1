"""The zip of a paper capsule: the same bytes for the same content, and read as if a stranger had made it."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from engine.errors import InputError
from engine.io.atomic import atomic_path
from engine.io.npy import DAMAGE

SUMS = "SHA256SUMS"
MOST_ENTRIES = 20_000
MOST_BYTES = 16 << 30
"""Unpacked; beyond these a capsule isn't one."""
MOST_EXPANSION = 200
SMALL_BYTES = 64 << 20
"""Up to this size an archive may expand by any factor."""

_WHEN = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
_TEXT_BYTES = 64 << 20
_ADVICE = "Get the capsule again from where it came."

Content = bytes | Path


def write_zip(out: Path, content: Mapping[str, Content]) -> None:
    """Write a zip whose bytes depend on names and contents alone; adds ``SHA256SUMS``.

    Parameters
    ----------
    content : name in the zip to bytes, or to the file that holds them.

    Raises
    ------
    VerglasError
        If it can't be written or a file can't be read.
    """
    sums = "".join(f"{_sha256(content[name])}  {name}\n" for name in sorted(content))
    everything: dict[str, Content] = {**content, SUMS: sums.encode()}
    with (
        atomic_path(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name in sorted(everything):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            item = everything[name]
            size = len(item) if isinstance(item, bytes) else item.stat().st_size
            entry.file_size = size
            with archive.open(entry, "w", force_zip64=size > (1 << 31)) as target:
                for part in _parts(item):
                    target.write(part)


def _parts(item: Content) -> Iterable[bytes]:
    if isinstance(item, bytes):
        yield item
        return
    with open(item, "rb") as handle:
        while part := handle.read(_CHUNK):
            yield part


def _sha256(item: Content) -> str:
    digest = hashlib.sha256()
    for part in _parts(item):
        digest.update(part)
    return digest.hexdigest()


class CapsuleArchive:
    """A capsule that was checked: every entry is a plain file inside, of the size and hash it says.

    Parameters
    ----------
    path : the zip.

    Raises
    ------
    InputError
        If it is no zip, could fill the disk, leads outside its folder, or was changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                self.names = self._checked_names(archive)
                self._check_sums(archive)
        except FileNotFoundError:
            raise InputError(
                "There is no such file.", "Give a zip made by `verglas capsule`.", path
            ) from None
        except InputError:
            raise
        except DAMAGE as exc:
            raise InputError("This is no whole zip file.", _ADVICE, path) from exc

    def _refuse(self, problem: str) -> InputError:
        return InputError(problem, _ADVICE, self.path)

    def _checked_names(self, archive: zipfile.ZipFile) -> tuple[str, ...]:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise self._refuse(f"It holds {len(entries):,} files, far too many for a capsule.")
        total, packed = sum(e.file_size for e in entries), self.path.stat().st_size
        if total > MOST_BYTES or (total > SMALL_BYTES and total > MOST_EXPANSION * packed):
            raise self._refuse(f"Unpacked it would take {total / 1e9:.3g} GB: this is no capsule.")
        seen: set[str] = set()
        for entry in entries:
            name, mode = entry.filename, entry.external_attr >> 16
            if not _inside(name):
                raise self._refuse(f"It holds a name that leads outside of its folder: {name[:80]!r}.")
            if (stat.S_IFMT(mode) not in (0, stat.S_IFREG)) or entry.is_dir():
                raise self._refuse(f"{name[:80]!r} is a link or a folder, not a plain file.")
            if entry.flag_bits & 1:
                raise self._refuse(f"{name[:80]!r} is encrypted.")
            if name.casefold() in seen:
                raise self._refuse(f"It holds {name[:80]!r} twice.")
            seen.add(name.casefold())
        return tuple(e.filename for e in entries)

    def _check_sums(self, archive: zipfile.ZipFile) -> None:
        if SUMS not in self.names:
            raise self._refuse(f"It has no {SUMS}: this is no capsule of Verglas.")
        sums: dict[str, str] = {}
        for line in self._read(archive, SUMS).decode("utf-8", "replace").splitlines():
            digest, _, name = line.partition("  ")
            sums[name] = digest
        odd = sorted(set(sums) ^ (set(self.names) - {SUMS}))
        if odd:
            raise self._refuse(f"{SUMS} and its files differ: {odd[0][:80]!r} is only in one of them.")
        for name, expected in sums.items():
            found = hashlib.sha256()
            with archive.open(name) as handle:
                while part := handle.read(_CHUNK):
                    found.update(part)
            if found.hexdigest() != expected:
                raise self._refuse(f"{name} was changed since the capsule was made: its hash is another.")

    def _read(self, archive: zipfile.ZipFile, name: str) -> bytes:
        if name not in self.names:
            raise self._refuse(f"It holds no {name}.")
        if archive.getinfo(name).file_size > _TEXT_BYTES:
            raise self._refuse(f"{name} is far too large.")
        return archive.read(name)

    def read(self, name: str) -> bytes:
        """A small file's content. Raises InputError if it isn't there."""
        with zipfile.ZipFile(self.path) as archive:
            return self._read(archive, name)

    def unpack(self, name: str, target: Path) -> None:
        """Write one entry to a file, whole or not at all; the same file stays where it is there already."""
        with zipfile.ZipFile(self.path) as archive:
            if target.is_file() and target.stat().st_size == archive.getinfo(name).file_size:
                with archive.open(name) as handle:
                    digest = hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
                if _sha256(target) == digest:
                    return
            with atomic_path(target) as temporary, archive.open(name) as source:
                with open(temporary, "wb") as written:
                    while part := source.read(_CHUNK):
                        written.write(part)


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    usual = bool(parts) and not name.startswith("/") and "//" not in name
    return usual and not any(c in name for c in "\\:\0") and not ({"..", "."} & set(name.split("/")))
