"""What the user takes away from the window: exported results and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.exporting import export, typical_spacing_A
from app.panels.export import ExportDialog, ExportWish

if TYPE_CHECKING:
    from app.main_window import MainWindow


class Saving:
    """Asks where to write, and writes in the background.

    Parameters
    ----------
    window : whose run and picture are saved.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window

    def export(self) -> None:
        """Ask how, and export the ensemble that is shown."""
        stored = self._window.run_view.stored
        if stored is None or stored.ensemble is None:
            return
        from engine.io.export import FORMATS

        folder = stored.folder if stored.folder.is_dir() else stored.folder.parent
        spacing = typical_spacing_A(stored.ensemble)
        dialog = ExportDialog(dict(FORMATS), folder, "ensemble", spacing, self._window)
        accepted, wish = dialog.exec(), dialog.wish()
        dialog.deleteLater()
        if accepted:
            self.export_to(wish)

    def export_to(self, wish: ExportWish) -> None:
        """Export the ensemble that is shown."""
        window, stored = self._window, self._window.run_view.stored
        if stored is None:
            return
        window.statusBar().showMessage(f"Exporting {wish.path.name}…")
        window.in_background(
            lambda: export(stored, wish),
            lambda files: window.say(
                "Exported " + ", ".join(f.name for f in files) + f" to {wish.path.parent}"
            ),
        )

    def save_screenshot(self) -> None:
        """Save the picture in the middle."""
        window = self._window
        image = window.viewer.screenshot()
        suggestion = str(window.session.runs_folder / "verglas.png")
        path = window.dialogs.save_as("Save the picture", suggestion, "Picture (*.png)")
        if path is not None:
            self.save_image(image, path)

    def save_image(self, image: object, path: Path) -> None:
        """Write a QImage; PNG unless the name says otherwise."""
        window = self._window
        target = str(path.with_suffix(path.suffix or ".png"))
        window.in_background(
            lambda: image.save(target),  # type: ignore[attr-defined]
            lambda done: (window.say if done else window.complain)(
                f"Saved {target}." if done else f"{target} can't be written."
            ),
        )
