"""All routes of the walk-through on small made-up files: the real window, with mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.settings import Settings
from tests.app import walk_inputs
from tests.app.walk_through import open_window, walk


@pytest.fixture
def _own_dialogs(qapp: QApplication) -> Iterator[None]:
    """File dialogs of Qt itself: they take the keys of a test."""
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    yield
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs, False)


@pytest.fixture
def walked(settings: Settings, _no_leaks: None, _own_dialogs: None) -> Iterator[MainWindow]:
    from engine.jobs import worker

    window = open_window(settings, (1280, 800), "light")
    yield window
    window.dialogs.leave_running = lambda: "cancel"
    window.close()
    window.deleteLater()
    QApplication.processEvents()
    worker.shutdown()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("route", "pictures", "files"),
    [
        ("averages", 23, {"consensus.mrc", "fsc.csv", "poses.star", "poses.mrcs"}),
        ("known_poses", 12, {"volume.mrc"}),
        ("evidence", 24, {"ensemble.cif", "ensemble.pdb", "ensemble.mrc", "ensemble.csv"}),
    ],
)
def test_a_walk_through_the_window(
    walked: MainWindow, tmp_path: Path, route: str, pictures: int, files: set[str]
) -> None:
    inputs = walk_inputs.made_up(tmp_path / "inputs")
    album = walk(route, walked, inputs, tmp_path / "album", hurried=True)
    assert len(album.pictures) >= pictures
    assert (walked.width(), walked.height()) == (1280, 800)
    assert {path.name for path in (tmp_path / "album" / "files").iterdir()} == files
    assert (tmp_path / "album" / "index.html").is_file()
