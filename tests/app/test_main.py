from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.main import GarbageCollector, graphics_environment
from tests.app.conftest import spin

X11 = {"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}
WAYLAND = {"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland", "WAYLAND_DISPLAY": "wayland-0"}
NATIVE = ["libqxcb.so", "libqwayland.so"]


def test_x11_is_asked_for_by_name() -> None:
    assert graphics_environment(X11, "linux", NATIVE) == {
        "QT_QPA_PLATFORM": "xcb",
        "PYOPENGL_PLATFORM": "glx",
    }


def test_wayland_without_a_plugin_goes_through_x11() -> None:
    found = graphics_environment(WAYLAND, "linux", ["libqxcb.so"])
    assert found == {"QT_QPA_PLATFORM": "xcb", "PYOPENGL_PLATFORM": "glx"}


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="NVIDIA's driver is treated apart")
def test_wayland_with_a_plugin_stays_native() -> None:
    assert graphics_environment(WAYLAND, "linux", NATIVE) == {"PYOPENGL_PLATFORM": "egl"}


@pytest.mark.parametrize(
    ("chosen", "library"), [("xcb", "glx"), ("wayland", "egl"), ("wayland;xcb", "egl"), ("xcb:x=1", "glx")]
)
def test_pyopengl_follows_the_platform_that_the_user_chose(chosen: str, library: str) -> None:
    found = graphics_environment({**WAYLAND, "QT_QPA_PLATFORM": chosen}, "linux", NATIVE)
    assert found == {"PYOPENGL_PLATFORM": library}
    both = {**WAYLAND, "QT_QPA_PLATFORM": chosen, "PYOPENGL_PLATFORM": "osmesa"}
    assert graphics_environment(both, "linux", NATIVE) == {}


def test_the_user_and_other_systems_are_left_alone() -> None:
    assert graphics_environment({**X11, "QT_QPA_PLATFORM": "offscreen"}, "linux", NATIVE) == {}
    assert graphics_environment({}, "darwin", []) == {}
    assert graphics_environment({}, "win32", []) == {}


def test_the_window_comes_up_without_torch(tmp_path: Path) -> None:
    """In a process of its own: other tests have imported torch into this one."""
    script = """
import json, sys
from PySide6.QtWidgets import QApplication
application = QApplication([])
from pathlib import Path
from app.main_window import MainWindow
from app.settings import Settings
window = MainWindow(Settings(Path(sys.argv[1]) / "w.ini"))
window.show()
application.processEvents()
slow = [m for m in ("pandas", "scipy.spatial", "scipy.ndimage", "skimage", "gemmi") if m in sys.modules]
import app.main, app.run_files, engine.io.export, engine.io.formats, engine.jobs.worker
heavy = [m for m in ("torch", "sklearn", "pandas", "engine.pipelines") if m in sys.modules]
window.close()
print(json.dumps([heavy, slow]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    heavy, slow = json.loads(done.stdout.splitlines()[-1])
    assert "torch" not in heavy
    assert "engine.pipelines" not in heavy
    assert not slow, "half of the time until the window is up went into these"


def test_garbage_is_collected_on_this_thread_only() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            gone.append(1)

    gone: list[int] = []
    enabled = gc.isenabled()
    collector = GarbageCollector()
    try:
        assert not gc.isenabled()
        Cycle()
        spin(lambda: bool(gone), 10)
    finally:
        collector.stop()
        (gc.enable if enabled else gc.disable)()
