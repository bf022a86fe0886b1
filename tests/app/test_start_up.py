"""The window is up before everything is there: what waits, and that nothing gets lost meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.features import FEATURES, Feature, Features
from app.later import Later
from app.main_window import MainWindow
from app.panels.late import Late
from app.panels.plots import SpreadPlot
from app.settings import Settings
from engine.jobs import worker
from tests.app.conftest import spin

NOT_AT_START = (
    "torch", "scipy", "skimage", "matplotlib", "pandas", "sklearn", "gemmi", "PIL", "imageio", "h5py",
    "OpenGL", "vispy", "pyqtgraph", "app.forensics", "app.convention_doctor", "app.movies",
    "app.viewers.tiles",
)  # fmt: skip


class Keeping(Feature):
    """Keeps one word; most tests make it a feature of a window."""

    name = "keeping"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.word, self.theme = "", None

    def set_theme(self, theme) -> None:
        self.theme = theme

    def state(self) -> dict[str, str]:
        return {"word": self.word}

    def restore(self, state: dict[str, str]) -> None:
        self.word = state["word"]


class After(Feature):
    """Another one."""

    name = "after"


NAMES = (f"{__name__}:Keeping", f"{__name__}:After")


@pytest.fixture
def late_window(settings: Settings, _no_leaks: None) -> Iterator[MainWindow]:
    """A window as it is at the start: not painted, and without features."""
    window = MainWindow(settings)
    yield window
    window.close()
    window.deleteLater()
    worker.shutdown()


def test_large_modules_are_not_imported_before_the_window_is_painted() -> None:
    """In a process of its own: tests have imported them into this one."""
    script = f"""
import sys, tempfile
from pathlib import Path
from PySide6.QtWidgets import QApplication
application = QApplication([])
from app import main
from app.main_window import MainWindow
from app.settings import Settings
window = MainWindow(Settings(Path(tempfile.mkdtemp()) / "w.ini"))
painted = []
window.features.begun.connect(lambda: painted.append([m for m in {NOT_AT_START!r} if m in sys.modules]))
window.show()
while not painted:
    application.processEvents()
window.close()
print("imported:", *painted[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_all_features_are_made_by_themselves(late_window: MainWindow) -> None:
    features = late_window.features
    told = []
    features.begun.connect(lambda: told.append(("begun", features.missing)))
    features.complete.connect(lambda: told.append(("complete", features.missing)))
    assert features.missing == len(FEATURES)
    late_window.show()
    spin(lambda: not features.missing)
    assert told == [("begun", len(FEATURES)), ("complete", 0)]
    assert late_window.viewer.late_points.made is not None


def test_a_feature_that_is_asked_for_is_made_with_those_before_it(late_window: MainWindow) -> None:
    features = Features(late_window, NAMES)
    assert features["keeping"].word == ""
    assert features.missing == 1
    with pytest.raises(KeyError):
        features["none"]
    assert features.missing == 0
    features.close()


def test_what_is_restored_waits_for_its_feature(late_window: MainWindow) -> None:
    features = Features(late_window, NAMES)
    kept = {"keeping": {"word": "kept"}, "of an older version": {"a": 1}}
    features.restore(kept)
    assert features.missing == 2
    assert features.state() == kept  # the window may be closed before: nothing is lost
    features.set_theme("dark")
    assert features["keeping"].word == "kept"
    assert features["keeping"].theme == "dark"
    assert features.state()["keeping"] == {"word": "kept"}
    features.restore({"keeping": {"word": "new"}})
    assert features["keeping"].word == "new"
    features.make_all()
    assert set(features.state()) == {"keeping", "after"}
    features.close()


def test_a_feature_that_fails_takes_no_other_with_it(late_window: MainWindow) -> None:
    features = Features(late_window, (f"{__name__}:Nobody", *NAMES))
    told = []
    features.complete.connect(lambda: told.append(True))
    with pytest.raises(AttributeError):
        features.make_all()
    assert features["after"]
    assert told == [True]
    features.close()


def test_a_later_state_replaces_one_that_waits(late_window: MainWindow) -> None:
    features = Features(late_window, NAMES)
    features.restore({"keeping": {"word": "first"}})
    features.restore({"keeping": {"word": "second"}})
    assert features["keeping"].word == "second"
    features.close()


def test_a_window_may_close_before_it_is_complete(late_window: MainWindow) -> None:
    late_window.features.restore({"toasts": {"x": 1}})
    late_window.show()
    late_window.close()
    assert late_window.features.missing == 0  # none will be made any more
    assert late_window.viewer.late_points.made is None


def test_a_late_widget_is_made_when_it_is_seen(qtbot) -> None:
    made = []

    def make() -> QLabel:
        made.append(QLabel("here"))
        return made[-1]

    outer = QWidget()
    qtbot.addWidget(outer)
    late = Late(make, outer)
    QVBoxLayout(outer).addWidget(late)
    told = []
    late.once_made(lambda widget: told.append(widget))
    assert late.made is None
    outer.show()
    assert late.made is made[0] is late.widget
    assert made[0].isVisible()
    late.once_made(lambda widget: told.append(widget))
    assert told == [made[0], made[0]]
    assert len(made) == 1


def test_a_plot_is_made_when_it_is_seen_with_what_was_set_before(qtbot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    plot = SpreadPlot(outer)
    QVBoxLayout(outer).addWidget(plot)
    plot.set_spread(np.linspace(1, 3, 50))
    plot.set_label("left", "Points of it")
    assert not plot.made
    outer.show()
    assert plot.made
    assert plot.widget.isVisible()
    assert plot.item.getAxis("left").labelText == "Points of it"
    assert plot.item.items
    assert plot.widget.accessibleName() == "Points of it against Spread across the ensemble (Å)"


def test_a_later_module_is_read_when_it_is_used() -> None:
    colours = Later("colorsys")
    assert not hasattr(colours, "__path__")
    assert colours.rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
    with pytest.raises(AttributeError):
        _ = colours.nothing_of_it
