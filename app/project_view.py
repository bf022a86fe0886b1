"""Projects in the window: opening and closing them, and what can be done with the runs in the tree."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint

from app import next_steps, project_files
from app.features import Feature
from app.next_steps import COMPARE, EXPORT, GO_ON
from app.panels.project_tree import ProjectTree
from app.project import Project, open_project, unnamed_project
from app.project_actions import ProjectActions
from app.project_files import Link
from app.run_deeds import RunDeeds
from app.run_files import StoredRun
from app.run_list import RunList
from app.session_keeper import SessionKeeper
from app.style import Theme
from engine.errors import VerglasError
from engine.jobs.run_dir import RunDir

if TYPE_CHECKING:
    from app.main_window import MainWindow

NOT_AGAIN = (
    "The last start ended while the session was put back, so this one begins without it. "
    "The session is still there: the next start tries again."
)
GOING_ON = "A run is going on. Wait for it or cancel it before changing the project."


class ProjectView(Feature):
    """The tree beside what is prepared, its menu, and the session that is kept with a project."""

    name = "project"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.panel = ProjectTree()
        window._columns.add_left_tab(  # noqa: SLF001 - the window has no other name for its layout
            self.panel, "Project", "Inputs, runs and results, and what may come next (Ctrl+J)"
        )
        self.project = self._unnamed()
        self.list = RunList(window, self.panel, self.project)
        self.session = SessionKeeper(window)
        self.session.restored.connect(self._restored)
        self.deeds = RunDeeds(self)
        self.actions = ProjectActions(self)
        self._came_from: tuple[Path, str] | None = None
        self._wanted: tuple[Path, str, bool] | None = None  # run, map, and whether to export it
        self._adopt(self.project)
        panel = self.panel
        panel.opened.connect(self.open_row)
        panel.renamed.connect(self.deeds.rename)
        panel.menu_wanted.connect(self._menu)
        panel.selection_changed.connect(self.actions.refresh)
        window.run_view.run_shown.connect(self._run_shown)
        window.monitor.began.connect(self.run_began)
        window.modes.next.followed.connect(self._followed)
        window.session.added.connect(self._evidence_added)
        window.modes.averages.read.connect(self._averages_read)
        for run_panel in window.modes.run_panels:
            run_panel.folder_wanted.connect(self._folder_chosen)
        self.list.show_rows()

    # ---- the window -----------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.list.set_theme(theme)

    def close(self) -> None:
        """The window closes: save what isn't saved, and let others open the project."""
        self.session.close()
        self._restored()
        self.list.close()
        self.project.close()
        self.deeds.close()

    def resume(self) -> None:
        """Begin with the project and the session that were left, unless the user does not want that."""
        window = self.window
        if not window.settings.restores_session:
            return
        if window.settings.restoring:
            # Not again at once: what is in it may be what crashed. It is not written over either.
            window.settings.restoring = False
            window.complain(NOT_AGAIN)
            return
        window.settings.restoring = True
        left = window.settings.project
        if left is not None and (left / project_files.PROJECT).is_file():
            self.open(left)
        else:
            self.session.restore_from(self._own_session)

    def _restored(self) -> None:
        if self.window.settings.restoring:
            self.window.settings.restoring = False

    @property
    def _own_session(self) -> Path:
        return self.window.settings.folder / project_files.SESSION

    # ---- projects -------------------------------------------------------------------------------

    def _unnamed(self) -> Project:
        runs = self.window.settings.runs_folder
        try:
            return unnamed_project(runs)
        except VerglasError as exc:
            refusal = f"{exc.problem} Names and notes can't be changed."
            content = project_files.ProjectFile(runs=".")
            lock = project_files.ProjectLock(runs)
            return Project(runs, content, named=False, lock=lock, refusal=refusal)

    def _adopt(self, project: Project) -> None:
        project.setParent(self)
        project.write_with(self.window.background)
        project.changed.connect(self.list.show_rows)
        project.moved.connect(self.list.refresh)
        project.failed.connect(self.window.complain)

    def _change_to(self, project: Project) -> None:
        window, old = self.window, self.project
        window.history.clear()
        self.project = project
        self._adopt(project)
        old.changed.disconnect(self.list.show_rows)
        old.close()
        window.session.runs_folder = project.runs
        window.modes.show_folder(str(project.runs))
        window.settings.project = project.root if project.named else None
        if project.named:
            window.settings.add_recent_project(project.root)
        self.list.set_project(project)
        self.actions.show_recent()
        self.actions.refresh()
        window.setWindowTitle(f"{project.name} – Verglas" if project.named else "Verglas")

    def new(self, root: Path | None = None) -> None:
        """Make a project; what is prepared stays, and is kept with it."""
        window = self.window
        if window.monitor.running:
            window.complain(GOING_ON)
            return
        if root is None:
            folder = Path(window.settings.last_folder or window.settings.runs_folder.parent)
            root = window.dialogs.save_as(
                "New project: a name and a place", str(folder / "My project"), "Project folder (*)"
            )
        if root is not None:
            place = root
            window.in_background(partial(_made, place), lambda found: self._opened(place, found, fresh=True))

    def open(self, root: Path | None = None) -> None:
        """Open a project, with the session that it was left with."""
        window = self.window
        if window.monitor.running:
            window.complain(GOING_ON)
            return
        root = root or window.dialogs.folder("Open a project", window.settings.last_folder)
        if root is None:
            return
        place = root
        if place == self.project.root and self.project.named:
            window.say(f"{self.project.name} is open already.")
            return
        window.in_background(partial(open_project, place), lambda found: self._opened(place, found))

    def _opened(self, root: Path, found: tuple[Any, ...], *, fresh: bool = False) -> None:
        content, lock, refusal = found
        window = self.window
        if window.monitor.running:
            lock.release()
            window.complain(GOING_ON)
            return
        self.session.save_now()
        self._change_to(Project(root, content, named=True, lock=lock, refusal=refusal))
        if refusal:
            window.complain(refusal)
            self.session.keep_in(None)
        elif fresh:
            self.session.keep_in(self.project.session_file)
        else:
            self.session.restore_from(self.project.session_file, otherwise_empty=True)
        self.show_tree()
        window.say(f"Project {self.project.name}. New runs are written into it.")

    def leave(self) -> None:
        """Close the project: runs go to the usual folder again."""
        window = self.window
        if window.monitor.running:
            window.complain(GOING_ON)
            return
        if self.project.named:
            self.session.save_now()
            self._change_to(self._unnamed())
            self.session.keep_in(None)
            if window.settings.restores_session:
                self.session.restore_from(self._own_session, otherwise_empty=True)

    def _folder_chosen(self) -> None:
        # The window has asked already: another folder than the project's means another list of runs.
        if self.window.session.runs_folder != self.project.runs:
            self._change_to(self._unnamed())

    def show_tree(self) -> None:
        """Show the tree in the left column."""
        self.window._columns.left_tabs.setCurrentWidget(self.panel)  # noqa: SLF001

    def show_preparation(self) -> None:
        """Show what is prepared in the left column."""
        self.window._columns.left_tabs.setCurrentIndex(0)  # noqa: SLF001

    def toggle(self) -> None:
        """From the tree to what is prepared, or back."""
        if self.panel.isVisible():
            self.show_preparation()
        else:
            self.show_tree()

    # ---- what happens in the window ---------------------------------------------------------------

    def _evidence_added(self, number: int) -> None:
        row = self.window.session.evidence.get(number)
        if row is not None:
            self.project.add_inputs(row.paths)

    def _averages_read(self) -> None:
        averages = self.window.modes.averages
        if averages.path is not None and averages.loaded is not None:
            self.project.add_inputs([averages.path])

    def _followed(self, folder: Path, key: str) -> None:
        self._came_from = (folder, key)
        self.show_preparation()

    def run_began(self, folder: Path) -> None:
        """Remember what a new run was prepared from."""
        if self._came_from is None or not self.project.named:
            return
        source, key = self._came_from
        self._came_from = None
        if folder.parent == self.project.runs and source.parent == self.project.runs:
            self.project.add_link(Link(source.name, key, folder.name))

    def _run_shown(self, run: StoredRun) -> None:
        if run.folder.parent == self.project.runs:
            name = self.list.name_of(run.folder)
            where = f" – {self.project.name}" if self.project.named else ""
            self.window.setWindowTitle(f"{name}{where} – Verglas")
        if self._wanted is not None and self._wanted[0] == run.folder:
            _folder, key, export = self._wanted
            self._wanted = None
            self._show_map(key)
            if export:
                self.window.saving.export()

    # ---- rows -----------------------------------------------------------------------------------

    def open_row(self, key: str) -> None:
        """Do what a double click on a row means."""
        kind, _, target = key.partition(":")
        window = self.window
        live = kind == "run" and self.list.is_live(Path(target))
        if kind == "queue" or live:
            window.features["queue"].watch(Path(target))
        elif kind == "run":
            window.open_run(Path(target))
        elif kind == "part":
            row = self.panel.row(key)
            run = next(
                (r for r in self.list.runs.values() if Path(target) in [p.path for p in r.parts]), None
            )
            if row is not None and run is not None:
                part = next(p for p in run.parts if p.path == Path(target))
                self._open_at(run.folder, part.key)
        elif kind == "step":
            step, _, folder = target.partition(":")
            self.follow(step, Path(folder))
        elif kind == "input":
            self.show_preparation()
            window.modes.add_files([Path(target)])
        elif kind == "trash":
            window.say("This run is in the trash. Bring it back first, with the context menu.")

    def _open_at(self, folder: Path, key: str, *, export: bool = False) -> None:
        """Open a run unless it is open, then show one of its maps, or export it."""
        stored = self.window.run_view.stored
        if stored is not None and stored.folder == folder:
            self._show_map(key)
            if export:
                self.window.saving.export()
            return
        self._wanted = (folder, key, export)
        self.window.open_run(folder)

    def _show_map(self, key: str) -> None:
        if key:
            self.window.viewer.show_page("volume")
            self.window.sds_view.maps.show_key(key)

    def follow(self, key: str, folder: Path) -> None:
        """Follow a hint of a run."""
        if key == EXPORT:
            self._open_at(folder, "", export=True)
        elif key == COMPARE:
            run = self.list.runs.get(folder)
            same = [r for r in self.list.runs.values() if run is not None and r.kind == run.kind]
            earlier = [r for r in same if run is not None and r.created < run.created] or same
            others = [r.folder for r in earlier if r.folder != folder]
            if others:
                self.deeds.compare_runs(others[0], folder)
            else:
                self.window.say("There is no other run of its kind to compare with.")
        elif self.window.monitor.running:
            self.window.complain("A run is going on. Wait for it or cancel it first.")
        elif key == GO_ON:
            self.window.in_background(lambda: RunDir.open(folder).spec(), partial(self._go_on, folder))
        else:
            self.window.in_background(
                lambda: RunDir.open(folder).spec(),
                lambda spec: self.window.modes.next.follow(next_steps.step(key), spec, folder),
            )

    def _go_on(self, folder: Path, spec: Any) -> None:
        if not self.window.monitor.running:
            self.window.modes.load(spec)
            self.window.monitor.start(spec, folder)

    def _menu(self, place: QPoint) -> None:
        self.actions.menu_at(place)

    def find(self) -> None:
        """Go to the search box."""
        self.show_tree()
        self.panel.search.setFocus()
        self.panel.search.selectAll()


def _made(root: Path) -> tuple[Any, ...]:
    project_files.create_project(root, root.name)
    return open_project(root)
