"""The leak check can fail: each kind of leak is planted once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests import leaks


def _finish(check: object) -> None:
    with pytest.raises(StopIteration):
        next(check)  # type: ignore[call-overload]


def test_a_clean_test_passes(qapp: object):
    check = leaks.check_leaks()
    next(check)
    _finish(check)


def _widget() -> Callable[[], None]:
    from PySide6.QtWidgets import QWidget

    widget = QWidget()
    return widget.deleteLater


def _timer() -> Callable[[], None]:
    from PySide6.QtCore import QTimer

    timer = QTimer()
    timer.start(1000)
    return timer.stop


def _thread() -> Callable[[], None]:
    stop = threading.Event()
    threading.Thread(target=stop.wait).start()
    return stop.set


def _process() -> Callable[[], None]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def end() -> None:
        process.communicate()

    return end


@pytest.mark.parametrize(
    ("plant", "word"),
    [(_widget, "widgets"), (_timer, "timers"), (_thread, "threads"), (_process, "processes")],
)
def test_a_leak_is_found(
    qapp: object, monkeypatch: pytest.MonkeyPatch, plant: Callable[[], Callable[[], None]], word: str
):
    monkeypatch.setattr(leaks, "GRACE_S", 0.1)
    check = leaks.check_leaks()
    next(check)
    remove = plant()
    try:
        with pytest.raises(AssertionError, match=f"left behind.*{word}"):
            next(check)
    finally:
        remove()
    clean = leaks.check_leaks()
    next(clean)
    _finish(clean)
