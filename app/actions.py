"""Menus and keyboard shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QActionGroup, QKeySequence
from PySide6.QtWidgets import QMessageBox

from app.guide import Guide

if TYPE_CHECKING:
    from app.main_window import MainWindow

SHORTCUTS = (
    ("Ctrl+O", "Add files"), ("Ctrl+Shift+O", "Open a run"), ("Ctrl+L", "Load settings"),
    ("Ctrl+S", "Save settings"), ("Ctrl+R", "Run"), ("Esc", "Cancel the run"), ("Ctrl+E", "Export"),
    ("Ctrl+Shift+S", "Save the picture"), ("[  and  ]", "Previous and next sample or map"),
    ("C", "Colour by sample, spread or motion"), ("Home", "Show everything"), ("Z", "Look along z"),
    ("X", "Surface or slices"), (",  and  .", "Lower and raise the surface's level"),
    ("Drag, wheel, Shift + drag", "Turn, zoom, move the picture"),
    ("Alt+1 to Alt+4", "Points, volumes, or training of a denoiser or a prior"),
    ("Space, Shift+Space", "Use class averages or leave them out"),
    ("Ctrl+A, Ctrl+Shift+A", "Use all, use none"),
    ("Ctrl+I, Ctrl+M", "Invert the selection, leave out what is marked"),
    ("Ctrl+Z, Ctrl+Shift+Z", "Undo and redo the selection"), ("P", "Class averages as read or as prepared"),
    ("G", "Class averages or result"), ("F1", "User guide"),
)  # fmt: skip


class Actions:
    """The menu bar of a window.

    Parameters
    ----------
    window : whose methods the actions call.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._guide: Guide | None = None
        add = window.commands.add
        menu = window.commands.menu
        add("&File", "&Add files…", window.add_files, "Ctrl+O")
        add("&File", "&Open run…", lambda: window.open_run(), "Ctrl+Shift+O")
        self._recent = menu("&File/&Recent runs")
        menu("&File").addSeparator()
        add("&File", "&Load settings…", lambda: window.load_spec(), "Ctrl+L")
        add("&File", "&Save settings…", window.save_spec, "Ctrl+S")
        menu("&File").addSeparator()
        self.export = add("&File", "&Export…", window.saving.export, "Ctrl+E")
        add("&File", "Save &picture…", window.saving.save_screenshot, "Ctrl+Shift+S")
        menu("&File").addSeparator()
        add("&File", "&Quit", window.close, QKeySequence(QKeySequence.StandardKey.Quit))
        self.run = add("&Run", "&Run", window.start_run, "Ctrl+R")
        self.cancel = add("&Run", "&Cancel", window.cancel_run, "Esc")
        viewer = window.viewer
        add("&View", "Show &everything", viewer.reset_view, "Home")
        add("&View", "Look along &z", viewer.look_along_z, "Z")
        add("&View", "&Next sample or map", lambda: viewer.step_sample(1), "]")
        add("&View", "&Previous sample or map", lambda: viewer.step_sample(-1), "[")
        add("&View", "&Colour by sample, spread or motion", viewer.toggle_colouring, "C")
        add("&View", "Surface or s&lices", viewer.volume.toggle_slices, "X")
        add("&View", "&Raise the surface's level", lambda: viewer.volume.level.step(2), ".")
        add("&View", "Lo&wer the surface's level", lambda: viewer.volume.level.step(-2), ",")
        self._add_themes()
        add("&Help", "&User guide", self._show_guide, "F1")
        add("&Help", "&Keyboard and mouse", self._show_shortcuts, "Shift+F1")
        add("&Help", "&About Verglas", self._show_about)
        self.export.setEnabled(False)
        self.cancel.setEnabled(False)

    def show_recent(self, folders: Sequence[Path]) -> None:
        """Fill the menu of recent runs."""
        self._recent.clear()
        for folder in folders:
            action = self._recent.addAction(folder.name, partial(self._window.open_run, folder))
            action.setToolTip(str(folder))
        self._recent.setEnabled(bool(folders))

    def _add_themes(self) -> None:
        group = QActionGroup(self._window)
        for name in ("system", "light", "dark"):
            action = self._window.commands.add(
                "&View/&Theme", name.capitalize(), partial(self._window.choose_theme, name)
            )
            action.setCheckable(True)
            action.setChecked(self._window.settings.theme == name)
            group.addAction(action)

    def _show_guide(self) -> None:
        if self._guide is None:
            self._guide = Guide(self._window)
        self._guide.show()
        self._guide.raise_()

    def _show_shortcuts(self) -> None:
        rows = "".join(
            f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in SHORTCUTS
        )
        self._message("Keyboard and mouse", f"<table>{rows}</table>")

    def _show_about(self) -> None:
        from importlib.metadata import version

        self._message(
            "About Verglas",
            f"<b>Verglas {version('verglas')}</b><br>Cryo-EM structures from very little data.<br>"
            "BSD 3-Clause licence.",
        )

    def _message(self, title: str, text: str) -> None:
        box = QMessageBox(
            QMessageBox.Icon.NoIcon, title, text, QMessageBox.StandardButton.Close, self._window
        )
        box.exec()
        box.deleteLater()
