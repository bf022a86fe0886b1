"""Shows runs of volumes (score distillation, known poses) and trainings, live and finished."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from app import known_poses_measures
from app.background import Background, words
from app.fourier_coverage import coverage_of
from app.job_monitor import JobMonitor
from app.maps_view import MapsView
from app.newest import Newest
from app.panels.fourier_coverage import FourierCoveragePanel
from app.panels.landscape import LandscapePanel
from app.panels.matches import MatchesPanel
from app.panels.messages import MessagesPanel
from app.panels.prior_training import PriorPlots
from app.panels.sds_results import SdsResultsPanel
from app.panels.starts import StartsPanel
from app.panels.training import CLOSED_FORM, NETWORK, TrainingPlots
from app.panels.viewer import ViewerPanel
from app.run_files import StoredRun
from app.run_view import RunView, unfinished
from app.sds_files import SdsRun, load_sds
from app.sds_measures import agreement_of, baseline_of, curves_of, notes_of, rows_of, summary_of
from app.snapshots import AnySnapshot
from app.style import Theme
from app.surfaces import Density
from engine.events import ImagesSnapshot, MapSnapshot, Metric, Result
from engine.io.prior_facts import level_errors
from engine.io.volumes import OF_VOLUMES

RELOAD_MS = 2500
PLOT_MS = 300
OWN_KINDS = (*OF_VOLUMES, "train_denoiser", "train_prior")


class SdsPanels:
    """What is shown on the right of runs of score distillation and of trainings."""

    def __init__(self) -> None:
        self.results = SdsResultsPanel()
        self.landscape = LandscapePanel()
        self.matches = MatchesPanel()
        self.coverage = FourierCoveragePanel()
        self.starts = StartsPanel()
        self.training = TrainingPlots()
        self.prior = PriorPlots()

    @property
    def tabs(self) -> list[tuple[QWidget, str, str]]:
        """Panels with their titles and tips."""
        return [
            (self.results, "Results", "How good the maps are, and on what that rests"),
            (self.coverage, "Coverage", "Which part of the map was measured, and which the prior supplied"),
            (self.landscape, "Landscape", "How the volumes differ; click one to see it"),
            (self.matches, "Images", "Each image beside what the map looks like from there"),
            (self.starts, "Starts", "How far independent starts agree"),
            (self.training, "Training", "How well the denoiser does so far"),
            (self.prior, "Training", "How well the prior does so far"),
        ]

    def shown_for(self, kind: str) -> Collection[QWidget]:
        """The panels for a kind of run."""
        if kind == "sds":
            return (self.results, self.landscape, self.matches, self.starts)
        if kind == "known_poses":
            return (self.results, self.coverage, self.matches)
        if kind == "train_prior":
            return (self.prior,)
        return (self.training,) if kind in OWN_KINDS else ()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        for panel, _title, _tip in self.tabs:
            panel.set_theme(theme)  # type: ignore[attr-defined]


class SdsView(QObject):
    """Controller of the pages and panels of these runs."""

    kind_shown = Signal(str)

    def __init__(
        self,
        background: Background,
        monitor: JobMonitor,
        run_view: RunView,
        viewer: ViewerPanel,
        panels: SdsPanels,
        messages: MessagesPanel,
    ) -> None:
        super().__init__(run_view)
        self.kind = "dps"
        self.run: SdsRun | None = None
        self.maps = MapsView(background, viewer.volume, self)
        self._monitor, self._viewer, self._panels, self._messages = monitor, viewer, panels, messages
        self._told: set[str] = set()
        self._reading = Newest(background)
        self._reload = _timer(self, RELOAD_MS, self._read_again)
        self._plot = _timer(self, PLOT_MS, self._redraw)
        monitor.began.connect(lambda _folder: self.maps.set_live(True))
        monitor.kind_known.connect(self.set_kind)
        monitor.map_moved.connect(self._map_moved)
        monitor.pictured.connect(self._pictured)
        monitor.metric.connect(self._add_metric)
        monitor.wrote.connect(self._wrote)
        monitor.ended.connect(self._ended)
        run_view.cleared.connect(self.clear)
        run_view.last_picture.connect(self._last_picture)
        run_view.run_shown.connect(self.show_run)
        self.maps.failed.connect(lambda message: messages.add("warning", message))
        self.maps.volume_shown.connect(self._volume_shown)
        panels.starts.start_chosen.connect(lambda n: self._show_map(f"start:{n}"))
        panels.matches.volume_wanted.connect(lambda n: self._show_map(f"volume:{n}"))
        panels.matches.image_chosen.connect(self.show_image)
        panels.landscape.volume_chosen.connect(lambda n: self._show_map(f"volume:{n}"))
        panels.landscape.place_chosen.connect(self._show_place)

    def close(self) -> None:
        """Stop the timers."""
        self._reload.stop()
        self._plot.stop()
        self._panels.landscape.stop()

    def set_kind(self, kind: str) -> None:
        """Show the panels for a kind of run."""
        self.kind = kind
        self.kind_shown.emit(kind)

    def clear(self) -> None:
        """Forget the run that was shown."""
        self.run = None
        self._told = set()
        self._reading.drop()
        self._reload.stop()
        self.maps.clear()
        for panel, _title, _tip in self._panels.tabs:
            panel.clear()  # type: ignore[attr-defined]
        self._viewer.images.clear()

    # ---- a running job --------------------------------------------------------------------------

    @Slot(object, object)
    def _map_moved(self, event: MapSnapshot, values: NDArray[np.float32]) -> None:
        if self._viewer.held:
            return  # an earlier picture is looked at
        self._viewer.offer_page("volume")
        label = event.label[:1].upper() + event.label[1:]
        noise = f"σ = {event.sigma:.2g}" if event.sigma > 0 else ""
        step = f"step {event.step} of {event.total}" if event.total > 1 else ""
        caption = " · ".join(part for part in (label, step, noise) if part)
        self.maps.show_live(Density(values, event.voxel_size_A or 1.0, label or "Map"), caption)

    @Slot(object, object)
    def _pictured(self, event: ImagesSnapshot, images: NDArray[np.float32]) -> None:
        if self.kind not in OF_VOLUMES:
            self._viewer.offer_page("images")
            self._viewer.images.show_images(images, event.role, f"Step {event.step:,}")

    @Slot(object)
    def _add_metric(self, event: Metric) -> None:
        plots = self._panels.prior if self.kind == "train_prior" else self._panels.training
        if plots.add(event.name, event.step, event.value) and not self._plot.isActive():
            self._plot.start()

    @Slot()
    def _redraw(self) -> None:
        (self._panels.prior if self.kind == "train_prior" else self._panels.training).redraw()

    @Slot(object)
    def _wrote(self, _event: Result) -> None:
        # Not at each file: a run may write many in a second.
        if self.kind in OF_VOLUMES and not self._reload.isActive():
            self._reload.start()

    @Slot()
    def _read_again(self) -> None:
        folder = self._monitor.folder
        if folder is not None and self._monitor.running:
            self._reading.ask(partial(load_sds, folder), self._show_parts, self._complain)

    @Slot(str, str)
    def _ended(self, _outcome: str, _message: str) -> None:
        self._reload.stop()
        self.maps.set_live(False)
        self.maps.control.refine()

    # ---- what a run has left --------------------------------------------------------------------

    @Slot(object, object)
    def _last_picture(self, event: AnySnapshot, array: NDArray[np.float32]) -> None:
        if isinstance(event, MapSnapshot):
            self._map_moved(event, array)
            self.maps.set_live(False)
        elif isinstance(event, ImagesSnapshot):
            self._viewer.offer_page("images")
            self._viewer.images.show_images(array, event.role, f"Step {event.step:,}")

    @Slot(object)
    def show_run(self, run: StoredRun) -> None:
        """Show what a run has left behind."""
        self.set_kind(run.kind)
        if run.kind == "train_prior":
            self._show_prior(run)
        elif run.kind in OWN_KINDS:
            self._show_training(run)
        if run.sds is not None:
            self._reading.drop()
            self._show_parts(run.sds, run)
            key = self.maps.first_key()
            if key:
                self._viewer.offer_page("volume")
                self.maps.set_live(False)
                self.maps.show_key(key)

    def _show_parts(self, sds: SdsRun, run: StoredRun | None = None) -> None:
        """Fill the panels; the picture in the middle stays."""
        panels, chosen = self._panels, self._panels.matches.image
        self.run = sds
        self.maps.set_run(sds)
        known, finished = sds.kind == "known_poses", run is not None and run.completed
        summary = known_poses_measures.summary_of(sds) if known else summary_of(sds)
        if run is not None and not finished:
            summary = f"{unfinished(run)} {summary}"
        panels.results.show_results(
            summary,
            known_poses_measures.rows_of(sds) if known else rows_of(sds),
            curves_of(sds.metrics),
            exportable=run is not None and run.exportable,
            has_folder=run is not None,
            finished=finished,
        )
        panels.starts.show_starts(
            sds.starts, agreement_of(sds.tournament), lone=sds.tournament.get("lone") is True
        )
        panels.matches.set_run(
            sds.count, sds.correlation, sds.confidence, has_volumes=bool(sds.volumes), noun=sds.noun
        )
        panels.matches.fits.set_label("bottom", sds.noun.capitalize())
        panels.coverage.show_coverage(coverage_of(sds.coverage), coloured=sds.prior_fraction is not None)
        found = sds.landscape
        if found is not None:
            panels.landscape.set_landscape(found.coordinates, found.explained, found.images, found.umap)
        self.show_image(min(chosen, max(1, sds.count)))
        for note in [*sds.problems, *notes_of(sds.metrics)]:
            if note not in self._told:
                self._told.add(note)
                if any(text.endswith(note) for text in self._messages.texts()):
                    continue  # the run has said so itself
                self._messages.add("warning" if note in sds.problems else "info", note)

    def _show_prior(self, run: StoredRun) -> None:
        plots = self._panels.prior
        for event in run.events:
            if isinstance(event, Metric):
                plots.add(event.name, event.step, event.value)
        plots.set_card(level_errors(run.prior) if run.prior is not None else ())
        plots.redraw()
        if not run.completed:
            self._messages.add("info", unfinished(run))

    def _show_training(self, run: StoredRun) -> None:
        training = self._panels.training
        for event in run.events:
            if isinstance(event, Metric):
                training.add(event.name, event.step, event.value)
        for name, key in (
            (NETWORK, "validation_rmse_over_sigma"), (CLOSED_FORM, "closed_form_rmse_over_sigma")
        ):  # fmt: skip
            training.set_errors(name, *baseline_of(run.metrics, key))
        training.redraw()

    # ---- what the user chooses ------------------------------------------------------------------

    def _show_map(self, key: str) -> None:
        self._viewer.show_page("volume")
        self.maps.set_live(False)
        self.maps.show_key(key)

    def show_image(self, image: int) -> None:
        """Show a class average, counted from 1, beside its projection."""
        run = self.run
        if run is None or run.prepared is None or not 1 <= image <= len(run.prepared):
            return
        seen = run.projections[image - 1] if run.projections is not None else None
        self._panels.matches.show_image(
            image, run.prepared[image - 1], seen, self._facts(image),
            has_volume=image in run.volumes, name=run.noun.capitalize(),
        )  # fmt: skip

    def _volume_shown(self, image: int) -> None:
        run, landscape = self.run, self._panels.landscape
        landscape.select_image(image)
        if run is not None and run.prepared is not None and 1 <= image <= len(run.prepared):
            seen = run.projections[image - 1] if run.projections is not None else None
            landscape.show_facts(
                run.prepared[image - 1], seen, f"Class average {image}. {self._facts(image)}"
            )
            self.show_image(image)

    def _facts(self, image: int) -> str:
        """What is known of a class average, counted from 1."""
        run = self.run
        if run is None:
            return ""
        parts = []
        entry = run.averages[image - 1] if image <= len(run.averages) else {}
        if isinstance(entry.get("count"), int | float):
            parts.append(f"{entry['count']:,.0f} particles")
        for name, values in (("fits with correlation", run.correlation), ("pose confidence", run.confidence)):
            if values is not None and image <= len(values) and np.isfinite(values[image - 1]):
                parts.append(f"{name} {values[image - 1]:.2f}")
        if entry.get("junk") is True:
            parts.append("looks like junk")
        if isinstance(entry.get("duplicate_of"), int):
            parts.append(f"resembles image {entry['duplicate_of']}")
        text = ", ".join(parts)
        return f"{text[:1].upper()}{text[1:]}." if text else ""

    def _show_place(self, point: NDArray[np.floating], interpolated: bool) -> None:
        run = self.run
        if run is None or run.landscape is None:
            return
        self._viewer.show_page("volume")
        nearest = int(run.landscape.images[run.landscape.nearest(point[None])[0]])
        if interpolated:
            self.maps.show_between(point, f"Interpolated, near volume {nearest}")
        elif self.maps.key != f"volume:{nearest}":
            self.maps.show_key(f"volume:{nearest}")

    def _complain(self, error: Exception) -> None:
        self._messages.add("warning", words(error))


def _timer(parent: QObject, milliseconds: int, slot: object) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
