"""The menu of the class averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction

if TYPE_CHECKING:
    from app.main_window import MainWindow


def add_averages_menu(window: MainWindow) -> None:
    """Put the menu before the one called Run; it can be used in the modes that have class averages."""
    modes, gallery = window.modes, window.modes.gallery
    title = "&Class averages"
    menu = window.commands.menu(title, before="Run")

    def add(text: str, key: str, slot: Callable[[], object]) -> QAction:
        return window.commands.add(title, text, slot, key)

    for action in gallery.select_actions:
        window.commands.adopt(title, action)
    add("&Leave out what is marked", "Ctrl+M", modes.leave_out_marked)
    menu.addSeparator()
    add("As &read or as prepared", "P", gallery.toggle_prepared)
    add("&Images or result", "G", modes.show_other_page)
    menu.addSeparator()
    add("&Export the selection…", "Ctrl+Shift+E", modes.export_selection)

    def refresh() -> None:
        for action in menu.actions():
            action.setEnabled(modes.of_averages)

    menu.aboutToShow.connect(refresh)
    modes.changed.connect(refresh)
    refresh()
