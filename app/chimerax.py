"""Opens what is shown in ChimeraX: writes its command file into the run's folder, and starts the program."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPushButton

from app.features import Feature
from app.panels.export import ExportWish
from app.run_files import StoredRun

if TYPE_CHECKING:
    from app.main_window import MainWindow

_NAMES = ("chimerax", "ChimeraX", "chimerax-daily")
_PLACES = {
    "linux": ("/usr/bin/chimerax*", "/usr/lib/ucsf-chimerax*/bin/ChimeraX", "/opt/*himera*/bin/ChimeraX",
              "~/*himera*/bin/ChimeraX"),
    "darwin": ("/Applications/ChimeraX*.app/Contents/bin/ChimeraX",
               "~/Applications/ChimeraX*.app/Contents/bin/ChimeraX"),
    "win32": ("C:/Program Files/ChimeraX*/bin/ChimeraX.exe",
              "~/AppData/Local/Programs/ChimeraX*/bin/ChimeraX.exe"),
}  # fmt: skip
INSTALL = (
    "ChimeraX was not found on this computer. It is free for academic work: cgl.ucsf.edu/chimerax. If it is "
    "installed already, tell where with Run > Where ChimeraX is."
)


def find(told: str = "") -> str:
    """The program: as told, on the search path, or where it is usually installed; empty if nowhere."""
    if told:
        return told if Path(told).is_file() else ""
    for name in _NAMES:
        path = shutil.which(name)
        if path:
            return path
    for pattern in _PLACES.get(sys.platform, ()):
        for found in sorted(glob.glob(str(Path(pattern).expanduser())), reverse=True):
            if os.access(found, os.X_OK):
                return found
    return ""


def write_script(run: StoredRun) -> Path:
    """The command file of a run with the files that it opens, in ``chimerax`` of the run's folder.

    Raises
    ------
    VerglasError
        If something can't be written.
    """
    from app.exporting import export

    folder = (run.folder if run.folder.is_dir() else run.folder.parent) / "chimerax"
    folder.mkdir(exist_ok=True)
    path = folder / "show.cxc"
    export(run, ExportWish(path, "cxc"))
    return path


def start(program: str, script: Path) -> None:
    """Start ChimeraX by itself: it stays when Verglas is closed."""
    if sys.platform == "win32":
        subprocess.Popen([program, str(script)], close_fds=True)
    else:
        with subprocess.Popen(
            ["/bin/sh", "-c", '"$0" "$1" >/dev/null 2>&1 &', program, str(script)], start_new_session=True
        ) as shell:
            shell.wait()


class ChimeraX(Feature):
    """A command, and a button beside Export."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        tip = "Writes a command file into the run's folder and starts ChimeraX with it"
        self.action = window.commands.add("&Run", "Open in Chimera&X", self.open, "Ctrl+Shift+X", tip=tip)
        window.commands.add(
            "&Run", "Where ChimeraX is…", self.choose, tip="Choose the program, if it is not found by itself"
        )
        self.buttons: list[QPushButton] = []
        for panel in (window.results, window.sds_panels.results):
            button = QPushButton("ChimeraX")
            button.setToolTip(f"Open in ChimeraX. {tip} (Ctrl+Shift+X)")
            button.setAccessibleName("Open in ChimeraX")
            button.clicked.connect(self.open)
            panel.add_button(button)
            self.buttons.append(button)
        window.run_view.run_shown.connect(self._enable)
        window.monitor.began.connect(lambda _folder: self._enable(None))
        self.starter: Callable[[str, Path], None] = start
        self._enable(window.run_view.stored)

    def _enable(self, run: StoredRun | None) -> None:
        on = run is not None and run.exportable
        self.action.setEnabled(on)
        for button in self.buttons:
            button.setEnabled(on)

    def open(self) -> None:
        """Write the command file of what is shown, and start ChimeraX."""
        run = self.window.run_view.stored
        if run is not None and run.exportable:
            self.window.statusBar().showMessage("Writing files for ChimeraX…")
            self.window.in_background(
                partial(_prepare, run, self.window.settings.chimerax, self.starter), self._done
            )

    def _done(self, found: tuple[Path, str]) -> None:
        script, program = found
        if program:
            self.window.say(f"ChimeraX opens {script}.")
        else:
            self.window.complain(f"{script} is written. {INSTALL}")

    def choose(self) -> None:
        """Ask for the program."""
        folder = self.window.dialogs.folder("Folder that holds the ChimeraX program", "")
        if folder is None:
            return
        names = (
            "ChimeraX",
            "ChimeraX.exe",
            *_NAMES,
            "bin/ChimeraX",
            "Contents/bin/ChimeraX",
            "bin/ChimeraX.exe",
        )
        program = next((folder / name for name in names if (folder / name).is_file()), None)
        if program is None:
            self.window.complain(
                f"There is no ChimeraX program in {folder}. Choose the folder that holds it."
            )
            return
        self.window.settings.chimerax = str(program)
        self.window.say(f"ChimeraX is {program}.")


def _prepare(run: StoredRun, told: str, starter: Callable[[str, Path], None]) -> tuple[Path, str]:
    script, program = write_script(run), find(told)
    if program:
        try:
            starter(program, script)
        except OSError:
            program = ""
    return script, program
