"""Fills the project's tree: lists runs in the background, words their rows, makes their pictures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPixmap

from app import thumbnails
from app.newest import Newest
from app.panels.project_tree import ProjectTree
from app.panels.run_rows import TreeRow
from app.project import Project
from app.project_files import trashed_runs
from app.run_summary import KINDS, LIVE, RunSummary, list_runs, summary_of
from app.run_view import duration
from app.style import LIGHT, Theme
from app.thumbnails import Thumbnail
from engine.errors import VerglasError

if TYPE_CHECKING:
    from app.main_window import MainWindow

SETTLE_MS = 400  # after something has changed in the folder
AGAIN_MS = 5000  # while runs are computed by other processes
AT_ONCE = 4  # pictures for each piece of work
MOST_PICTURES = 1500
RUN_PX, PART_PX = 46, 30


@dataclass(frozen=True)
class Listing:
    """What a project holds, as read.

    Attributes
    ----------
    inputs : path, number of runs that name it, whether it is there.
    """

    runs: tuple[RunSummary, ...] = ()
    trashed: tuple[RunSummary, ...] = ()
    inputs: tuple[tuple[Path, int, bool], ...] = ()


def listing(runs: Path, trash: Path, known: dict[Path, RunSummary], extra: tuple[str, ...]) -> Listing:
    """Everything about a project's folder; for a thread."""
    found = list_runs(runs, known)
    counts = Counter(dict.fromkeys(extra, 0))
    for run in found:
        counts.update(set(run.inputs))
    return Listing(
        tuple(found),
        tuple(known.get(path) or summary_of(path) for path in trashed_runs(trash)),
        tuple((Path(path), count, Path(path).exists()) for path, count in sorted(counts.items())),
    )


