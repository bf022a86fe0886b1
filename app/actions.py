"""Menus and keyboard shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMessageBox

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
        bar = window.menuBar()
        file = bar.addMenu("&File")
        self._add(file, "&Add files…", "Ctrl+O", window.add_files)
        self._add(file, "&Open run…", "Ctrl+Shift+O", lambda: window.open_run())
        self._recent = file.addMenu("&Recent runs")
        file.addSeparator()
        self._add(file, "&Load settings…", "Ctrl+L", lambda: window.load_spec())
        self._add(file, "&Save settings…", "Ctrl+S", window.save_spec)
        file.addSeparator()
        self.export = self._add(file, "&Export…", "Ctrl+E", window.saving.export)
        self._add(file, "Save &picture…", "Ctrl+Shift+S", window.saving.save_screenshot)
        file.addSeparator()
        self._add(file, "&Quit", QKeySequence(QKeySequence.StandardKey.Quit), window.close)
        run = bar.addMenu("&Run")
        self.run = self._add(run, "&Run", "Ctrl+R", window.start_run)
        self.cancel = self._add(run, "&Cancel", "Esc", window.cancel_run)
        view = bar.addMenu("&View")
        viewer = window.viewer
        self._add(view, "Show &everything", "Home", viewer.reset_view)
        self._add(view, "Look along &z", "Z", viewer.look_along_z)
        self._add(view, "&Next sample or map", "]", lambda: viewer.step_sample(1))
        self._add(view, "&Previous sample or map", "[", lambda: viewer.step_sample(-1))
        self._add(view, "&Colour by sample, spread or motion", "C", viewer.toggle_colouring)
        self._add(view, "Surface or s&lices", "X", viewer.volume.toggle_slices)
        self._add(view, "&Raise the surface's level", ".", lambda: viewer.volume.level.step(2))
        self._add(view, "Lo&wer the surface's level", ",", lambda: viewer.volume.level.step(-2))
        self._add_themes(view.addMenu("&Theme"))
        help_menu = bar.addMenu("&Help")
        self._add(help_menu, "&User guide", "F1", self._show_guide)
        self._add(help_menu, "&Keyboard and mouse", "Shift+F1", self._show_shortcuts)
        self._add(help_menu, "&About Verglas", "", self._show_about)
        self.export.setEnabled(False)
        self.cancel.setEnabled(False)

    def show_recent(self, folders: Sequence[Path]) -> None:
        """Fill the menu of recent runs."""
        self._recent.clear()
        for folder in folders:
            action = self._recent.addAction(folder.name, partial(self._window.open_run, folder))
            action.setToolTip(str(folder))
        self._recent.setEnabled(bool(folders))

    def _add(self, menu: QMenu, text: str, key: str | QKeySequence, slot: Callable[[], object]) -> QAction:
        action = QAction(text, self._window)
        if key:
            action.setShortcut(QKeySequence(key))
        # Without arguments: `triggered` would hand over whether it is checked.
        action.triggered.connect(lambda _checked=False: slot())
        menu.addAction(action)
        return action

    def _add_themes(self, menu: QMenu) -> None:
        group = QActionGroup(self._window)
        for name in ("system", "light", "dark"):
            action = self._add(menu, name.capitalize(), "", partial(self._window.choose_theme, name))
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
