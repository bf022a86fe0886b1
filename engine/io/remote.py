"""Structures from the PDB and maps from EMDB, downloaded into a folder: politely, once, and whole.

One request at a time and a few a second at most; a pause that a server asks for (Retry-After) is made.
A file appears under its name only when it is complete and verified. Its row in ``fetched.csv`` is
written just before, so that a row without its file means no more than a download to be repeated.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from engine.errors import InputError, SpecError, VerglasError
from engine.io.accessions import Entry
from engine.io.download_checks import Digests, UnfitError, check_whole, digest
from engine.io.fetched_table import NAME, Row, read_table, write_table
from engine.io.servers import Clock, Pace, Patience, Server, SystemClock, check_base
from engine.io.transfer import Limits, Part, Transfer, Version
from engine.io.transfer_failures import Failure, Trouble, trouble

RCSB = "https://files.rcsb.org/download"
"""Files of the RCSB PDB, ``6fml.cif.gz``."""
PDBE = "https://ftp.ebi.ac.uk/pub/databases/pdb/data/structures/divided/mmCIF"
"""The same files in PDBe's copy of the archive, ``fm/6fml.cif.gz``."""
EMDB = "https://ftp.ebi.ac.uk/pub/databases/emdb/structures"
"""Maps, ``EMD-1080/map/emd_1080.map.gz``."""


_LOOK = "Trying again won't help: see the entry's page in a browser, and get the file by hand."


@dataclass(frozen=True)
class FetchSettings:
    """How to download.

    Attributes
    ----------
    rcsb, pdbe, emdb : base addresses; an empty ``pdbe`` means no second source of structures.
    rate_per_s : requests a second at most, over all servers.
    retries : further attempts after one that failed and may succeed later.
    connect_s, stall_s : longest wait for a connection, and for data, seconds.
    longest_wait_s : a server that asks for a longer pause is not waited for.
    max_bytes : of one file, compressed.
    user_agent : how to introduce oneself.
    """

    rcsb: str = RCSB
    pdbe: str = PDBE
    emdb: str = EMDB
    rate_per_s: float = 2.0
    retries: int = 5
    connect_s: float = 8.0
    stall_s: float = 30.0
    longest_wait_s: float = 300.0
    max_bytes: int = 4_000_000_000
    user_agent: str = "Verglas"

    def __post_init__(self) -> None:
        if not (0 < self.rate_per_s <= 100 and self.retries >= 0 and self.max_bytes > 0):
            raise SpecError("Rate and size limit must be positive, and retries 0 or more.")
        for name in ("rcsb", "pdbe", "emdb"):
            if getattr(self, name) or name != "pdbe":
                check_base(getattr(self, name), name)


@dataclass(frozen=True)
class Progress:
    """Bytes of an entry that are there, and of the whole file if the server said it."""

    entry: Entry
    done_bytes: int
    total_bytes: int | None


@dataclass(frozen=True)
class Waiting:
    """A pause before the next attempt, and why."""

    entry: Entry
    seconds: float
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How it went with one entry.

    Attributes
    ----------
    entry : what was asked for.
    row : what lies in the folder, as in ``fetched.csv``; None if it failed.
    cached : whether it was there already.
    problem, advice : one sentence each if it failed, else empty.
    """

    entry: Entry
    row: Row | None
    cached: bool = False
    problem: str = ""
    advice: str = ""


Report = Progress | Waiting | Outcome


def fetch(
    entries: Iterable[Entry],
    folder: str | Path,
    settings: FetchSettings | None = None,
    *,
    report: Callable[[Report], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> list[Outcome]:
    """Download what isn't there yet, one entry after another, in the calling thread.

    Parameters
    ----------
    entries : what to download; each once.
    folder : made if need be. Files that ``fetched.csv`` lists there are verified by their sha256
        and not downloaded again.
    settings : addresses, pace, limits.
    report : told of bytes, pauses and outcomes as they happen.
    cancel : asked between pieces and during pauses. While a server is silent that takes up to
        ``settings.stall_s``.
    clock : for tests.

    Returns
    -------
    list of Outcome
        One for each entry, in order. Entries that fail don't keep others from being tried.

    Raises
    ------
    InputError
        If the folder can't be written or its ``fetched.csv`` is damaged.
    VerglasError
        If the disk is full or fails meanwhile. Parts stay, here too, and are gone on with next time.
    Cancelled
        If ``cancel`` said so.
    """
    folder = Path(folder)
    _make_writable(folder)
    settings = settings or FetchSettings()
    say = report or (lambda _: None)
    pace = Pace(settings.rate_per_s, clock or SystemClock(), cancel or (lambda: False))
    outcomes = []
    with _session(settings.user_agent) as session:
        fetcher = _Fetcher(folder, settings, session, say, pace)
        for entry in dict.fromkeys(entries):
            outcomes.append(fetcher.fetch(entry))
            say(outcomes[-1])
    return outcomes


@contextmanager
def _session(user_agent: str) -> Iterator[requests.Session]:
    """A session whose connections are closed at the end, not whenever their pools are collected."""
    with requests.Session() as session:
        session.headers["User-Agent"] = user_agent
        session.auth = _Nothing()
        adapter = HTTPAdapter(max_retries=0)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        try:
            yield session
        finally:
            for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                for key in manager.pools.keys():  # noqa: SIM118 - it has no iterator
                    manager.pools[key].close()


class _Nothing(AuthBase):
    """No passwords: without this, those in a ``.netrc`` would be sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise InputError(
            f"Nothing can be written to this folder ({exc.strerror or exc}).", "Choose another one.", folder
        ) from exc