class RunList(QObject):
    """What stands in the tree.

    Parameters
    ----------
    window : whose job monitor and background are used.
    panel : the tree.

    Attributes
    ----------
    project : whose runs are listed.
    runs : by folder, as read last.
    """

    changed = Signal()

    def __init__(self, window: MainWindow, panel: ProjectTree, project: Project) -> None:
        super().__init__(window)
        self.project = project
        self.runs: dict[Path, RunSummary] = {}
        self._window, self._panel = window, panel
        self._theme = LIGHT
        self._listing = Listing()
        self._stale = True
        self._progress = ""
        self._files: dict[str, Path] = {}
        self._stamps: dict[str, tuple[object, ...]] = {}
        self._made: dict[Path, Thumbnail | None] = {}
        self._reading = Newest(window.background)
        self._drawing = Newest(window.background)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(lambda _path: self.refresh_soon())
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        panel.shown.connect(self._shown)
        panel.pictures_wanted.connect(self._draw)
        monitor = window.monitor
        for signal in (monitor.began, monitor.stored):
            signal.connect(lambda _what: self.refresh_soon())
        monitor.ended.connect(lambda _outcome, _message: self._ended())
        window.run_view.progressed.connect(self._progressed)

    def close(self) -> None:
        """Stop looking."""
        self._timer.stop()
        self._reading.drop()
        self._drawing.drop()
        folders = self._watcher.directories()
        if folders:
            self._watcher.removePaths(folders)

    # ---- reading --------------------------------------------------------------------------------

    def set_project(self, project: Project) -> None:
        """List the runs of another project."""
        self.close()
        self.project, self._listing, self.runs = project, Listing(), {}
        self._made.clear()
        self.show_rows()
        self._watch()
        self.refresh()

    def _watch(self) -> None:
        watched = set(self._watcher.directories())
        wanted = {str(p) for p in (self.project.runs, self.project.trash) if p.is_dir()}
        if wanted - watched:
            self._watcher.addPaths(sorted(wanted - watched))

    def refresh_soon(self) -> None:
        """Look again when what is happening has settled."""
        self._stale = True
        if self._panel.isVisible():
            self._timer.start(SETTLE_MS)

    def refresh(self) -> None:
        """Look again now, if the tree can be seen."""
        self._stale = True
        if not self._panel.isVisible():
            return
        self._stale = False
        project = self.project
        known = dict(self.runs) | {run.folder: run for run in self._listing.trashed}
        self._reading.ask(
            partial(listing, project.runs, project.trash, known, project.content.inputs),
            lambda found: self._found(project, found),
            lambda error: self._window.say(f"The runs could not be listed ({error})."),
        )

    def _found(self, project: Project, found: Listing) -> None:
        if project is not self.project:
            return
        self._listing = found
        self.runs = {run.folder: run for run in found.runs}
        self._watch()
        self.show_rows()
        self.changed.emit()
        if any(run.state in LIVE for run in found.runs):
            self._timer.start(AGAIN_MS)

    def _shown(self) -> None:
        if self._stale:
            self._timer.start(0)

    def _ended(self) -> None:
        self._progress = ""
        self.refresh_soon()

    def _progressed(self, share: float | None, _status: str) -> None:
        folder = self._window.monitor.folder
        if not self._window.monitor.running or folder is None or not self._panel.isVisible():
            return
        self._progress = f" · {100 * share:.0f} %" if share is not None and share >= 0 else ""
        run = self.runs.get(folder)
        if run is not None and run.state in LIVE:
            depth = next((d for r, d in branched(self._listing.runs) if r.folder == folder), 0)
            self._panel.update_row(self._run_row(run, depth))

    # ---- rows -----------------------------------------------------------------------------------

    def name_of(self, folder: Path) -> str:
        """What a run is called."""
        run = self.runs.get(folder)
        return self.project.name_of(folder.name) or (run.name if run is not None else folder.name)

    def is_live(self, folder: Path) -> bool:
        """Whether a process holds a run, as read last."""
        run = self.runs.get(folder)
        return run is not None and run.state in LIVE

    def show_rows(self) -> None:
        """Show what is known now: names and notes may have changed."""
        found, project = self._listing, self.project
        self._files.clear()
        self._panel.set_rows(
            [self._run_row(run, depth) for run, depth in branched(found.runs)],
            [self._input_row(*entry) for entry in found.inputs],
            [self._trash_row(run) for run in found.trashed],
        )
        self._panel.show_project(
            project.name if project.named else "Runs",
            str(project.root),
            project.refusal,
        )

    def _run_row(self, run: RunSummary, depth: int = 0) -> TreeRow:
        key, project = f"run:{run.folder}", self.project
        name, note = self.name_of(run.folder), project.note_of(run.folder.name)
        seconds = f" · {duration(run.seconds)}" if run.seconds is not None else ""
        own = run.state in LIVE and run.folder == self._window.monitor.folder
        facts = [
            when(run.created), f"seed {run.seed}" if run.seed is not None else "", run.device,
        ]  # fmt: skip
        lines = (
            f"· {KINDS.get(run.kind, run.kind or 'unknown')}{' · branch' if run.parent else ''}{seconds}"
            f"{self._progress if own else ''}",
            " · ".join(fact for fact in facts if fact),
        )
        link = project.source_of(run.folder.name)
        came = f"Prepared from {self.name_of(project.runs / link.source)}" if link is not None else ""
        tip = "\n".join(part for part in (name, run.problem, came, run.branch, note, str(run.folder)) if part)
        self._picture(key, run.picture, run.stamp)
        return TreeRow(
            key, name, lines, run.state, note, tip, RUN_PX,
            f"{name} {note}".lower() + " " + run.haystack, depth, tuple(self._children(run)),
        )  # fmt: skip

    def _children(self, run: RunSummary) -> list[TreeRow]:
        rows = [
            TreeRow(f"step:{step}:{run.folder}", f"→ {title}", tip=f"Next step. {tip}")
            for step, title, tip in run.steps
        ]
        for part in run.parts:
            key = f"part:{part.path}"
            drawn = part.path.suffix in (".mrc", ".mrcs", ".npz")
            if drawn:
                self._picture(key, part.path, run.stamp)
            rows.append(TreeRow(key, part.title, tip=str(part.path), picture=PART_PX if drawn else 0))
        return rows

    def _input_row(self, path: Path, count: int, there: bool) -> TreeRow:
        used = f"used by {count} run{'s' if count != 1 else ''}" if count else "not used by a run yet"
        key = f"input:{path}"
        if there and path.is_file():
            self._picture(key, path, ())
        return TreeRow(
            key, path.name, (used if there else f"gone · {used}",), tip=str(path), picture=RUN_PX - 8,
            haystack=str(path).lower(),
        )  # fmt: skip

    def _trash_row(self, run: RunSummary) -> TreeRow:
        name = self.project.name_of(run.folder.name) or run.name
        line = f"· {KINDS.get(run.kind, run.kind)} · {when(run.created)}"
        tip = f"{name}\nIn the trash: bring it back with the context menu."
        return TreeRow(f"trash:{run.folder}", name, (line,), run.state, tip=tip)

    # ---- pictures -------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        self._panel.set_theme(theme)

    def _picture(self, key: str, path: Path | None, stamp: tuple[object, ...]) -> None:
        if path is None:
            return
        if self._stamps.get(key, stamp) != stamp:
            self._made.pop(path, None)
            self._panel.forget_picture(key)
        self._stamps[key] = stamp
        self._files[key] = path

    def _draw(self, keys: list[str]) -> None:
        for key in keys:
            path = self._files.get(key)
            if path in self._made:
                self._show_picture(key, self._made[path])
        missing = [self._files[k] for k in keys if k in self._files and self._files[k] not in self._made]
        some = list(dict.fromkeys(missing))[:AT_ONCE]
        if some:
            project = self.project
            self._drawing.ask(partial(_pictures, some), lambda found: self._drawn(project, keys, found))

    def _drawn(self, project: Project, keys: list[str], found: dict[Path, Thumbnail | None]) -> None:
        if project is not self.project:
            return
        if len(self._made) > MOST_PICTURES:
            self._made.clear()
        self._made.update(found)
        self._draw(keys)

    def _show_picture(self, key: str, made: Thumbnail | None) -> None:
        self._panel.set_picture(key, pixmap_of(made, self._theme))


