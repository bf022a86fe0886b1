"""Windows for tests: each with its own settings, closed and checked for leaks afterwards."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.settings import Settings
from engine.errors import VerglasError
from engine.events import Completed, Energies, Event, Progress, Snapshot, Started
from engine.io.prior_library import FOLDER_VARIABLE
from tests.leaks import check_leaks


@pytest.fixture(autouse=True)
def _no_leaks(qapp: QApplication) -> Iterator[None]:
    yield from check_leaks()


@pytest.fixture(autouse=True)
def _collect_here(qapp: QApplication) -> Iterator[None]:
    """As in the real window: no collection while frames are drawn."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of priors of the test's own, which is not made yet."""
    folder = tmp_path / "library of priors"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(tmp_path / "window.ini")
    found.runs_folder = tmp_path / "runs"
    return found


class ImmediateBackground:
    """Works at once: for controllers that need no event loop."""

    busy = False

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] | None = None

    def submit(self, work, done, failed):
        from app.background import Ticket

        ticket = Ticket(0)

        def go() -> None:
            try:
                result = work()
            except VerglasError as exc:
                if not ticket.dropped:
                    failed(exc)
            else:
                if not ticket.dropped:
                    done(result)

        if self.held is None:
            go()
        else:
            self.held.append(go)
        return ticket

    def close(self) -> None:
        pass


class ReplayWorker:
    """Tells events that were given to it, on the thread that calls :meth:`tell`."""

    made: list[ReplayWorker]

    def __init__(self, spec, folder: Path, on_event: Callable[[Event], None]) -> None:
        self.spec, self.folder, self.on_event = spec, folder, on_event
        self.started = self.cancelled = self.detached = False
        self.alive = True

    def start(self) -> None:
        self.started = True

    def cancel(self) -> None:
        self.cancelled = True

    def detach(self) -> None:
        self.detached = True

    def join(self, timeout: float | None = None) -> bool:
        return True


def a_run(seconds: float = 1.0) -> list[Event]:
    return [
        Started(kind="dps", device="CPU (2 cores)", version="0"),
        Progress(stage="sampling", done=1, total=4, eta_s=3.0),
        Energies(step=1, sigma=1.0, values={"view 1": 9.0, "view 2": 4.0}),
        Snapshot(step=1, total=4, sigma=1.0, path="snapshots/1.npy"),
        Energies(step=2, sigma=0.5, values={"view 1": 5.0, "view 2": 3.0}),
        Completed(seconds=seconds),
    ]


def spin(until: Callable[[], bool], seconds: float = 60.0) -> None:
    """Process events until something holds; fails if it never does."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited in vain"
        QCoreApplication.processEvents()
        time.sleep(0.002)


@pytest.fixture
def window(settings: Settings, _no_leaks: None) -> Iterator[MainWindow]:
    from engine.jobs import worker

    window = MainWindow(settings)
    window.features.make_all()
    window.show()
    QCoreApplication.processEvents()
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()
    worker.shutdown()
