"""``verglas data fetch``: structures and maps from the public archives."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import Cancelled, InputError, RunError, SpecError, VerglasError
from engine.io.accessions import Entry, parse_emdb, parse_pdb, read_ids, split
from engine.jobs import run_lock
from engine.jobs.manifest import version

if TYPE_CHECKING:
    from engine.io.remote import Outcome, Report

_LINE_EVERY_S = 0.5
_LOCK = ".fetching"


def fetch(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")],
    pdb: Annotated[
        list[str] | None,
        typer.Option(metavar="ID,...", help="PDB ids, e.g. 6fml,1aon or pdb_00006fml."),
    ] = None,
    emdb: Annotated[
        list[str] | None, typer.Option(metavar="ID,...", help="EMDB ids, e.g. EMD-1080 or 1080.")
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file of ids of both kinds, one a line; # begins a comment."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=10, help="Requests a second at most.")] = 2.0,
    retries: Annotated[int, typer.Option(min=0, max=20, help="Further attempts after one that failed.")] = 5,
    max_size: Annotated[float, typer.Option(min=0.001, help="Largest file, MB (compressed).")] = 4000.0,
    rcsb: Annotated[
        str | None, typer.Option(metavar="URL", envvar="VERGLAS_RCSB", help="Structures: URL/6fml.cif.gz.")
    ] = None,
    pdbe: Annotated[
        str | None,
        typer.Option(
            metavar="URL|none",
            envvar="VERGLAS_PDBE",
            help="Where the first fails: URL/fm/6fml.cif.gz.",
        ),
    ] = None,
    emdb_server: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="VERGLAS_EMDB", help="Maps: URL/EMD-1080/map/emd_1080.map.gz."),
    ] = None,
) -> int:
    """Download structures from the PDB and maps from EMDB.

    Structures come from the RCSB or, where that fails, from PDBe. Files that are there are verified and
    not downloaded again; what was cut off is gone on with. `fetched.csv` lists each file with its
    address, date, sha256 and licence (CC0). Nothing is sent but the names of the files
    and the version of Verglas.

    Exit status: 0 when all are there, 1 when some failed, 2 for ids or options that can't be used.

    \b
    Examples:
      verglas data fetch --pdb 6fml,1aon --out structures
      verglas data fetch --emdb EMD-1080 --out maps
      verglas data fetch --ids list.txt --out structures --rate 1
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    entries = _entries(pdb or [], emdb or [], ids)
    from engine.io import remote  # the HTTP library takes its time to import

    settings = remote.FetchSettings(
        rcsb=rcsb or remote.RCSB,
        pdbe="" if pdbe == "none" else pdbe or remote.PDBE,
        emdb=emdb_server or remote.EMDB,
        rate_per_s=rate,
        retries=retries,
        max_bytes=round(max_size * 1e6),
        user_agent=f"Verglas/{version()}",
    )
    display = _Display(len(entries))
    with _alone(out), _terminable():
        try:
            remote.fetch(entries, out, settings, report=display)
        except (KeyboardInterrupt, Cancelled):
            display.stopped("Stopped. What has arrived is kept; the same command goes on with it.")
            return 130
        except InputError:
            raise
        except VerglasError as exc:
            display.stopped(f"Error: {exc}")
            return 1
    return display.end(out)


def _entries(pdb: list[str], emdb: list[str], ids: Path | None) -> list[Entry]:
    found = [parse_pdb(word) for text in pdb for word in split(text)]
    found += [parse_emdb(word) for text in emdb for word in split(text)]
    if ids is not None:
        found += read_ids(ids)
    if not found:
        raise SpecError("Nothing to download.", "Name entries with --pdb, --emdb or --ids.")
    return list(dict.fromkeys(found))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second download out of the folder: both would write the same parts."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"This folder can't be made ({exc.strerror or exc}).", "Choose another one.", folder
        ) from exc
    lock = folder / _LOCK
    try:
        with run_lock.held(lock):
            yield
    except RunError as exc:
        holder = run_lock.read_holder(lock)
        if holder is None:
            raise InputError("Nothing can be written to this folder.", "Choose another one.", folder) from exc
        raise InputError(
            f"Process {holder.pid} on {holder.host} is downloading into this folder.",
            f"Wait for it. If that is no longer so, delete the file {_LOCK} in it.",
            folder,
        ) from exc


@contextmanager
def _terminable() -> Iterator[None]:
    """A batch system's SIGTERM is the same as Ctrl-C while the block runs."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Display:
    """Outcomes on standard output; on a terminal also bytes as they come, on standard error."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._outcomes: list[Outcome] = []
        self._live = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, event: Report) -> None:
        """Show what was reported."""
        from engine.io.remote import Outcome, Progress
        from engine.io.transfer import megabytes

        if isinstance(event, Progress):
            total = f" of {megabytes(event.total_bytes)}" if event.total_bytes else ""
            self._passing(f"{event.entry.id}: {megabytes(event.done_bytes)}{total}")
        elif isinstance(event, Outcome):
            self._outcomes.append(event)
            if event.row is not None and not event.cached:
                self._clear()
                place = f"[{len(self._outcomes)}/{self._count}]"
                sys.stdout.write(f"{place} {event.row.file}, {megabytes(event.row.bytes)}\n")
                sys.stdout.flush()
        elif event.seconds >= 1:
            self._clear()
            sys.stderr.write(f"{event.entry.id}: {event.reason}; next attempt in {event.seconds:.0f} s.\n")

    def stopped(self, words: str) -> None:
        """Say why it ended early."""
        self._clear()
        sys.stderr.write(f"{' '.join(words.split())}\n")

    def end(self, folder: Path) -> int:
        """Name what failed, grouped by reason, and sum up; the exit status."""
        self._clear()
        failed: dict[tuple[str, str], list[str]] = {}
        for outcome in self._outcomes:
            if outcome.row is None:
                failed.setdefault((outcome.problem, outcome.advice), []).append(outcome.entry.id)
        for (problem, advice), ids in failed.items():
            sys.stderr.write(f"Failed: {', '.join(ids)}. {problem} {advice}".rstrip() + "\n")
        cached = sum(outcome.cached for outcome in self._outcomes)
        missing = sum(map(len, failed.values()))
        words = [f"{self._count - cached - missing} downloaded", f"{cached} already there"]
        if missing:
            words.append(f"{missing} failed")
        sys.stdout.write(f"{', '.join(words)}: {folder}\n")
        return 1 if missing else 0

    def _passing(self, words: str) -> None:
        if self._live and time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            sys.stderr.write(f"\r\x1b[K{words}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
