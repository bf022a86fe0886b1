"""At the start: runs of the project that are still computed, wait or are paused; the newest is followed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.features import Feature
from app.newest import Newest
from app.panels.toast import Button
from app.project import Project
from app.run_summary import LIVE, RunSummary, list_runs

if TYPE_CHECKING:
    from app.main_window import MainWindow

WORDS = {"running": "computing", "paused": "paused", "waiting": "waiting for its turn"}


class Rejoining(Feature):
    """Finds runs that have gone on without the window.

    Parameters
    ----------
    window : whose project is looked through.
    """

    name = "rejoining"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._project = window.features["project"]
        self._reading = Newest(window.background)
        self._looked: Project | None = None
        self._project.session.restored.connect(self.look)
        self.asks = window.commands.add(
            "&Run", "As&k before leaving a run going", self._asks_chosen,
            tip="When the window closes while a run is watched; without asking, the run goes on",
        )  # fmt: skip
        self.asks.setCheckable(True)
        window.commands.menu("&Run").aboutToShow.connect(self._show_asks)
        self._show_asks()

    def close(self) -> None:
        """The window closes."""
        self._reading.drop()

    def _show_asks(self) -> None:
        self.asks.setChecked(not self.window.settings.leaves_running)

    def _asks_chosen(self) -> None:
        self.window.settings.leaves_running = not self.asks.isChecked()

    def look(self) -> None:
        """Look once through each project that is opened, after its session has come back."""
        project = self._project.project
        if project is not self._looked:
            self._looked = project
            self._reading.ask(partial(live_runs, project), partial(self._found, project))

    def _found(self, project: Project, runs: Sequence[RunSummary]) -> None:
        window = self.window
        if not runs or project is not self._project.project:
            return
        self._project.list.refresh_soon()
        watched = window.monitor.folder if window.monitor.running else None
        newest = next((run for run in runs if run.folder == watched), runs[0])
        names = [f"{project.name_of(run.folder.name) or run.name} ({WORDS[run.state]})" for run in runs[:3]]
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        many = "A run has" if len(runs) == 1 else f"{len(runs)} runs have"
        window.features["toasts"].tell(
            "Still going on",
            f"{many} gone on without the window: {', '.join(names)}{more}.",
            [Button("Show all", self._project.show_tree)],
            seconds=20.0,
        )
        if watched is None:
            window.open_run(newest.folder)


def live_runs(project: Project) -> list[RunSummary]:
    """Runs that a process holds: those that compute first, the newest of each sort first; for a thread."""
    found = [run for run in list_runs(project.runs, {}) if run.state in LIVE]
    return sorted(found, key=lambda run: LIVE.index(run.state))
