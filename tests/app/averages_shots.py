"""Pictures of the modes with class averages: ``python -m tests.app.averages_shots OUT [FILE PIXEL_SIZE]``.

Without a file it draws class averages of its own. Needs a display, as ``tests.app.shots`` does.
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
from app.settings import Settings
from engine.jobs import worker
from tests.app import averages_phantom, phantom


class Shots:
    def __init__(self, out: Path, averages: Path | None, pixel_size_A: float) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.work = Path(tempfile.mkdtemp(prefix="verglas-shots-"))
        self.averages, self.pixel_size_A = averages, pixel_size_A
        if averages is None:
            self.averages = averages_phantom.write_stack(self.work, 24, pixel_size_A=0.0, junk=2, twins=2)
        self.application = QApplication.instance() or QApplication([])
        self.application.setStyle("Fusion")
        settings = Settings(self.work / "window.ini")
        settings.runs_folder = self.work / "runs"
        self.window = MainWindow(settings)
        self.window.show()

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def shot(self, name: str) -> None:
        self.wait(seconds=0.4)
        self.window.grab().save(str(self.out / f"{name}.png"))
        print(name, flush=True)

    def states(self, prefix: str) -> None:
        """All states in the present size and theme."""
        window, modes = self.window, self.window.modes
        modes.set_mode("sds")
        modes.averages.close()
        modes.sds.set_truth(None)
        self.shot(f"{prefix}_1_empty")
        modes.add_files([self.averages])
        self.wait(lambda: modes.averages.quality is not None)
        self.shot(f"{prefix}_2_pixel_size")
        modes.averages_panel._size.setValue(self.pixel_size_A)
        modes.averages_panel._size_button.click()
        self.wait(lambda: modes.averages.shown is not None)
        modes.sds.set_truth(phantom.write_map(self.work / "reference.mrc"))
        self.shot(f"{prefix}_3_gallery")
        modes.averages.leave_out_marked()
        modes.averages.select([2, 5, 6], on=False)
        modes.sds_panel.settings_form.field("symmetry").setText("D1")
        modes.sds_panel.settings_form._edited()
        self.wait(lambda: not window.background.busy)
        self.shot(f"{prefix}_4_selection_and_error")
        modes.sds.set_settings({"symmetry": "D2"})
        modes._show_sds()
        modes.gallery.show_prepared(True)
        modes.gallery._size.setValue(150)
        self.shot(f"{prefix}_5_prepared")
        modes.gallery.show_prepared(False)
        modes.gallery._size.setValue(104)
        modes.sds_panel.advanced.setChecked(True)
        modes.sds_panel._denoiser.setCurrentIndex(1)
        modes.sds_panel._show_denoiser()
        modes.sds_panel._enter_denoiser()
        self.shot(f"{prefix}_6_advanced_without_weights")
        modes.sds_panel.advanced.setChecked(False)
        modes.sds.apply_preset("standard")
        modes.set_mode("train_denoiser")
        modes.training_panel.offer("Use this denoiser for volumes")
        self.shot(f"{prefix}_7_training")
        modes.training_panel.offer("")

    def run(self) -> None:
        for theme in ("light", "dark"):
            self.window.choose_theme(theme)
            for width, height in ((1280, 800), (2560, 1440)):
                self.window.resize(width, height)
                self.wait(seconds=0.3)
                self.states(f"{theme}_{width}")
        self.window.close()
        self.wait(seconds=0.2)


if __name__ == "__main__":
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    Shots(Path(sys.argv[1]), given, float(sys.argv[3]) if len(sys.argv) > 3 else phantom.PIXEL_A).run()
    worker.shutdown()
