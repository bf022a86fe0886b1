"""Starts the window: ``verglas-app [FILE | RUN_DIR]...``."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

COLLECT_MS = 1000
TOUR_AFTER_MS = 600  # the window has been drawn by then


def graphics_environment(
    environment: Mapping[str, str], platform: str, plugins: Sequence[str]
) -> dict[str, str]:
    """Variables to set before Qt and OpenGL are imported.

    On Wayland, PyOpenGL would pick EGL while Qt's X11 plugin uses GLX, and nothing would be drawn. Qt
    is sent through XWayland, and PyOpenGL told so, where that is the way that works: on NVIDIA's
    driver, or where Qt has no Wayland plugin. What the user has set is left alone; PyOpenGL follows it.

    Parameters
    ----------
    environment : the present variables.
    platform : as ``sys.platform``.
    plugins : names of Qt's platform plugins, e.g. ``libqwayland-generic.so``.
    """
    if not platform.startswith("linux"):
        return {}
    chosen = environment.get("QT_QPA_PLATFORM", "").split(";")[0].split(":")[0]
    if chosen:
        library = {"xcb": "glx", "wayland": "egl", "wayland-egl": "egl"}.get(chosen, "")
        if environment.get("QT_XCB_GL_INTEGRATION") == "xcb_egl":
            library = "egl"
        return {"PYOPENGL_PLATFORM": library} if library and "PYOPENGL_PLATFORM" not in environment else {}
    wanted: dict[str, str] = {}
    wayland = environment.get("XDG_SESSION_TYPE") == "wayland" or bool(environment.get("WAYLAND_DISPLAY"))
    has_x = bool(environment.get("DISPLAY"))
    nvidia = Path("/proc/driver/nvidia/version").exists()
    native = any("wayland" in name for name in plugins)
    if has_x and (not wayland or nvidia or not native):
        wanted = {"QT_QPA_PLATFORM": "xcb", "PYOPENGL_PLATFORM": "glx"}
    elif wayland:
        wanted = {"PYOPENGL_PLATFORM": "egl"}
    return {name: value for name, value in wanted.items() if name not in environment}


def _qt_platform_plugins() -> list[str]:
    from importlib.util import find_spec

    found = find_spec("PySide6")
    if found is None or not found.submodule_search_locations:
        return []
    folder = Path(next(iter(found.submodule_search_locations))) / "Qt" / "plugins" / "platforms"
    return [p.name for p in folder.glob("*")]


class GarbageCollector:
    """Collects garbage on the GUI thread only, between events.

    A collection in another thread could finalise a vispy object there, in the middle of a frame, and
    crash. Objects made at start-up are frozen, so that a collection stays short.
    """

    def __init__(self) -> None:
        from PySide6.QtCore import QTimer

        # Not collected before it is frozen: what start-up leaves behind is little, and looking takes 50 ms.
        gc.freeze()
        gc.disable()
        self._round = 0
        self._timer = QTimer()
        self._timer.setInterval(COLLECT_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def _collect(self) -> None:
        self._round += 1
        gc.collect(2 if self._round % 20 == 0 else 1)

    def stop(self) -> None:
        """Give collection back to Python."""
        self._timer.stop()
        gc.enable()
        gc.unfreeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the window until it is closed; the exit code."""
    parser = argparse.ArgumentParser(prog="verglas-app", description="The Verglas window.")
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="FILE|RUN_DIR", help="inputs, settings or a finished run"
    )
    chosen = parser.parse_args(arguments)
    os.environ.update(graphics_environment(os.environ, sys.platform, _qt_platform_plugins()))
    gc.disable()  # nothing made at the start is garbage; see GarbageCollector
    threading.stack_size(16 << 20)  # macOS gives threads 512 KB, on which OpenBLAS crashes
    sys.setswitchinterval(0.002)  # a thread that reads a file gives way to the window sooner

    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from app import style
    from app.crash_notice import CrashNotice
    from app.crash_reports import CrashReports
    from app.main_window import TITLE, MainWindow
    from app.settings import Settings

    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
    application.setApplicationName(TITLE)
    application.setDesktopFileName("verglas")
    application.setStyle("Fusion")
    reports = CrashReports()
    reports.install()
    settings = Settings()
    style.choose_scheme(settings.theme)
    window = MainWindow(settings)
    application.setWindowIcon(style.icon("verglas"))
    window.show()
    collector = GarbageCollector()

    def begin() -> None:
        """Go on where the user left off, once the window has been painted."""
        if chosen.paths:
            window.modes.add_files(chosen.paths)
        else:
            window.features["project"].resume()

    def settle() -> None:
        """Do what needs the features, and what nobody waits for."""
        gc.freeze()  # the features stay as long as the window: collections needn't look at them
        CrashNotice(window, reports).tell_of_crash()
        window.features["toasts"].desktop = True
        window.features["machine"].tell_if_gpu_unused()
        if not chosen.paths and not window.settings.restores_session:
            window.features["rejoining"].look()
        if not chosen.paths:
            QTimer.singleShot(TOUR_AFTER_MS, window, window.features["tour"].start_if_new)
        _prewarm()

    window.features.begun.connect(begin)
    window.features.complete.connect(settle)
    code = application.exec()
    style.forget_icons()
    collector.stop()
    _farewell()
    reports.uninstall()
    return code


def _prewarm() -> None:
    """Let an engine process import torch while the user looks at the window."""
    from engine.jobs import worker

    threading.Thread(target=worker.prewarm, name="verglas-prewarm", daemon=True).start()


def _farewell() -> None:
    from engine.jobs import worker

    worker.shutdown()


if __name__ == "__main__":
    sys.exit(main())
