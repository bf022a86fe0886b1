"""A project: names and notes of runs, inputs, trash. No widgets; commands for the window's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand

from app.background import Background, words
from app.project_files import (
    PROJECT,
    RUNS,
    SESSION,
    TRASH,
    KeptFile,
    Link,
    ProjectFile,
    ProjectLock,
    from_trash,
    project_text,
    read_project,
    to_trash,
)
from engine.errors import VerglasError


class Project(QObject):
    """One project, in memory and on disk. Every change is written in the background at once.

    Make it with :func:`open_project` or :func:`unnamed_project`.

    Attributes
    ----------
    root : its folder.
    content : what ``project.json`` says.
    named : whether it is a project that the user has made; else a mere folder of runs.
    refusal : why it can't be changed, in words; empty if it can.
    """

    changed = Signal()
    moved = Signal()
    failed = Signal(str)

    def __init__(
        self, root: Path, content: ProjectFile, *, named: bool, lock: ProjectLock, refusal: str = ""
    ) -> None:
        super().__init__()
        self.root, self.content, self.named, self.refusal = root, content, named, refusal
        self._lock = lock
        self._locked_out = named and bool(refusal)  # by another window
        self._file = KeptFile(root / PROJECT)
        self._background: Background | None = None
        self._number = 0
        self._dirty = False

    # ---- where ----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What it is called."""
        return self.content.name or self.root.name

    @property
    def runs(self) -> Path:
        """Where its runs are."""
        return self.root / RUNS if self.content.runs == RUNS else self.root

    @property
    def trash(self) -> Path:
        """Where runs go that are thrown away."""
        return self.root / TRASH

    @property
    def session_file(self) -> Path:
        """Where its session is kept."""
        return self.root / SESSION

    def write_with(self, background: Background) -> None:
        """Write changes in the background; without this, at once."""
        self._background = background

    # ---- what it says ---------------------------------------------------------------------------

    def name_of(self, run: str) -> str:
        """What the user calls a run (by its folder's name); empty if nothing."""
        return self.content.names.get(run, "")

    def note_of(self, run: str) -> str:
        """What the user has noted about a run."""
        return self.content.notes.get(run, "")

    def source_of(self, run: str) -> Link | None:
        """What a run was prepared from, if that is known."""
        return next((link for link in self.content.links if link.target == run), None)

    def may_change(self) -> str:
        """Why it can't be changed, in words; empty if it can.

        A folder of runs is locked only now, and what another window had open is asked for again: it may
        have been closed meanwhile.
        """
        if not self._lock.held and (not self.refusal or self._locked_out):
            self.refusal = self._lock.take()
            self._locked_out = bool(self.refusal)
            if not self.refusal and self.named:
                self.content = read_project(self.root)  # the other window may have changed it
        return self.refusal

    def set_entry(self, table: str, run: str, text: str) -> None:
        """Set an entry of ``names`` or ``notes``; the commands call it."""
        self._set(self.content.with_entry(table, run, text))

    def set_name(self, name: str) -> None:
        """Call the project something else."""
        self._set(replace(self.content, name=name))

    def add_inputs(self, paths: Iterable[Path]) -> None:
        """Remember files that were used; a project without a name remembers none."""
        new = [str(p) for p in paths if str(p) not in self.content.inputs]
        if new and self.named and not self.may_change():
            self._set(replace(self.content, inputs=(*self.content.inputs, *dict.fromkeys(new))))

    def drop_input(self, path: str) -> None:
        """Take a file off the list."""
        self._set(replace(self.content, inputs=tuple(p for p in self.content.inputs if p != path)))

    def add_link(self, link: Link) -> None:
        """Remember what a run was prepared from."""
        if link not in self.content.links and not self.may_change():
            self._set(replace(self.content, links=(*self.content.links, link)))

    # ---- the trash ------------------------------------------------------------------------------

    def throw_away(self, run: Path) -> Path:
        """Move a run into the trash; where it is now. Raises RunError."""
        place = to_trash(run, self.trash)
        self.moved.emit()
        return place

    def bring_back(self, trashed: Path) -> Path:
        """Move a run back from the trash; where it is now. Raises RunError."""
        place = from_trash(trashed, self.runs)
        self.moved.emit()
        return place

    # ---- the file -------------------------------------------------------------------------------

    def _set(self, content: ProjectFile) -> None:
        if content == self.content:
            return
        self.content = content
        self._number += 1
        self._dirty = True
        number, text, file = self._number, project_text(content), self._file
        self.changed.emit()
        if self._background is None:
            self.flush()
            return
        self._background.submit(
            lambda: file.write(number, text), lambda _r: self._wrote(number), self._complain
        )

    def _wrote(self, number: int) -> None:
        if number == self._number:
            self._dirty = False

    def _complain(self, error: Exception) -> None:
        self.failed.emit(f"The project could not be saved. {words(error)}")

    def flush(self) -> None:
        """Write what isn't written yet, now."""
        if self._dirty:
            try:
                self._file.write(self._number, project_text(self.content))
                self._dirty = False
            except VerglasError as exc:
                self._complain(exc)

    def close(self) -> None:
        """Write what isn't written yet and let others change it."""
        self.flush()
        self._lock.release()


