"""How to run: preset, prior, sampler, output; Run and Cancel; progress. Setters and signals without logic."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.forms import LABEL_WIDTH, ModelForm
from app.number_fields import ChoiceBox
from engine.specs.components import (
    Algorithm1,
    GaussianPrior,
    MaximumLikelihood,
    Model,
    NetworkPrior,
    Proximal,
    Unconditional,
)
from engine.specs.job import DpsSpec, FrameSpec

SAMPLERS: dict[str, tuple[str, type[Model]]] = {
    "proximal": ("Proximal sampler (default)", Proximal),
    "algorithm1": ("Algorithm 1, as published", Algorithm1),
    "maximum_likelihood": ("Maximum likelihood, no prior", MaximumLikelihood),
    "unconditional": ("Prior alone, no evidence", Unconditional),
}
PRIORS = {
    "shipped": "Shipped prior",
    "file": "My own weights…",
    "gaussian": "Gaussian control (no shapes)",
}
SETTINGS = ("title", "samples", "seed", "device", "points", "batch")


class RunPanel(QWidget):
    """Everything between the evidence and the result."""

    run_wanted = Signal()
    cancel_wanted = Signal()
    preset_chosen = Signal(str)
    settings_entered = Signal(dict, str)
    prior_entered = Signal(dict)
    sampler_entered = Signal(dict)
    frame_entered = Signal(dict)
    weights_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, presets: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._weights = ""
        heading = QLabel("Run")
        heading.setObjectName("heading")
        self._page = self._make_page(presets)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._page)
        self._sentence = _label("")
        self._reason = _label("warning")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setFixedHeight(8)
        self._status = _label("muted")
        self.run_button = QPushButton("Run")
        self.run_button.setObjectName("primary")
        self.run_button.clicked.connect(self.run_wanted)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop after the current step; what is finished is kept (Esc)")
        self.cancel_button.clicked.connect(self.cancel_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 1)
        buttons.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 4, 4, 8)
        layout.addWidget(heading)
        layout.addWidget(scroll, 1)
        for part in (self._sentence, self._reason, self._status, self._progress):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.set_progress(None, "")
        self.set_running(False)
        self.retint()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.run_button.setIcon(style.icon("run", style.current_theme().accent_text))
        self.cancel_button.setIcon(style.icon("stop"))

    # ---- setters --------------------------------------------------------------------------------

    def show_values(
        self, settings: dict[str, Any], prior: dict[str, Any], sampler: dict[str, Any], frame: dict[str, Any]
    ) -> None:
        """Show a whole run description. Emits nothing."""
        self.settings_form.set_values(settings)
        self.frame_form.set_values(frame)
        if prior.get("kind") == "gaussian":
            self._select(self._prior, "gaussian")
            self._prior_form.set_values(prior)
        else:
            weights = str(prior.get("weights", "shipped"))
            self._weights = "" if weights == "shipped" else weights
            self._select(self._prior, "shipped" if weights == "shipped" else "file")
        self._show_prior()
        self._select(self._sampler, str(sampler["kind"]))
        self._show_sampler()
        self._sampler_forms[str(sampler["kind"])].set_values(sampler)

    def show_weights(self, path: str) -> None:
        """Show the file with the prior's weights."""
        self._weights = path
        self._show_prior()
        self._enter_prior()

    def show_folder(self, folder: str) -> None:
        """Show where runs are written."""
        self._folder.setText(folder)
        self._folder.setToolTip(f"Each run makes a new folder in {folder}")

    def show_plan(self, sentence: str, reason: str) -> None:
        """Say what Run will do, or why it can't."""
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence) and not reason)
        self._reason.setText(reason)
        self._reason.setVisible(bool(reason) and not self._running)
        self.run_button.setEnabled(not reason and not self._running)
        self.run_button.setToolTip(reason or "Start the run (Ctrl+R)")

    def set_running(self, running: bool, cancelling: bool = False) -> None:
        """Show whether a job is running."""
        self._running = running
        self._page.setEnabled(not running)
        self.run_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running and not cancelling)
        self.cancel_button.setText("Cancelling…" if cancelling else "Cancel")
        if running:
            self._reason.hide()

    def set_progress(self, share: float | None, status: str) -> None:
        """Show progress in [0, 1], -1 for busy, None for nothing, and a line of words."""
        self._progress.setVisible(share is not None)
        if share is not None:
            self._progress.setRange(0, 0 if share < 0 else 1000)
            if share >= 0:
                # setValue would repaint at once, and with it the whole window.
                self._progress.setUpdatesEnabled(False)
                self._progress.setValue(round(share * 1000))
                self._progress.setUpdatesEnabled(True)
        self._status.setText(status)
        self._status.setVisible(bool(status))

    # ---- making ---------------------------------------------------------------------------------

    def _make_page(self, presets: dict[str, str]) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        rows = QFormLayout()
        rows.setHorizontalSpacing(10)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._preset = ChoiceBox()
        self._preset.addItem("Choose a preset…", "")
        for name, description in presets.items():
            self._preset.addItem(name[:1].upper() + name[1:], name)
            self._preset.setItemData(self._preset.count() - 1, description, Qt.ItemDataRole.ToolTipRole)
        self._preset.setToolTip("Fills in sampler, steps and samples for a purpose.")
        self._preset.activated.connect(self._preset_activated)
        self._prior = ChoiceBox()
        for key, words in PRIORS.items():
            self._prior.addItem(words, key)
        self._prior.setToolTip("What is known about shapes before the data are seen.")
        self._prior.activated.connect(self._prior_activated)
        self._weights_row = QWidget()
        weights_layout = QHBoxLayout(self._weights_row)
        weights_layout.setContentsMargins(0, 0, 0, 0)
        self._weights_name = QLineEdit()
        self._weights_name.setReadOnly(True)
        self._weights_name.setPlaceholderText("no file chosen")
        weights_button = QPushButton("Browse…")
        weights_button.clicked.connect(self.weights_wanted)
        weights_layout.addWidget(self._weights_name, 1)
        weights_layout.addWidget(weights_button)
        self._prior_form = ModelForm(GaussianPrior, own_toggle=False)
        self._prior_form.changed.connect(self._enter_prior)
        self._sampler = ChoiceBox()
        self._sampler.setToolTip("How the ensemble is drawn.")
        self._sampler_forms: dict[str, ModelForm] = {}
        for key, (words, model) in SAMPLERS.items():
            self._sampler.addItem(words, key)
            self._sampler.setItemData(self._sampler.count() - 1, model.__doc__, Qt.ItemDataRole.ToolTipRole)
            form = ModelForm(model, own_toggle=False)
            form.changed.connect(self._enter_sampler)
            self._sampler_forms[key] = form
        self._sampler.activated.connect(self._sampler_activated)
        self.settings_form = ModelForm(DpsSpec, include=SETTINGS, own_toggle=False)
        self.settings_form.changed.connect(self._enter_settings)
        self.frame_form = ModelForm(FrameSpec, own_toggle=False)
        self.frame_form.changed.connect(self._enter_frame)
        self._folder = QLineEdit()
        self._folder.setReadOnly(True)
        folder_button = QPushButton("Change…")
        folder_button.setToolTip("Choose the folder in which run folders are made")
        folder_button.clicked.connect(self.folder_wanted)
        folder_row = QHBoxLayout()
        folder_row.addWidget(self._folder, 1)
        folder_row.addWidget(folder_button)
        rows.addRow(_heading("Preset"), self._preset)
        rows.addRow(_heading("Prior"), self._prior)
        rows.addRow(self._weights_row)
        rows.addRow(self._prior_form)
        rows.addRow(_heading("Sampler"), self._sampler)
        for form in self._sampler_forms.values():
            rows.addRow(form)
        rows.addRow(_rule())
        rows.addRow(self.settings_form)
        rows.addRow(_heading("Write to"), folder_row)
        rows.addRow(self.frame_form)
        self.advanced = QCheckBox("Show all settings")
        self.advanced.setToolTip("Settings that rarely need changing.")
        self.advanced.toggled.connect(self._show_advanced)
        rows.addRow(self.advanced)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(rows)
        layout.addStretch(1)
        self._show_advanced(False)
        self._show_sampler()
        return page

    # ---- inside ---------------------------------------------------------------------------------

    @staticmethod
    def _select(box: ChoiceBox, key: str) -> None:
        box.setCurrentIndex(max(0, box.findData(key)))

    def _show_advanced(self, shown: bool) -> None:
        for form in (*self._sampler_forms.values(), self._prior_form, self.settings_form, self.frame_form):
            form.show_advanced(shown)
        self.frame_form.setVisible(shown)
        self._show_prior()

    def _show_prior(self) -> None:
        key = self._prior.currentData()
        self._weights_row.setVisible(key == "file")
        self._weights_name.setText(self._weights.replace("\\", "/").rsplit("/", 1)[-1])
        self._weights_name.setToolTip(self._weights)
        self._prior_form.setVisible(key == "gaussian" and self.advanced.isChecked())

    def _show_sampler(self) -> None:
        for key, form in self._sampler_forms.items():
            form.setVisible(key == self._sampler.currentData())

    def _preset_activated(self, index: int) -> None:
        if self._preset.itemData(index):
            self.preset_chosen.emit(self._preset.itemData(index))
            self._preset.setCurrentIndex(index)

    def _prior_activated(self, _index: int) -> None:
        self._show_prior()
        if self._prior.currentData() == "file" and not self._weights:
            self.weights_wanted.emit()
        self._enter_prior()

    def _sampler_activated(self, _index: int) -> None:
        self._show_sampler()
        self._enter_sampler()

    def _enter_prior(self) -> None:
        key = self._prior.currentData()
        if key == "gaussian":
            if not self._prior_form.check():
                self.prior_entered.emit(GaussianPrior.model_validate(self._prior_form.values()).model_dump())
        else:
            self.prior_entered.emit(
                NetworkPrior(weights="shipped" if key == "shipped" else self._weights).model_dump()
            )

    def _enter_sampler(self) -> None:
        key = self._sampler.currentData()
        form = self._sampler_forms[key]
        if not form.check():
            self.sampler_entered.emit({"kind": key, **form.values()})

    def _enter_settings(self) -> None:
        problems = self.settings_form.check()
        self.settings_entered.emit({} if problems else self.settings_form.values(), " ".join(problems))

    def _enter_frame(self) -> None:
        if not self.frame_form.check():
            self.frame_entered.emit(self.frame_form.values())


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    return label


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    return label


def _rule() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet("background: palette(mid); border: none;")
    return line
