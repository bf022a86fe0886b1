"""Settings for the clipboard, and results for ChimeraX."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from app import chimerax
from app.chimerax import ChimeraX, find
from app.main_window import MainWindow
from app.run_files import StoredRun
from app.sharing import Sharing
from engine.specs.codec import load_spec
from engine.types import Ensemble, Frame

DEMO = Path(__file__).parents[2] / "resources" / "demo"


def clipboard() -> str:
    return QApplication.clipboard().text()


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    points = np.random.default_rng(0).normal(0, 20, (2, 64, 3)).astype(np.float32)
    ensemble = Ensemble(
        points_A=points, kind="posterior", frame=Frame(centre_A=(0.0, 0.0, 0.0), scale_A=60.0),
        energies=np.zeros((2, 0), np.float32), observation_names=(), seeds=np.arange(2),
    )  # fmt: skip
    folder = tmp_path / "a run"
    folder.mkdir()
    return StoredRun(folder, ensemble=ensemble)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Stands for ChimeraX: notes what it was asked to open."""
    path = tmp_path / "bin" / "ChimeraX"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\necho "$1" > "$(dirname "$0")/opened.tmp"\n'
                    'mv "$(dirname "$0")/opened.tmp" "$(dirname "$0")/opened"\n')  # fmt: skip
    path.chmod(0o755)
    return path


def test_copied_toml_is_the_same_description(window: MainWindow, tmp_path: Path, qtbot) -> None:
    sharing = Sharing(window)
    sharing.copy_toml()
    assert "can't be copied yet" in window.statusBar().currentMessage()
    window.session.add_files([DEMO / "projections.mrcs", DEMO / "projections.star"])
    qtbot.waitUntil(lambda: not window.session.missing(), timeout=20_000)
    window.session.set_settings({"samples": 3, "title": "täst"})
    sharing.copy_toml()
    file = tmp_path / "copied.toml"
    file.write_text(clipboard(), encoding="utf-8")
    assert load_spec(file) == window.session.spec()
    window.dialogs.save_as = lambda *_asked: tmp_path / "folder" / "saved"
    sharing.copy_command()
    qtbot.waitUntil(lambda: clipboard().startswith("verglas run"), timeout=20_000)
    words = shlex.split(clipboard())
    assert words[2] == str(tmp_path / "folder" / "saved.toml")
    assert load_spec(words[2]) == window.session.spec()


@pytest.mark.skipif(sys.platform == "win32", reason="the program that stands for it is a shell script")
def test_chimerax_is_started_with_the_script(
    window: MainWindow, run: StoredRun, program: Path, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature = ChimeraX(window)
    assert not feature.action.isEnabled()
    monkeypatch.setattr(window.run_view, "stored", run)
    feature._enable(run)
    assert all(button.isEnabled() for button in feature.buttons)
    window.settings.chimerax = str(program)
    feature.open()
    opened = program.parent / "opened"
    qtbot.waitUntil(opened.exists, timeout=20_000)
    script = Path(opened.read_text().strip())
    assert script == run.folder / "chimerax" / "show.cxc"
    text = script.read_text(encoding="utf-8")
    named = [line.split('"')[1] for line in text.splitlines() if line.startswith("open ")]
    assert named
    assert all((script.parent / name).is_file() for name in named)


def test_without_chimerax_the_script_is_written_and_named(
    window: MainWindow, run: StoredRun, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature = ChimeraX(window)
    monkeypatch.setattr(chimerax, "find", lambda told: "")
    monkeypatch.setattr(window.run_view, "stored", run)
    feature.open()
    script = run.folder / "chimerax" / "show.cxc"
    qtbot.waitUntil(lambda: str(script) in window.statusBar().currentMessage(), timeout=20_000)
    assert script.is_file()
    assert "Where ChimeraX is" in window.statusBar().currentMessage()


def test_the_program_is_found_where_it_is_told_or_on_the_path(
    window: MainWindow, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chimerax, "_PLACES", {})
    monkeypatch.setenv("PATH", "")
    assert (find(), find(str(tmp_path / "none"))) == ("", "")
    assert find(str(program)) == str(program)
    monkeypatch.setenv("PATH", str(program.parent))
    assert Path(find()) == program
    monkeypatch.setattr(chimerax, "_PLACES", {sys.platform: (str(tmp_path / "b*" / "ChimeraX"),)})
    monkeypatch.setenv("PATH", "")
    assert Path(find()) == program
    feature = ChimeraX(window)
    window.dialogs.folder = lambda *_asked: tmp_path
    feature.choose()
    assert window.settings.chimerax == str(program)
