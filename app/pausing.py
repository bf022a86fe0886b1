"""Pausing the run that is watched: the button beside Cancel, the command, and how long it has been so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from app.features import Feature
from app.run_view import duration
from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow

TICK_MS = 1000
PAUSING = "Pausing after this step…"


class Pausing(Feature):
    """Pause and go on.

    Parameters
    ----------
    window : whose monitor is asked.
    """

    name = "pausing"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._share: float | None = -1.0
        self._showing = False  # what it shows itself comes back to it
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._show)
        self.action = window.commands.add(
            "&Run", "&Pause or go on", self.toggle, "Ctrl+P",
            tip="The run waits after its current step and lets others have the device; nothing is lost",
        )  # fmt: skip
        self.action.setEnabled(window.monitor.running)
        for panel in window.modes.run_panels:
            panel.pause_wanted.connect(self.toggle)
            panel.set_pause("")
        monitor = window.monitor
        monitor.pause_changed.connect(self._changed)
        monitor.began.connect(lambda _folder: self._refresh())
        monitor.ended.connect(lambda _outcome, _message: self._refresh())
        window.run_view.progressed.connect(self._progressed)
        self._changed(monitor.pause)

    def set_theme(self, theme: Theme) -> None:
        """Draw the icons anew."""
        for panel in self.window.modes.run_panels:
            panel.set_pause(self.window.monitor.pause)

    def close(self) -> None:
        """The window closes."""
        self._timer.stop()

    def toggle(self) -> None:
        """Pause the run that is watched, or let it go on."""
        monitor = self.window.monitor
        if monitor.pause:
            monitor.go_on()
        else:
            monitor.ask_pause()

    def _refresh(self) -> None:
        monitor = self.window.monitor
        self._share = -1.0
        self.action.setEnabled(monitor.running and not monitor.cancelling)

    def _changed(self, pause: str) -> None:
        for panel in self.window.modes.run_panels:
            panel.set_pause(pause)
        monitor = self.window.monitor
        self.action.setEnabled(monitor.running and not monitor.cancelling)
        if pause == "paused":
            self._timer.start()
        else:
            self._timer.stop()
        if pause:
            self._show()
        elif monitor.running:
            self.window.modes.set_progress(self._share, "Going on…")
        short = {"pausing": PAUSING, "paused": "Paused"}.get(pause, "Running")
        if monitor.running:
            self.window.statusBar().showMessage(short)

    @property
    def words(self) -> str:
        """What is so, in words; empty if the run is neither paused nor about to be."""
        monitor = self.window.monitor
        if monitor.pause != "paused":
            return PAUSING if monitor.pause else ""
        return f"Paused for {duration(time.time() - monitor.paused_at)}. Everything so far is kept."

    def _progressed(self, share: float | None, _status: str) -> None:
        self._share = share
        if self.window.monitor.pause:
            self._show()

    def _show(self) -> None:
        # A bar that moves although nothing does would not be true.
        share = self._share
        if self.window.monitor.pause == "paused" and share is not None and share < 0:
            share = 0.0
        self.window.modes.set_progress(share, self.words)
