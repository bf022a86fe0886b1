"""Walks through the real window with mouse and keyboard, and takes a picture of every state.

``python -m tests.app.walk_through OUT [--data FOLDER] [--size 1280x800] [--theme light] [--route all]``

Needs a display as large as the window, for instance ``xvfb-run -s "-screen 0 2600x1500x24"``. Without
``--data`` (or ``VERGLAS_DATA``) it walks on small made-up files. Runs real jobs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app import style
from app.main_window import MainWindow
from app.settings import Settings
from tests.app import walk_inputs
from tests.app.walk_averages import AveragesRoute
from tests.app.walk_evidence import EvidenceRoute
from tests.app.walk_hands import Album, Hands
from tests.app.walk_inputs import WalkInputs
from tests.app.walk_known_poses import KnownPosesRoute

ROUTES: dict[str, Callable[..., AveragesRoute | EvidenceRoute | KnownPosesRoute]] = {
    "averages": AveragesRoute,
    "evidence": EvidenceRoute,
    "known_poses": KnownPosesRoute,
}


def open_window(settings: Settings, size: tuple[int, int], theme: str) -> MainWindow:
    """The real window in the corner of the screen, with the keyboard."""
    settings.theme = theme
    style.choose_scheme(theme)
    window = MainWindow(settings)
    window.move(0, 0)
    window.resize(*size)
    window.show()
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window, 10_000), "the window doesn't get the keyboard"
    return window


def walk(route: str, window: MainWindow, inputs: WalkInputs, out: Path, *, hurried: bool = False) -> Album:
    """One route in a fresh window; its pictures and its files are in ``out``."""
    album = Album(out, f"{route}, {window.width()} × {window.height()}, {window.settings.theme}")
    files = out / "files"
    files.mkdir(exist_ok=True)
    hands = Hands(window, album, hurried=hurried)
    try:
        ROUTES[route](window, hands, inputs, files).walk()
    except AssertionError:
        hands.shot("Where it stopped")
        raise
    finally:
        album.write_index()
    return album


def main() -> None:
    """Walk the routes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("VERGLAS_DATA"))
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--route", choices=(*ROUTES, "all"), default="all")
    asked = parser.parse_args()
    width, height = (int(side) for side in asked.size.split("x"))
    from engine.jobs import worker

    # The dialogs of Qt itself look the same everywhere, and take the keys of a test.
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    application = QApplication([])
    application.setStyle("Fusion")
    with tempfile.TemporaryDirectory(prefix="verglas-walk-") as name:
        work = Path(name)
        made = work / "inputs"
        inputs = walk_inputs.real(Path(asked.data), made) if asked.data else walk_inputs.made_up(made)
        for route in ROUTES if asked.route == "all" else (asked.route,):
            begin = time.monotonic()
            settings = Settings(work / route / "window.ini")
            settings.runs_folder = work / route / "runs"
            settings.last_folder = str(made)
            window = open_window(settings, (width, height), asked.theme)
            window.dialogs.leave_running = lambda: "cancel"
            try:
                album = walk(route, window, inputs, asked.out / f"{route}_{asked.size}_{asked.theme}")
            finally:
                window.close()
                window.deleteLater()
                application.processEvents()
            print(f"{route}: {len(album.pictures)} pictures in {time.monotonic() - begin:.0f} s", flush=True)
        worker.shutdown()


if __name__ == "__main__":
    main()
