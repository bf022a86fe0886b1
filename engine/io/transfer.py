"""One attempt to download one file over HTTP: goes on with what is there, and never mixes two versions.

What has arrived lies in ``NAME.part``; ``NAME.part.json`` says which version of which address it is
(RFC 9110: Range, If-Range, validators). An attempt either completes the part or raises a ``Trouble``
that says whether trying again can help. It neither waits nor verifies nor renames.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import RawIOBase
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from engine.errors import InputError, VerglasError
from engine.io.download_checks import wrong_start
from engine.io.json_files import read_json, write_json
from engine.io.transfer_failures import connection_named, refusal, trouble

MAX_REDIRECTS = 5
_LOOK = "Open the address in a browser: a login, a proxy or a notice may stand before the file."
_CHUNK = 1 << 18
_SPARE_BYTES = 16 << 20  # of the disk, left for the table of downloads and everybody else
_CRAWL_BYTES = 1024


@dataclass(frozen=True)
class Version:
    """Which bytes a part is the beginning of.

    Attributes
    ----------
    url : the address that was asked.
    etag, last_modified, content_md5 : as the server sent them, or empty.
    total : bytes of the whole file, where the server said it.
    """

    url: str
    etag: str = ""
    last_modified: str = ""
    content_md5: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """What If-Range may name: a strong ETag or a date; empty if there is neither."""
        return self.etag if self.etag.startswith('"') else self.last_modified

    @property
    def etag_md5(self) -> str:
        """The ETag, where it has the form of an MD5 digest (object stores); else empty."""
        word = self.etag.strip('"').lower()
        return word if self.etag.startswith('"') and re.fullmatch("[0-9a-f]{32}", word) else ""


class Part:
    """What has arrived of a file, beside the name that it will get."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._facts = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, url: str) -> Version | None:
        """What the part is of, if it is of this address and can be gone on with."""
        if not self.size or not self._facts.is_file():
            return None
        try:
            facts = read_json(self._facts)
            total = facts.pop("total")
            version = Version(**facts, total=total)
        except (InputError, KeyError, TypeError):
            return None
        if not all(isinstance(v, str) for v in facts.values()) or not isinstance(total, int | None):
            return None
        whole = version.total is not None and self.size == version.total
        return version if version.url == url and (version.validator or whole) else None

    def begin(self, version: Version) -> None:
        """Forget what is there; ``version`` follows."""
        # In this order, so that no moment shows old bytes with the new version's name.
        self.discard()
        write_json(self._facts, asdict(version))
        self.path.touch()

    def discard(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)

    def finished(self) -> None:
        """After the part has got its final name: delete what was known about it."""
        self._facts.unlink(missing_ok=True)


@dataclass(frozen=True)
class Limits:
    """What an attempt may take.

    Attributes
    ----------
    connect_s : until a connection stands.
    stall_s : without a byte, or with hardly any.
    max_bytes : of a whole file.
    """

    connect_s: float
    stall_s: float
    max_bytes: int


