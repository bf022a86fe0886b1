"""Which of four things the window prepares, and the parts of it that change with the choice."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from app.averages_export import ask_and_export
from app.averages_session import AveragesSession
from app.averages_view import AveragesView
from app.denoiser_card import DenoiserCard, read_card
from app.next_offers import NextOffers
from app.panels.averages import AveragesPanel
from app.panels.gallery import Gallery
from app.panels.mode_switch import MODES, ModeSwitch
from app.panels.run_frame import RunFrame
from app.panels.sds_run import SdsPanel
from app.panels.training_run import TrainingPanel
from app.prior_mode import PriorMode
from app.prior_session import PriorSession
from app.run_files import has_results
from app.sds_session import SdsSession
from app.session import Session
from app.style import Theme
from app.training_session import TrainingSession
from engine.specs.job import JobSpec
from engine.specs.presets import SDS_PRESETS

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.run_files import StoredRun

AVERAGES, RESULT = 0, 1
OF_AVERAGES = ("sds", "train_denoiser")  # modes that begin with class averages
WAITING = {
    "dps": "The clouds appear here as soon as the evidence has been read.",
    "sds": "The volume appears here while it forms, as soon as the first start has begun.",
    "train_denoiser": "Samples of the denoiser appear here while it is trained.",
    "train_prior": "Shapes that the prior draws appear here while it is trained, about one a minute.",
}
AB_INITIO = "Images without poses: their volumes are reconstructed ab initio."
NOT_USED = "{name} is of no use here: drop class averages, a 2D denoiser, or a reference map."


class Modes(QObject):
    """Owns the sessions and panels of class averages, and sends what is dropped to the right one.

    Parameters
    ----------
    window : whose sessions, panels and dialogs are used.
    """

    changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.mode = "dps"
        self.averages = AveragesSession(window.background, self, history=window.history)
        self.sds = SdsSession(self.averages, window.background, self)
        self.training = TrainingSession(self.averages, self)
        self.prior = PriorMode(window)
        self.switch = ModeSwitch()
        self.averages_panel = AveragesPanel()
        self.sds_panel = SdsPanel({name: preset.description for name, preset in SDS_PRESETS.items()})
        self.training_panel = TrainingPanel()
        self.gallery = Gallery()
        self.view = AveragesView(self.averages, self.averages_panel, self.gallery, self)
        self.next = NextOffers(window, self)
        self._ended_in = ""  # the mode in which a run ended whose results are still being read
        self._lay_out()
        self._connect()
        self.set_mode("dps")
        self._show_sds()
        self._show_training()

    def _lay_out(self) -> None:
        window = self._window
        self.inputs = QWidget()
        self._inputs = QStackedWidget()
        for panel in (window.inputs, self.averages_panel, self.prior.panel):
            self._inputs.addWidget(panel)
        column = QVBoxLayout(self.inputs)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.switch)
        column.addWidget(self._inputs, 1)
        self.run = QStackedWidget()
        for run_panel in self.run_panels:
            self.run.addWidget(run_panel)
        self.middle = QTabWidget()
        self.middle.setDocumentMode(True)
        self.middle.tabBar().setDrawBase(False)
        self.middle.addTab(self.gallery, "Class averages")
        self.middle.addTab(window.viewer, "Result")
        self.middle.setTabToolTip(AVERAGES, "What the run begins with (G changes between the two)")
        self.middle.setTabToolTip(RESULT, "What the run makes (G changes between the two)")

    def _connect(self) -> None:
        window, sds, training = self._window, self.sds, self.training
        self.switch.chosen.connect(self.set_mode)
        for part in (sds, training, self.prior):
            part.changed.connect(self.changed)
        self.prior.mode_wanted.connect(self.set_mode)
        sds.loaded.connect(self._show_sds)
        training.loaded.connect(self._show_training)
        self.averages.said.connect(window.say)
        sds.said.connect(window.say)
        sds.changed.connect(self._show_truth)
        panel = self.sds_panel
        panel.preset_chosen.connect(sds.apply_preset)
        panel.settings_entered.connect(sds.set_settings)
        panel.denoiser_entered.connect(sds.set_denoiser)
        panel.distillation_entered.connect(sds.set_distillation)
        panel.weights_wanted.connect(lambda: self._choose_weights(panel.show_weights))
        panel.next_wanted.connect(lambda: self.next.follow_offer("sds"))
        other = self.training_panel
        other.settings_entered.connect(training.set_settings)
        other.start_entered.connect(training.set_start)
        other.weights_wanted.connect(lambda: self._choose_weights(other.show_weights))
        other.next_wanted.connect(lambda: self.next.follow_offer("train_denoiser"))
        self.averages_panel.add_wanted.connect(window.add_files)
        self.averages_panel.truth_removed.connect(lambda: sds.set_truth(None))
        self.gallery.export_wanted.connect(self.export_selection)
        window.inputs.ab_initio_wanted.connect(self._ab_initio)
        window.session.averages_dropped.connect(self.open_averages)

    # ---- the mode -------------------------------------------------------------------------------

    @property
    def session(self) -> Session | SdsSession | TrainingSession | PriorSession:
        """What is being prepared in this mode."""
        sessions = (self._window.session, self.sds, self.training, self.prior.session)
        return sessions[list(MODES).index(self.mode)]

    @property
    def of_averages(self) -> bool:
        """Whether this mode begins with class averages."""
        return self.mode in OF_AVERAGES

    @property
    def waiting(self) -> str:
        """What will appear in the middle, in words."""
        return WAITING[self.mode]

    @property
    def run_panels(self) -> tuple[RunFrame, ...]:
        """The run panels of all modes, in the order of the switch."""
        return (self._window.run_panel, self.sds_panel, self.training_panel, self.prior.run_panel)

    @property
    def panel(self) -> RunFrame:
        """The run panel of this mode."""
        return self.run_panels[list(MODES).index(self.mode)]

    def set_mode(self, mode: str) -> None:
        """Prepare something else; what was prepared stays as it is."""
        self.mode = mode
        self.switch.show_mode(mode)
        self._inputs.setCurrentIndex({"dps": 0, "train_prior": 2}.get(mode, 1))
        self.run.setCurrentIndex(list(MODES).index(mode))
        self.averages_panel.set_mode(mode)
        self.middle.tabBar().setVisible(self.of_averages)
        # It hands the keyboard to its tab bar: while that is hidden, Tab would end here.
        self.middle.setFocusPolicy(Qt.FocusPolicy.TabFocus if self.of_averages else Qt.FocusPolicy.NoFocus)
        self.middle.setCurrentIndex(AVERAGES if self.of_averages else RESULT)
        if not self.of_averages:
            self._window.shelf.refresh()
        self.changed.emit()

    def show_other_page(self) -> None:
        """Go from the class averages to the result, or back."""
        if self.of_averages:
            self.middle.setCurrentIndex(1 - self.middle.currentIndex())

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.gallery.set_theme(theme)
        for panel in (self.averages_panel, self.sds_panel, self.training_panel, self.prior):
            panel.retint()

    def set_running(self, running: bool, cancelling: bool) -> None:
        """Show whether a job is running."""
        for panel in self.run_panels:
            panel.set_running(running, cancelling)
        self.switch.set_enabled(not running)
        self.averages_panel.set_enabled(not running)
        self.prior.set_enabled(not running)
        self.gallery.set_enabled(not running)
        if running:
            self.next.clear()
            self._ended_in = ""
            self.middle.setCurrentIndex(RESULT)

    def set_progress(self, share: float | None, status: str) -> None:
        """Show progress in the panel of the mode whose job runs."""
        self.panel.set_progress(share, status)

    def show_folder(self, folder: str) -> None:
        """Show where runs are written."""
        for panel in self.run_panels:
            panel.show_folder(folder)

    def leave_out_marked(self) -> None:
        """Leave out what looks like junk or repeats another."""
        if self.of_averages and not self._window.monitor.running:
            self.averages.leave_out_marked()

    # ---- what is dropped ------------------------------------------------------------------------

    def add_files(self, paths: Iterable[Path]) -> None:
        """Take files or folders, whatever they are."""
        evidence: list[Path] = []
        clouds: list[Path] = []
        paths = [Path(path).absolute() for path in paths]
        project = next((path for path in paths if (path / "project.json").is_file()), None)
        if project is not None:
            self._window.features["project"].open(project)
            return
        for path in paths:
            is_run = path.is_dir() and (path / "spec.json").exists()
            if self.mode == "train_prior" and not is_run and path.suffix.lower() not in (".toml", ".json"):
                clouds.append(path)
            elif path.is_dir() and not is_run:
                self.open_averages(path)
            elif path.suffix.lower() == ".safetensors":
                self._window.in_background(partial(read_card, path), partial(self._weights_dropped, path))
            elif self.mode == "dps" or path.is_dir() or path.suffix.lower() in (".toml", ".json"):
                evidence.append(path)
            else:
                self._window.in_background(partial(_kind_of, path), partial(self._dropped, path))
        self._window.session.add_files(evidence)
        self.prior.add_files(clouds)

    def open_averages(self, path: Path) -> None:
        """Use a file or folder of class averages."""
        with self._window.history.step(f"open {path.name}"):
            if not self.of_averages:
                self.set_mode("sds")
                self._window.say(AB_INITIO)
            self.middle.setCurrentIndex(AVERAGES)
            self.averages.open(path)

    def _ab_initio(self, number: int) -> None:
        row = self._window.session.evidence.get(number)
        if row is not None:
            path, size = row.paths[0], row.pixel_size_A
            with self._window.history.step(f"reconstruct {path.name} without poses"):
                self._window.session.remove(number)
                self.open_averages(path)
                if size:
                    self.averages.set_options({"pixel_size_A": size})
                    self.averages.options_replaced.emit()

    def _dropped(self, path: Path, kind: str) -> None:
        window = self._window
        if kind in ("images", "class_averages", "poses"):
            self.open_averages(path)
        elif kind == "volume" and self.mode == "sds":
            self.sds.set_truth(path)
            window.say(f"{path.name} is the reference to judge by. If it holds images, rename it to .mrcs.")
        elif kind == "volume unscaled" and self.mode == "sds":
            window.complain(f"The voxel size of {path.name} is unknown, so it can't be compared with.")
        elif kind == "ensemble":
            window.open_run(path)
        else:
            window.complain(NOT_USED.format(name=path.name))

    def _weights_dropped(self, path: Path, card: DenoiserCard | None) -> None:
        if card is None:
            if self.mode == "dps":
                self._window.session.add_files([path])
            else:
                self._window.complain(f"{path.name} is a prior of point clouds, not a 2D denoiser.")
        elif self.mode == "train_denoiser":
            self.training_panel.show_weights(str(path))
            self._window.say(f"The training starts from {path.name}.")
        else:
            with self._window.history.step(f"use the denoiser {path.name}"):
                self.set_mode("sds")
                self.sds.use_weights(path)
            self._window.say(f"{path.name} is used as the denoiser.")

    def load(self, spec: JobSpec) -> None:
        """Show a run description in the mode that it is for."""
        with self._window.history.step("load settings"):
            self.set_mode(spec.kind)
            load: Any = self.session.load
            load(spec)

    # ---- showing --------------------------------------------------------------------------------

    def show_plan(self) -> str:
        """Say what Run will do, or why it can't; and give that reason."""
        session = self.session
        reason = session.missing()
        self.panel.show_plan("" if reason else session.sentence(), reason)
        return reason

    def _show_sds(self) -> None:
        self.sds_panel.show_values(self.sds.settings, self.sds.denoiser, self.sds.distillation)
        self._show_truth()

    def _show_truth(self) -> None:
        truth = self.sds.truth
        self.averages_panel.show_truth(truth.name if truth else "", str(truth or ""))

    def _show_training(self) -> None:
        self.training_panel.show_values(self.training.settings, self.training.start_from)

    # ---- the next step --------------------------------------------------------------------------

    def run_ended(self, outcome: str) -> None:
        """Offer what usually comes next."""
        folder = self._window.monitor.folder
        self._ended_in = self.mode if folder is not None and has_results(folder) else ""
        if outcome == "completed" and folder is not None:
            self._window.in_background(partial(_spec_of, folder), lambda spec: self.next.offer(spec, folder))

    def show_run(self, run: StoredRun) -> None:
        """Go to the mode of a run that is shown, and to its result."""
        kind = getattr(run.spec, "kind", "")
        ended_in, self._ended_in = self._ended_in, ""
        # While a run that has just ended was being read, the user may have gone on to the next step.
        gone_on = ended_in not in ("", self.mode) and run.folder == self._window.monitor.folder
        if not gone_on:
            if kind in MODES and kind != self.mode:
                self.set_mode(kind)
            self.middle.setCurrentIndex(RESULT)
        if run.spec is not None and not run.running:
            self.next.offer(run.spec, run.folder)

    # ---- files ----------------------------------------------------------------------------------

    def _choose_weights(self, show: Any) -> None:
        path = self._window.dialogs.weights(self._window.settings.last_folder, "Weights of a 2D denoiser")
        if path is not None:
            show(str(path))

    def export_selection(self) -> None:
        """Ask where, and write the selected images as STAR and MRCS."""
        ask_and_export(self._window, self.averages)


def _kind_of(path: Path) -> str:
    """What a file is, for a mode of class averages; ``volume unscaled`` for a map without voxel size."""
    from engine.io.formats import summarise

    summary = summarise(path)
    if summary.kind == "volume" and summary.needs_pixel_size:
        return "volume unscaled"
    return str(summary.kind)


def _spec_of(folder: Path) -> Any:
    from engine.jobs.run_dir import RunDir

    return RunDir.open(folder).spec()
