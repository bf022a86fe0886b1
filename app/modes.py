"""Which of five things the window prepares, and the parts of it that change with the choice."""

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
from app.known_poses_mode import KnownPosesMode
from app.known_poses_session import KnownPosesSession
from app.mode_files import ModeFiles
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
    "known_poses": "The volume appears here while it forms, least squares first.",
}
INPUTS = {"dps": 0, "train_prior": 2, "known_poses": 3}
"""Which of the panels on the left each mode has; the others have that of class averages."""


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
        self.known = KnownPosesMode(window)
        self.files = ModeFiles(window, self)
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
        for panel in (window.inputs, self.averages_panel, self.prior.panel, self.known.panel):
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
        for part in (sds, training, self.prior, self.known):
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
        self.known.run_panel.next_wanted.connect(lambda: self.next.follow_offer("known_poses"))
        window.inputs.ab_initio_wanted.connect(self.files.ab_initio)
        window.session.averages_dropped.connect(self.open_averages)

    # ---- the mode -------------------------------------------------------------------------------

    @property
    def session(self) -> Session | SdsSession | TrainingSession | PriorSession | KnownPosesSession:
        """What is being prepared in this mode."""
        return self.sessions[list(MODES).index(self.mode)]

    @property
    def sessions(
        self,
    ) -> tuple[Session, SdsSession, TrainingSession, PriorSession, KnownPosesSession]:
        """What is being prepared in all modes, in the order of :data:`MODES`."""
        return (self._window.session, self.sds, self.training, self.prior.session, self.known.session)

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
        """The run panels of all modes, in the order of :data:`MODES`."""
        panels = (self._window.run_panel, self.sds_panel, self.training_panel)
        return (*panels, self.prior.run_panel, self.known.run_panel)

    @property
    def panel(self) -> RunFrame:
        """The run panel of this mode."""
        return self.run_panels[list(MODES).index(self.mode)]

    def set_mode(self, mode: str) -> None:
        """Prepare something else; what was prepared stays as it is."""
        self.mode = mode
        self.switch.show_mode(mode)
        self._inputs.setCurrentIndex(INPUTS.get(mode, 1))
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
        self.known.set_theme(theme)

    def set_running(self, running: bool, cancelling: bool) -> None:
        """Show whether a job is running."""
        for panel in self.run_panels:
            panel.set_running(running, cancelling)
        self.switch.set_enabled(not running)
        self.averages_panel.set_enabled(not running)
        self.prior.set_enabled(not running)
        self.known.panel.set_enabled(not running)
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
        self.files.add_files(paths)

    def open_averages(self, path: Path) -> None:
        """Use a file or folder of class averages."""
        self.files.open_averages(path)

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


def _spec_of(folder: Path) -> Any:
    from engine.jobs.run_dir import RunDir

    return RunDir.open(folder).spec()
