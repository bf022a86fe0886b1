"""``events.jsonl``: appended by whole lines, followed while it grows."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from engine.errors import RunError
from engine.events import TERMINAL, Event, from_line, to_line

_TAIL_BYTES = 1 << 18  # more than the longest terminal event


class EventWriter:
    """Appends events, each in one write, from any thread.

    Raises
    ------
    RunError
        If the file can't be opened or written, e.g. on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._handle = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
            # A killed process may have left half a line: end it, so that ours stays whole.
            if path.stat().st_size and _last_byte(path) != b"\n":
                self._handle.write(b"\n")
        except OSError as exc:
            raise _unwritable(path, exc) from exc

    def write(self, event: Event) -> None:
        """Append one event; terminal events also reach the disk."""
        line = to_line(event).encode() + b"\n"
        try:
            with self._lock:
                written = self._handle.write(line)
                if written != len(line):
                    raise OSError(28, os.strerror(28))
                if isinstance(event, TERMINAL):
                    os.fsync(self._handle.fileno())
        except (OSError, ValueError) as exc:
            raise _unwritable(self._path, exc) from exc

    def close(self) -> None:
        """Close the file; writing afterwards is an error."""
        with self._lock:
            self._handle.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def _unwritable(path: Path, exc: Exception) -> RunError:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
    return RunError(
        f"The run's events can't be written ({reason}).",
        "Free some disk space or check the folder's rights.",
        path,
    )


def _last_byte(path: Path) -> bytes:
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1)


@dataclass(frozen=True)
class Tail:
    """What one look at a growing file brought.

    Attributes
    ----------
    events : the new ones, oldest first.
    offset : where the next look starts, bytes.
    """

    events: tuple[Event, ...]
    offset: int


def follow(path: Path, offset: int = 0) -> Tail:
    """Events beyond ``offset``.

    Only whole lines count; half a line is read again next time. Lines that are no events of this
    version are passed over. If the file has become shorter it is read from its beginning.
    """
    try:
        size = path.stat().st_size
        if size == offset:
            return Tail((), offset)
        if size < offset:
            offset = 0
        with open(path, "rb") as handle:
            handle.seek(offset)
            block = handle.read()
    except FileNotFoundError:
        return Tail((), 0)
    whole = block.rfind(b"\n") + 1
    return Tail(_parse(block[:whole]), offset + whole)


def terminal_event(path: Path) -> Event | None:
    """The terminal event, or None while there is none. Reads the end of the file only."""
    try:
        with open(path, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - _TAIL_BYTES))
            block = handle.read()
    except FileNotFoundError:
        return None
    for event in reversed(_parse(block[: block.rfind(b"\n") + 1])):
        if isinstance(event, TERMINAL):
            return event
    return None


def _parse(block: bytes) -> tuple[Event, ...]:
    events = []
    for line in block.splitlines():
        try:
            events.append(from_line(line.decode()))
        except ValueError:  # also of decode: the first line of a tail may be cut inside a character
            continue
    return tuple(events)
