"""What a test of the window may not leave behind: widgets, timers, threads, child processes.

``no_leaks`` is a fixture. ``tests/app/conftest.py`` makes it hold for every Qt test by importing it
and wrapping it in a fixture with ``autouse=True`` (``from tests.leaks import no_leaks``). Fixtures
that set up windows must take it as an argument, so that they are torn down before it looks.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

GRACE_S = 5.0


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.is_alive()}


def _children() -> set[tuple[int, float]]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add((process.pid, process.create_time()))
        except psutil.NoSuchProcess:
            continue
    return found


def _qt_objects(wanted: Callable[[object], bool]) -> set[int]:
    from PySide6.QtCore import QObject
    from shiboken6 import isValid

    found = set()
    for thing in gc.get_objects():
        # type() rather than isinstance: proxies answer isinstance by running code.
        if issubclass(type(thing), QObject) and isValid(thing) and wanted(thing):
            found.add(id(thing))
    return found


def _running(thing: object) -> bool:
    from PySide6.QtCore import QThread, QTimer

    return (isinstance(thing, QTimer) and thing.isActive()) or (
        isinstance(thing, QThread) and thing.isRunning()
    )


def _widgets() -> set[int]:
    from PySide6.QtWidgets import QApplication

    return {id(w) for w in QApplication.topLevelWidgets()} if QApplication.instance() else set()


def _settle() -> None:
    from PySide6.QtCore import QCoreApplication, QEvent

    if QCoreApplication.instance() is not None:
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def _words(thing: object) -> str:
    """What a timer or a Qt thread is, and whose: its address alone helps nobody."""
    from PySide6.QtCore import QTimer

    if not isinstance(thing, QTimer):
        return repr(thing)
    once = "once" if thing.isSingleShot() else "again and again"
    holders = [type(o).__name__ for o in gc.get_referrers(thing) if not isinstance(o, list)]
    return f"a timer of {thing.interval()} ms, {once}, parent {thing.parent()!r}, held by {holders}"


def _left(before: dict[str, set]) -> dict[str, list[str]]:
    now = {"threads": _threads(), "child processes": _children()}
    left = {name: [repr(x) for x in now[name] - before[name]] for name in now}
    from PySide6.QtWidgets import QApplication

    if QApplication.instance() is not None:
        left["widgets"] = [repr(w) for w in QApplication.topLevelWidgets() if id(w) not in before["widgets"]]
        running = _qt_objects(_running) - before["timers"]
        left["timers and Qt threads"] = [_words(o) for o in gc.get_objects() if id(o) in running]
    return {name: things for name, things in left.items() if things}


def check_leaks() -> Iterator[None]:
    """Body of :func:`no_leaks`, to be used with ``yield from`` in other fixtures and in its own test."""
    _settle()
    before = {
        "threads": _threads(), "child processes": _children(),
        "widgets": _widgets(), "timers": _qt_objects(_running),
    }  # fmt: skip
    yield
    deadline = time.monotonic() + GRACE_S
    _settle()
    while (left := _left(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
        _settle()
    assert not left, "left behind: " + "; ".join(
        f"{name}: {', '.join(things)}" for name, things in left.items()
    )


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fails the test that leaves widgets, running timers, threads or child processes behind."""
    yield from check_leaks()
