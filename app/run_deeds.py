"""What can be done with the runs that are chosen in the tree; what changes them can be undone."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication

from app import project_files
from app.panels.run_comparison import RunComparison
from app.panels.run_rows import TreeRow
from app.project import BringBack, SetEntry, ThrowAway
from app.run_comparison import compare
from engine.jobs.run_dir import RunDir

if TYPE_CHECKING:
    from app.project_view import ProjectView

RUNNING = "{name} is being computed. Cancel it first, then move it to the trash."


class RunDeeds:
    """Rename, note, duplicate, throw away, bring back, compare.

    Parameters
    ----------
    view : whose tree and project they are about.
    """

    def __init__(self, view: ProjectView) -> None:
        self._view = view
        self.window = view.window
        self.comparison: RunComparison | None = None

    def close(self) -> None:
        """The window closes."""
        if self.comparison is not None:
            self.comparison.close()

    def chosen(self, kind: str = "run") -> list[TreeRow]:
        """Rows of a kind that are chosen."""
        return self._view.panel.selected(kind)

    def _refused(self) -> bool:
        reason = self._view.project.may_change()
        if reason:
            self.window.complain(reason)
            self._view.list.show_rows()
        return bool(reason)

    def _set(self, table: str, run: Path, text: str, label: str) -> None:
        if text != getattr(self._view.project.content, table).get(run.name, "") and not self._refused():
            self.window.history.push(SetEntry(self._view.project, table, run.name, text, label))

    def rename(self, folder: str, name: str) -> None:
        """Call a run something else; its folder keeps its name."""
        run = self._view.list.runs.get(Path(folder))
        own = run.name if run is not None else ""
        self._set("names", Path(folder), "" if name == own else name, "rename a run")

    def note(self) -> None:
        """Ask for a note about the chosen run."""
        for row in self.chosen()[:1]:
            run = Path(row.target)
            text = self.window.dialogs.note(row.name, self._view.project.note_of(run.name))
            if text is not None:
                self._set("notes", run, text, "note")

    def duplicate(self) -> None:
        """Prepare the chosen run once more."""
        if self.window.monitor.running:
            self.window.complain("A run is going on. Its settings can't be replaced now.")
            return
        for row in self.chosen()[:1]:
            folder = Path(row.target)
            self.window.in_background(lambda: RunDir.open(folder).spec(), self._duplicated)  # noqa: B023

    def _duplicated(self, spec: Any) -> None:
        self.window.modes.load(spec)
        self._view.show_preparation()
        self.window.say("The run's settings are filled in. Change what you like and press Run.")

    def throw_away(self) -> None:
        """Move the chosen runs into the project's trash."""
        runs = [Path(row.target) for row in self.chosen()]
        if not runs or self._refused():
            return
        monitor = self.window.monitor
        for run in list(runs):
            if (monitor.running and run == monitor.folder) or project_files.is_running(run):
                self.window.complain(RUNNING.format(name=self._view.list.name_of(run)))
                runs.remove(run)
        if runs:
            many = "a run" if len(runs) == 1 else f"{len(runs)} runs"
            self.window.history.push(ThrowAway(self._view.project, runs, f"move {many} to the trash"))
            self.window.say(f"Moved {many} to the project's trash.")

    def bring_back(self) -> None:
        """Move the chosen runs back from the trash."""
        runs = [Path(row.target) for row in self.chosen("trash")]
        if runs and not self._refused():
            many = "a run" if len(runs) == 1 else f"{len(runs)} runs"
            self.window.history.push(BringBack(self._view.project, runs, f"bring {many} back"))

    def empty_trash(self) -> None:
        """Delete what is in the trash for good, after asking."""
        there = project_files.trashed_runs(self._view.project.trash)
        if not there or self._refused():
            return
        text = f"Delete {len(there)} run{'s' if len(there) != 1 else ''} for good? This can't be undone."
        if self.window.dialogs.confirm("Empty the trash", text, "Delete"):
            trash = self._view.project.trash
            self.window.in_background(partial(shutil.rmtree, trash), lambda _r: self._view.list.refresh())

    def compare(self) -> None:
        """Compare the two chosen runs, or the chosen one with the one that is shown."""
        runs = [Path(row.target) for row in self.chosen()]
        shown = self.window.run_view.stored
        if len(runs) == 1 and shown is not None and shown.folder != runs[0]:
            runs.append(shown.folder)
        if len(runs) == 2:
            self.compare_runs(*runs)

    def compare_runs(self, first: Path, second: Path) -> None:
        """Show two runs beside each other."""
        names = (self._view.list.name_of(first), self._view.list.name_of(second))
        if names[0] == names[1]:
            names = (f"{names[0]} (1)", f"{names[1]} (2)")
        self.window.in_background(partial(compare, first, second), lambda rows: self._compared(names, rows))

    def _compared(self, names: tuple[str, str], rows: list[Any]) -> None:
        if self.comparison is None:
            self.comparison = RunComparison(self.window)
        self.comparison.show_rows(names, rows)

    def show_folder(self) -> None:
        """Open the folder of the chosen run in the file manager."""
        for row in [*self.chosen(), *self.chosen("part"), *self.chosen("input")][:1]:
            path = Path(row.target)
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if row.kind == "run" else path.parent)))

    def copy_path(self) -> None:
        """Put the paths of what is chosen on the clipboard."""
        rows = [row for row in self._view.panel.selected() if row.kind in ("run", "part", "input", "trash")]
        QApplication.clipboard().setText("\n".join(row.target for row in rows))
