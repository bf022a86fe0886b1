"""Reports of faults: what they hold, that the program goes on, that a crash is told of once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.crash_notice import CrashNotice
from app.crash_reports import KEPT, CrashReports, without_paths
from app.main_window import MainWindow
from tests.app.conftest import spin


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Saved /home/ann/secret project/map.mrc", "Saved secret project/map.mrc"),
        ("can't open '/home/ann/secret project/map.mrc'", "can't open 'map.mrc'"),
        ('File "C:\\Users\\ann\\x.py", line 3', 'File "x.py", line 3'),
        ("3/4 of it, and/or more", "3/4 of it, and/or more"),
    ],
)
def test_paths_are_shortened_to_names(text: str, plain: str) -> None:
    found = without_paths(text)
    assert "ann" not in found
    if "secret project/" not in plain:
        assert found == plain


def test_a_report_says_what_led_to_it_and_the_same_is_said_once(tmp_path: Path) -> None:
    reports = CrashReports(tmp_path)
    told: list[Path] = []
    reports.told = told.append
    reports.used("File/Add files…")
    reports.said("Saved /home/ann/runs/map.mrc")
    for _ in range(3):
        reports.write("A fault", "Traceback: it broke in /home/ann/verglas/app/x.py")
    assert len(told) == len(reports.reports()) == 1
    text = told[0].read_text(encoding="utf-8")
    for part in ("A fault", "it broke in x.py", "File/Add files…", "Saved map.mrc", "PySide6", "Python 3"):
        assert part in text
    assert "ann" not in text


def test_only_the_last_are_kept(tmp_path: Path) -> None:
    for day in range(30):
        (tmp_path / f"report-202001{day:02d}-000000-1-01.txt").write_text("old")
    CrashReports(tmp_path).write("A fault", "new")
    kept = CrashReports(tmp_path).reports()
    assert len(kept) == KEPT
    assert "new" in kept[0].read_text()


def test_an_unwritable_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    reports = CrashReports(tmp_path / "a file" / "logs")
    hook = sys.excepthook
    reports.install()
    assert sys.excepthook is hook
    assert reports.write("A fault", "words") is None
    reports.uninstall()


_FAULTY = """
import sys, threading
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer, qCritical
from app.crash_reports import CrashReports
application = QCoreApplication([])
reports = CrashReports(Path(sys.argv[1]))
reports.install()
reports.used("Run/Run")
def fail(): raise ValueError("in a slot")
def go_on(): print("went on"); application.quit()
def thread():
    worker = threading.Thread(target=lambda: 1 / 0)
    worker.start(); worker.join()
QTimer.singleShot(0, fail); QTimer.singleShot(0, fail); QTimer.singleShot(1, thread)
QTimer.singleShot(2, lambda: qCritical("Qt complains")); QTimer.singleShot(3, go_on)
application.exec()
if sys.argv[2] == "crash":
    import os; os.abort()
reports.uninstall()
"""


def _run(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _FAULTY, str(folder), how],
        capture_output=True, text=True, timeout=120, env=os.environ,
    )  # fmt: skip


def test_faults_in_slots_threads_and_qt_end_nothing(tmp_path: Path) -> None:
    done = _run(tmp_path, "")
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout
    texts = " ".join(path.read_text() for path in tmp_path.glob("report-*"))
    assert len(list(tmp_path.iterdir())) == 3  # one per fault, and no mark is left
    for part in ("in a slot", "ZeroDivisionError", "Qt complains", "Run/Run"):
        assert part in texts


def test_a_crash_is_told_of_once_at_the_next_start(tmp_path: Path) -> None:
    assert _run(tmp_path, "crash").returncode != 0
    reports = CrashReports(tmp_path)
    found = reports.after_crash()
    assert found is not None
    text = found.read_text()
    assert "Fatal Python error: Aborted" in text
    assert "Run/Run" in text
    assert reports.after_crash() is None
    assert not [*tmp_path.glob("running-*"), *tmp_path.glob("fault-*")]


def test_the_window_tells_quietly_also_of_faults_in_threads(window: MainWindow, tmp_path: Path) -> None:
    reports = CrashReports(tmp_path)
    notice = CrashNotice(window, reports)
    notice.tell_of_crash()
    toasts = window.features["toasts"]
    assert not toasts.shown
    window.say("hello")
    thread = threading.Thread(target=reports.write, args=("A fault", "in a thread"))
    thread.start()
    thread.join()
    spin(lambda: bool(toasts.shown), 5)
    buttons = {b.text(): b for b in toasts.shown[0].buttons}
    assert set(buttons) == {"Open the report", "Copy"}
    buttons["Copy"].click()
    assert "hello" in QApplication.clipboard().text()
    assert "in a thread" in QApplication.clipboard().text()
    QApplication.clipboard().clear()
