"""Pictures of runs of score distillation and trainings: ``python -m tests.app.sds_shots OUT_FOLDER``.

Needs a display of 2560 x 1440, e.g. ``xvfb-run -s "-screen 0 2560x1440x24"``. Runs no jobs: the run
directories are made up.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

import numpy as np
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.settings import Settings
from engine.events import Cancelled, MapSnapshot, Progress, Started
from engine.io.atomic import write_npy
from tests.app import sds_run
from tests.app.conftest import ReplayWorker

SIZES = ((1280, 800), (2560, 1440))


class SdsShots:
    def __init__(self, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.work = Path(tempfile.mkdtemp(prefix="verglas-sds-shots-"))
        self.application = QApplication([])
        self.application.setStyle("Fusion")
        settings = Settings(self.work / "window.ini")
        settings.runs_folder = self.work / "runs"
        self.workers: list[ReplayWorker] = []
        self.window = MainWindow(settings, self.make_worker)
        self.window.show()

    def make_worker(self, spec: object, folder: Path, on_event: object) -> ReplayWorker:
        self.workers.append(ReplayWorker(spec, folder, on_event))
        return self.workers[-1]

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def shots(self, name: str) -> None:
        for theme in ("light", "dark"):
            self.window.choose_theme(theme)
            for width, height in SIZES:
                self.window.resize(width, height)
                self.wait(seconds=0.9)
                picture = self.window.screen().grabWindow(self.window.winId())
                picture.save(str(self.out / f"{name}_{theme}_{width}.png"))
        self.window.choose_theme("light")
        print(name, flush=True)

    def open(self, folder: Path) -> None:
        self.window.open_run(folder)
        self.wait(lambda: self.window.run_view.stored is not None)
        self.wait(lambda: not self.window.background.busy)

    def run(self) -> None:
        window, panels = self.window, self.window.sds_panels
        finished = sds_run.write_sds(self.work / "runs" / "arm", images=24, box=64, starts=10)
        self.open(finished)
        window.viewer.volume.level.step(-12)
        self.shots("1_finished_fsc")
        window.tabs.setCurrentWidget(panels.landscape)
        panels.landscape._picked(16)
        self.shots("2_landscape_clicked")
        panels.landscape.set_path([0, 8, 16, 23])
        panels.landscape._slider.setValue(33)
        window.viewer.volume._colour.setCurrentIndex(1)
        window.viewer.volume.colour_chosen.emit("motion")
        self.shots("3_path_coloured_by_motion")
        window.tabs.setCurrentWidget(panels.matches)
        panels.matches._go_to_worst()
        window.viewer.volume.toggle_slices()
        self.shots("4_slices_and_images")
        window.viewer.volume.toggle_slices()
        window.tabs.setCurrentWidget(panels.starts)
        window.viewer.volume._colour.setCurrentIndex(0)
        window.viewer.volume.colour_chosen.emit("")
        panels.starts._table.selectRow(9)
        window.viewer.volume._other.setCurrentIndex(1)
        window.viewer.volume.other_chosen.emit("map:Consensus")
        self.shots("5_starts_overlay")
        self.live()
        self.open(sds_run.write_sds(self.work / "runs" / "cut", images=8, finished=False))
        self.shots("7_cut_off")
        self.open(sds_run.write_training(self.work / "runs" / "training"))
        self.shots("8_training")
        window.close()
        self.wait(seconds=0.2)

    def live(self) -> None:
        """A volume that forms, told by a worker that only replays."""
        window, folder = self.window, self.work / "runs" / "live"
        (folder / "snapshots").mkdir(parents=True)
        window.monitor.start(None, folder)
        self.wait(lambda: bool(self.workers) and not window.monitor.starting)
        tell = self.workers[-1].on_event
        tell(Started(kind="sds", device="CPU (2 cores)", version="0"))
        body = sds_run.body(64)
        rng = np.random.default_rng(0)
        for step in range(1, 31):
            noise = sds_run.gaussian_filter(rng.normal(size=body.shape), 2.0)
            share = step / 60
            values = (share * body + 0.5 * (1 - share) * noise / noise.std()).astype(np.float32)
            write_npy(folder / "snapshots" / f"map_{step}.npy", values)
            tell(Progress(stage="volume 3 of 24", done=step, total=60, eta_s=14.0))
            tell(MapSnapshot(
                step=step, total=60, sigma=0.8 - 0.5 * share, path=f"snapshots/map_{step}.npy",
                voxel_size_A=4.0, label="start 3 of 10",
            ))  # fmt: skip
            self.wait(seconds=0.12)
        self.shots("6_volume_forming")
        tell(Cancelled(seconds=9.0))
        self.wait(lambda: not window.monitor.running)


if __name__ == "__main__":
    SdsShots(Path(sys.argv[1])).run()
