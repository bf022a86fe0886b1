"""Writing the selected class averages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app import averages_files

if TYPE_CHECKING:
    from app.averages_session import AveragesSession
    from app.main_window import MainWindow


def ask_and_export(window: MainWindow, averages: AveragesSession) -> None:
    """Ask where, and write the selected images as STAR and MRCS."""
    if averages.loaded is None or not averages.count:
        window.complain("Nothing is selected.")
        return
    suggestion = str(Path(window.settings.last_folder or ".") / "selected.star")
    path = window.dialogs.save_as("Export the selected images", suggestion, "RELION STAR (*.star)")
    if path is not None:
        export_to(window, averages, path.with_suffix(".star"))


def export_to(window: MainWindow, averages: AveragesSession, path: Path) -> None:
    """Write the selected images to a STAR file and the stack beside it."""
    loaded = averages.loaded
    if loaded is None:
        return
    rows = averages.selected.nonzero()[0]
    window.in_background(
        partial(averages_files.export, loaded.averages, rows, path, averages.pixel_size_A),
        lambda _done: window.say(f"Wrote {len(rows):,} images to {path.name} and its stack."),
    )
