"""Reports of faults, kept on this computer only: nothing is sent anywhere.

A report says what went wrong and where in the program, with which versions, after which commands. It
holds no content of files, and of paths only the last name.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import platformdirs

KEPT = 20
MOST_PER_SESSION = 20  # a fault in a paint event would come back with every frame
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s:*?\"'<>|,;()\[\]]+){2,}")
_QUOTED = re.compile(r"([\"'`])([^\"'`\n]*[\\/][^\"'`\n]*)\1")
_PACKAGES = ("verglas", "PySide6-Essentials", "vispy", "pyqtgraph", "numpy", "torch")


def log_folder() -> Path:
    """Where reports are kept."""
    return Path(platformdirs.user_log_dir("verglas", appauthor=False))


def without_paths(text: str) -> str:
    """A text whose paths are shortened to their last names."""
    shorter = _QUOTED.sub(lambda match: match[1] + re.split(r"[\\/]", match[2])[-1] + match[1], text)
    return _PATH.sub(lambda match: re.split(r"[\\/]", match[0])[-1], shorter)


def versions() -> str:
    """Versions of the program and of what it stands on, a line each."""
    lines = [f"Python {platform.python_version()} on {platform.platform()}"]
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines.append(f"{name} {metadata.version(name)}")
    return "\n".join(lines)


class CrashReports:
    """Writes a report whenever something goes wrong that should not have.

    Parameters
    ----------
    folder : where reports are kept.

    Attributes
    ----------
    told : called with the file of each new report, in whatever thread the fault was.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or log_folder()
        self.told: Callable[[Path], None] = lambda _path: None
        self._commands: deque[str] = deque(maxlen=30)
        self._lines: deque[str] = deque(maxlen=40)
        self._seen: set[str] = set()
        self._count = 0
        self._lock = threading.RLock()
        self._marker = self.folder / f"running-{os.getpid()}.json"
        self._dump = self.folder / f"fault-{os.getpid()}.txt"
        self._dump_file: IO[str] | None = None
        self._fixed: dict[str, Any] = {}
        self._listener = _Listener(self.said)
        self._before: tuple[Any, Any, Any] | None = None

    # ---- what led to it -------------------------------------------------------------------------

    def used(self, command: str) -> None:
        """Remember that a command was used."""
        self._commands.append(f"{time.strftime('%H:%M:%S')} {without_paths(command)}")
        self._mark()

    def said(self, line: str) -> None:
        """Remember a line that the window or a library has said."""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {without_paths(line)}")

    # ---- hooks ----------------------------------------------------------------------------------

    def install(self) -> None:
        """Take Python's hooks and Qt's messages; an unwritable folder leaves everything as it was."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._dump_file = open(self._dump, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
        except OSError:
            return
        faulthandler.enable(self._dump_file)
        self._fixed = {
            "pid": os.getpid(), "started": _started_at(os.getpid()),
            "begun": time.strftime("%Y-%m-%d at %H:%M"), "versions": versions(),
        }  # fmt: skip
        self._mark()
        self._before = sys.excepthook, threading.excepthook, sys.unraisablehook
        sys.excepthook = self._exception
        threading.excepthook = self._exception_of_thread
        sys.unraisablehook = self._unraisable
        from PySide6.QtCore import qInstallMessageHandler

        qInstallMessageHandler(self._qt_message)
        logging.getLogger().addHandler(self._listener)

    def uninstall(self) -> None:
        """The window has ended as it should: leave no mark."""
        if self._before is None:
            return
        from PySide6.QtCore import qInstallMessageHandler

        qInstallMessageHandler(None)
        logging.getLogger().removeHandler(self._listener)
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._before
        self._before = None
        faulthandler.disable()
        if self._dump_file is not None:
            self._dump_file.close()
        for path in (self._dump, self._marker):
            path.unlink(missing_ok=True)

    def _exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        self.write("An exception that nobody expected", _trace_words(kind, error, trace))

    def _exception_of_thread(self, what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None and not issubclass(what.exc_type, SystemExit):
            name = what.thread.name if what.thread is not None else "?"
            words = _trace_words(what.exc_type, what.exc_value, what.exc_traceback)
            self.write(f"An exception in the thread {name}", words)

    def _unraisable(self, what: Any) -> None:
        if what.exc_value is not None:
            words = _trace_words(what.exc_type, what.exc_value, what.exc_traceback)
            self.write("An exception that could not be passed on", f"{what.err_msg or ''}\n{words}")

    def _qt_message(self, kind: Any, context: Any, message: str) -> None:
        from PySide6.QtCore import QtMsgType

        self.said(f"Qt: {message}")
        if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
            stack = "".join(traceback.format_stack(limit=12)) if kind == QtMsgType.QtFatalMsg else ""
            self.write("A message of Qt", f"{message}\n{stack}")
        elif sys.__stderr__ is not None:
            sys.__stderr__.write(f"{message}\n")

    # ---- reports --------------------------------------------------------------------------------

    def write(self, title: str, words: str) -> Path | None:
        """Write a report; None if the same was written before, or too many, or if it can't be written."""
        text = without_paths(words).strip()
        if sys.__stderr__ is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.__stderr__.write(f"{words.strip()}\n")
        with self._lock:
            if text in self._seen or self._count >= MOST_PER_SESSION:
                return None
            self._seen.add(text)
            self._count += 1
            path = self._write(title, text, list(self._commands), list(self._lines), versions())
        if path is not None:
            self.told(path)
        return path

    def _write(self, title: str, text: str, commands: list[str], lines: list[str], of: str) -> Path | None:
        from engine.io.atomic import atomic_path

        parts = [
            f"{title}\n{time.strftime('%Y-%m-%d %H:%M:%S')}",
            text,
            f"Versions\n{of}",
            "Commands used last\n" + "\n".join(commands or ["none"]),
            "Messages last\n" + "\n".join(lines or ["none"]),
        ]
        path = self.folder / f"report-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{self._count:02d}.txt"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        except Exception:  # reporting a fault must not be one
            return None
        for old in self.reports()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def reports(self) -> list[Path]:
        """The reports that are kept, newest first."""
        return sorted(self.folder.glob("report-*.txt"), reverse=True)

    # ---- the session before ---------------------------------------------------------------------

    def after_crash(self) -> Path | None:
        """A report of a window that ended by a crash since the last start; None if there was none.

        Says so once: the marks of windows that have ended are taken away.
        """
        found: Path | None = None
        for marker in sorted(self.folder.glob("running-*.json")):
            mark = _read_mark(marker)
            if marker == self._marker or _is_alive(mark):
                continue
            dump = self.folder / f"fault-{mark.get('pid')}.txt"
            with contextlib.suppress(OSError):
                words = dump.read_text(encoding="utf-8", errors="replace")[:40_000].strip()
                if words:
                    self._count += 1
                    found = self._write(
                        f"Verglas ended by a crash on {mark.get('begun', 'an earlier day')}",
                        without_paths(words), [str(c) for c in mark.get("commands", [])], [],
                        str(mark.get("versions", "")),
                    )  # fmt: skip
            for path in (dump, marker):
                path.unlink(missing_ok=True)
        return found

    def _mark(self) -> None:
        """Say that a window is running, and what was done in it last."""
        if self._fixed:
            with contextlib.suppress(OSError):
                text = json.dumps({**self._fixed, "commands": list(self._commands)})
                self._marker.write_text(text, encoding="utf-8")


class _Listener(logging.Handler):
    """Hands on warnings of libraries."""

    def __init__(self, said: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on a line."""
        self._said(f"{record.name}: {record.getMessage()}")


def _trace_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> str:
    return "".join(traceback.TracebackException(kind, error, trace).format())


def _read_mark(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 100_000:
            return {}
        mark = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _started_at(pid: int) -> float:
    """When a process was started, s; tells it from a later one with the same number."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _is_alive(mark: dict[str, Any]) -> bool:
    pid, started = mark.get("pid"), mark.get("started")
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return False
    return abs(_started_at(pid) - started) < 2.0
