"""What can be done with groups of the landscape: a run of their class averages, a list, a saved session."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QUndoCommand

from app.features import Feature
from app.panels.lasso import Group
from engine.specs.sds import SdsSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow


class LandscapeGroups(Feature):
    """Connects the lassos of the landscape with the rest of the window."""

    name = "landscape_groups"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._panel = window.sds_panels.landscape
        self._before: tuple[Group, ...] = ()
        self._waiting: dict[str, list[list[Any]]] = {}
        self._panel.grouped.connect(self._grouped)
        self._panel.averages_wanted.connect(self.use_averages)
        self._panel.list_wanted.connect(self.save_list)
        window.run_view.run_shown.connect(lambda _run: self._shown())

    # ---- undo -----------------------------------------------------------------------------------

    def _grouped(self) -> None:
        now = self._panel.groups
        if now != self._before:
            folder = self._folder()
            self.window.history.push(_Regroup(self, folder, self._before, now))

    def put(self, folder: str, groups: tuple[Group, ...]) -> None:
        """What undo and redo call: groups of a run, shown if that run is."""
        self._waiting[folder] = [[g.name, list(g.members)] for g in groups]
        if folder == self._folder():
            self._before = groups
            self._panel.set_groups(groups)

    # ---- class averages -------------------------------------------------------------------------

    def rows_of(self, images: list[int]) -> list[int]:
        """Rows of the file, counted from 1, of class averages as the run counts them."""
        run = self.window.run_view.stored
        listed = run.sds.averages if run is not None and run.sds is not None else ()
        rows = [listed[i - 1].get("row") if i <= len(listed) else None for i in images]
        return [row if isinstance(row, int) else image for row, image in zip(rows, images, strict=True)]

    def use_averages(self, images: list[int]) -> None:
        """Prepare a run from these class averages of the run that is shown."""
        window, run = self.window, self.window.run_view.stored
        if run is None or not isinstance(run.spec, SdsSpec) or window.monitor.running:
            return
        rows = tuple(sorted(self.rows_of(images)))
        with window.history.step(f"use {len(rows)} class averages of a group"):
            window.modes.set_mode("sds")
            window.modes.averages.load(run.spec.averages.model_copy(update={"select": rows}))
        window.say(f"{len(rows)} class averages of the group are selected.")

    def save_list(self, name: str, images: list[int]) -> None:
        """Ask where, and write a group as a table."""
        window, run = self.window, self.window.run_view.stored
        stem = "".join(c if c.isalnum() or c in " -_" else "-" for c in name).strip() or "group"
        folder = run.folder if run is not None else window.session.runs_folder
        path = window.dialogs.save_as("Save the list", str(folder / f"{stem}.csv"), "Values (*.csv)")
        if path is None:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("image", "row_in_file", "group"))
        writer.writerows(zip(images, self.rows_of(images), [name] * len(images), strict=True))
        window.saving.write(path.with_suffix(path.suffix or ".csv"), text.getvalue().encode())

    # ---- session --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Groups by the folders of their runs."""
        return {"runs": {folder: groups for folder, groups in self._waiting.items() if groups}}

    def restore(self, state: dict[str, Any]) -> None:
        """Keep the groups until their run is shown."""
        runs = state.get("runs")
        if isinstance(runs, dict):
            self._waiting = {str(k): v for k, v in runs.items() if isinstance(v, list)}
            self._shown()

    def _shown(self) -> None:
        self._before = self._panel.groups
        found = self._waiting.get(self._folder())
        if found and not self._before:
            groups = tuple(
                Group(str(entry[0]), tuple(m for m in entry[1] if isinstance(m, int)))
                for entry in found
                if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], list)
            )
            self._panel.set_groups(groups)
            self._before = self._panel.groups

    def _folder(self) -> str:
        run = self.window.run_view.stored
        return "" if run is None else str(run.folder)


class _Regroup(QUndoCommand):
    """A change of the groups of one run."""

    def __init__(
        self, owner: LandscapeGroups, folder: str, before: tuple[Group, ...], after: tuple[Group, ...]
    ) -> None:
        names = {g.name for g in after} ^ {g.name for g in before}
        super().__init__(f"group {min(names)}" if names else "groups of the landscape")
        self._owner, self._folder, self._before, self._after = owner, folder, before, after

    def redo(self) -> None:
        self._owner.put(self._folder, self._after)

    def undo(self) -> None:
        self._owner.put(self._folder, self._before)