def open_project(root: Path) -> tuple[ProjectFile, ProjectLock, str]:
    """Read and lock a project: what :class:`Project` needs. May be called in a thread.

    Raises
    ------
    InputError
        If there is none, or its file is damaged.
    """
    content = read_project(root)
    lock = ProjectLock(root)
    return content, lock, lock.take()


def unnamed_project(runs: Path) -> Project:
    """A folder of runs, as a project without a name. Names and notes of an earlier time are found again.

    Raises
    ------
    InputError
        If it has a ``project.json`` that is damaged.
    """
    content, refusal = ProjectFile(runs="."), ""
    if (runs / PROJECT).exists():
        found = read_project(runs)
        if found.runs == ".":
            content = found
        else:
            refusal = "This folder is a project: open it with File > Open project to change it."
    return Project(runs, content, named=False, lock=ProjectLock(runs), refusal=refusal)


# ---- commands ---------------------------------------------------------------------------------------


class SetEntry(QUndoCommand):
    """A change of the name or the note of a run."""

    def __init__(self, project: Project, table: str, run: str, text: str, label: str) -> None:
        super().__init__(label)
        self._project, self._table, self._run, self._after = project, table, run, text
        self._before = str(getattr(project.content, table).get(run, ""))

    def redo(self) -> None:
        """Do it."""
        self._project.set_entry(self._table, self._run, self._after)

    def undo(self) -> None:
        """Take it back."""
        self._project.set_entry(self._table, self._run, self._before)


class ThrowAway(QUndoCommand):
    """Runs that go into the trash. What can't be moved stays and is named."""

    def __init__(self, project: Project, runs: Iterable[Path], label: str) -> None:
        super().__init__(label)
        self._project = project
        self._here, self._there = list(runs), list[Path]()

    def redo(self) -> None:
        """Do it."""
        self._there = self._move(self._here, self._project.throw_away)
        self._here = []

    def undo(self) -> None:
        """Take it back."""
        self._here = self._move(self._there, self._project.bring_back)
        self._there = []

    def _move(self, places: list[Path], move: Any) -> list[Path]:
        moved = []
        for place in places:
            try:
                moved.append(move(place))
            except VerglasError as exc:
                self._project.failed.emit(f"{place.name}: {words(exc)}")
        self.setObsolete(not moved)
        return moved


class BringBack(ThrowAway):
    """Runs that come back from the trash."""

    def redo(self) -> None:
        """Do it."""
        self._here = self._move(self._here or self._there, self._project.bring_back)
        self._there = []

    def undo(self) -> None:
        """Take it back."""
        self._there = self._move(self._here, self._project.throw_away)
        self._here = []
