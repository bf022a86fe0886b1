"""Pictures of priors and their training in the window: ``python -m tests.app.prior_shots OUT_FOLDER``.

Needs a display, e.g. ``xvfb-run -s "-screen 0 1600x1200x24"``. Runs no jobs: the trainings are made up.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

from PySide6.QtWidgets import QApplication, QWidget

from app.main_window import MainWindow
from app.panels.keep_prior import KeepDialog
from app.settings import Settings
from engine.events import Cancelled
from engine.io import prior_library
from tests.app import prior_run
from tests.app.conftest import ReplayWorker

WORK = Path(tempfile.mkdtemp(prefix="verglas-prior-shots-"))
os.environ[prior_library.FOLDER_VARIABLE] = str(WORK / "library")


class PriorShots:
    def __init__(self, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.application = QApplication([])
        self.application.setStyle("Fusion")
        settings = Settings(WORK / "window.ini")
        settings.runs_folder = WORK / "runs"
        self.workers: list[ReplayWorker] = []
        self.window = MainWindow(settings, self.make_worker)
        self.window.resize(1440, 900)
        self.window.show()

    def make_worker(self, spec: object, folder: Path, on_event: object) -> ReplayWorker:
        self.workers.append(ReplayWorker(spec, folder, on_event))
        return self.workers[-1]

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def shots(self, name: str, widget: QWidget | None = None) -> None:
        for theme in ("light", "dark"):
            self.window.choose_theme(theme)
            self.wait(seconds=1.2)
            window = widget or self.window
            picture = (
                widget.grab().toImage() if widget else window.screen().grabWindow(window.winId()).toImage()
            )
            picture.save(str(self.out / f"{name}_{theme}.png"))
        self.window.choose_theme("light")
        print(name, flush=True)

    def run(self) -> None:
        window, modes = self.window, self.window.modes
        prior = modes.prior
        prior_library.keep(prior_run.write_weights(WORK / "p.safetensors"), "ribosomes")
        modes.set_mode("train_prior")
        self.wait(lambda: not window.background.busy)
        self.shots("1_idle")
        modes.add_files([prior_run.write_structures(WORK / "structures", 312)])
        modes.add_files([prior_run.write_clouds(WORK / "validation.npz", 40, 1024)])
        self.wait(lambda: not window.background.busy)
        self.shots("2_ready")
        prior.run_panel.advanced.setChecked(True)
        self.shots("3_all_settings")
        prior.run_panel.advanced.setChecked(False)
        window.start_run()
        self.wait(lambda: bool(self.workers) and not window.monitor.starting)
        for event in prior_run.events_of(self.workers[-1].folder, 800):
            self.workers[-1].on_event(event)
        self.wait(lambda: len(window.viewer.points.points_A) > 0)
        self.shots("4_running")
        self.workers[-1].on_event(Cancelled(seconds=9.0))
        self.wait(lambda: not window.monitor.running)
        window.open_run(prior_run.write_training(WORK / "runs" / "finished"))
        self.wait(lambda: window.run_view.stored is not None)
        self.wait(lambda: not window.background.busy)
        self.shots("5_finished")
        window.resize(1100, 700)
        self.shots("6_small")
        window.resize(1440, 900)
        dialog = KeepDialog("ribosomes", prior_library.name_problem, window)
        dialog.show()
        self.shots("7_keep", dialog)
        dialog.close()
        prior.use()
        self.wait(lambda: not window.background.busy)
        self.shots("8_used")
        window.run_panel.prior.box.showPopup()
        self.wait(seconds=0.5)
        window.screen().grabWindow(window.winId()).save(str(self.out / "9_chooser.png"))
        window.run_panel.prior.box.hidePopup()
        for name in ("shipped", "ribosomes"):
            prior.show_card(name)
            self.wait(lambda: not window.background.busy)
            self.shots(f"card_{name}", prior._card)
        window.close()
        self.wait(seconds=0.2)


if __name__ == "__main__":
    PriorShots(Path(sys.argv[1])).run()
