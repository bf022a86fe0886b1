"""Questions that the window asks. Each returns a plain answer, so that tests can give it instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QCheckBox, QDialog, QFileDialog, QInputDialog, QMessageBox, QWidget

from app.panels.keep_prior import KeepDialog

if TYPE_CHECKING:
    from app.panels.picture_dialog import PictureWish

INPUTS = (
    "All inputs (*.mrc *.mrcs *.map *.ccp4 *.star *.pdb *.cif *.ent *.pdb1 *.gz *.csv *.npz "
    "*.cs *.hdf *.hdf5 *.h5 *.lst *.spi *.stk *.safetensors *.toml);;"
    "All files (*)"
)

REFERENCES = (
    "Models, maps and points (*.pdb *.cif *.ent *.pdb1 *.gz *.mrc *.map *.ccp4 *.csv *.npz);;All files (*)"
)


class Dialogs:
    """Asks the user through modal dialogs.

    Parameters
    ----------
    parent : the window.
    """

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent

    def input_files(self, folder: str) -> list[Path]:
        """Files to add."""
        names, _ = QFileDialog.getOpenFileNames(self._parent, "Add files", folder, INPUTS)
        return [Path(name) for name in names]

    def one_input(self, folder: str, title: str) -> Path | None:
        """One file for a purpose that the title says."""
        name, _ = QFileDialog.getOpenFileName(self._parent, title, folder, INPUTS)
        return Path(name) if name else None

    def reference(self, folder: str) -> Path | None:
        """A file to lay over a picture."""
        name, _ = QFileDialog.getOpenFileName(self._parent, "Lay a file over", folder, REFERENCES)
        return Path(name) if name else None

    def weights(self, folder: str, title: str = "Weights of a prior") -> Path | None:
        """A file with the weights of a network."""
        name, _ = QFileDialog.getOpenFileName(self._parent, title, folder, "Weights (*.safetensors)")
        return Path(name) if name else None

    def folder(self, title: str, folder: str) -> Path | None:
        """An existing folder."""
        name = QFileDialog.getExistingDirectory(self._parent, title, folder)
        return Path(name) if name else None

    def open_spec(self, folder: str) -> Path | None:
        """A run description to load."""
        name, _ = QFileDialog.getOpenFileName(
            self._parent, "Load settings", folder, "Run description (*.toml *.json)"
        )
        return Path(name) if name else None

    def save_as(self, title: str, suggestion: str, kinds: str) -> Path | None:
        """A file to write."""
        name, _ = QFileDialog.getSaveFileName(self._parent, title, suggestion, kinds)
        return Path(name) if name else None

    def picture(self, size: tuple[int, int], largest: int, last: PictureWish | None) -> PictureWish | None:
        """How large a picture is to be, and on what ground; ``size`` is what the window shows, pixels."""
        from app.panels.picture_dialog import PictureDialog

        dialog = PictureDialog(*size, largest, last, self._parent)
        wish = dialog.wish() if dialog.exec() == QDialog.DialogCode.Accepted else None
        dialog.deleteLater()
        return wish

    def clouds(self, folder: str, title: str) -> Path | None:
        """A file of point clouds."""
        name, _ = QFileDialog.getOpenFileName(self._parent, title, folder, "Clouds (*.npz);;All files (*)")
        return Path(name) if name else None

    def prior_name(self, suggestion: str, problem: Callable[[str], str]) -> str | None:
        """A name for a prior; ``problem`` says why a name can't be used."""
        dialog = KeepDialog(suggestion, problem, self._parent)
        name = dialog.name.text().strip() if dialog.exec() == QDialog.DialogCode.Accepted else None
        dialog.deleteLater()
        return name

    def new_name(
        self, title: str, what: str, explained: str, suggestion: str, problem: Callable[[str], str]
    ) -> str | None:
        """A name for something else; ``problem`` says why a name can't be used."""
        dialog = KeepDialog(suggestion, problem, self._parent, title=title, words=explained, what=what)
        name = dialog.name.text().strip() if dialog.exec() == QDialog.DialogCode.Accepted else None
        dialog.deleteLater()
        return name

    def note(self, name: str, text: str) -> str | None:
        """A note about a run; None leaves it as it is."""
        answer, given = QInputDialog.getMultiLineText(self._parent, "Note", f"Note about {name}:", text)
        return answer.strip() if given else None

    def choose(self, title: str, text: str, items: list[str]) -> int | None:
        """Which of some items, which differ; None for none."""
        answer, given = QInputDialog.getItem(self._parent, title, text, items, 0, False)
        return items.index(answer) if given and answer in items else None

    def confirm(self, title: str, text: str, verb: str) -> bool:
        """Whether to do something that can't be undone."""
        box = QMessageBox(QMessageBox.Icon.Warning, title, text, parent=self._parent)
        box.addButton(QMessageBox.StandardButton.Cancel)
        sure = box.addButton(verb, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        return clicked is sure

    def leave_running(self) -> str:
        """What to do with a running job when the window closes.

        ``keep``, ``cancel`` or ``stay``; ``always`` to keep it and not be asked again.
        """
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A run is going on")
        box.setText("A run is still going on.")
        box.setInformativeText(
            "It can go on without the window. When you open Verglas again, it finds the run and shows it."
        )
        keep = box.addButton("Keep running", QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton("Cancel the run", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Stay here", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        again = QCheckBox("Keep runs going from now on, don't ask again")
        again.setToolTip("Run > Ask before leaving a run going takes this back")
        box.setCheckBox(again)
        box.exec()
        clicked, always = box.clickedButton(), again.isChecked()
        box.deleteLater()
        if clicked is keep:
            return "always" if always else "keep"
        return "cancel" if clicked is cancel else "stay"

    def problem(self, title: str, message: str) -> None:
        """Tell of a problem that came from something the user just asked for."""
        box = QMessageBox(
            QMessageBox.Icon.Warning, title, message, QMessageBox.StandardButton.Ok, self._parent
        )
        box.exec()
        box.deleteLater()
