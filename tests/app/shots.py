"""Makes a picture of every state of the window: ``python -m tests.app.shots OUT_FOLDER``.

Needs a display; under Xvfb for instance ``xvfb-run -s "-screen 0 1600x1200x24"``. Runs real jobs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.panels.export import ExportDialog, ExportWish
from app.settings import Settings
from engine.jobs import worker
from tests.app import phantom


class Shots:
    def __init__(self, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.work = Path(tempfile.mkdtemp(prefix="verglas-shots-"))
        self.application = QApplication([])
        self.application.setStyle("Fusion")
        settings = Settings(self.work / "window.ini")
        settings.runs_folder = self.work / "runs"
        self.window = MainWindow(settings)
        self.window.resize(1440, 900)
        self.window.show()

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def shot(self, name: str) -> None:
        self.wait(seconds=0.7)
        # The canvas is drawn by OpenGL: grab the screen, as the user sees it.
        screen = self.window.screen().grabWindow(self.window.winId())
        screen.save(str(self.out / f"{name}.png"))
        print(name, flush=True)

    def run(self) -> None:
        window, session = self.window, self.window.session
        self.shot("01_empty")
        stack, star = phantom.write_projections(self.work, 4, pixel_size_A=0.0)
        session.add_files([stack])
        self.wait(lambda: not session.checking)
        self.shot("02_images_without_poses")
        session.add_files([star])
        self.wait(lambda: not session.checking)
        bad = self.work / "broken.mrc"
        bad.write_bytes(stack.read_bytes()[:3000])
        session.add_files([bad, phantom.write_structure(self.work / "complex.pdb")])
        self.wait(lambda: not session.checking)
        self.shot("03_bad_file_and_choice")
        rows = {row.names: row.number for row in session.evidence.values()}
        session.remove(rows["broken.mrc"])
        session.set_role(rows["complex.pdb"], "truth")
        card = next(iter(window.inputs.cards.values()))
        card._settings.setChecked(True)
        self.wait(lambda: not session.checking)
        self.shot("04_ready_with_form")
        card._settings.setChecked(False)
        window.run_panel._sampler.setCurrentIndex(1)
        window.run_panel._show_sampler()
        window.run_panel.advanced.setChecked(True)
        self.shot("05_advanced")
        window.run_panel.advanced.setChecked(False)
        session.set_sampler({"kind": "proximal", "steps": 30})
        session.set_prior({"kind": "gaussian", "sigma": 0.362})
        session.set_settings({"samples": 4, "points": 200, "title": "three lobes"})
        session.loaded.emit()
        window.start_run()
        self.wait(lambda: len(next(iter(window.energies.values.values()), [])) > 12)
        self.shot("06_running")
        window.viewer.toggle_colouring()
        self.shot("07_running_by_spread")
        self.wait(lambda: not window.monitor.running, 180)
        self.wait(lambda: window.run_view.stored is not None)
        self.shot("08_results_with_truth")
        window.viewer.toggle_colouring()
        window.viewer.step_sample(2)
        self.shot("09_one_sample")
        window.tabs.setCurrentWidget(window.messages)
        self.shot("10_messages")
        self.export_dialog()
        window.saving.export_to(ExportWish(self.work / "out.pdb", "pdb"))
        self.wait(lambda: not window.background.busy)
        number = next(n for n, row in session.evidence.items() if row.role == "truth")
        session.remove(number)
        window.start_run()
        self.wait(lambda: not window.monitor.running, 180)
        self.wait(lambda: window.run_view.stored is not None)
        self.shot("12_results_without_truth")
        window.choose_theme("dark")
        self.wait(seconds=0.5)
        self.shot("13_dark")
        window.tabs.setCurrentIndex(0)
        self.shot("14_dark_energies")
        window.resize(1100, 700)
        self.shot("15_small")
        window.choose_theme("light")
        session.add_files([phantom.write_map(self.work / "map.mrc")])
        self.wait(lambda: not session.checking)
        self.shot("16_map")
        window.close()
        self.wait(seconds=0.2)

    def export_dialog(self) -> None:
        from engine.io.export import FORMATS

        dialog = ExportDialog(dict(FORMATS), self.work, "ensemble", 7.0, self.window)
        dialog._format.setCurrentIndex(dialog._format.findData("mrc"))
        dialog.show()
        self.wait(seconds=0.5)
        dialog.grab().save(str(self.out / "11_export.png"))
        dialog.close()
        dialog.deleteLater()


if __name__ == "__main__":
    Shots(Path(sys.argv[1])).run()
    worker.shutdown()
