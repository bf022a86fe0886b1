"""The window: evidence and run left, clouds in the middle, plots, results and messages right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, QTimer, QUrl, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
)
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

from app import style
from app.actions import Actions
from app.averages_menu import add_averages_menu
from app.background import Background, words
from app.columns import Columns
from app.commands import Commands
from app.dialogs import Dialogs
from app.features import Features
from app.history import History
from app.job_monitor import JobMonitor, MakeWorker, engine_worker
from app.leaving import may_close
from app.modes import Modes
from app.panels.inputs import InputsPanel
from app.panels.messages import MessagesPanel
from app.panels.plot import Plot
from app.panels.plots import EnergyPlot
from app.panels.results import ResultsPanel
from app.panels.run import RunPanel
from app.panels.viewer import ViewerPanel
from app.prior_shelf import PriorShelf
from app.run_files import StoredRun
from app.run_folders import new_run_folder
from app.run_view import RunView
from app.saving import Saving
from app.sds_view import SdsPanels, SdsView
from app.session import Session
from app.settings import Settings
from engine.specs.presets import PRESETS

TITLE = "Verglas"
TRAINED = "Its errors are on the right. Longer trainings show samples here."


class MainWindow(QMainWindow):
    """Owns the controllers and connects them with the panels.

    Parameters
    ----------
    settings : what is remembered between sessions.
    make_worker : replaced in tests.
    """

    def __init__(self, settings: Settings | None = None, make_worker: MakeWorker = engine_worker) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.dialogs = Dialogs(self)
        self.history = History(self)
        self.background = Background(2, self)
        self.shelf = PriorShelf(self.background, self)
        self.session = Session(
            self.background, self.settings.runs_folder, self, shelf=self.shelf, history=self.history
        )
        self.monitor = JobMonitor(self.background, make_worker, self)
        self.inputs = InputsPanel()
        self.run_panel = RunPanel({name: preset.description for name, preset in PRESETS.items()})
        self.viewer = ViewerPanel()
        self.energies = EnergyPlot()
        self.results = ResultsPanel()
        self.messages = MessagesPanel()
        self.run_view = RunView(
            self.background, self.monitor, self.viewer, self.energies, self.results, self.messages, self
        )
        self.sds_panels = SdsPanels()
        self.sds_view = SdsView(
            self.background, self.monitor, self.run_view, self.viewer, self.sds_panels, self.messages
        )
        self.modes = Modes(self)
        self.saving = Saving(self)
        self.commands = Commands(self)
        self.actions_ = Actions(self)
        add_averages_menu(self)
        self._closed = False
        self._lay_out()
        self._connect()
        self.setAcceptDrops(True)
        self.features = Features(self)
        self.set_theme()
        self._show_session()
        self.actions_.show_recent(self.settings.recent_runs())

    # ---- making ---------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setWindowTitle(TITLE)
        self._columns = Columns([(self.modes.inputs, 430), (self.modes.run, 450)], self.modes.middle)
        self.tabs = self._columns.tabs
        add = self._columns.add_tab
        add(self.energies, "Energies", "How well the clouds fit each observation, as the noise falls")
        add(self.results, "Results", "How good the result is")
        for panel, title, tip in self.sds_panels.tabs:
            add(panel, title, tip)
        add(self.messages, "Messages", "What was assumed, and what went wrong")
        self.setCentralWidget(self._columns)
        self._device = QLabel()
        self.statusBar().addPermanentWidget(self._device)
        self.statusBar().showMessage("Ready")
        room = self.screen().availableSize() - QSize(8, 40)  # the frame is not counted in
        self.resize(QSize(1440, 900).boundedTo(room))
        self.restoreGeometry(self.settings.geometry("window"))
        self._columns.restore(self.settings.geometry("columns"))

    def _connect(self) -> None:
        session, inputs, run, monitor = self.session, self.inputs, self.run_panel, self.monitor
        session.added.connect(lambda n: inputs.add(session.evidence[n]))
        session.updated.connect(self._row_changed)
        session.removed.connect(inputs.remove)
        session.changed.connect(self._show_plan)
        session.loaded.connect(self._show_session)
        session.said.connect(self.say)
        self.shelf.said.connect(self.say)
        session.run_dropped.connect(self.open_run)
        session.spec_dropped.connect(self.load_spec)
        inputs.add_wanted.connect(self.add_files)
        inputs.remove_wanted.connect(session.remove)
        inputs.role_chosen.connect(session.set_role)
        inputs.options_entered.connect(session.set_options)
        self.modes.changed.connect(self._show_plan)
        self.modes.changed.connect(lambda: self._show_tabs(self.modes.mode))
        self.sds_view.kind_shown.connect(self._show_tabs)
        for panel in self.modes.run_panels:
            panel.run_wanted.connect(self.start_run)
            panel.cancel_wanted.connect(self.cancel_run)
            panel.folder_wanted.connect(self._choose_runs_folder)
        self.run_view.progressed.connect(self.modes.set_progress)
        run.preset_chosen.connect(session.apply_preset)
        run.settings_entered.connect(session.set_settings)
        run.prior_entered.connect(session.set_prior)
        run.sampler_entered.connect(session.set_sampler)
        run.frame_entered.connect(session.set_frame)
        run.weights_wanted.connect(self._choose_weights)
        monitor.began.connect(lambda _folder: self._show_running())
        monitor.started.connect(self._device.setText)
        monitor.ended.connect(self._run_ended)
        self.run_view.run_shown.connect(self._run_shown)
        for results in (self.results, self.sds_panels.results):
            results.export_wanted.connect(self.saving.export)
            results.folder_wanted.connect(self._open_folder)
        for plot in self._columns.findChildren(Plot):
            plot.save_wanted.connect(self.saving.save_plot)
        self.viewer.screenshot_wanted.connect(self.saving.save_screenshot)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._scheme_changed)

    # ---- showing --------------------------------------------------------------------------------

    def set_theme(self) -> None:
        """Follow the palette."""
        application = QApplication.instance()
        if not isinstance(application, QApplication):
            return
        theme = style.apply(application)
        for part in (
            self.viewer, self.energies, self.results, self.sds_panels, self.messages, self.modes
        ):  # fmt: skip
            part.set_theme(theme)
        for panel in (self.inputs, self.run_panel):
            panel.retint()
        self.features.set_theme(theme)

    @Slot()
    def _scheme_changed(self) -> None:
        QTimer.singleShot(0, self, self.set_theme)

    def _show_session(self) -> None:
        session = self.session
        self.run_panel.show_values(session.settings, session.prior, session.sampler, session.frame)
        self.modes.show_folder(str(session.runs_folder))
        self._show_plan()

    def _row_changed(self, number: int) -> None:
        if number in self.session.evidence:
            self.inputs.update_row(self.session.evidence[number])

    def _show_plan(self) -> None:
        reason = self.modes.show_plan()
        self.actions_.run.setEnabled(not reason and not self.monitor.running)
        if self.monitor.running:
            self.viewer.set_welcome("Running", self.modes.waiting)
        elif self.modes.mode != "dps":
            run = self.run_view.stored
            trained = run is not None and run.kind == self.modes.mode and self.modes.mode.startswith("train")
            title, text = ("Trained", TRAINED) if trained else ("Nothing yet", self.modes.waiting)
            self.viewer.set_welcome(title, text)
        elif not self.session.evidence:
            self.viewer.set_welcome()
        elif reason:
            self.viewer.set_welcome("Almost ready", reason)
        else:
            self.viewer.set_welcome(
                "Ready", f"{self.session.sentence()}\nPress Run and watch the point clouds form."
            )

    def _show_running(self) -> None:
        running = self.monitor.running
        self.modes.set_running(running, self.monitor.cancelling)
        self.inputs.set_enabled(not running)
        self.actions_.cancel.setEnabled(running)
        self.actions_.export.setEnabled(not running and self._exportable())
        self._show_plan()
        if running:
            self._columns.show_first()
            self.statusBar().showMessage("Running")

    def _run_ended(self, outcome: str, message: str) -> None:
        self._show_running()
        self.statusBar().showMessage(message)
        self.modes.run_ended(outcome)
        if outcome == "failed":
            self.tabs.setCurrentWidget(self.messages)

    def _run_shown(self, run: StoredRun) -> None:
        self.setWindowTitle(f"{run.folder.name} – {TITLE}")
        self.modes.show_run(run)
        self.actions_.export.setEnabled(run.exportable and not self.monitor.running)
        if run.ensemble is not None:
            self.tabs.setCurrentWidget(self.results)
        elif run.kind != "dps":
            self._columns.show_first()

    def _show_tabs(self, kind: str) -> None:
        """Show the tabs for a kind of run."""
        own = self.sds_panels.shown_for(kind) or (self.energies, self.results)
        self._columns.show_tabs([*own, self.messages])

    def say(self, message: str) -> None:
        """Tell something, in the status line and among the messages."""
        self.statusBar().showMessage(message, 10_000)
        self.messages.add("info", message)

    def complain(self, message: str) -> None:
        """Tell of a problem."""
        self.statusBar().showMessage(message, 10_000)
        self.messages.add("error", message)
        self.tabs.setCurrentWidget(self.messages)

    def _exportable(self) -> bool:
        return self.run_view.stored is not None and self.run_view.stored.exportable

    # ---- what the user can do -------------------------------------------------------------------

    def add_files(self) -> None:
        """Ask for files and add them."""
        if self.modes.mode == "train_prior":
            self.modes.prior.choose_file()
            return
        paths = self.dialogs.input_files(self.settings.last_folder)
        if paths:
            self.settings.last_folder = str(paths[0].parent)
            self.modes.add_files(paths)

    def start_run(self) -> None:
        """Run what the session of the present mode describes."""
        session = self.modes.session
        if self.monitor.running or session.missing():
            return
        folder = new_run_folder(self.session.runs_folder, str(session.settings.get("title") or ""))
        spec = session.spec()
        if not self.features["forking"].take(spec, folder):
            self.launch(spec, folder)

    def launch(self, spec: Any, folder: Path) -> None:
        """Have a run computed: watched at once, or in the queue where others compute."""
        if not self.features["queue"].take(spec, folder):
            self.monitor.start(spec, folder)
        self._remember(folder)

    def cancel_run(self) -> None:
        """Ask the running job to stop."""
        if self.monitor.running:
            self.monitor.cancel()
            self._show_running()

    def open_run(self, path: Path | None = None) -> None:
        """Show a run directory; one that is being computed is followed."""
        path = path or self.dialogs.folder("Open a run", str(self.session.runs_folder))
        if path is None:
            return
        if self.monitor.running:
            self.complain("A run is going on. Wait for it or cancel it before opening another.")
            return
        self.run_view.open(path, self._attach)
        if path.is_dir():
            self._remember(path)

    def _attach(self, run: StoredRun) -> bool:
        """Follow a run that a process is computing; whether that is so."""
        if run.running and not self.monitor.running:
            self.modes.show_run(run)
            self.monitor.start(None, run.folder)
            return True
        return False

    def load_spec(self, path: Path | None = None) -> None:
        """Load settings from TOML or JSON."""
        path = path or self.dialogs.open_spec(self.settings.last_folder)
        if path is None:
            return
        from engine.specs.codec import load_spec

        self.in_background(partial(load_spec, path), self._spec_loaded)

    def _spec_loaded(self, spec: Any) -> None:
        self.modes.load(spec)
        self.say("Settings loaded.")

    def save_spec(self) -> None:
        """Save the settings as TOML."""
        session = self.modes.session
        reason = session.missing()
        if reason:
            self.complain(f"The settings can't be saved yet: {reason}")
            return
        path = self.dialogs.save_as("Save settings", "run.toml", "Run description (*.toml)")
        if path is not None:
            from engine.specs.codec import dump_toml

            spec = session.spec()
            self.in_background(lambda: dump_toml(spec, path), lambda _r: self.say(f"Saved {path.name}."))

    def choose_theme(self, name: str) -> None:
        """Light, dark, or as the system."""
        self.settings.theme = name
        style.choose_scheme(name)
        self.set_theme()

    def _choose_weights(self) -> None:
        path = self.dialogs.weights(self.settings.last_folder)
        if path is not None:
            self.run_panel.show_weights(str(path))

    def _choose_runs_folder(self) -> None:
        path = self.dialogs.folder("Where to write runs", str(self.session.runs_folder))
        if path is not None:
            self.session.runs_folder = self.settings.runs_folder = path
            self.modes.show_folder(str(path))

    def _open_folder(self) -> None:
        if self.run_view.stored is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run_view.stored.folder)))

    def _remember(self, folder: Path) -> None:
        self.settings.add_recent_run(folder)
        self.actions_.show_recent(self.settings.recent_runs())

    def in_background(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something off the GUI thread, then ``done(result)`` here, or tell of the problem."""
        self.background.submit(work, done, lambda error: self.complain(words(error)))

    # ---- events ---------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls() and not self.monitor.running:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add the dropped files."""
        self.modes.add_files([Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()])
        event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask what becomes of a running job, then leave nothing behind."""
        if self._closed:
            return
        if not may_close(self):
            event.ignore()
            return
        self._closed = True
        self.features.close()
        self.settings.set_geometry("window", self.saveGeometry())
        self.settings.set_geometry("columns", self._columns.state())
        self.run_view.close()
        self.sds_view.close()
        self.modes.averages.release()
        self.monitor.leave()
        self.background.close()
        self.viewer.release()
        super().closeEvent(event)
