"""Menus of projects and of the runs in the tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

if TYPE_CHECKING:
    from app.project_view import ProjectView

MENU = "Pro&ject"


class ProjectActions:
    """The entries under File and Project, and the context menu of the tree.

    Parameters
    ----------
    view : what they call.
    """

    def __init__(self, view: ProjectView) -> None:
        self._view, deeds = view, view.deeds
        window = view.window
        commands = window.commands
        file_menu = commands.menu("&File")
        first = file_menu.actions()[0]
        add_file = partial(commands.add, "&File", before=first)
        new = add_file("&New project…", view.new, tip="A folder for the runs of one question, with notes")
        open_ = add_file("Open pro&ject…", view.open, tip="With the session that it was left with")
        self._recent = QMenu("Recent pro&jects", window)
        file_menu.insertMenu(first, self._recent)
        self._leave = add_file("Close project", view.leave, tip="Runs go to the usual folder again")
        self._restores = add_file("Restore the session at the start", self._restore_chosen)
        self._restores.setCheckable(True)
        self._restores.setChecked(window.settings.restores_session)
        self._restores.setToolTip("Begin with what was prepared and shown when the window was closed")
        file_menu.insertSeparator(first)
        menu = QMenu(view.panel)
        menu.addActions([new, open_])
        menu.addMenu(self._recent)
        menu.addAction(self._leave)
        view.panel.menu_button.setMenu(menu)

        commands.menu(MENU, before="Class averages")
        add = self._add
        commands.add(MENU, "Tree or &preparation", view.toggle, "Ctrl+J", tip="Changes the left column")
        commands.add(MENU, "&Find a run…", view.find, "Ctrl+F")
        commands.menu(MENU).addSeparator()
        self._open = add("&Open", self._open_chosen, tip="Show what was chosen in the tree (Enter)")
        self._rename = add("&Rename", view.panel.edit_name, "F2", tip="Its folder keeps its name")
        self._note = add("&Note…", deeds.note)
        self._duplicate = add("&Duplicate its settings", deeds.duplicate, tip="Prepares the same run again")
        self._compare = add("Co&mpare…", deeds.compare, tip="Two runs, or one with the run that is shown")
        self._folder = add("&Show folder", deeds.show_folder)
        self._path = add("Copy pa&th", deeds.copy_path)
        self._trash = add("Move to the &trash", deeds.throw_away, "Del", tip="Can be undone")
        self._back = add("&Bring back from the trash", deeds.bring_back)
        self._empty = add("Empty the trash…", deeds.empty_trash)
        self.more: list[QAction] = []
        self.show_recent()
        self.refresh()

    def _add(self, text: str, slot: Callable[[], object], key: str = "", *, tip: str = "") -> QAction:
        view = self._view
        action = view.window.commands.add(MENU, text, slot, key, tip=tip)
        if key:
            # only in the tree: elsewhere these keys mean something else
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            view.panel.tree.addAction(action)
        return action

    def refresh(self) -> None:
        """Offer what makes sense for what is chosen."""
        view = self._view
        runs, trashed = view.deeds.chosen(), view.deeds.chosen("trash")
        others = [*view.deeds.chosen("part"), *view.deeds.chosen("input")]
        one = len(runs) == 1
        shown = view.window.run_view.stored
        with_shown = one and shown is not None and str(shown.folder) != runs[0].target
        for action, on in (
            (self._open, bool(runs or others)), (self._rename, one), (self._note, one),
            (self._duplicate, one), (self._compare, len(runs) == 2 or with_shown),
            (self._folder, bool(runs or others)), (self._path, bool(runs or others or trashed)),
            (self._trash, bool(runs)), (self._back, bool(trashed)),
        ):  # fmt: skip
            action.setEnabled(on)
        self._compare.setText("Co&mpare with the run shown…" if with_shown else "Co&mpare two runs…")
        self._leave.setEnabled(view.project.named)

    def menu_at(self, place: QPoint) -> None:
        """The context menu for what is chosen."""
        menu = self.menu()
        if menu.actions():
            menu.exec(place)
        menu.deleteLater()

    def menu(self) -> QMenu:
        """Its entries: those that can be used, and the next steps of the chosen run."""
        view = self._view
        self.refresh()
        menu = QMenu(view.panel)
        own = (
            self._open, self._rename, self._note, self._duplicate, self._compare, self._folder, self._path,
            self._trash, self._back,
        )  # fmt: skip
        menu.addActions([action for action in (*self.more, *own) if action.isEnabled()])
        runs = view.deeds.chosen()
        steps = [row for row in runs[0].children if row.kind == "step"] if len(runs) == 1 else []
        if steps:
            menu.addSeparator()
        for row in steps:
            action = menu.addAction(row.name)
            action.triggered.connect(partial(view.open_row, row.key))
        if view.deeds.chosen("trash"):
            menu.addAction(self._empty)
        return menu

    def show_recent(self) -> None:
        """Fill the menu of recent projects."""
        view = self._view
        self._recent.clear()
        for folder in view.window.settings.recent_projects():
            action = self._recent.addAction(folder.name, partial(view.open, folder))
            action.setToolTip(str(folder))
        self._recent.setEnabled(bool(self._recent.actions()))

    def _open_chosen(self) -> None:
        view = self._view
        for row in [*view.deeds.chosen(), *view.deeds.chosen("part"), *view.deeds.chosen("input")][:1]:
            view.open_row(row.key)

    def _restore_chosen(self) -> None:
        self._view.window.settings.restores_session = self._restores.isChecked()
