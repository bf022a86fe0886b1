"""All that can be done in the window: menus, shortcuts and the command palette are views of one list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

if TYPE_CHECKING:
    from app.main_window import MainWindow

Key = str | QKeySequence


class Commands(QObject):
    """The commands of a window, each an action in a menu of its menu bar.

    Parameters
    ----------
    window : whose menu bar is filled.

    Attributes
    ----------
    added : told of each new command, so that the palette and the list of shortcuts stay complete.
    """

    added = Signal(QAction)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._menus: dict[str, QMenu] = {}
        self._actions: list[tuple[str, QAction]] = []

    def menu(self, path: str, *, before: str = "") -> QMenu:
        """The menu of this path, e.g. ``&View/&Theme``; made where there is none.

        Parameters
        ----------
        path : titles from the menu bar downwards, separated by ``/``; ``&`` marks access keys.
        before : title of the menu that a new one of the menu bar is put before.
        """
        key = path.replace("&", "")
        if key not in self._menus:
            parent, _, title = path.rpartition("/")
            if parent:
                self._menus[key] = self.menu(parent).addMenu(title)
            else:
                bar = self._window.menuBar()
                self._menus[key] = menu = bar.addMenu(title)
                rival = self._menus.get(before.replace("&", ""))
                if rival is not None:
                    bar.insertMenu(rival.menuAction(), menu)
        return self._menus[key]

    def add(
        self,
        menu: str,
        text: str,
        slot: Callable[[], object],
        key: Key = "",
        *,
        tip: str = "",
        before: QAction | None = None,
    ) -> QAction:
        """A command in a menu.

        Parameters
        ----------
        menu : path as for :meth:`menu`.
        text : what it says there; ``&`` marks the access key.
        slot : called without arguments.
        key : its shortcut; empty for none.
        tip : what it does, in a sentence, where the text doesn't say.
        before : the action of the menu that it is put before.
        """
        action = QAction(text, self._window)
        if key:
            action.setShortcut(QKeySequence(key))
        if tip:
            action.setToolTip(tip)
            action.setStatusTip(tip)
        # Without arguments: `triggered` would hand over whether it is checked.
        action.triggered.connect(lambda _checked=False: slot())
        self.adopt(menu, action, before=before)
        return action

    def adopt(self, menu: str, action: QAction, *, before: QAction | None = None) -> None:
        """Put an action that a panel has made into a menu and among the commands."""
        where = self.menu(menu)
        if before is None:
            where.addAction(action)
        else:
            where.insertAction(before, action)
        self._actions.append((menu.replace("&", ""), action))
        self.added.emit(action)

    def all(self) -> list[tuple[str, QAction]]:
        """Path of the menu and action of each command, in the order in which they were added."""
        return list(self._actions)
