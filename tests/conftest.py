"""For all tests: run-time checks of shapes and types, and a display for the window."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from jaxtyping import install_import_hook

import tests.typechecking  # noqa: F401 - found by its name below

# Before the engine is imported: beartype checks every annotated call, shapes included.
assert not any(name == "engine" or name.startswith("engine.") for name in sys.modules)
install_import_hook("engine", "tests.typechecking.checked")

os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")  # the same pixels on every machine
os.environ.setdefault("PYTEST_QT_API", "pyside6")

# A line of runs of each test process's own: the user's runs, and other tests, are none of its business.
_state = tempfile.TemporaryDirectory(prefix="verglas-state-")
os.environ["VERGLAS_STATE"] = _state.name

_xvfb: subprocess.Popen[bytes] | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Start a virtual display where there is none; without Xvfb, Qt draws off screen."""
    global _xvfb
    os.environ.pop("WAYLAND_DISPLAY", None)  # a test's windows are nobody's business
    if sys.platform != "linux" or os.environ.get("VERGLAS_TEST_DISPLAY") == "keep":
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        return
    read, write = os.pipe()
    _xvfb = subprocess.Popen(
        [xvfb, "-displayfd", str(write), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
        pass_fds=(write,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    if number:
        os.environ["DISPLAY"] = f":{number}"
        os.environ["QT_QPA_PLATFORM"] = "xcb"
    else:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their number: gzip writes the time into them, and ids must be the same everywhere."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the virtual display, and clear up."""
    global _xvfb
    _state.cleanup()
    if _xvfb is not None:
        _xvfb.terminate()
        _xvfb.wait(10)
        _xvfb = None
