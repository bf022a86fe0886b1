"""One run directory, one process: a lock file that names its holder."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from engine.errors import RunError


@dataclass(frozen=True)
class Holder:
    """Who holds a run directory.

    Attributes
    ----------
    pid : process number on ``host``.
    host : the machine's name.
    started : when the process began, seconds since the epoch: process numbers come back.
    """

    pid: int
    host: str
    started: float

    @property
    def here(self) -> bool:
        """Whether it is (or was) a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs; of another machine's process that can't be known, so it counts as alive."""
        if not self.here:
            return True
        try:
            process = psutil.Process(self.pid)
            # Two seconds: the clock's granularity and adjustments since.
            same: bool = abs(process.create_time() - self.started) < 2.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> Holder:
    """The calling process as a holder."""
    return Holder(os.getpid(), socket.gethostname(), psutil.Process().create_time())


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock file ``path``; None if nobody does."""
    try:
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
        kinds = (type(holder.pid) is int, type(holder.host) is str, type(holder.started) in (int, float))
        if not all(kinds) or not 0 <= holder.pid < 2**31:
            raise ValueError("values of another type")
        return holder
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError):
        # Half written by a machine that went down: nobody's.
        return Holder(0, socket.gethostname(), 0.0)


@contextmanager
def held(path: Path) -> Iterator[Holder]:
    """Hold the lock file ``path`` while the block runs. A lock whose process is gone is taken over.

    Raises
    ------
    RunError
        If another living process holds it, or a process of another machine, which can't be asked.
    """
    own = this_process()
    _take(path, own)
    try:
        yield own
    finally:
        if read_holder(path) == own:
            path.unlink(missing_ok=True)


def _take(path: Path, own: Holder) -> None:
    for _ in range(10):
        # Written aside and linked: the lock appears with its content or not at all.
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            aside.write_text(json.dumps(asdict(own)), encoding="utf-8")
            if _link(aside, path):
                return
        except OSError as exc:
            raise RunError(
                f"The run directory can't be locked ({exc.strerror or exc}).",
                "Check that the folder is writable and has free space.",
                path.parent,
            ) from exc
        finally:
            aside.unlink(missing_ok=True)
        holder = read_holder(path)
        if holder is None:
            continue
        if holder.alive:
            raise _taken(path, holder)
        _remove_stale(path, holder)
    raise RunError("The run directory can't be locked.", "Try again in a moment.", path.parent)


def _link(aside: Path, path: Path) -> bool:
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with open(path, "xb") as handle:
                handle.write(aside.read_bytes())
        except FileExistsError:
            return False
    return True


def _remove_stale(path: Path, stale: Holder) -> None:
    # Renamed first: of two processes that saw the same stale lock only one gets it, and if it has
    # meanwhile become somebody's living lock, that is put back.
    grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return
    holder = read_holder(grave)
    if holder is not None and holder != stale and holder.alive and not path.exists():
        os.rename(grave, path)
        raise _taken(path, holder)
    grave.unlink(missing_ok=True)


def _taken(path: Path, holder: Holder) -> RunError:
    if holder.here:
        return RunError(
            f"This run is already being computed by process {holder.pid}.",
            "Wait for it, cancel it, or choose another folder.",
            path.parent,
        )
    return RunError(
        f"This run is being computed by process {holder.pid} on {holder.host}.",
        f"If that is no longer so, delete the file `{path.name}` in the folder and try again.",
        path.parent,
    )
