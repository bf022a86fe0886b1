"""What the window remembers between sessions: recent runs, folders, geometry, theme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import platformdirs
from PySide6.QtCore import QByteArray, QSettings

MAX_RECENT = 10


class Settings:
    """A thin, typed face of one ini file.

    Parameters
    ----------
    path : the ini file; None takes the user's configuration folder.

    Attributes
    ----------
    data_folder : where the user's own presets are kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        own = Path(platformdirs.user_data_dir("verglas", appauthor=False))
        self.data_folder = own if path is None else path.parent / "data"
        path = path or Path(platformdirs.user_config_dir("verglas", appauthor=False)) / "window.ini"
        self._store = QSettings(str(path), QSettings.Format.IniFormat)

    def recent_runs(self) -> list[Path]:
        """Run folders that still exist, newest first."""
        raw = self._store.value("recent_runs", [])
        names = [raw] if isinstance(raw, str) else list(raw) if isinstance(raw, list) else []
        return [Path(name) for name in names if Path(name).is_dir()]

    def add_recent_run(self, folder: Path) -> None:
        """Put a run folder at the top of the list."""
        rest = [p for p in self.recent_runs() if p != folder]
        self._store.setValue("recent_runs", [str(p) for p in [folder, *rest][:MAX_RECENT]])

    def recent_projects(self) -> list[Path]:
        """Folders of projects that still exist, newest first."""
        raw = self._store.value("recent_projects", [])
        names = [raw] if isinstance(raw, str) else list(raw) if isinstance(raw, list) else []
        return [Path(name) for name in names if (Path(name) / "project.json").is_file()]

    def add_recent_project(self, folder: Path) -> None:
        """Put a project at the top of the list."""
        rest = [p for p in self.recent_projects() if p != folder]
        self._store.setValue("recent_projects", [str(p) for p in [folder, *rest][:MAX_RECENT]])

    @property
    def project(self) -> Path | None:
        """The project that was open last; None if there was none."""
        name = str(self._store.value("project", ""))
        return Path(name) if name else None

    @project.setter
    def project(self, folder: Path | None) -> None:
        self._store.setValue("project", "" if folder is None else str(folder))

    @property
    def restores_session(self) -> bool:
        """Whether the window begins with what it was left with."""
        return str(self._store.value("restores_session", "true")).lower() == "true"

    @restores_session.setter
    def restores_session(self, on: bool) -> None:
        self._store.setValue("restores_session", "true" if on else "false")

    @property
    def leaves_running(self) -> bool:
        """Whether a closing window leaves its run going without asking."""
        return str(self._store.value("leaves_running", "false")).lower() == "true"

    @leaves_running.setter
    def leaves_running(self, on: bool) -> None:
        self._store.setValue("leaves_running", "true" if on else "false")

    @property
    def restoring(self) -> bool:
        """Whether a session is being put back; at the start: whether the last one never got through."""
        return str(self._store.value("restoring", "false")).lower() == "true"

    @restoring.setter
    def restoring(self, on: bool) -> None:
        self._store.setValue("restoring", "true" if on else "false")
        self._store.sync()  # what follows may crash

    @property
    def folder(self) -> Path:
        """Where the settings are kept."""
        return Path(self._store.fileName()).parent

    @property
    def chimerax(self) -> str:
        """The user's ChimeraX; empty lets Verglas look for it."""
        return str(self._store.value("chimerax", ""))

    @chimerax.setter
    def chimerax(self, program: str) -> None:
        self._store.setValue("chimerax", program)

    @property
    def last_folder(self) -> str:
        """Where the last file dialog ended; empty at first."""
        return str(self._store.value("last_folder", ""))

    @last_folder.setter
    def last_folder(self, folder: str) -> None:
        self._store.setValue("last_folder", folder)

    @property
    def runs_folder(self) -> Path:
        """Where new run folders are made."""
        default = Path(platformdirs.user_documents_dir()) / "Verglas runs"
        return Path(str(self._store.value("runs_folder", str(default))))

    @runs_folder.setter
    def runs_folder(self, folder: Path) -> None:
        self._store.setValue("runs_folder", str(folder))

    @property
    def theme(self) -> str:
        """``system``, ``light`` or ``dark``."""
        return str(self._store.value("theme", "system"))

    @theme.setter
    def theme(self, name: str) -> None:
        self._store.setValue("theme", name)

    def words(self, name: str) -> list[str]:
        """Short texts kept under a name, e.g. the commands used last; empty if none."""
        raw = self._store.value(f"words/{name}", [])
        return [raw] if isinstance(raw, str) else [str(x) for x in raw] if isinstance(raw, list) else []

    def set_words(self, name: str, words: Sequence[str]) -> None:
        """Keep short texts under a name."""
        self._store.setValue(f"words/{name}", list(words))

    def geometry(self, name: str) -> QByteArray:
        """Saved geometry or splitter state; empty if none."""
        value = self._store.value(f"geometry/{name}")
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_geometry(self, name: str, state: QByteArray) -> None:
        """Keep a geometry or splitter state."""
        self._store.setValue(f"geometry/{name}", state)