class _Damaged(Trouble):
    """What arrived isn't what was sent, by ``sha256`` of what arrived if that could be told."""

    def __init__(self, problem: str, sha256: str = "") -> None:
        super().__init__(Failure(problem, again=True))
        self.sha256 = sha256


class _Fetcher:
    """The servers and what is known of them, while a list of entries is worked through."""

    def __init__(
        self,
        folder: Path,
        settings: FetchSettings,
        session: requests.Session,
        report: Callable[[Report], None],
        pace: Pace,
    ) -> None:
        self._folder, self._settings, self._report, self._pace = folder, settings, report, pace
        self._rows = read_table(folder / NAME)
        structures = [Server("RCSB", settings.rcsb)]
        if settings.pdbe:
            structures.append(Server("PDBe", settings.pdbe, divided=True))
        self._servers = {"structure": structures, "map": [Server("EMDB", settings.emdb)]}
        self._entry = Entry("", "structure")
        limits = Limits(settings.connect_s, settings.stall_s, settings.max_bytes)
        self._transfer = Transfer(session, limits, turn=pace.turn, progress=self._say_progress, now=pace.now)

    def fetch(self, entry: Entry) -> Outcome:
        """One entry, from the first server that has it."""
        self._pace.stop_if_asked()
        self._entry = entry
        row = self._rows.get(entry.id)
        try:
            if row is not None and self._holds(row, entry):
                return Outcome(entry, row, cached=True)
            failures: list[tuple[Server, Failure]] = []
            for server in self._servers[entry.kind]:
                try:
                    if server.lost is not None:
                        raise Trouble(server.lost)
                    return Outcome(entry, self._from(server, entry))
                except Trouble as exc:
                    failures.append((server, exc.failure))
        except InputError as exc:  # of the folder here: another server can't help
            return Outcome(entry, None, problem=exc.problem, advice=exc.advice)
        return _failed(entry, failures)

    def _holds(self, row: Row, entry: Entry) -> bool:
        path = self._folder / entry.file_name
        if not path.is_file() or path.stat().st_size != row.bytes:
            return False
        return digest(path).sha256 == row.sha256

    def _from(self, server: Server, entry: Entry) -> Row:
        """Attempts at one server until the file is there."""
        url, part = server.url(entry), Part(self._folder / entry.file_name)
        patience = Patience(self._settings.retries, part.size)
        suspect: str | None = None
        while True:
            self._rest(server)
            try:
                version = self._transfer.attempt(url, part)
                server.answered()
                return self._publish(part, url, _verified(part, version, entry, suspect))
            except _Damaged as exc:
                part.discard()
                failure = exc.failure if suspect is None else replace(exc.failure, again=False)
                suspect = exc.sha256
            except Trouble as exc:
                failure = exc.failure
            self._before_next(server, failure, patience.spend(part.size))

    def _before_next(self, server: Server, failure: Failure, backoff_s: float | None) -> None:
        """Wait for another attempt, or give up by raising the failure."""
        if failure.unreachable:
            if not server.worth_retrying or backoff_s is None:
                server.missed(failure)
                raise Trouble(failure)
        else:
            server.answered()
            if failure.wait_s is not None:
                server.rest_until = self._pace.now() + failure.wait_s
            if not failure.again or backoff_s is None:
                raise Trouble(failure)
        if failure.wait_s is None:
            self._pause(backoff_s, f"{server.name}: {failure.problem}")

    def _rest(self, server: Server) -> None:
        """Leave the server alone for as long as it asked for."""
        left = server.rest_until - self._pace.now()
        if left > self._settings.longest_wait_s:
            raise trouble(
                f"it asks to be left alone for {left:.0f} s", advice="Run the same command again later."
            )
        if left > 0:
            self._pause(left, f"{server.name} asks for a pause")

    def _pause(self, seconds: float, reason: str) -> None:
        self._report(Waiting(self._entry, seconds, reason))
        self._pace.pause(seconds)

    def _say_progress(self, done: int, total: int | None) -> None:
        self._pace.stop_if_asked()
        self._report(Progress(self._entry, done, total))

    def _publish(self, part: Part, url: str, found: Digests) -> Row:
        """Give the verified part its name."""
        entry, target = self._entry, self._folder / self._entry.file_name
        if target.exists() and entry.id not in self._rows and digest(target).sha256 != found.sha256:
            part.discard()
            raise InputError(
                f"There is another file named {target.name}, which wasn't downloaded by this command.",
                "Move it away, or choose another folder.",
            )
        date = datetime.now(UTC).isoformat(timespec="seconds")
        row = Row(entry.id, entry.kind, url, entry.file_name, found.bytes, found.sha256, date)
        write_table(self._folder / NAME, {**self._rows, entry.id: row})
        self._rows[entry.id] = row
        try:
            with open(part.path, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part.path, target)
        except OSError as exc:
            raise VerglasError(
                f"The file can't be written ({exc.strerror or exc}).",
                "Check that the folder is writable; the same command then goes on where it stopped.",
                target,
            ) from exc
        part.finished()
        return row


