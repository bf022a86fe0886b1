"""Files of a project: ``project.json``, the trash, the lock. Plain functions, no Qt.

A project is a folder with ``project.json``, ``runs/`` and ``trash/``. A folder of runs without a
``project.json`` is a project, too: one without a name, whose runs lie in the folder itself.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.errors import InputError, RunError, VerglasError
from engine.io.atomic import write_text
from engine.io.streams import read_text
from engine.jobs import run_lock

SCHEMA_VERSION = 1
PROJECT, LOCK, RUNS, TRASH, SESSION = "project.json", "project.lock", "runs", "trash", "session.json"
LARGEST_BYTES = 16 << 20
_KEEP = "The file is left as it is. Correct it or move it aside."


@dataclass(frozen=True)
class Link:
    """One run that another was prepared from: ``step`` is the key of the hint that was followed."""

    source: str
    step: str
    target: str


@dataclass(frozen=True)
class ProjectFile:
    """What ``project.json`` says. Runs are named by their folders.

    Attributes
    ----------
    name : of the project; empty for a folder of runs that nobody has named.
    runs : the folder of the runs: ``runs``, or ``.`` for the project's own.
    names : what the user calls runs.
    notes : what the user has noted about runs.
    inputs : files that were used, as absolute paths, in the order in which they came.
    links : which run was prepared from which.
    """

    name: str = ""
    runs: str = RUNS
    names: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()

    def with_entry(self, table: str, run: str, text: str) -> ProjectFile:
        """The same with one entry of ``names`` or ``notes`` changed; empty text takes it away."""
        entries = dict(getattr(self, table))
        entries.pop(run, None)
        if text:
            entries[run] = text
        return replace(self, names=entries) if table == "names" else replace(self, notes=entries)


# ---- project.json ---------------------------------------------------------------------------------


def read_project(root: Path) -> ProjectFile:
    """What a project's file says; strict, so that nothing that we don't know gets lost in the next writing.

    Raises
    ------
    InputError
        If it is missing, damaged, of another version, or holds keys that are not ours.
    """
    path = root / PROJECT
    content = _read_object(path)
    version = content.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"The project was written by another version of Verglas (schema {version!r}).",
            "Open it with that version.",
            path,
        )
    unknown = sorted(set(content) - {f.name for f in fields(ProjectFile)})
    if unknown:
        raise InputError(f"The project's file has unknown keys: {', '.join(unknown)}.", _KEEP, path)
    try:
        return ProjectFile(
            name=_text(content.get("name", "")),
            runs=_one_of(content.get("runs", RUNS), (RUNS, ".")),
            names=_texts(content.get("names", {})),
            notes=_texts(content.get("notes", {})),
            inputs=tuple(_text(item) for item in _list(content.get("inputs", []))),
            links=tuple(Link(**_texts(item)) for item in _list(content.get("links", []))),
        )
    except (TypeError, ValueError) as exc:
        raise InputError(f"The project's file is damaged ({exc}).", _KEEP, path) from exc


def project_text(content: ProjectFile) -> str:
    """The content of ``project.json``."""
    values = {"schema_version": SCHEMA_VERSION, **asdict(content)}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def create_project(root: Path, name: str) -> None:
    """Make a project's folders and its file.

    Raises
    ------
    InputError
        If there is a project already, or a file of that name.
    VerglasError
        If the folder can't be written.
    """
    if (root / PROJECT).exists():
        raise InputError("There is a project already.", "Open it, or choose another folder.", root)
    if root.exists() and not root.is_dir():
        raise InputError("There is a file of this name.", "Choose another name.", root)
    try:
        for folder in (RUNS, TRASH):
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise VerglasError(
            f"The project can't be made ({exc.strerror or exc}).",
            "Choose a folder that you may write to.",
            root,
        ) from exc
    write_text(root / PROJECT, project_text(ProjectFile(name=name)))


class KeptFile:
    """A text file that is written by threads: the newest text wins, whichever thread is last.

    Parameters
    ----------
    path : the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._written = -1

    def write(self, number: int, text: str) -> None:
        """Write a text, unless one of a higher number has been written.

        Raises
        ------
        VerglasError
            If it can't be written; what was there stays.
        """
        with self._lock:
            if number > self._written:
                write_text(self.path, text)
                self._written = number


# ---- the lock ---------------------------------------------------------------------------------------


