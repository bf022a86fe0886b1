"""The members of a run that is being computed, as its pictures arrive: starts, volumes or samples."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.background import Background
from app.job_monitor import JobMonitor
from app.newest import Newest
from app.surfaces import Density
from engine.events import MapSnapshot, Snapshot
from engine.io.frames import thinned_map

MOST = 12
INTERVAL_MS = 250
AT_ONCE_VOXELS = 64**3  # a larger map is thinned in the background

_LABELS = (
    (re.compile(r"start (\d+)\b"), "start", "Start"),
    (re.compile(r"(?:volume|neighbours of) (\d+)\b"), "volume", "Volume"),
)


@dataclass(frozen=True)
class LiveMember:
    """One of them as it is now.

    Attributes
    ----------
    what : ``start:3``, ``volume:7``, ``sample:2``, or ``map:`` and what the run calls it.
    name, caption : for its tile.
    shape : a map, or points (n, 3) in Å.
    growing : whether more pictures of it are to be expected.
    """

    what: str
    name: str
    caption: str
    shape: Density | NDArray[np.float32]
    growing: bool = True


def name_of(label: str) -> tuple[str, str]:
    """What the member is that a map's label tells of, and its name."""
    for pattern, what, noun in _LABELS:
        found = pattern.search(label)
        if found:
            return f"{what}:{found[1]}", f"{noun} {found[1]}"
    name = label[:1].upper() + label[1:] or "Map"
    return f"map:{name}", name


class LiveMembers(QObject):
    """Collects the newest picture of each member; the dozen that changed last are kept.

    ``changed`` tells at most four times a second which keys have.
    """

    changed = Signal(object)

    def __init__(self, monitor: JobMonitor, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self.members: dict[str, LiveMember] = {}
        self._kind = ""
        self._dirty: set[str] = set()
        self._thinning = Newest(background)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tell)
        monitor.began.connect(lambda _folder: self.clear())
        monitor.kind_known.connect(self._know)
        monitor.moved.connect(self._points)
        monitor.map_moved.connect(self._map)
        monitor.ended.connect(lambda _outcome, _message: self._rest())

    def clear(self) -> None:
        """Forget all."""
        self._timer.stop()
        self._thinning.drop()
        self._dirty.clear()
        self.members.clear()

    @Slot(str)
    def _know(self, kind: str) -> None:
        self._kind = kind

    @Slot(object, object)
    def _points(self, event: Snapshot, points_A: NDArray[np.float32]) -> None:
        noun = "Shape" if self._kind == "train_prior" else "Sample"
        caption = f"step {event.step:,} of {event.total:,}"
        caption += f" · σ = {event.sigma:.2g}" if event.sigma > 0 else ""
        for number, cloud in enumerate(points_A[:MOST], 1):
            self._take(LiveMember(f"sample:{number}", f"{noun} {number}", caption, cloud))

    @Slot(object, object)
    def _map(self, event: MapSnapshot, values: NDArray[np.float32]) -> None:
        what, name = name_of(event.label)
        caption = f"step {event.step} of {event.total}" if event.total > 1 else ""
        member = LiveMember(what, name, caption, Density(values, event.voxel_size_A or 1.0, name))
        if values.size <= AT_ONCE_VOXELS:
            self._only_growing(member)
        else:
            self._thinning.ask(lambda: _thinned(member), self._only_growing)

    def _only_growing(self, member: LiveMember) -> None:
        """Maps come one after the other: when one begins, those before it are finished."""
        for key, other in self.members.items():
            if other.growing and key != member.what:
                self.members[key] = replace(other, growing=False)
                self._dirty.add(key)
        self._take(member)

    def _take(self, member: LiveMember) -> None:
        self.members[member.what] = member
        self._dirty.add(member.what)
        while len(self.members) > MOST:
            gone = next(iter(self.members))
            del self.members[gone]
            self._dirty.discard(gone)
        if not self._timer.isActive():
            self._timer.start()

    def _rest(self) -> None:
        for key, member in self.members.items():
            self.members[key] = replace(member, growing=False)

    @Slot()
    def _tell(self) -> None:
        dirty, self._dirty = self._dirty, set()
        self.changed.emit(dirty)


def _thinned(member: LiveMember) -> LiveMember:
    assert isinstance(member.shape, Density)  # noqa: S101 - for the type checker
    values, factor = thinned_map(member.shape.values)
    density = Density(np.asarray(values, np.float32), member.shape.voxel_A * factor, member.name)
    return replace(member, shape=density)
