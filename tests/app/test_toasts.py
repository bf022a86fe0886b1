"""Cards tell of what has ended: they say what can be done, take no focus, stack, and go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.panels.toast import Button
from tests.app.conftest import spin


def test_cards_of_runs_and_exports(window: MainWindow, tmp_path: Path) -> None:
    toasts = window.features["toasts"]
    window.activateWindow()
    window.inputs.setFocus()
    focus = QApplication.focusWidget()
    window.monitor.folder = tmp_path / "a run"
    window.monitor.ended.emit("completed", "Finished in 3 s.")
    window.monitor.ended.emit("failed", "Out of memory.\nand more")
    window.saving.exported.emit([tmp_path / "x.pdb", tmp_path / "x.mrc"])
    window.saving.failed.emit("The disk is full.")
    assert [(t.title, t.level) for t in toasts.shown] == [
        ("Run finished", "good"), ("Run failed", "error"), ("Exported", "good"), ("Export failed", "error"),
    ]  # fmt: skip
    assert toasts.shown[0].sentence == "a run: Finished in 3 s."
    assert toasts.shown[1].sentence == "a run: Out of memory."
    assert toasts.shown[2].sentence.startswith("x.pdb and 1 more")
    assert QApplication.focusWidget() is focus
    window.resize(1280, 800)
    QCoreApplication.processEvents()
    boxes = [t.geometry() for t in toasts.shown]
    assert all(a.bottom() < b.top() for a, b in zip(boxes, boxes[1:], strict=False))
    assert all(window.rect().contains(box) for box in boxes)
    failed = toasts.shown[1]
    next(b for b in failed.buttons if b.text() == "Show").click()
    assert window.tabs.currentWidget() is window.messages
    assert failed not in toasts.shown
    # no more than four, the oldest goes
    for i in range(5):
        toasts.tell(f"Number {i}", "")
    assert [t.title for t in toasts.shown] == [f"Number {i}" for i in range(1, 5)]
    # used or left alone, they go
    used = []
    toasts.tell("Briefly", "seen", [Button("Do it", lambda: used.append(1))], seconds=0.01)
    spin(lambda: all(t.title != "Briefly" for t in toasts.shown), 5)
    assert not used
    window.choose_theme("dark")
    window.choose_theme("system")
