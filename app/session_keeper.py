"""Keeps the session of a window in a file: written a moment after each change, and read at the start."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import words
from app.project_files import KeptFile, read_session
from app.run_files import StoredRun
from app.session_state import capture, files_of, put_back, put_back_layout, put_back_shown
from engine.errors import VerglasError
from engine.io.json_files import plain

if TYPE_CHECKING:
    from app.main_window import MainWindow

AFTER_MS = 2000


class SessionKeeper(QObject):
    """Saves and restores. Does nothing until :meth:`keep_in` or :meth:`restore_from` is called.

    Parameters
    ----------
    window : whose session it is.
    """

    restored = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._file: KeptFile | None = None
        self._text, self._number = "", 0
        self._pending: tuple[str, dict[str, Any], str, dict[str, Any]] | None = None
        self._connected = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AFTER_MS)
        self._timer.timeout.connect(self.save)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(10 * AFTER_MS)
        self._patience.timeout.connect(self._forget)
        window.run_view.run_shown.connect(self._run_shown)
        window.monitor.began.connect(lambda _folder: self._forget())

    @property
    def path(self) -> Path | None:
        """Where the session is kept; None for nowhere."""
        return None if self._file is None else self._file.path

    # ---- saving ---------------------------------------------------------------------------------

    def keep_in(self, path: Path | None) -> None:
        """Save the session here from now on, or nowhere. What is unsaved goes to the old place first."""
        self.save_now()
        self._timer.stop()
        self._file = KeptFile(path) if path is not None else None
        self._text, self._number = "", 0
        if path is not None and not self._connected:
            self._connect()

    def _connect(self) -> None:
        self._connected = True
        window = self._window
        modes = window.modes
        for signal in (
            window.session.changed, modes.changed, modes.averages.changed, window.run_view.run_shown,
            window.tabs.currentChanged, modes.middle.currentChanged, window.history.indexChanged,
            window._columns.moved, window._columns.left_tabs.currentChanged,  # noqa: SLF001
            window.sds_view.maps.control.shown,
        ):  # fmt: skip
            signal.connect(self._soon)
        for late in (window.viewer.late_points, window.viewer.volume.late_volume):
            late.once_made(lambda view: view.view.camera.events.transform_change.connect(self._soon))

    def _soon(self, *_what: object) -> None:
        if self._file is not None and not self._timer.isActive():
            self._timer.start()

    def save(self) -> None:
        """Write the session in the background, if it has changed."""
        file, text = self._file, self._changed()
        if file is None or text is None:
            return
        number = self._number
        self._window.background.submit(
            lambda: file.write(number, text),
            lambda _r: None,
            lambda error: self._window.say(f"The session could not be saved. {words(error)}"),
        )

    def save_now(self) -> None:
        """Write the session before going on, if it has changed."""
        if self._file is not None:
            self._changed()
            if self._text:
                try:
                    # also what a thread may still be about to write: the newest wins
                    self._file.write(self._number, self._text)
                except VerglasError as exc:
                    self._window.say(f"The session could not be saved. {words(exc)}")

    def _changed(self) -> str | None:
        if self._file is None or self._pending is not None:
            return None  # half restored: what is on disk is better
        text = json.dumps(plain(capture(self._window)), indent=1, ensure_ascii=False) + "\n"
        if text == self._text:
            return None
        self._text = text
        self._number += 1
        return text

    def close(self) -> None:
        """The window closes."""
        self._timer.stop()
        self._patience.stop()
        self.save_now()
        self._file = None

    # ---- restoring ------------------------------------------------------------------------------

    def restore_from(self, path: Path, *, otherwise_empty: bool = False) -> None:
        """Read a session and put it back; then keep it there.

        Parameters
        ----------
        otherwise_empty : without a session, prepare nothing; else what is prepared stays.
        """
        self.keep_in(None)
        self._window.in_background(
            partial(_read, path), lambda found: self._read(path, found, otherwise_empty)
        )

    def _read(
        self, path: Path, found: tuple[dict[str, Any] | None, list[str], str], otherwise_empty: bool
    ) -> None:
        state, gone, problem = found
        if problem:
            self._window.complain(problem)
        if state is not None or otherwise_empty:
            self.restore(state or {}, gone)
        else:
            self.restored.emit()
        self.keep_in(path)

    def restore(self, state: dict[str, Any], gone: list[str]) -> None:
        """Put a session back, but for files that have gone, which are named."""
        window = self._window
        if window.monitor.running:
            return
        put_back(window, state, gone)
        if gone:
            names = ", ".join(Path(path).name for path in gone[:3])
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            window.say(f"Not there any more, so left out: {names}{more}.")
        shown = state.get("shown")
        shown = shown if isinstance(shown, dict) else {}
        features = state.get("features")
        features = features if isinstance(features, dict) else {}
        put_back_layout(window, shown)
        run = shown.get("run")
        if isinstance(run, str) and run and run not in gone:
            self._pending = (run, shown, window.modes.mode, features)
            self._patience.start()  # a run that can't be read is told of, and never shown
            window.open_run(Path(run))
        else:
            window.features.restore(features)
            self.restored.emit()

    def _run_shown(self, run: StoredRun) -> None:
        if self._pending is None:
            return
        wanted, shown, mode, features = self._pending
        self._forget()
        if str(run.folder) == wanted:
            put_back_shown(self._window, shown, mode=mode)
            self._window.features.restore(features)

    def _forget(self) -> None:
        self._patience.stop()
        if self._pending is not None:
            self._pending = None
            self.restored.emit()


def _read(path: Path) -> tuple[dict[str, Any] | None, list[str], str]:
    state, problem = read_session(path)
    if state is None:
        return None, [], problem
    return state, [name for name in dict.fromkeys(files_of(state)) if not _exists(name)], problem


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
