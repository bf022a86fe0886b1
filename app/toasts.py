"""Tells of runs and exports that have ended, without getting in the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QSystemTrayIcon

from app.features import Feature
from app.panels.toast import GAP, Button, Toast
from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow

STAY_S, SEEN_S = 8.0, 4.0  # the shorter where the user looks at the window anyway
STAY_LONGER_S = 20.0  # what went wrong takes longer to read
MOST = 4
ABOVE = 110  # px from the end of the middle column: the level and the scrubber
TITLES = {
    "completed": "Run finished", "cancelled": "Run cancelled", "failed": "Run failed", "left": "Still running"
}  # fmt: skip
LEVELS = {"completed": "good", "cancelled": "accent", "failed": "error"}


class Toasts(Feature):
    """The cards of a window, the newest lowest.

    Parameters
    ----------
    window : over which they lie.

    Attributes
    ----------
    desktop : whether to tell the desktop, too, while the window isn't the one in use. Set by whoever
        starts the real window.
    shown : the cards, oldest first.
    """

    name = "toasts"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.desktop = False
        self.shown: list[Toast] = []
        self._tray: QSystemTrayIcon | None = None
        self._closed = False
        window.monitor.ended.connect(self._run_ended)
        window.saving.exported.connect(self._exported)
        window.saving.failed.connect(lambda words: self.tell("Export failed", words, level="error"))
        window.installEventFilter(self)

    def tell(
        self,
        title: str,
        sentence: str,
        buttons: Sequence[Button] = (),
        *,
        level: str = "accent",
        seconds: float | None = None,
    ) -> Toast | None:
        """Show a card; None once the window is closing.

        Parameters
        ----------
        title : what has happened, in two or three words.
        sentence : more about it.
        buttons : what can be done about it.
        level : ``good``, ``warning``, ``error`` or ``accent``.
        seconds : how long it stays, 0 until it is closed; by default longer for errors.
        """
        if self._closed:
            return None
        while len(self.shown) >= MOST:
            self.shown[0].dismiss()
        toast = Toast(title, sentence, buttons, level, self.window)
        toast.gone.connect(self._gone)
        self.shown.append(toast)
        if seconds is None:
            seconds = STAY_LONGER_S if level in ("error", "warning") else STAY_S
            if level == "good" and self.window.isActiveWindow():
                seconds = SEEN_S
        toast.appear(seconds)
        self._place()
        self._tell_desktop(title, sentence)
        return toast

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for toast in self.shown:
            toast.set_theme(theme)

    def close(self) -> None:
        """The window closes."""
        self._closed = True
        for toast in list(self.shown):
            toast.dismiss()
        if self._tray is not None:
            self._tray.hide()
            self._tray.deleteLater()
            self._tray = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The corner moves with the window's size."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)

    def _gone(self, toast: Toast) -> None:
        if toast in self.shown:
            self.shown.remove(toast)
            self._place()

    def _place(self) -> None:
        # In the middle column, where no button is covered: the right one ends with Export.
        window, middle = self.window, self.window.viewer
        area = QRect(middle.mapTo(window, QPoint()), middle.size()) if middle.isVisible() else window.rect()
        bottom = min(area.bottom(), window.height() - window.statusBar().height()) - ABOVE
        for toast in reversed(self.shown):
            bottom -= toast.height()
            left = min(area.right(), window.width()) - toast.width() - GAP
            toast.move(max(GAP, left), max(0, bottom))
            bottom -= GAP

    def _run_ended(self, outcome: str, message: str) -> None:
        folder = self.window.monitor.folder
        buttons = [] if folder is None else [Button("Open folder", partial(open_folder, folder))]
        if outcome == "failed":
            buttons.insert(0, Button("Show", self._show_messages))
        elif folder is not None:
            buttons.insert(0, Button("Show", partial(self._show_run, folder)))
        name = folder.name if folder is not None else ""
        self.tell(
            TITLES.get(outcome, "Run ended"),
            f"{name}: {_first_line(message)}" if name else _first_line(message),
            buttons,
            level=LEVELS.get(outcome, "accent"),
        )

    def _exported(self, files: list[Path]) -> None:
        if files:
            rest = f" and {len(files) - 1} more" if len(files) > 1 else ""
            self.tell(
                "Exported",
                f"{files[0].name}{rest} in {files[0].parent.name or files[0].parent}",
                [Button("Open folder", partial(open_folder, files[0].parent))],
                level="good",
            )

    def _show_run(self, folder: Path) -> None:
        window = self.window
        stored = window.run_view.stored
        if stored is not None and stored.folder == folder:
            window.modes.show_run(stored)
        elif not window.monitor.running:
            window.open_run(folder)

    def _show_messages(self) -> None:
        self.window.tabs.setCurrentWidget(self.window.messages)

    def _tell_desktop(self, title: str, sentence: str) -> None:
        """Through the tray, where there is one and the user is looking at something else."""
        if not self.desktop or self.window.isActiveWindow() or not QSystemTrayIcon.isSystemTrayAvailable():
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(self.window.windowIcon(), self)
            self._tray.setToolTip("Verglas")
            self._tray.messageClicked.connect(self._come_up)
            self._tray.activated.connect(lambda _why: self._come_up())
        self._tray.show()
        self._tray.showMessage(title, sentence, self.window.windowIcon())

    def _come_up(self) -> None:
        self.window.showNormal() if self.window.isMinimized() else self.window.show()
        self.window.raise_()
        self.window.activateWindow()


def open_folder(folder: Path) -> None:
    """Show a folder in the desktop's file browser."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _first_line(message: str) -> str:
    line = message.strip().split("\n")[0]
    return line if len(line) <= 200 else line[:199] + "…"
