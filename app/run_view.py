"""Shows a run of points: connects the job monitor with viewer, plots, results and messages.

Runs of score distillation and trainings of denoisers are opened here, too, and shown by
:mod:`app.sds_view`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.background import Background, Ticket, words
from app.job_monitor import JobMonitor
from app.measures import error_sentence, fsc_of, measures_of, number, reliability_of, remarks_of, truth_of
from app.panels.messages import MessagesPanel
from app.panels.plots import EnergyPlot
from app.panels.results import NO_TRUTH, ResultsPanel
from app.panels.viewer import ViewerPanel
from app.prior_files import side_by_side
from app.run_files import StoredRun, load_last_snapshot, neighbour_spread
from app.snapshots import AnySnapshot
from engine.events import TERMINAL, Energies, Failed, Notice, Progress, Snapshot
from engine.io.volumes import OF_VOLUMES

LAST_PICTURE = "Last picture before the run ended"
OTHERS_SHOW = (*OF_VOLUMES, "train_denoiser", "train_prior")
PLOT_INTERVAL_MS = 300
PROGRESS_INTERVAL_S = 0.25
SPREAD_INTERVAL_MS = 500


class RunView(QObject):
    """Controller of everything that shows one run."""

    progressed = Signal(object, str)
    run_shown = Signal(object)
    cleared = Signal()
    last_picture = Signal(object, object)

    def __init__(
        self,
        background: Background,
        monitor: JobMonitor,
        viewer: ViewerPanel,
        energies: EnergyPlot,
        results: ResultsPanel,
        messages: MessagesPanel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.stored: StoredRun | None = None
        self._background, self._monitor = background, monitor
        self._viewer, self._energies, self._results, self._messages = viewer, energies, results, messages
        self._device = ""
        self._kind = "dps"
        self._stage, self._progressed_at = "", 0.0
        self._spread_ticket: Ticket | None = None
        self._spread_wanted = False
        self._plot_timer = QTimer(self)
        self._plot_timer.setSingleShot(True)
        self._plot_timer.setInterval(PLOT_INTERVAL_MS)
        self._plot_timer.timeout.connect(energies.redraw)
        self._spread_timer = QTimer(self)
        self._spread_timer.setSingleShot(True)
        self._spread_timer.setInterval(SPREAD_INTERVAL_MS)
        self._spread_timer.timeout.connect(self._want_spread_again)
        monitor.began.connect(self._began)
        monitor.kind_known.connect(self._set_kind)
        monitor.started.connect(self._started)
        monitor.progressed.connect(self._progressed)
        monitor.moved.connect(self._moved)
        monitor.energies.connect(self._add_energies)
        monitor.noticed.connect(messages.add)
        monitor.ended.connect(self._ended)
        monitor.stored.connect(self.show_run)
        viewer.by_spread_chosen.connect(lambda _on: self._want_spread())

    def close(self) -> None:
        """Stop the timers."""
        self._plot_timer.stop()
        self._spread_timer.stop()

    # ---- a running job --------------------------------------------------------------------------

    @Slot(object)
    def _began(self, folder: Path) -> None:
        self._clear()
        self._viewer.points.set_live(True)
        self._messages.add("info", f"Run started in {folder}")
        self.progressed.emit(-1.0, "Starting the engine…")

    @Slot(str)
    def _started(self, device: str) -> None:
        self._device = device
        self._messages.add("info", f"Computing on {device}")
        self.progressed.emit(-1.0, f"Computing on {device}")

    @Slot(object)
    def _progressed(self, event: Progress) -> None:
        now = time.monotonic()
        if now - self._progressed_at < PROGRESS_INTERVAL_S and event.stage == self._stage:
            return
        self._progressed_at, self._stage = now, event.stage
        share = event.done / event.total if event.total > 1 else -1.0
        parts = [event.stage[:1].upper() + event.stage[1:]]
        if event.total > 1:
            parts.append(f"{100 * share:.0f} %")
        if event.eta_s is not None and share < 1:
            parts.append(f"about {duration(event.eta_s)} left")
        if self._device:
            parts.append(self._device)
        self.progressed.emit(share, " · ".join(parts))

    @Slot(object, object)
    def _moved(self, event: Snapshot, points: NDArray[np.float32]) -> None:
        if self._kind == "train_prior":
            self._show_samples(event, points)
            return
        if self._viewer.held:
            return  # an earlier picture is looked at
        self._show_points(points)
        noise = f", σ = {event.sigma:.2g}" if event.sigma > 0 else ""
        self._viewer.set_caption(f"Step {event.step} of {event.total}{noise}")

    @Slot(object)
    def _add_energies(self, event: Energies) -> None:
        self._energies.add(event.step, event.sigma, event.values, event.stated)
        if not self._plot_timer.isActive():
            self._plot_timer.start()

    @Slot(str, str)
    def _ended(self, outcome: str, message: str) -> None:
        self._viewer.points.set_live(False)
        self._messages.add("error" if outcome == "failed" else "info", message)
        self.progressed.emit(None, message)

    # ---- a finished run -------------------------------------------------------------------------

    def open(self, path: Path, attach: Callable[[StoredRun], bool]) -> None:
        """Show a run directory or an ensemble file, read in the background.

        ``attach`` is asked first whether it follows the run as one that is being computed.
        """
        self.progressed.emit(-1.0, f"Opening {path.name}…")
        self._background.submit(
            partial(_load_all, path), lambda found: self._opened(found, attach), self._not_opened
        )

    def _opened(self, found: tuple[StoredRun, Any], attach: Callable[[StoredRun], bool]) -> None:
        run, snapshot = found
        self.progressed.emit(None, "")
        if attach(run):
            return
        self._clear()
        self._set_kind(run.kind)
        self._tell_history(run)
        if snapshot is not None:
            self._show_last(*snapshot)
        self.show_run(run)

    def _show_last(self, event: AnySnapshot, array: NDArray[np.float32]) -> None:
        if isinstance(event, Snapshot) and self._kind == "train_prior":
            self._show_samples(event, array)
        elif isinstance(event, Snapshot):
            self._show_points(array)
            self._viewer.set_caption(LAST_PICTURE)
        else:
            self.last_picture.emit(event, array)

    def _not_opened(self, error: Exception) -> None:
        self.progressed.emit(None, "")
        self._messages.add("error", words(error))

    def _tell_history(self, run: StoredRun) -> None:
        for event in run.events:
            if isinstance(event, Energies):
                self._energies.add(event.step, event.sigma, event.values, event.stated)
            elif isinstance(event, Notice):
                self._messages.add(event.level, event.message)
            elif isinstance(event, Failed):
                self._messages.add("error", event.message)
        self._energies.redraw()

    @Slot(object)
    def show_run(self, run: StoredRun) -> None:
        """Show what a run has left behind."""
        self.stored = run
        ended = next((e for e in reversed(run.events) if isinstance(e, TERMINAL)), None)
        if run.ensemble is not None:
            self._drop_spread()
            self._show_points(run.ensemble.points_A)
            self._viewer.set_caption(
                "Result" if ended is None or ended.type == "completed" else "Finished samples"
            )
        if run.kind in OTHERS_SHOW:
            pass
        elif run.ensemble is None:
            self._results.show_summary(unfinished(run), exportable=False, has_folder=run.folder.is_dir())
        else:
            self._show_results(run)
        self.run_shown.emit(run)

    def _show_results(self, run: StoredRun) -> None:
        assert run.ensemble is not None  # noqa: S101 - for the type checker
        count, points = run.ensemble.points_A.shape[:2]
        truth = truth_of(run.metrics)
        text = f"{count} cloud{'s' if count != 1 else ''} of {points} points"
        text += " (optima, not posterior draws)" if run.ensemble.kind == "optimum" else ""
        text += f", compared with {truth}." if truth else f". {NO_TRUTH}"
        text = " ".join(filter(None, (text, error_sentence(run.metrics))))
        self._results.show_summary(text, exportable=True, has_folder=run.folder.is_dir())
        self._results.show_measures(measures_of(run.metrics))
        self._results.show_fsc(fsc_of(run.metrics))
        self._results.show_reliability(reliability_of(run.metrics))
        self._results.show_spread(run.spread if run.spread is not None and count > 1 else None)
        for remark in remarks_of(run.metrics):
            self._messages.add("info", remark)
        if run.spread is not None and count > 1:
            self._messages.add(
                "info", f"Median spread {number(float(np.median(run.spread)))} Å over {count} samples."
            )

    def _set_kind(self, kind: str) -> None:
        self._kind = kind
        self._viewer.set_spread_offered(kind != "train_prior")

    def _show_samples(self, event: Snapshot, points: NDArray[np.float32]) -> None:
        """Samples of a prior in training: shapes of their own, side by side."""
        self._show_points(side_by_side(points))
        self._viewer.set_caption(
            f"Drawn from noise alone, step {event.step:,}",
            "A prior knows no sizes: each shape is shown as if its half-size were 100 Å.",
        )

    # ---- points and spread ----------------------------------------------------------------------

    def _show_points(self, points: NDArray[np.float32]) -> None:
        self._viewer.set_samples(len(points))
        self._viewer.points.set_points(points)
        self._want_spread()

    def _want_spread(self) -> None:
        """Compute the spread of what is shown, one request at a time, the newest last."""
        points = self._viewer.points.points_A
        if not self._viewer.by_spread or len(points) < 2:
            return
        final = self._final_spread(points)
        if final is not None:
            self._viewer.points.set_spread(final)
            return
        if self._spread_ticket is not None or self._spread_timer.isActive():
            self._spread_wanted = True
            return
        self._spread_timer.start()
        self._spread_ticket = self._background.submit(
            partial(neighbour_spread, points), self._spread_ready, lambda error: self._spread_ready(None)
        )

    def _final_spread(self, points: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The finished run's spread for all samples, whose points the engine has put into one order."""
        run = self.stored
        if run is None or run.ensemble is None or run.spread is None or run.ensemble.points_A is not points:
            return None
        return np.tile(run.spread, (len(points), 1)) if run.spread.shape == points.shape[1:2] else None

    def _spread_ready(self, spread: NDArray[np.float32] | None) -> None:
        self._spread_ticket = None
        self._viewer.points.set_spread(spread, "Distance to other samples (Å)")
        self._want_spread_again()

    @Slot()
    def _want_spread_again(self) -> None:
        if self._spread_wanted and self._spread_ticket is None and not self._spread_timer.isActive():
            self._spread_wanted = False
            self._want_spread()

    def _drop_spread(self) -> None:
        if self._spread_ticket is not None:
            self._spread_ticket.drop()
            self._spread_ticket = None
        self._spread_wanted = False
        self._spread_timer.stop()

    def _clear(self) -> None:
        self.stored = None
        self._device = ""
        self._drop_spread()
        self._energies.clear()
        self._results.clear()
        self._viewer.points.clear()
        self._viewer.set_samples(0)
        self._viewer.set_caption("")
        self.cleared.emit()


def duration(seconds: float) -> str:
    """Seconds in words that fit a status line."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _load_all(path: Path) -> tuple[StoredRun, Any]:
    from app.run_files import load_run

    run = load_run(path)
    return run, None if run.exportable else load_last_snapshot(run)


def unfinished(run: StoredRun) -> str:
    """What has become of a run that has no results, in words."""
    if run.running:
        return "This run is being computed."
    ended = next((e for e in reversed(run.events) if isinstance(e, TERMINAL)), None)
    if isinstance(ended, Failed):
        return f"This run failed: {ended.message}"
    if ended is not None and ended.type == "cancelled":
        if run.kind != "dps":
            return "This run was cancelled."
        return "This run was cancelled before its first samples were finished."
    return "This run has not finished, and no process is computing it. Run it again in the same folder."
