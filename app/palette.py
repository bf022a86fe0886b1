"""The command palette: every command, recent run and page of the guide, found by typing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QKeySequence

from app.features import Feature
from app.help_pages import places
from app.matching import NO_MATCH, score
from app.panels.palette import PaletteBox, Row
from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow

REMEMBERED = 12
MOST_SHOWN = 200
RECENT = "recent_commands"
OF_AVERAGES = "Only with class averages: Alt+2 or Alt+3."


class Palette(Feature):
    """Opens over the window with Ctrl+K.

    Parameters
    ----------
    window : whose commands are offered.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.box = PaletteBox(window)
        self._does: dict[str, Callable[[], object]] = {}
        self._rows: list[Row] = []
        self.recent = window.settings.words(RECENT)
        self.box.typed.connect(self._search)
        self.box.chosen.connect(self._do)
        self.own = window.commands.add(
            "&Help", "&Find a command…", self.open, "Ctrl+K",
            tip="Find commands, recent runs and pages of the guide by typing",
        )  # fmt: skip

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.box.set_theme(theme)

    def close(self) -> None:
        """The window closes."""
        self.box.hide()

    def open(self) -> None:
        """Show it with all that can be done now."""
        self._collect()
        self.box.open()
        self._search("")

    # ---- what there is --------------------------------------------------------------------------

    def _collect(self) -> None:
        window = self.window
        self._does, self._rows = {}, []
        for path, action in window.commands.all():
            if action is not self.own and action.isVisible() and action.text():
                self._add(_row_of(path, action, self.reason(path, action)), action.trigger)
        for folder in window.settings.recent_runs():
            self._add(
                Row(f"run {folder}", f"Open run {folder.name}", f"{folder.parent}"),
                partial(window.open_run, folder),
            )
        for place in places():
            self._add(
                Row(f"help {place.key}", place.title, f"User guide › {place.page}"),
                partial(window.features["help"].show_guide, place.key),
            )

    def _add(self, row: Row, does: Callable[[], object]) -> None:
        if row.key not in self._does:
            self._does[row.key] = does
            self._rows.append(row)

    def reason(self, path: str, action: QAction) -> str:
        """Why a command can't be used now, as far as is known; empty if it can."""
        if action.isEnabled():
            return ""
        window = self.window
        if action is window.actions_.run:
            return "A run is going on." if window.monitor.running else window.modes.session.missing()
        if action is window.actions_.cancel:
            return "No run is going on."
        if action is window.actions_.export:
            return "There is no result to export: run, or open a run."
        if path == "Class averages" and not window.modes.of_averages:
            return OF_AVERAGES
        return str(action.property("reason") or "")

    # ---- searching and doing --------------------------------------------------------------------

    def _search(self, query: str) -> None:
        last = {key: place for place, key in enumerate(self.recent)}
        found = []
        for order, row in enumerate(self._rows):
            fit = max(score(query, row.text), 0.8 * score(query, f"{row.place} {row.text}"))
            helps = row.key.startswith("help ")
            if fit == NO_MATCH or (not query.strip() and helps):
                continue
            fit *= 0.6 if helps else 1.0  # what does it comes before what explains it
            used = last.get(row.key, REMEMBERED)
            bonus = 0.15 * (REMEMBERED - used)
            found.append((-(fit + bonus) if query.strip() else used, not row.enabled, order, row))
        found.sort(key=lambda entry: entry[:3])
        self.box.show_rows([entry[3] for entry in found[:MOST_SHOWN]])

    def _do(self, key: str) -> None:
        does = self._does.get(key)
        if does is None:
            return
        self.recent = [key, *(k for k in self.recent if k != key)][:REMEMBERED]
        self.window.settings.set_words(RECENT, self.recent)
        does()


def plain(text: str) -> str:
    """A menu's text without its mark for the access key."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&")


def _row_of(path: str, action: QAction, reason: str) -> Row:
    text = plain(action.text())
    # Undo and redo say in their texts what they would take back.
    return Row(
        key=f"{path}/{text.split(':')[0] if path == 'Edit' else text}",
        text=text,
        place=path.replace("/", " › "),
        shortcut=action.shortcut().toString(QKeySequence.SequenceFormat.NativeText),
        reason=reason,
        enabled=action.isEnabled(),
    )
