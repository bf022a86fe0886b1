"""What becomes of a run that is watched when its window closes: asked once, or as the user has said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.main_window import MainWindow


def may_close(window: MainWindow) -> bool:
    """Whether the window may close. A run goes on without it unless the user wants it cancelled."""
    if not window.monitor.running:
        return True
    answer = "keep" if window.settings.leaves_running else window.dialogs.leave_running()
    if answer == "always":
        window.settings.leaves_running = True
    if answer == "cancel":
        window.monitor.cancel()
    return answer != "stay"
