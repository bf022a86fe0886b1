"""The menu Help: the guide at the fitting place, the list of keys, this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QApplication, QWidget

from app.features import Feature
from app.help_pages import find
from app.shortcuts import matching, shortcuts

if TYPE_CHECKING:
    from app.guide import Guide
    from app.main_window import MainWindow
    from app.panels.shortcut_list import ShortcutList

HELP = "help"  # property of a widget: the place of the guide that tells about it
OF_MODE = {
    "dps": "guide.md#the-first-ten-minutes",
    "sds": "guide.md#volumes-from-class-averages",
    "train_denoiser": "guide.md#your-own-2d-denoiser",
    "train_prior": "guide.md#your-own-prior",
    "known_poses": "guide.md#volumes-at-known-poses",
}


class Help(Feature):
    """Opens what explains.

    Parameters
    ----------
    window : whose panels are explained. A panel names its place in its property ``help``.
    """

    name = "help"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.guide: Guide | None = None
        self.list: ShortcutList | None = None
        modes = window.modes
        for panel, place in (
            (window.inputs, "guide.md#what-to-give"),
            (window.run_panel, "guide.md#samplers"),
            (window.energies, "guide.md#samplers"),
            (window.results, "guide.md#how-far-to-trust-it"),
            (modes.averages_panel, "guide.md#volumes-from-class-averages"),
            (modes.gallery, "guide.md#volumes-from-class-averages"),
            (modes.sds_panel, "guide.md#volumes-from-class-averages"),
            (modes.training_panel, "guide.md#your-own-2d-denoiser"),
            (modes.prior.panel, "guide.md#from-structures-to-clouds"),
            (modes.prior.run_panel, "guide.md#your-own-prior"),
            (modes.known.panel, "guide.md#volumes-at-known-poses"),
            (modes.known.run_panel, "guide.md#volumes-at-known-poses"),
            (window.messages, "guide.md#when-something-is-wrong"),
            *((tab[0], "guide.md#how-far-to-trust-a-map") for tab in window.sds_panels.tabs),
            (window.sds_panels.coverage, "guide.md#volumes-at-known-poses"),
        ):
            panel.setProperty(HELP, place)
        add = window.commands.add
        add("&Help", "&User guide", self.show_context, "F1", tip="Opens at what the panel in use is about")
        add("&Help", "&Keyboard and mouse", self.show_shortcuts, "Shift+F1")

    def place_for(self, widget: QWidget | None) -> str:
        """The place of the guide for a widget: its own or that of the nearest panel around it."""
        while widget is not None:
            place = widget.property(HELP)
            if place:
                return str(place)
            widget = widget.parentWidget()
        return OF_MODE[self.window.modes.mode]

    def show_context(self) -> None:
        """Open the guide at what the control with the keyboard is about."""
        focus = QApplication.focusWidget()
        inside = focus if focus is not None and self.window.isAncestorOf(focus) else None
        self.show_guide(self.place_for(inside))

    def show_guide(self, link: str = "") -> None:
        """Open the guide, at a place such as ``guide.md#runs``."""
        if self.guide is None:
            from app.guide import Guide

            self.guide = Guide(self.window)
        place = find(link)
        if place is not None:
            self.guide.show_place(place)
        self.guide.show()
        self.guide.raise_()
        self.guide.activateWindow()
        if place is not None:
            self.guide.page.scroll_to(place.slug if place.level > 1 else "")  # laid out only when shown

    def show_shortcuts(self) -> None:
        """Open the list of keys."""
        if self.list is None:
            from app.panels.shortcut_list import ShortcutList

            self.list = ShortcutList(self.window)
            self.list.typed.connect(self._search)
        self._search(self.list.line.text())
        self.list.show()
        self.list.raise_()
        self.list.activateWindow()
        self.list.line.setFocus()

    def _search(self, query: str) -> None:
        if self.list is not None:
            self.list.show_rows(matching(shortcuts(self.window), query))