class ProjectLock:
    """Says that a window has the project open; a lock whose process is gone is taken over.

    Parameters
    ----------
    root : the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self.held = False

    def take(self) -> str:
        """Take it; why that can't be done, in words, or nothing."""
        if self.held:
            return ""
        path = self._root / LOCK
        try:
            self._stack.enter_context(run_lock.held(path))
        except RunError as exc:
            holder = run_lock.read_holder(path)
            if holder is None:
                return f"The project can't be changed: {exc.problem}"
            machine = "this computer" if holder.here else holder.host
            advice = "" if holder.here else f" If that is no longer so, delete {LOCK} in its folder."
            return (
                f"Another window has this project open (process {holder.pid} on {machine}{_since(path)}), so "
                "names, notes and the trash can't be changed here, and this window's session isn't kept. "
                f"Runs can be made and looked at.{advice}"
            )
        self.held = True
        return ""

    def release(self) -> None:
        """Give it back."""
        self._stack.close()
        self.held = False


def _since(path: Path) -> str:
    """Since when a lock has been held, in words."""
    try:
        then = time.localtime(path.stat().st_mtime)
    except OSError:
        return ""
    today = then[:3] == time.localtime()[:3]
    return time.strftime(", since %H:%M" if today else ", since %d %b %H:%M", then)


# ---- the trash --------------------------------------------------------------------------------------


def is_running(run: Path) -> bool:
    """Whether a living process computes a run."""
    holder = run_lock.read_holder(run / "lock")
    return holder is not None and holder.alive


def to_trash(run: Path, trash: Path) -> Path:
    """Move a run's folder into the trash; where it is now.

    Each gets a numbered folder of its own there, so that it keeps its name.

    Raises
    ------
    RunError
        If it is being computed, is gone, or can't be moved.
    """
    if is_running(run):
        raise RunError("This run is being computed.", "Cancel it first, then move it to the trash.", run)
    target = None
    try:
        for number in range(1, 1_000_000):
            try:
                (trash / str(number)).mkdir(parents=True)
            except FileExistsError:
                continue
            target = trash / str(number) / run.name
            break
        assert target is not None  # noqa: S101 - for the type checker
        os.rename(run, target)
    except OSError as exc:
        if target is not None:
            _remove_empty(target.parent)
        raise RunError(
            f"The run can't be moved to the trash ({exc.strerror or exc}).",
            "Check that its folder is still there and that you may write to it.",
            run,
        ) from exc
    return target


def from_trash(trashed: Path, runs: Path) -> Path:
    """Move a run back from the trash; where it is now.

    Raises
    ------
    RunError
        If its place is taken, it is gone, or can't be moved.
    """
    target = runs / trashed.name
    if target.exists():
        raise RunError("There is another run of this name.", "Rename that run's folder first.", target)
    try:
        os.rename(trashed, target)
    except OSError as exc:
        raise RunError(
            f"The run can't be brought back ({exc.strerror or exc}).",
            "Look for it in the project's trash.",
            trashed,
        ) from exc
    _remove_empty(trashed.parent)
    return target


def trashed_runs(trash: Path) -> list[Path]:
    """Runs that lie in a trash."""
    return sorted(p.parent for p in trash.glob("*/*/spec.json"))


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass  # not empty, or gone: both are fine


# ---- the session ------------------------------------------------------------------------------------


def read_session(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A saved session, and what is wrong with it in words. A damaged file is put aside."""
    if not path.exists():
        return None, ""
    try:
        content = _read_object(path)
        if content.get("schema_version") != SCHEMA_VERSION:
            raise InputError("It was written by another version of Verglas.", "", path)
    except InputError as exc:
        aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
        try:
            os.replace(path, aside)
        except OSError:
            return None, f"The saved session can't be read ({exc.problem})."
        return None, f"The saved session could not be read and was put aside as {aside.name}: {exc.problem}"
    return content, ""


# ---- inside -----------------------------------------------------------------------------------------


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, limit=LARGEST_BYTES))
    except (ValueError, RecursionError) as exc:
        raise InputError("The file is damaged: it is not JSON.", _KEEP, path) from exc
    if not isinstance(content, dict):
        raise InputError("The file is damaged: it holds no named values.", _KEEP, path)
    return content


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a table")
    return {_text(key): _text(item) for key, item in value.items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
    return str(value)
