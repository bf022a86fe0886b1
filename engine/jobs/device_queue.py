"""Whose turn it is on a device: runs of this user on this machine wait for each other.

There is no process that hands out turns. Each run leaves a ticket in one folder, looks at all tickets and
begins when it is the first of those that wait and a device is free. A ticket counts as long as its process
lives, so nothing is stuck after a crash, and closing the window leaves the line as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import platformdirs

from engine.errors import RunError, VerglasError
from engine.io.atomic import write_text
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from engine.jobs.run_lock import Holder

FOLDER_VARIABLE: Final = "VERGLAS_STATE"
CPU, GPU = "cpu", "gpu"
POLL_S = 0.3
_EXCLUSIVE_WITHIN_S = 10.0
PRIORITIES = (-9, 9)


@dataclass(frozen=True)
class Waiting:
    """A run in the line of a device.

    Attributes
    ----------
    folder : its run directory.
    device : ``cpu`` or ``gpu``.
    priority : higher ones go first; equal ones in the order in which they came.
    number : counts up as runs come.
    index : which of the devices it computes on, from 0; None while it waits.
    holder : its process.
    """

    folder: Path
    device: str
    priority: int
    number: int
    index: int | None
    holder: Holder

    @property
    def running(self) -> bool:
        """Whether it has its turn."""
        return self.index is not None

    @property
    def paused(self) -> bool:
        """Whether it is asked to pause."""
        return RunDir(self.folder).pause_requested()


@dataclass(frozen=True)
class Place:
    """Where a run stands in its line.

    Attributes
    ----------
    before : runs that wait and go first.
    running : runs that compute now.
    """

    before: tuple[Path, ...]
    running: tuple[Path, ...]

    def words(self, device: str) -> str:
        """A sentence for people: what computes and how many wait before this one."""
        where = "the GPU" if device == GPU else "the CPU"
        parts = []
        if self.running:
            names = ", ".join(p.name for p in self.running)
            parts.append(f"{names} compute{'s' if len(self.running) == 1 else ''}")
        if self.before:
            parts.append(f"{len(self.before)} wait{'s' if len(self.before) == 1 else ''} before this one")
        return f"Waiting for {where}: {', '.join(parts)}." if parts else f"Waiting for {where}."


def queue_folder() -> Path:
    """Where tickets lie: by machine, since a home folder may be shared by several."""
    named = os.environ.get(FOLDER_VARIABLE)
    home = (
        Path(named).expanduser() if named else Path(platformdirs.user_state_dir("verglas", appauthor=False))
    )
    return home.absolute() / "queue" / socket.gethostname()


def line() -> tuple[Waiting, ...]:
    """All runs that compute or wait, in the order in which they have or get their turns."""
    found = [t for _, t in _tickets() if t.holder.alive]
    return tuple(sorted(found, key=_order))


def waiting(folder: str | Path) -> Place | None:
    """Where a run stands in its line; None if it isn't waiting."""
    folder = Path(folder).absolute()
    everyone = line()
    own = next((t for t in everyone if t.folder == folder and not t.running), None)
    return None if own is None else _place(own, everyone)


def set_priority(folder: str | Path, priority: int) -> bool:
    """Let a waiting run go earlier (higher) or later; False if it isn't in a line.

    Raises
    ------
    RunError
        If the priority is beyond -9 to 9, or the line can't be changed.
    """
    low, high = PRIORITIES
    if not low <= priority <= high:
        raise RunError(f"The priority {priority} is beyond {low} to {high}.", "0 is the usual one.")
    folder = Path(folder).absolute()
    with _exclusively():
        for path, ticket in _tickets():
            if ticket.folder == folder and ticket.holder.alive:
                _write(path, replace(ticket, priority=priority))
                return True
    return False


def device_of(wanted: str) -> str:
    """The line that a run stands in: ``cpu``, or ``gpu`` where the spec's device is one or would be.

    Without torch: a run that then finds its GPU unusable moves over with :meth:`Turn.move`.
    """
    if wanted in ("cpu", "auto"):
        return GPU if wanted == "auto" and gpus() else CPU
    return GPU


def gpus() -> int:
    """How many GPUs this process may use, as far as files and the driver's tool tell."""
    if sys.platform == "darwin":
        return 1 if os.uname().machine == "arm64" else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")])
    nodes = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if nodes or not (tool := shutil.which("nvidia-smi")):
        return nodes
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(text.startswith("GPU ") for text in listed.stdout.splitlines())