class Transfer:
    """Attempts over one session.

    Parameters
    ----------
    session : of requests, which honours the proxies of the environment.
    limits : times and size.
    turn : called before every request, redirects included: waits for the rate limit.
    progress : called with the bytes that are there and those of the whole (or None).
    now : a clock, seconds.
    """

    def __init__(
        self,
        session: requests.Session,
        limits: Limits,
        *,
        turn: Callable[[], None],
        progress: Callable[[int, int | None], None],
        now: Callable[[], float],
    ) -> None:
        self._session = session
        self._limits = limits
        self._turn = turn
        self._progress = progress
        self._now = now

    def attempt(self, url: str, part: Part) -> Version:
        """Complete the part, from where it ends if the server still has the same version.

        Raises
        ------
        engine.io.transfer_failures.Trouble
            If that didn't work. What has arrived stays, if it can be of use.
        VerglasError
            If the disk is full or can't be written.
        """
        known = part.version(url)
        offset = part.size if known else 0
        if known and offset == known.total:
            return known
        headers = {"Accept-Encoding": "identity"}
        if known:
            headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
        with connection_named(), self._open(url, headers) as response:
            if response.status_code == 416 and known:
                return _settled(response, known, part)
            if response.status_code == 206 and known:
                version = known
                if not _continues(response, known, offset):
                    part.discard()
                    raise trouble("it sent another piece than was asked for", again=True)
            elif response.status_code == 200:
                offset = 0
                version = _version(response, url)
                self._check_size(version.total)
                part.begin(version)
            else:
                raise refusal(response)
            _check_disk(part.path, version.total, offset)
            self._receive(response, part, offset, version.total)
        return version

    def _open(self, url: str, headers: dict[str, str]) -> requests.Response:
        for _ in range(MAX_REDIRECTS + 1):
            self._turn()
            response = self._session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self._limits.connect_s, self._limits.stall_s),
            )
            target = self._session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            before, url = urlsplit(url).scheme, urljoin(url, target)
            if urlsplit(url).scheme not in {"https", before}:
                raise trouble(
                    f"it redirects to an address that isn't encrypted or no web address ({url[:80]})"
                )
        raise trouble(f"it redirects more than {MAX_REDIRECTS} times")

    def _check_size(self, total: int | None) -> None:
        if total is not None and total > self._limits.max_bytes:
            raise trouble(
                f"the file has {megabytes(total)}, and the limit is {megabytes(self._limits.max_bytes)}",
                advice="Raise the limit with --max-size.",
            )

    def _receive(self, response: requests.Response, part: Part, offset: int, total: int | None) -> None:
        done, mark, since = offset, offset, self._now()
        # Unbuffered: what has arrived is there whatever ends this process.
        with _disk(part.path):
            file = open(part.path, "ab", buffering=0)  # noqa: SIM115
        with file:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                if done == 0 and (what := wrong_start(chunk)):
                    file.close()
                    part.discard()
                    raise trouble(f"it sent {what}", advice=_LOOK)
                done += len(chunk)
                if done > self._limits.max_bytes:
                    file.close()
                    part.discard()
                    self._check_size(done)
                _write(file, chunk, part.path)
                self._progress(done, total)
                if done - mark >= _CRAWL_BYTES:
                    mark, since = done, self._now()
                elif self._now() - since > self._limits.stall_s:
                    raise trouble("the download came to a standstill", again=True)
        if total is not None and done < total:
            raise trouble("the connection was cut", again=True)
        if done == 0 or (total is not None and done > total):
            part.discard()
            raise trouble(f"it sent {done} bytes where it announced {total or 'some'}", again=True)


def _version(response: requests.Response, url: str) -> Version:
    headers = response.headers
    length = headers.get("Content-Length", "")
    return Version(
        url=url,
        etag=headers.get("ETag", "").strip(),
        last_modified=headers.get("Last-Modified", "").strip(),
        content_md5=headers.get("Content-MD5", "").strip(),
        total=int(length) if re.fullmatch("[0-9]{1,18}", length) else None,
    )


def _continues(response: requests.Response, known: Version, offset: int) -> bool:
    """Whether a partial answer is what follows in the version that is known."""
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", "")
    )
    if found is None or int(found[1]) != offset:
        return False
    if known.total is not None and found[2] not in ("*", str(known.total)):
        return False
    etag = response.headers.get("ETag", "").strip()
    return not etag or not known.etag or etag == known.etag


def _settled(response: requests.Response, known: Version, part: Part) -> Version:
    """The server has nothing beyond the part: it is whole, though an earlier answer announced more."""
    if response.headers.get("Content-Range", "").strip() == f"bytes */{part.size}":
        return Version(**{**asdict(known), "total": part.size})
    part.discard()
    raise trouble("it no longer has the version that was begun", again=True)


def _write(file: RawIOBase, chunk: bytes, path: Path) -> None:
    rest = memoryview(chunk)
    with _disk(path):
        while rest:
            rest = rest[file.write(rest) or 0 :]


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        raise VerglasError(
            "The disk is full." if full else f"The file can't be written ({exc.strerror or exc}).",
            "Free some space; the same command then goes on where it stopped."
            if full
            else "Check that the folder is writable; the same command then goes on where it stopped.",
            path,
        ) from exc


def _check_disk(path: Path, total: int | None, offset: int) -> None:
    needed = (total or 0) - offset
    free = shutil.disk_usage(path.parent).free
    if needed > free - _SPARE_BYTES:
        raise VerglasError(
            f"The disk is full: {megabytes(needed)} are needed and {megabytes(free)} are free.",
            "Free some space; the same command then goes on where it stopped.",
            path.parent,
        )


def megabytes(count: int) -> str:
    """E.g. ``12.3 MB`` (10⁶ bytes), or kB and GB where these read better."""
    if count < 1e5:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
