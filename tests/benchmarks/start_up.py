"""How long the window takes to come up: ``python -m tests.benchmarks.start_up [--runs 10]``.

Each start is a fresh process that runs ``app.main`` as users do, with settings of its own, and ends once the
window is complete. In turn with it a plain Qt window with a label starts: what Python and Qt take by
themselves. Times count from the start of the process (wall) and are the process's own (CPU, all threads):

- painted: the whole window has been drawn for the first time;
- complete: all features and pictures are there, and the event loop has nothing to do;
- stall: the longest single piece of work between the two, during which no event was answered.

The first start compiles and is not counted. Needs a display, for instance ``xvfb-run -s "-screen 0
1600x1200x24"``. Acceptance: painted and of use in less than 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_CLOCK = """
import json, os, sys, time
BEGAN = float(os.environ["BEGAN"])
marks = {}
def mark(name):
    if name not in marks:
        marks[name] = (time.time() - BEGAN, time.process_time())
"""

PLAIN = (
    _CLOCK
    + """
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow
application = QApplication([])
application.setStyle("Fusion")
window = QMainWindow()
window.setCentralWidget(QLabel("Ready"))
window.resize(1440, 900)
window.show()
def painted():
    mark("painted"); mark("complete"); marks["stall"] = 0.0
    print(json.dumps(marks)); application.quit()
QTimer.singleShot(0, lambda: QTimer.singleShot(0, painted))
application.exec()
"""
)

WINDOW = (
    _CLOCK
    + """
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
import app.main

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and "painted" not in marks:
            QTimer.singleShot(0, self.painted)
        return False

    def painted(self):
        mark("painted")
        self.last, self.stall = time.perf_counter(), 0.0
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)
        self.timer.start(1)

    def tick(self):
        now = time.perf_counter()
        self.stall, self.last = max(self.stall, now - self.last), now
        if not window.features.missing:
            self.timer.stop()
            QTimer.singleShot(0, self.done)

    def done(self):
        mark("complete")
        marks["stall"] = self.stall
        marks["heavy"] = [m for m in ("torch", "scipy", "skimage", "gemmi", "matplotlib") if m in sys.modules]
        print(json.dumps(marks), flush=True)
        window.close()
        QApplication.quit()

run = QApplication.exec
def run_watched(*_application):
    global window
    window = next(w for w in QApplication.topLevelWidgets() if type(w).__name__ == "MainWindow")
    watch = Watch(window)
    window.installEventFilter(watch)
    return run()
QApplication.exec = run_watched
app.main._prewarm = lambda: None  # another process's work
sys.exit(app.main.main([]))
"""
)


def start(script: str, folder: Path) -> dict[str, float]:
    """Start a process and wait for its end; seconds of each mark, ``name`` and ``name cpu``."""
    environment = {
        **os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data"),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"), "LIBGL_ALWAYS_SOFTWARE": "1",
    }  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["BEGAN"] = str(time.time())
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"The window did not come up.\n{done.stderr[-2000:]}")
    marks = json.loads(lines[-1])
    found = {}
    for name in ("painted", "complete"):
        found[name], found[f"{name} cpu"] = marks[name]
    return {**found, "stall": marks["stall"]}


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    rows: dict[str, list[dict[str, float]]] = {"plain Qt window": [], "Verglas": []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="verglas-start-") as name:
        for i in range(runs + 1):
            for kind, script in (("plain Qt window", PLAIN), ("Verglas", WINDOW)):
                found = start(script, Path(name))
                if i:
                    rows[kind].append(found)
                time.sleep(0.2)
    print(
        f"{runs} starts each; {os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    columns = ("painted", "painted cpu", "complete", "complete cpu", "stall")
    print(f"{'median (longest), s':20s}" + "".join(f"{c:>17s}" for c in columns))
    for kind, found in rows.items():
        cells = [(np.median([f[c] for f in found]), max(f[c] for f in found)) for c in columns]
        print(f"{kind:20s}" + "".join(f"{f'{m:.2f} ({w:.2f})':>17s}" for m, w in cells))
    return 0 if np.median([f["painted"] for f in rows["Verglas"]]) < 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
