"""What the user takes away from the window: exported results and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.background import words
from app.exporting import choices_of, export, typical_spacing_A, values_of
from app.panels.export import ExportDialog, ExportWish
from app.panels.picture_dialog import PictureWish
from app.panels.plot import KINDS, Plot
from app.pictures import canvas_of, encoded, largest_of, named, picture_of, size_of
from app.run_files import StoredRun
from engine.errors import VerglasError
from engine.io.atomic import atomic_path

if TYPE_CHECKING:
    from app.main_window import MainWindow


class Saving(QObject):
    """Asks where to write, and writes in the background.

    Parameters
    ----------
    window : whose run and picture are saved.

    Attributes
    ----------
    exported : told of the files of an export that has ended.
    failed : told in words why an export could not be written.
    """

    exported = Signal(object)
    failed = Signal(str)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._last: PictureWish | None = None

    def export(self) -> None:
        """Ask how, and export what is shown: an ensemble, or volumes."""
        stored = self._window.run_view.stored
        if stored is None or not stored.exportable:
            return
        dialog = self.dialog_for(stored)
        accepted, wish = dialog.exec(), dialog.wish()
        dialog.deleteLater()
        if accepted:
            self.export_to(wish)

    def dialog_for(self, stored: StoredRun) -> ExportDialog:
        """The dialog that fits a run."""
        folder = stored.folder if stored.folder.is_dir() else stored.folder.parent
        if stored.ensemble is not None:
            from engine.io.export import FORMATS
            from engine.io.point_values import MEANINGS

            spacing = typical_spacing_A(stored.ensemble)
            values = [(MEANINGS[kind].words, kind) for kind in values_of(stored).kinds]
            return ExportDialog(dict(FORMATS), folder, "ensemble", spacing, self._window, values=values)
        from engine.io.export_volumes import FORMATS as VOLUME_FORMATS

        formats = dict(VOLUME_FORMATS)
        if not (folder / "results" / "gaussians.npz").is_file():
            del formats["mmcif"]  # of which the pseudo-atoms are made
        choices = choices_of(stored.sds, self._window.sds_view.maps.key) if stored.sds else []
        return ExportDialog(
            formats, folder, "volume", None, self._window,
            title="Export maps and poses", choices=choices,
        )  # fmt: skip

    def export_to(self, wish: ExportWish) -> None:
        """Export the run that is shown."""
        window, stored = self._window, self._window.run_view.stored
        if stored is None:
            return
        window.statusBar().showMessage(f"Exporting {wish.path.name}…")
        window.background.submit(lambda: export(stored, wish), self._exported, self._export_failed)

    def _exported(self, files: list[Path]) -> None:
        if files:
            self._window.say(f"Exported {', '.join(f.name for f in files)} to {files[0].parent}")
            self.exported.emit(files)

    def _export_failed(self, error: Exception) -> None:
        self._window.complain(words(error))
        self.failed.emit(words(error))

    def save_screenshot(self) -> None:
        """Ask how large and where, and save the picture in the middle."""
        window = self._window
        viewer = window.viewer
        wish = None
        if canvas_of(viewer) is not None:
            wish = window.dialogs.picture(size_of(viewer), largest_of(viewer), self._last)
            if wish is None:
                return
            self._last = wish
        suggestion = str(window.session.runs_folder / "verglas.png")
        path = window.dialogs.save_as("Save the picture", suggestion, "Picture (*.png *.jpg *.tif)")
        if path is not None and wish is not None:
            self.save_picture(wish, path)
        elif path is not None:
            self.save_image(viewer.screenshot(), path)

    def save_picture(self, wish: PictureWish, path: Path) -> None:
        """Draw what the middle shows as it is wished, and write it."""
        try:
            image = picture_of(self._window.viewer, wish)
        except VerglasError as exc:
            self._window.dialogs.problem("Save a picture", words(exc))
            return
        self.save_image(image, path)

    def save_image(self, image: QImage, path: Path) -> None:
        """Write a picture; PNG unless the name says otherwise."""
        window, target = self._window, named(path)
        window.in_background(
            lambda: _write(target, encoded(image, target)), lambda _done: window.say(f"Saved {target}.")
        )

    def save_plot(self, plot: Plot, kind: str) -> None:
        """Ask where, and write a plot as ``png``, ``svg`` or ``csv``."""
        suggestion = str(self._window.session.runs_folder / f"{plot.name}.{kind}")
        path = self._window.dialogs.save_as("Save the plot", suggestion, f"{KINDS[kind]} (*.{kind})")
        if path is not None:
            self.write_plot(plot, kind, path)

    def write_plot(self, plot: Plot, kind: str, path: Path) -> None:
        """Write a plot: drawn here, written in the background."""
        self.write(path.with_suffix(path.suffix or f".{kind}"), plot.rendered(kind))

    def write(self, path: Path, content: bytes) -> None:
        """Write a file in the background, whole or not at all, and say so."""
        self._window.in_background(
            lambda: _write(path, content), lambda _done: self._window.say(f"Saved {path}.")
        )


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
