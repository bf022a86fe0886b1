"""What this machine offers and lacks. Whatever could crash is tried in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Literal

import psutil

from engine.jobs.manifest import installed, sha256, version

ENOUGH_DISK_GB = 5.0
ENOUGH_MEMORY_GB = 6.0
_TRY_S = 120

# Which Debian/Ubuntu package brings a library that Qt or OpenGL asks for.
APT = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libOpenGL.so.0": "libopengl0",
    "libGLX.so.0": "libglx0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb.so.1": "libxcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : the thing, e.g. ``GPU``.
    status : ``problem`` is what Verglas can't do without; ``warning`` is slow or limited.
    found : what is there.
    advice : what to do; empty where nothing needs to be done.
    """

    what: str
    status: Literal["ok", "warning", "problem"]
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other (some take seconds)."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python, _packages, _compute, _qt_libraries, _display, _graphics, _prior, _disk, _memory,
    )  # fmt: skip
    for check in checks:
        try:
            yield check()
        except Exception as exc:
            name = check.__name__.strip("_").replace("_", " ").capitalize()
            yield Finding(name, "warning", f"could not be checked ({type(exc).__name__}: {exc})")


def _python() -> Finding:
    found = f"Verglas {version()}, Python {platform.python_version()}, {platform.platform()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Versions", "problem", found, "Install Verglas with Python 3.11, 3.12 or 3.13.")
    return Finding("Versions", "ok", found)


def _packages() -> Finding:
    from packaging.requirements import Requirement

    wrong, count = [], 0
    for line in metadata.requires("verglas") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        found = installed(wanted.name)
        if found is None:
            wrong.append(f"{wanted.name} is missing")
        elif not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} is {found}, not {wanted.specifier}")
    if wrong:
        return Finding("Packages", "problem", "; ".join(wrong), "Run `make setup`, or `pip install .` again.")
    return Finding("Packages", "ok", f"all {count} as pinned")


def _try(program: str, **environment: str) -> tuple[str, str]:
    """Run Python source in a process of its own: last line of its output, and what went wrong."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=_TRY_S,
            check=False,
            env=dict(os.environ) | environment,
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {_TRY_S} s"
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return lines[-1], ""
    errors = done.stderr.strip().splitlines()
    reason = errors[-1] if errors else "no message"
    return "", f"killed by signal {-done.returncode}" if done.returncode < 0 else reason[:300]


_COMPUTE = """
import json, time
from engine.numerics.devices import choose_device
choice = choose_device("auto")
import torch
a = torch.rand(1024, 1024, device=choice.device)
(a @ a).sum().item()
began = time.perf_counter()
for _ in range(10): b = a @ a
b.sum().item()
rate = 10 * 2 * 1024**3 / (time.perf_counter() - began) / 1e9
print(json.dumps([choice.device.type, choice.words, list(choice.warnings), torch.__version__, rate]))
"""


def _compute() -> Finding:
    answer, problem = _try(_COMPUTE)
    if problem:
        return Finding(
            "Computing", "problem", f"PyTorch does not work ({problem})", "Run `make setup` again."
        )
    kind, words, warnings, torch_version, rate = json.loads(answer)
    found = f"{words}, PyTorch {torch_version}, {rate:,.0f} GFLOP/s"
    if warnings:
        advice = (
            "Update the NVIDIA driver, or install the PyTorch build that fits it (pytorch.org, Get started)."
        )
        return Finding("Computing", "warning", f"{found}. {' '.join(warnings)}", advice)
    if kind == "cpu":
        return Finding("Computing", "ok", found + ". No GPU: fine for first looks, slow for many samples")
    return Finding("Computing", "ok", found)


def missing_libraries() -> list[str]:
    """Shared libraries that Qt's plugin for X11 asks for and this Linux lacks."""
    if sys.platform != "linux" or shutil.which("ldd") is None:
        return []
    import importlib.util

    spec = importlib.util.find_spec("PySide" + "6")
    if spec is None or not spec.submodule_search_locations:
        return []
    qt = Path(next(iter(spec.submodule_search_locations))) / "Qt"
    wanted = [qt / "plugins" / "platforms" / "libqxcb.so", *qt.glob("lib/libQt6OpenGLWidgets.so.6")]
    missing: set[str] = set()
    for file in wanted:
        done = subprocess.run(["ldd", str(file)], capture_output=True, text=True, timeout=30, check=False)
        missing |= {line.split()[0] for line in done.stdout.splitlines() if "not found" in line}
    return sorted(missing)


def missing_packages(*, display: bool = False) -> list[str]:
    """Debian packages to install so that the window and OpenGL work; empty off Linux.

    Parameters
    ----------
    display : also what a machine without a screen needs to test the window: Xvfb and a font.
    """
    if sys.platform != "linux":
        return []
    packages = {APT[name] for name in missing_libraries() if name in APT}
    for name in ("libEGL.so.1", "libGL.so.1"):  # loaded by name, so that ldd doesn't see them
        try:
            ctypes.CDLL(name)
        except OSError:
            packages.add(APT[name])
    drivers = [*Path("/usr/lib").glob("*/dri/*_dri.so"), *Path("/usr/lib64").glob("dri/*_dri.so")]
    if not drivers and not list(Path("/usr/lib").glob("*/libgallium*.so")):
        packages.add("libgl1-mesa-dri")
    if display:
        if shutil.which("Xvfb") is None:
            packages.add("xvfb")
        if not any(Path("/usr/share/fonts").rglob("*.[to]tf")):
            packages.add("fonts-dejavu-core")
    return sorted(packages)