def _verified(part: Part, version: Version, entry: Entry, suspect: str | None) -> Digests:
    """The digests of a complete part.

    An ETag may look like an MD5 digest without being one (object stores that encrypt). So the
    archive's own checksum decides where a second download gave the same bytes (``suspect``).
    """
    found = digest(part.path)
    if version.content_md5 and _hexadecimal(version.content_md5) not in ("", found.md5):
        raise _Damaged("the file arrived damaged (its MD5 differs from Content-MD5)", found.sha256)
    try:
        check_whole(part.path, entry.kind)
    except UnfitError as exc:
        part.discard()
        raise trouble(f"its file is of no use: {exc.problem.rstrip('.')}", advice=_LOOK) from exc
    except InputError as exc:
        raise _Damaged(f"the file arrived damaged: {exc.problem.rstrip('.')}", found.sha256) from exc
    if version.etag_md5 not in ("", found.md5) and found.sha256 != suspect:
        raise _Damaged("the file arrived damaged (its MD5 differs from the ETag)", found.sha256)
    return found


def _hexadecimal(content_md5: str) -> str:
    try:
        raw = base64.b64decode(content_md5, validate=True)
    except ValueError:
        return ""
    return raw.hex() if len(raw) == 16 else ""


def _failed(entry: Entry, failures: list[tuple[Server, Failure]]) -> Outcome:
    """Why no server gave the file, and what to do."""
    names = " nor ".join(server.name for server, _ in failures)
    page = (
        f"https://www.ebi.ac.uk/emdb/{entry.id}"
        if entry.kind == "map"
        else f"https://www.rcsb.org/structure/{entry.id}"
    )
    if all(failure.absent for _, failure in failures):
        what = "a map" if entry.kind == "map" else "a structure in mmCIF format"
        said = f"{names} doesn't have" if len(failures) == 1 else f"Neither {names} has"
        return Outcome(
            entry,
            None,
            problem=f"{said} {what} of this entry (HTTP 404).",
            advice=f"The id is mistyped, or the entry is obsolete or not released yet; {page} tells.",
        )
    problem = " ".join(f"{server.name}: {failure.problem}." for server, failure in failures)
    advice = next((failure.advice for _, failure in failures if failure.advice), "")
    if all(failure.unreachable for _, failure in failures):
        return Outcome(
            entry,
            None,
            problem=f"No server can be reached. {problem}",
            advice=advice or "Check the network; behind a proxy, set HTTPS_PROXY.",
        )
    return Outcome(entry, None, problem=problem, advice=advice or "Run the same command again later.")
