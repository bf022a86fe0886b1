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
    selected = averages.particles
    window.in_background(
        partial(averages_files.export, loaded.averages, rows, path, averages.pixel_size_A),
        lambda written: window.say(sentence(path.name, len(rows), selected, *written)),
    )


def sentence(
    name: str, images: int, particles: float | None, images_written: int, particles_written: float | None
) -> str:
    """What was selected and what the written files hold; people should see it where these differ."""
    text = f"Wrote {images_written:,} images"
    if particles_written is not None:
        text += f" ({particles_written:,.0f} particles)"
    text += f" to {name} and its stack"
    known = particles is not None and particles_written is not None
    same = images == images_written and not (
        known and abs((particles or 0.0) - (particles_written or 0.0)) >= 0.5
    )
    selected = f"{images:,} images" + (f" ({particles:,.0f} particles)" if known else "")
    return f"{text}, as selected." if same else f"{text}, but {selected} were selected."
