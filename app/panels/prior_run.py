"""How to train a prior: network, time, output; and what to do with it then. Setters and signals only."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QPushButton, QVBoxLayout, QWidget

from app.forms import ModelForm
from app.panels.prior_choice import FILE, NOTHING, PriorChoice
from app.panels.run_frame import FileRow, RunFrame, form_label
from app.prior_session import SETTINGS
from engine.specs.job import TrainPriorSpec
from engine.specs.presets import presets_of

LABELS = {
    "batch": "Clouds per step", "warmup": "Warm-up steps", "augment": "Clouds are turned",
    "hours": "Training time", "min_points": "Fewest points", "accumulate": "Parts of a batch",
    "compile": "Compile the step", "high_noise": "Share at high noise", "second_phase": "Second phase",
    "width": "Channels", "layers": "Blocks",
}  # fmt: skip
FOLDED = ("seed", "max_steps", "learning_rate", "width", "layers")


class PriorRunPanel(RunFrame):
    """Everything between the clouds and the trained prior."""

    settings_entered = Signal(dict, str)
    start_entered = Signal(str)
    start_chosen = Signal(str)
    weights_wanted = Signal()
    card_wanted = Signal(str)
    keep_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("New prior", parent, verb="Train")
        self.settings_form = ModelForm(
            TrainPriorSpec, include=SETTINGS, own_toggle=False, labels=LABELS, advanced=FOLDED
        )
        self.settings_form.changed.connect(self._enter_settings)
        self.start = PriorChoice(
            "Prior to start from",
            first=((NOTHING, "nothing: learn afresh"),),
            last=((FILE, "My own weights…"),),
        )
        self.start.box.setToolTip("Go on from a prior: its network is kept, and it learns these shapes too.")
        self.start.chosen.connect(self._start_chosen)
        self.start.card_wanted.connect(self._want_card)
        self._start_file = FileRow("Weights to start from")
        self._start_file.wanted.connect(self.weights_wanted)
        self.advanced = QCheckBox("Show all settings")
        self.advanced.setToolTip("Settings that rarely need changing.")
        self.advanced.toggled.connect(self.settings_form.show_advanced)
        page = QWidget()
        page.setObjectName("page")
        self._rows = QFormLayout()
        self._rows.setHorizontalSpacing(10)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow(self.settings_form)
        self._rows.addRow(form_label("Start from"), self.start)
        self._rows.addRow(self._start_file)
        self._rows.addRow(form_label("Write to"), self._folder_row())
        self._rows.addRow(self.advanced)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(self._rows)
        layout.addStretch(1)
        self.set_page(page)
        self.presets.set_presets(presets_of("train_prior"))
        self.keep_button = QPushButton()
        self.keep_button.clicked.connect(self.keep_wanted)
        own = self.layout()
        assert isinstance(own, QVBoxLayout)  # noqa: S101 - for the type checker
        own.insertWidget(own.indexOf(self.next_button), self.keep_button)
        self.offer_keeping("")
        self.show_start(NOTHING, "")

    # ---- setters --------------------------------------------------------------------------------

    def show_values(self, settings: dict[str, Any]) -> None:
        """Show the settings. Emits nothing."""
        self.settings_form.set_values(settings)

    def show_start(self, key: str, path: str) -> None:
        """Show what the training starts from: a prior's key, and the file where it is one. Emits nothing."""
        self.start.select(key)
        self._start_file.show_path(path)
        self._rows.setRowVisible(self._start_file, key == FILE)

    def offer_keeping(self, text: str, *, done: bool = False) -> None:
        """Offer to keep the trained prior; empty text takes the button away."""
        self.keep_button.setText(text)
        self.keep_button.setToolTip(
            "Copies the weights into your library, so that they can be chosen by name"
        )
        self.keep_button.setEnabled(not done)
        self.keep_button.setVisible(bool(text))

    def set_running(self, running: bool, cancelling: bool = False) -> None:
        """Show whether a job is running."""
        super().set_running(running, cancelling)
        if running:
            self.offer_keeping("")

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        super().retint()
        self.start.retint()

    # ---- inside ---------------------------------------------------------------------------------

    def _enter_settings(self) -> None:
        problems = self.settings_form.check()
        self.settings_entered.emit({} if problems else self.settings_form.values(), " ".join(problems))

    def _start_chosen(self, key: str) -> None:
        self._rows.setRowVisible(self._start_file, key == FILE)
        if key == FILE:
            if self._start_file.path:
                self.start_entered.emit(self._start_file.path)
            else:
                self.weights_wanted.emit()
        else:
            self.start_chosen.emit(key)

    def _want_card(self, key: str) -> None:
        weights = self._start_file.path if key == FILE else key
        if weights:
            self.card_wanted.emit(weights)
        else:
            self.weights_wanted.emit()
