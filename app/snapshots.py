"""Reading the pictures that a running job leaves, at most ten a second of each kind; the newest wins."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Slot

from app.background import Background
from app.newest import Newest
from engine.errors import InputError
from engine.events import ImagesSnapshot, MapSnapshot, Snapshot
from engine.io import npy

INTERVAL_S = 0.1
MAX_SNAPSHOT_BYTES = 2_000_000_000

AnySnapshot = Snapshot | MapSnapshot | ImagesSnapshot
Take = Callable[[Any, NDArray[np.float32]], None]


def load_points(path: Path) -> NDArray[np.float32]:
    """A snapshot of point clouds: (n, points, 3), Å, xyz.

    Raises
    ------
    InputError
        If the file is missing or isn't a snapshot.
    """
    points = _load(path)
    if points.ndim != 3 or points.shape[-1] != 3:
        raise InputError("This file holds no point clouds.", "", path)
    return points


def load_map(path: Path) -> NDArray[np.float32]:
    """A snapshot of a volume: (z, y, x). Raises InputError as :func:`load_points`."""
    values = _load(path)
    if values.ndim != 3 or min(values.shape) < 2:
        raise InputError("This file holds no volume.", "", path)
    return values


def load_images(path: Path) -> NDArray[np.float32]:
    """A snapshot of images: (n, y, x). Raises InputError as :func:`load_points`."""
    images = _load(path)
    if images.ndim != 3 or min(images.shape) < 1:
        raise InputError("This file holds no images.", "", path)
    return images


def read_npy(path: Path) -> NDArray[Any]:
    """One array of numbers. Raises OSError, or ValueError for anything else."""
    return npy.read_array(path)


def _load(path: Path) -> NDArray[np.float32]:
    try:
        if path.stat().st_size > MAX_SNAPSHOT_BYTES:
            raise InputError("The snapshot is too large to show.", "", path)
        array = read_npy(path)
    except (OSError, ValueError, EOFError) as exc:
        raise InputError(f"The snapshot can't be read ({exc}).", "", path) from exc
    if array.dtype.kind != "f":
        raise InputError("This file holds no snapshot.", "", path)
    return np.asarray(array, np.float32)


LOADERS: dict[type, Callable[[Path], NDArray[np.float32]]] = {
    Snapshot: load_points,
    MapSnapshot: load_map,
    ImagesSnapshot: load_images,
}


class SnapshotReader(QObject):
    """Reads snapshots of one kind.

    Parameters
    ----------
    background : where they are read.
    take : is given each event with its array, on the GUI thread.
    """

    def __init__(self, background: Background, take: Take, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._take = take
        self._newest = Newest(background)
        self._latest: tuple[Path, AnySnapshot] | None = None
        self._read_at = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._read)

    def offer(self, folder: Path, event: AnySnapshot) -> None:
        """Read this snapshot unless a newer one comes first."""
        self._latest = (folder, event)
        self._read()

    def forget(self) -> None:
        """Read no more."""
        self._timer.stop()
        self._latest = None
        self._newest.drop()

    @Slot()
    def _read(self) -> None:
        if self._latest is None or self._newest.busy or self._timer.isActive():
            return
        wait = self._read_at + INTERVAL_S - time.monotonic()
        if wait > 0:
            self._timer.start(max(1, int(wait * 1000)))
            return
        (folder, event), self._latest = self._latest, None
        self._read_at = time.monotonic()
        self._newest.ask(
            partial(LOADERS[type(event)], folder / event.path),
            lambda array: self._found(event, array),
            # A file that can't be read has been overtaken and tidied away: the next one will come.
            lambda _error: self._read(),
        )

    def _found(self, event: AnySnapshot, array: NDArray[np.float32]) -> None:
        self._take(event, array)
        self._read()
