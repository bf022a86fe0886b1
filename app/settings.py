"""What the window remembers between sessions: recent runs, folders, geometry, theme."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from PySide6.QtCore import QByteArray, QSettings

MAX_RECENT = 10


class Settings:
    """A thin, typed face of one ini file.

    Parameters
    ----------
    path : the ini file; None takes the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
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

    def geometry(self, name: str) -> QByteArray:
        """Saved geometry or splitter state; empty if none."""
        value = self._store.value(f"geometry/{name}")
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_geometry(self, name: str, state: QByteArray) -> None:
        """Keep a geometry or splitter state."""
        self._store.setValue(f"geometry/{name}", state)
