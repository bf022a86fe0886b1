"""The menus File, Run and View. Other menus have modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QActionGroup, QKeySequence

if TYPE_CHECKING:
    from app.main_window import MainWindow
DEMOS = (
    ("job.toml", "Demo, &points from three projections", "Prepares a run of about a minute; then press Run"),
    (
        "averages.toml",
        "Demo, &volume from 40 class averages",
        "Prepares a run of some minutes; then press Run",
    ),
)


class Actions:
    """The first menus of a window's menu bar.

    Parameters
    ----------
    window : whose methods the actions call.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        add = window.commands.add
        menu = window.commands.menu
        add("&File", "&Add files…", window.add_files, "Ctrl+O")
        add("&File", "&Open run…", lambda: window.open_run(), "Ctrl+Shift+O")
        self._recent = menu("&File/&Recent runs")
        for name, text, tip in DEMOS:
            add("&File/Load the &demo", text, partial(self._load_demo, name), tip=tip)
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
        self.export.setEnabled(False)
        self.cancel.setEnabled(False)

    def show_recent(self, folders: Sequence[Path]) -> None:
        """Fill the menu of recent runs."""
        self._recent.clear()
        for folder in folders:
            action = self._recent.addAction(folder.name, partial(self._window.open_run, folder))
            action.setToolTip(str(folder))
        self._recent.setEnabled(bool(folders))

    def _load_demo(self, name: str) -> None:
        with as_file(files("resources") / "demo") as folder:
            self._window.load_spec(folder / name)

    def _add_themes(self) -> None:
        group = QActionGroup(self._window)
        for name in ("system", "light", "dark"):
            action = self._window.commands.add(
                "&View/&Theme", name.capitalize(), partial(self._window.choose_theme, name)
            )
            action.setCheckable(True)
            action.setChecked(self._window.settings.theme == name)
            group.addAction(action)