class Turn:
    """One run's place in the line.

    Parameters
    ----------
    folder : its run directory.
    device : ``cpu`` or ``gpu``.
    """

    def __init__(self, folder: Path, device: str, priority: int = 0) -> None:
        self.folder, self.device, self.priority = folder.absolute(), device, priority
        self._path = queue_folder() / f"{uuid.uuid4().hex}.json"

    def __enter__(self) -> Turn:
        """Take a ticket. Raises VerglasError if the folder of tickets can't be written."""
        with _exclusively():
            number = 1 + max((t.number for _, t in _tickets()), default=0)
            holder = run_lock.this_process()
            _write(self._path, Waiting(self.folder, self.device, self.priority, number, None, holder))
        return self

    def __exit__(self, *what: object) -> None:
        """Give it back; the next one begins."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # it counts no longer than this process lives

    def wait(self, tell: Callable[[str], None], ready: Callable[[], bool], stop: Callable[[], bool]) -> int:
        """Wait for the turn.

        Parameters
        ----------
        tell : gets a sentence when the place in the line has changed.
        ready : whether it would begin now: a paused run lets others go first.
        stop : asked at every look; the turn is then not waited for.

        Returns
        -------
        Which device it may use, from 0; -1 if it was stopped.
        """
        told = ""
        while not stop():
            index = self._try(ready)
            if index is not None:
                return index
            place = waiting(self.folder)
            words = place.words(self.device) if place is not None else ""
            if words and words != told:
                tell(words)
                told = words
            time.sleep(POLL_S)
        return -1

    def give_up(self) -> None:
        """Let others have the device, and wait again with the same number."""
        self._change(index=None)

    def move(self, device: str) -> None:
        """Wait for another device."""
        self.device = device
        self._change(index=None, device=device)

    def _change(self, **changes: object) -> None:
        with _exclusively():
            own = _read(self._path)
            if own is not None:
                _write(self._path, replace(own, **changes))  # type: ignore[arg-type]

    def _try(self, ready: Callable[[], bool]) -> int | None:
        with _exclusively():
            if not ready():
                return None
            tickets = _tickets()
            for path, ticket in tickets:
                if not ticket.holder.alive:
                    path.unlink(missing_ok=True)
            # others that are paused don't hold up the line
            alive = [
                t for p, t in tickets if t.holder.alive and (p == self._path or t.running or not t.paused)
            ]
            own = next((t for p, t in tickets if p == self._path), None)
            if own is None:  # somebody has emptied the folder: nobody is known to be before us
                return 0
            running = {t.index for t in alive if t.device == own.device and t.index is not None}
            many = max(1, gpus()) if own.device == GPU else 1
            free = [i for i in range(many) if i not in running]
            if not free or any(_order(t) < _order(own) for t in alive if _same(t, own)):
                return None
            _write(self._path, replace(own, index=free[0]))
            return free[0]


def _same(other: Waiting, own: Waiting) -> bool:
    return other.device == own.device and not other.running


def _order(ticket: Waiting) -> tuple[bool, int, int]:
    return (not ticket.running, -ticket.priority, ticket.number)


def _place(own: Waiting, everyone: tuple[Waiting, ...]) -> Place:
    same = [t for t in everyone if t.device == own.device]
    before = [t.folder for t in same if not t.running and _order(t) < _order(own)]
    return Place(tuple(before), tuple(t.folder for t in same if t.running))


def _tickets() -> list[tuple[Path, Waiting]]:
    try:
        paths = sorted(queue_folder().glob("*.json"))
    except OSError:
        return []
    return [(path, ticket) for path in paths if (ticket := _read(path)) is not None]


def _read(path: Path) -> Waiting | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        holder = Holder(**content.pop("holder"))
        return Waiting(Path(content.pop("folder")), holder=holder, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # gone meanwhile, or no ticket


def _write(path: Path, ticket: Waiting) -> None:
    write_text(path, json.dumps(asdict(ticket) | {"folder": str(ticket.folder)}))


@contextmanager
def _exclusively() -> Iterator[None]:
    """Nobody else changes the line meanwhile. Raises VerglasError if that can't be had."""
    folder = queue_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise VerglasError(f"The queue's folder can't be made ({exc.strerror or exc}).", "", folder) from exc
    deadline = time.monotonic() + _EXCLUSIVE_WITHIN_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(run_lock.held(folder / "lock"))
                break
            except RunError:  # another run looks at the line just now
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