def pixmap_of(made: Thumbnail | None, theme: Theme) -> QPixmap:
    """A picture in a theme's colours; a null one where there is none."""
    size = thumbnails.SIZE
    if made is None:
        return QPixmap()
    if not made.mask:
        return QPixmap.fromImage(QImage(made.pixels.data, size, size, size, QImage.Format.Format_Grayscale8))
    share = made.pixels[..., None].astype(np.float32) / 255
    ends = [
        np.array([colour.red(), colour.green(), colour.blue()], np.float32)
        for colour in map(QColor, (theme.canvas, theme.series[0]))
    ]
    mixed = np.ascontiguousarray(np.rint(ends[0] + share * (ends[1] - ends[0])).astype(np.uint8))
    return QPixmap.fromImage(QImage(mixed.data, size, size, 3 * size, QImage.Format.Format_RGB888))


def branched(runs: Sequence[RunSummary]) -> list[tuple[RunSummary, int]]:
    """Runs in their order, each followed by its branches; and how often it has branched off."""
    names = {run.folder.name for run in runs}
    below: dict[str, list[RunSummary]] = {}
    for run in runs:
        own = run.parent if run.parent in names and run.parent != run.folder.name else ""
        below.setdefault(own, []).append(run)
    found: list[tuple[RunSummary, int]] = []
    waiting = [(run, 0) for run in reversed(below.pop("", []))]
    while waiting:
        run, depth = waiting.pop()
        found.append((run, depth))
        waiting.extend((branch, depth + 1) for branch in reversed(below.pop(run.folder.name, [])))
    rest = [run for branches in below.values() for run in branches]  # that name each other as parents
    return [*found, *((run, 0) for run in rest)]


def when(seconds: float) -> str:
    """A moment, short: the year only where it isn't this one."""
    then = time.localtime(seconds)
    year = "" if then.tm_year == time.localtime().tm_year else f" {then.tm_year}"
    return f"{then.tm_mday} {time.strftime('%b', then)}{year} {time.strftime('%H:%M', then)}"


def _pictures(paths: list[Path]) -> dict[Path, Thumbnail | None]:
    made: dict[Path, Thumbnail | None] = {}
    for path in paths:
        try:
            made[path] = thumbnails.thumbnail(path)
        except (VerglasError, OSError, ValueError, EOFError):
            made[path] = None  # no picture: what is wrong with it is said when it is opened
    return made
