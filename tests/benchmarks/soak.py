"""Runs back to back in one window: whether memory, handles, threads, processes or widgets pile up.

    xvfb-run -s "-screen 0 1600x1200x24" python -m tests.benchmarks.soak --minutes 120 --json FILE

Each round draws an ensemble, makes volumes of class averages, exports both, opens an older run, and every
third round cancels a run on its way. After each round the window's and the idle engine process's sizes are
read. The first rounds warm up; growth is told between the medians of the first and the last fifth of the
others, and as a slope. Acceptance: memory grows by less than 5 %, nothing else at all. A run's folder is
removed after the round in which it was opened again, so that the disk doesn't fill; the project's list
shrinks with it.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
from PySide6.QtWidgets import QApplication

from app.panels.export import ExportWish
from engine.jobs import worker
from engine.jobs.engine_process import POOL
from tests.app import phantom
from tests.benchmarks.event_loop import Bench

WARM_UP = 5
LIMIT_S = 300.0
KEPT = 4  # runs that stay to be opened again


class Soak(Bench):
    """A window that works for hours."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.done: list[Path] = []

    def prepare(self) -> None:
        """Evidence and class averages, once."""
        window, session = self.window, self.window.session
        window.modes.set_mode("dps")
        session.add_files(phantom.write_projections(self.folder, 4))
        self.spin(lambda: not session.checking, 60)
        session.set_prior({"kind": "gaussian", "sigma": 0.362})
        session.set_sampler({"kind": "proximal", "steps": 40})
        self._averages(12)
        window.modes.sds.set_settings({"volumes": "each", "restarts": 2, "refine_rounds": 3})

    def round(self, number: int) -> None:
        """Two runs, exports, one opened again; sometimes one cancelled."""
        window = self.window
        window.modes.set_mode("dps")
        window.session.set_settings({"samples": 4, "points": 512, "seed": number})
        points = self.complete()
        self.export(points, "points", ("mmcif", "mrc"))
        window.modes.set_mode("sds")
        window.modes.sds.set_settings({"seed": number})
        volumes = self.complete()
        self.export(volumes, "volumes", ("mrc",))
        if number % 3 == 0:
            window.modes.set_mode("dps")
            window.session.set_settings({"samples": 400})
            self.begin()
            self.spin(lambda: False, 2.0)
            window.cancel_run()
            self.spin(lambda: not window.monitor.running, LIMIT_S)
            self.calm()
        if len(self.done) > KEPT:
            self._open(self.done[0])
        while len(self.done) > KEPT:
            shutil.rmtree(self.done.pop(0))
        self.calm()

    def begin(self) -> None:
        """Start what the mode describes."""
        self.window.start_run()
        self.spin(lambda: self.window.monitor.running and not self.window.monitor.starting, LIMIT_S)

    def complete(self) -> Path:
        """A run to its end; its folder."""
        self.begin()
        folder = self.window.monitor.folder
        assert folder is not None
        self.spin(lambda: not self.window.monitor.running, LIMIT_S)
        self.spin(lambda: self.window.run_view.stored is not None, LIMIT_S)
        self.calm()
        if not (folder / "results" / "metrics.json").is_file():
            raise RuntimeError(f"{folder.name} did not finish: {self.window.messages.texts()[-3:]}")
        self.done.append(folder)
        return folder

    def export(self, run: Path, name: str, kinds: tuple[str, ...]) -> None:  # type: ignore[override]
        """Write results of the run that is shown."""
        for kind in kinds:
            out = self.folder / f"{name}.{kind}"
            self.window.saving.export_to(ExportWish(out, kind))
            self.calm()
            if not out.is_file():
                raise RuntimeError(f"{out.name} of {run.name} was not written")
            out.unlink()

    def measure(self, began: float) -> dict[str, float]:
        """Sizes of the window's process and of the idle engine."""
        self.application.processEvents()
        gc.collect()
        process = psutil.Process()
        row = {
            "minutes": (time.monotonic() - began) / 60,
            "memory_MB": process.memory_full_info().uss / 1e6,
            "handles": process.num_fds(),
            "threads": process.num_threads(),
            "processes": len(process.children(recursive=True)),
            "widgets": len(QApplication.allWidgets()),
            "objects": len(gc.get_objects()),
        }
        if POOL.idle_pid is not None:
            engine = psutil.Process(POOL.idle_pid)
            row |= {
                "engine_memory_MB": engine.memory_full_info().uss / 1e6,
                "engine_handles": engine.num_fds(),
                "engine_threads": engine.num_threads(),
            }
        self.rows.append(row)
        return row


def growth(values: list[float], minutes: list[float]) -> tuple[float, float, float]:
    """Medians of the first and last fifth, and the slope for an hour as a share of the first."""
    fifth = max(1, len(values) // 5)
    first, last = float(np.median(values[:fifth])), float(np.median(values[-fifth:]))
    slope = float(np.polyfit(minutes, values, 1)[0]) * 60 if len(values) > 2 else 0.0
    return first, last, slope / first if first else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    soak = Soak()
    soak.prepare()
    began, number = time.monotonic(), 0
    while time.monotonic() - began < options.minutes * 60:
        number += 1
        soak.round(number)
        row = soak.measure(began)
        print(f"{number:>4} " + "  ".join(f"{k} {v:.1f}" for k, v in row.items()), flush=True)
        options.json.write_text(json.dumps(soak.rows))
    steady = soak.rows[WARM_UP:]
    print(
        f"\n{number} rounds, {len(steady)} after warm-up\n| what | first | last | change | slope per hour |"
    )
    print("|-|-|-|-|-|")
    for name in steady[0] if steady else ():
        if name != "minutes":
            rows = [r for r in steady if name in r]
            first, last, slope = growth([r[name] for r in rows], [r["minutes"] for r in rows])
            change = (last - first) / first if first else 0.0
            print(f"| {name} | {first:.1f} | {last:.1f} | {change:+.1%} | {slope:+.1%} |")
    soak.window.close()
    worker.shutdown()
    shutil.rmtree(soak.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
