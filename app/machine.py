"""What this machine draws and computes with, and what ``verglas doctor`` finds."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QProcess, QProcessEnvironment, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

import engine
from app.features import Feature
from app.panels.toast import Button
from app.style import Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.panels.machine import MachineWindow

MOST_BYTES = 1_000_000  # of the doctor's answer
TOLD = "gpu unused"


class Fact(NamedTuple):
    """One line: what, what was found, whether it is ``ok``, ``warning`` or ``problem``, and advice."""

    what: str
    found: str
    status: str = "ok"
    advice: str = ""


class Machine(Feature):
    """Help › About.

    Parameters
    ----------
    window : whose screen and engine are described.
    """

    name = "machine"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.panel: MachineWindow | None = None
        self.command = [sys.executable, "-m", "engine", "doctor", "--json"]
        self.findings: list[Fact] = []
        self._device = ""
        self._process: QProcess | None = None
        window.monitor.started.connect(self._device_told)
        window.commands.add("&Help", "&About Verglas and this machine", self.show)

    def show(self) -> None:
        """Open the window, and ask the doctor unless a run needs the machine."""
        if self.panel is None:
            from app.panels.machine import MachineWindow

            self.panel = MachineWindow(self.window, f"Verglas {metadata.version('verglas')}")
            self.panel.copy_wanted.connect(lambda: QApplication.clipboard().setText(self.text()))
            self.panel.check_wanted.connect(self.examine)
        self._refresh()
        self.panel.show()
        self.panel.raise_()
        self.panel.activateWindow()
        if not self.findings and not self.window.monitor.running:
            self.examine()

    def facts(self) -> list[Fact]:
        """What the window knows by itself."""
        from app.viewers.raster import renderer

        screen = self.window.screen()
        size = screen.size()
        drawn = renderer()
        found = [
            Fact("Verglas", f"{metadata.version('verglas')}, Python {platform.python_version()}"),
            Fact("System", platform.platform()),
            Fact("Qt", f"{qVersion()}, {session_words(os.environ, QGuiApplication.platformName())}"),
            Fact("Screen", f"{size.width()} × {size.height()}, scale {self.window.devicePixelRatioF():.2f}"),
            _drawing(drawn),
            Fact("Computing", self._device or "known as soon as a run has begun, or from the check below"),
        ]
        unused = gpu_unused(_torch_version(), has_nvidia())
        if unused:
            found.append(
                Fact("GPU", unused, "warning", "Install a PyTorch with CUDA: pytorch.org, Get started.")
            )
        return found

    def text(self) -> str:
        """All of it, to be pasted into a question."""
        lines = []
        for fact in [*self.facts(), *self.findings]:
            mark = "" if fact.status == "ok" else f"{fact.status.upper()}: "
            lines.append(f"{fact.what}: {mark}{fact.found}" + (f" → {fact.advice}" if fact.advice else ""))
        return "\n".join(lines) + "\n"

    def tell_if_gpu_unused(self) -> None:
        """Say once for each PyTorch that there is a GPU which it can't use."""
        version = _torch_version()
        words = gpu_unused(version, has_nvidia())
        if words and self.window.settings.words(TOLD) != [version]:
            self.window.settings.set_words(TOLD, [version])
            self.window.say(words)
            self.window.features["toasts"].tell(
                "The GPU is not used", words, [Button("This machine", self.show)], level="warning"
            )

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        if self.panel is not None:
            self._refresh()

    def close(self) -> None:
        """The window closes."""
        if self._process is not None:
            self._process.kill()
            self._process.waitForFinished(2000)

    # ---- the doctor -----------------------------------------------------------------------------

    def examine(self) -> None:
        """Ask ``verglas doctor``, a program of its own: it imports torch and tries what could crash."""
        if self._process is not None:
            return
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        root = str(Path(engine.__path__[0]).parent)
        before = environment.value("PYTHONPATH", "")
        environment.insert("PYTHONPATH", os.pathsep.join(filter(None, [root, before])))
        process.setProcessEnvironment(environment)
        process.finished.connect(lambda _code, _how: self._answered())
        process.errorOccurred.connect(lambda _error: self._answered())
        self._process = process
        self._refresh()
        process.start(self.command[0], self.command[1:])

    def _answered(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        answer = bytes(process.readAllStandardOutput().data())
        process.deleteLater()
        try:
            if len(answer) > MOST_BYTES:
                raise ValueError("too long")
            self.findings = [
                Fact(str(f["what"]), str(f["found"]), str(f["status"]), str(f.get("advice", "")))
                for f in json.loads(answer)["findings"]
            ]
        except (ValueError, KeyError, TypeError):
            self.findings = [
                Fact("Check", "gave no answer", "warning", "Run `verglas doctor` in a terminal to see why.")
            ]
        self._refresh()

    def _device_told(self, words: str) -> None:
        self._device = words
        self._refresh()

    def _refresh(self) -> None:
        if self.panel is not None:
            self.panel.show_facts(self.facts(), self.findings, busy=self._process is not None)


def session_words(environment: Mapping[str, str], qt_platform: str) -> str:
    """How Qt reaches the screen, in words: X11, Wayland or by a remote display."""
    words = {"xcb": "X11", "wayland": "Wayland", "cocoa": "macOS", "windows": "Windows"}.get(
        qt_platform.split("-")[0], qt_platform
    )
    if qt_platform == "xcb" and environment.get("WAYLAND_DISPLAY"):
        words += " (through XWayland)"
    host = environment.get("DISPLAY", "").rpartition(":")[0]
    if qt_platform == "xcb" and host and not host.startswith("/") and host != "unix":
        return f"{words} of another computer ({environment['DISPLAY']}): pictures travel through the network"
    if environment.get("SSH_CONNECTION"):
        words += ", started over SSH"
    return words


def gpu_unused(torch_version: str, nvidia: bool) -> str:
    """Why an NVIDIA GPU goes unused, from what can be known without importing torch; empty if it doesn't."""
    cpu_only = "+cpu" in torch_version or (sys.platform == "win32" and "+cu" not in torch_version)
    if not nvidia or not torch_version or not cpu_only:
        return ""
    return f"There is an NVIDIA GPU, but the installed PyTorch ({torch_version}) computes on the CPU only."


def has_nvidia() -> bool:
    """Whether the machine shows signs of an NVIDIA GPU."""
    signs = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/proc/driver/nvidia/gpus").glob("*")]
    return bool(signs) or shutil.which("nvidia-smi") is not None


def _torch_version() -> str:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def _drawing(renderer: str) -> Fact:
    from app.viewers.detail import is_software

    if not renderer:
        return Fact(
            "Drawing", "OpenGL could not be asked", "warning", "See the line Graphics of the check below."
        )
    if is_software(renderer):
        advice = "Fine for points; large maps turn slowly. A graphics driver helps."
        return Fact("Drawing", f"{renderer}: software, drawn by the CPU", "warning", advice)
    return Fact("Drawing", f"{renderer}: hardware")
