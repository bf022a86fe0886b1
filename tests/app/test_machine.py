"""What this machine draws and computes with, in words; the doctor is asked as another program."""

from __future__ import annotations

import json
import sys

import pytest
from PySide6.QtWidgets import QApplication, QLabel

from app import machine
from app.machine import gpu_unused, session_words
from app.main_window import MainWindow
from tests.app.conftest import spin


@pytest.mark.parametrize(
    ("environment", "platform", "words"),
    [
        ({"DISPLAY": ":0"}, "xcb", "X11"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "xcb", "X11 (through XWayland)"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "wayland", "Wayland"),
        ({"DISPLAY": ":7", "SSH_CONNECTION": "a b"}, "xcb", "X11, started over SSH"),
        ({}, "cocoa", "macOS"),
    ],
)
def test_how_qt_reaches_the_screen(environment: dict[str, str], platform: str, words: str) -> None:
    assert session_words(environment, platform) == words


def test_a_remote_display_is_named() -> None:
    assert "another computer" in session_words({"DISPLAY": "localhost:10.0"}, "xcb")


def test_a_gpu_that_pytorch_cannot_use_is_never_passed_over_in_silence() -> None:
    assert "CPU only" in gpu_unused("2.9.0+cpu", True)
    assert not gpu_unused("2.9.0+cpu", False)
    assert not gpu_unused("2.9.0+cu128", True)
    assert not gpu_unused("", True)


def test_this_machine(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_nvidia", lambda: True)
    monkeypatch.setattr(machine, "_torch_version", lambda: "2.9.0+cpu")
    part = window.features["machine"]
    finding = {"what": "Disk", "status": "problem", "found": "full", "advice": "Make room."}
    answer = json.dumps({"findings": [finding]})
    part.command = [sys.executable, "-c", f"print({answer!r})"]
    part.show()
    spin(lambda: bool(part.findings))
    window.monitor.started.emit("CPU (2 cores)")
    part.panel.copy.click()
    text = QApplication.clipboard().text()
    for line in ("Qt: ", "Screen: ", "Drawing: ", "Computing: CPU (2 cores)", "GPU: WARNING: There is an",
                 "Disk: PROBLEM: full → Make room."):  # fmt: skip
        assert line in text
    shown = [label.text() for label in part.panel.findChildren(QLabel)]
    assert "full\nMake room." in shown
    assert "Problem" in shown
    # no answer is an answer
    part.command = [sys.executable, "-c", "raise SystemExit(3)"]
    part.findings = []
    part.panel.check.click()
    spin(lambda: bool(part.findings))
    assert part.findings[0].found == "gave no answer"
    # told once at the start
    part.tell_if_gpu_unused()
    part.tell_if_gpu_unused()
    assert [t.title for t in window.features["toasts"].shown] == ["The GPU is not used"]
    # a check that goes on ends with the window
    part.command = [sys.executable, "-c", "import time; time.sleep(60)"]
    part.examine()
