"""Branches of a run: choose what it has kept, change the settings, and Run makes the branch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.background import words
from app.features import Feature
from app.panels.mode_switch import MODES
from engine.jobs.fork import fork, kept_points
from engine.jobs.fork_points import ForkPoint
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow

TIP = "Begin another run from what this one has kept, with other settings; this one stays as it is"


@dataclass(frozen=True)
class Wish:
    """A branch that is being prepared.

    Attributes
    ----------
    source : the run that it branches off from.
    name : what that is called.
    point : where it begins.
    old : the source's settings.
    """

    source: Path
    name: str
    point: ForkPoint
    old: JobSpec

    @property
    def words(self) -> str:
        """What the banner says."""
        where = self.point.words[:1].lower() + self.point.words[1:]
        return f"Forking {self.name} at: {where}. Change what you like, then Run."


class Forking(Feature):
    """Makes branches of the chosen run.

    Parameters
    ----------
    window : whose tree and run panels are used.

    Attributes
    ----------
    wish : the branch that is being prepared; None if an ordinary run is.
    """

    name = "forking"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.wish: Wish | None = None
        self._making = False
        self._project = window.features["project"]
        self.action = window.commands.add("Pro&ject", "&Fork…", self.choose, "Ctrl+Shift+F", tip=TIP)
        self._project.actions.more.append(self.action)
        self._project.panel.selection_changed.connect(self._offer)
        window.run_view.run_shown.connect(lambda _run: self._offer())
        window.monitor.began.connect(lambda _folder: self.drop())
        for panel in window.modes.run_panels:
            panel.banner_dropped.connect(self.drop)
        self._offer()

    def _source(self) -> Path | None:
        """The run that is chosen in the tree, else the one that is shown."""
        chosen = self._project.deeds.chosen()
        if chosen:
            return Path(chosen[0].target) if len(chosen) == 1 else None
        stored = self.window.run_view.stored
        return stored.folder if stored is not None and stored.spec is not None else None

    def _offer(self) -> None:
        self.action.setEnabled(self._source() is not None)

    def choose(self) -> None:
        """Ask where the chosen run, or the one that is shown, is to be branched off."""
        source = self._source()
        if source is None:
            return
        if self.window.monitor.running:
            self.window.complain("A run is watched. Leave it going first: Run > Prepare another run.")
            return
        self.window.in_background(partial(_kept, source), partial(self._ask, source))

    def _ask(self, source: Path, found: tuple[JobSpec, tuple[ForkPoint, ...]]) -> None:
        spec, points = found
        own = (
            self._project.project.name_of(source.name) if source.parent == self._project.project.runs else ""
        )
        name = own or spec.title or source.name
        texts = [point.words for point in points]
        number = self.window.dialogs.choose(f"Fork {name}", "Begin the branch at:", texts)
        if number is None or self.window.monitor.running:
            return
        self.window.modes.load(spec)
        self._project.show_preparation()
        self.wish = Wish(source, name, points[number], spec)
        self._show()

    def drop(self) -> None:
        """Prepare an ordinary run again; settings stay."""
        self.wish = None
        self._show()

    def _show(self) -> None:
        kind = self.wish.old.kind if self.wish is not None else ""
        for mode, panel in zip(MODES, self.window.modes.run_panels, strict=True):
            panel.show_banner(self.wish.words if self.wish is not None and mode == kind else "")

    # ---- making ---------------------------------------------------------------------------------

    def take(self, spec: JobSpec, folder: Path) -> bool:
        """Make the branch that is being prepared, and have it computed; False if there is none."""
        wish = self.wish
        if wish is None or spec.kind != wish.old.kind:
            return False
        if not self._making:
            self._making = True
            self.window.background.submit(
                partial(_make, wish, spec, folder),
                lambda made: self._made(made, folder),
                self._failed,
            )
        return True

    def _made(self, spec: JobSpec, folder: Path) -> None:
        self._making = False
        self.drop()
        self.window.launch(spec, folder)

    def _failed(self, error: Exception) -> None:
        self._making = False
        self.window.complain(words(error))


def _kept(source: Path) -> tuple[JobSpec, tuple[ForkPoint, ...]]:
    run = RunDir.open(source)
    return run.spec(), kept_points(run)


def _make(wish: Wish, spec: JobSpec, folder: Path) -> JobSpec:
    old, new = wish.old.model_dump(mode="json"), spec.model_dump(mode="json")
    changes: dict[str, Any] = {key: value for key, value in new.items() if old.get(key) != value}
    return fork(RunDir.open(wish.source), folder, changes, wish.point.name).spec()