def _qt_libraries() -> Finding:
    if installed("PySide6-Essentials") is None:
        return Finding("Window", "problem", "PySide6 is not installed", "Run `make setup` again.")
    missing = missing_libraries()
    if missing:
        advice = f"sudo apt-get install {' '.join(missing_packages())}"
        return Finding("Window", "problem", f"Qt lacks {', '.join(missing)}", advice)
    return Finding("Window", "ok", f"Qt {installed('PySide6-Essentials')} finds its libraries")


def _display() -> Finding:
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return Finding(
            "Display", "ok", os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "yes"
        )
    return Finding(
        "Display", "warning", "none here: the command line works, the window does not",
        "Log in with a desktop, or start a virtual display with xvfb-run.",
    )  # fmt: skip


# Written out rather than imported: the engine knows no window.
_GL_OF_A_DISPLAY = """
import sys
from PySide6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication([])
surface = QOffscreenSurface(); surface.create()
context = QOpenGLContext()
assert context.create() and context.makeCurrent(surface), "no OpenGL context"
f = context.functions()
print(f.glGetString(0x1F02), "|", f.glGetString(0x1F01))
"""
_GL_WITHOUT_DISPLAY = """
from OpenGL import EGL, GL
d = EGL.eglGetDisplay(EGL.EGL_DEFAULT_DISPLAY)
major, minor = EGL.EGLint(), EGL.EGLint()
assert EGL.eglInitialize(d, major, minor), "EGL does not start"
assert EGL.eglBindAPI(EGL.EGL_OPENGL_API), "EGL has no OpenGL"
config, count = (EGL.EGLConfig * 1)(), EGL.EGLint()
asked = [EGL.EGL_RENDERABLE_TYPE, EGL.EGL_OPENGL_BIT, EGL.EGL_SURFACE_TYPE, EGL.EGL_PBUFFER_BIT, EGL.EGL_NONE]
wanted = (EGL.EGLint * len(asked))(*asked)
EGL.eglChooseConfig(d, wanted, config, 1, count)
assert count.value, "EGL has no usable configuration"
c = EGL.eglCreateContext(d, config[0], EGL.EGL_NO_CONTEXT, None)
assert EGL.eglMakeCurrent(d, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, c), "no OpenGL context"
print(GL.glGetString(GL.GL_VERSION).decode(), "|", GL.glGetString(GL.GL_RENDERER).decode())
"""


def _graphics() -> Finding:
    shown = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if shown:
        answer, problem = _try(_GL_OF_A_DISPLAY)
    else:
        answer, problem = _try(_GL_WITHOUT_DISPLAY, PYOPENGL_PLATFORM="egl", EGL_PLATFORM="surfaceless")
    if problem:
        advice = (
            "Install the graphics driver; without one: sudo apt-get install libegl1 libgl1 libgl1-mesa-dri"
        )
        return Finding(
            "Graphics", "problem" if shown else "warning", f"OpenGL does not work ({problem})", advice
        )
    found = "OpenGL " + answer + ("" if shown else " (off screen)")
    if any(name in answer.lower() for name in ("llvmpipe", "softpipe", "swrast", "software")):
        advice = "Fine for point clouds; large maps will turn slowly. A graphics driver helps."
        return Finding("Graphics", "warning", found + ": drawn by the CPU", advice)
    return Finding("Graphics", "ok", found)


def _prior() -> Finding:
    folder = Path(str(resources.files("resources") / "priors"))
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files:
        advice = "Install Verglas again, or train one: verglas train prior --help"
        return Finding("Prior", "problem", f"no weights in {folder}", advice)
    expected = _recorded_hashes(folder)
    words = []
    for file in files:
        digest = sha256(file)
        if expected.get(file.name, digest) != digest:
            return Finding(
                "Prior",
                "problem",
                f"{file.name} is damaged (sha256 {digest[:12]}…)",
                "Install Verglas again.",
            )
        words.append(f"{file.name} {file.stat().st_size / 1e6:.1f} MB sha256 {digest[:12]}…")
    return Finding("Prior", "ok", "; ".join(words))


def _recorded_hashes(folder: Path) -> dict[str, str]:
    """Names and hashes of ``SHA256SUMS``, as ``sha256sum`` writes it."""
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {
        name.lstrip("*"): digest
        for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())
    }


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < ENOUGH_DISK_GB:
        return Finding("Disk", "warning", f"{free:.1f} GB free here", "Make room, or work in another folder.")
    return Finding("Disk", "ok", f"{free:,.0f} GB free here")


def _memory() -> Finding:
    total, free = psutil.virtual_memory().total / 2**30, psutil.virtual_memory().available / 2**30
    found = f"{total:.0f} GB, {free:.0f} GB of it free"
    if total < ENOUGH_MEMORY_GB:
        return Finding(
            "Memory", "warning", found, "Choose fewer samples at once (`batch` in the description)."
        )
    return Finding("Memory", "ok", found)
