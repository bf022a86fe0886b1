"""Tells of a report that was written, quietly: the window goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QApplication

from app.crash_reports import CrashReports
from app.panels.toast import Button
from app.toasts import open_folder

if TYPE_CHECKING:
    from app.main_window import MainWindow

WENT_ON = "Something went wrong inside Verglas. The window goes on; a report was saved on this computer."
CRASHED = (
    "Verglas ended by a crash the last time. A report was saved on this computer; runs are not affected."
)


class CrashNotice(QObject):
    """Connects a window with the reports of its process.

    Parameters
    ----------
    window : the window that tells.
    reports : whose hooks are installed, or will be.
    """

    _written = Signal(str)  # from whatever thread the fault was in

    def __init__(self, window: MainWindow, reports: CrashReports) -> None:
        super().__init__(window)
        self._window, self._reports = window, reports
        self._written.connect(lambda path: self.tell(Path(path)))
        reports.told = lambda path: self._written.emit(str(path))
        window.messages.added.connect(reports.said)
        for path, action in window.commands.all():
            self._watch(path, action)
        window.commands.added.connect(lambda action: self._watch("", action))
        window.destroyed.connect(partial(_forget, reports))
        window.commands.add(
            "&Help", "&Reports of faults", lambda: open_folder(reports.folder),
            tip="Opens the folder of reports; nothing is sent anywhere",
        )  # fmt: skip

    def tell(self, path: Path, sentence: str = WENT_ON) -> None:
        """Show a card that offers the report."""
        self._window.messages.add("warning", f"{sentence} ({path.name})")
        self._window.features["toasts"].tell(
            "A fault in Verglas",
            sentence,
            [Button("Open the report", partial(_open, path)), Button("Copy", partial(_copy, path))],
            level="warning",
        )

    def tell_of_crash(self) -> None:
        """Say so if the window before this one ended by a crash."""
        path = self._reports.after_crash()
        if path is not None:
            self.tell(path, CRASHED)

    def _watch(self, path: str, action: QAction) -> None:
        name = f"{path}/{action.text().replace('&', '').split(':')[0]}"
        action.triggered.connect(lambda _checked=False: self._reports.used(name))


def _forget(reports: CrashReports) -> None:
    reports.told = lambda _path: None


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def _copy(path: Path) -> None:
    QApplication.clipboard().setText(path.read_text(encoding="utf-8"))
