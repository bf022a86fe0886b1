"""How to train a 2D denoiser: network, time, output. Setters and signals only."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from app.forms import ModelForm
from app.panels.run_frame import FileRow, RunFrame, form_label
from app.training_session import SETTINGS
from engine.specs.presets import presets_of
from engine.specs.sds import TrainDenoiserSpec

LABELS = {"batch": "Images per step", "warmup": "Warm-up steps"}


class TrainingPanel(RunFrame):
    """Everything between the class averages and the trained denoiser."""

    settings_entered = Signal(dict, str)
    start_entered = Signal(str)
    weights_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Training", parent, verb="Train")
        self.settings_form = ModelForm(TrainDenoiserSpec, include=SETTINGS, own_toggle=False, labels=LABELS)
        self.settings_form.changed.connect(self._enter_settings)
        self._start = FileRow("Weights to start from", clearable=True)
        self._start.cleared.connect(lambda: self.show_weights(""))
        self._start.wanted.connect(self.weights_wanted)
        self.advanced = QCheckBox("Show all settings")
        self.advanced.setToolTip("Settings that rarely need changing.")
        self.advanced.toggled.connect(self._show_advanced)
        self._start_label: QLabel = form_label("Start from")
        page = QWidget()
        page.setObjectName("page")
        self._rows = QFormLayout()
        self._rows.setHorizontalSpacing(10)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow(self.settings_form)
        self._rows.addRow(self._start_label, self._start)
        self._rows.addRow(form_label("Write to"), self._folder_row())
        self._rows.addRow(self.advanced)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(self._rows)
        layout.addStretch(1)
        self.set_page(page)
        self.presets.set_presets(presets_of("train_denoiser"))
        self._show_advanced(False)

    def show_values(self, settings: dict[str, Any], start_from: str) -> None:
        """Show a whole description. Emits nothing."""
        self.settings_form.set_values(settings)
        self._start.show_path(start_from)
        self._show_advanced(self.advanced.isChecked())

    def show_weights(self, path: str) -> None:
        """Start from these weights."""
        self._start.show_path(path)
        self._show_advanced(self.advanced.isChecked())
        self.start_entered.emit(path)

    def _show_advanced(self, shown: bool) -> None:
        self.settings_form.show_advanced(shown)
        self._rows.setRowVisible(self._start, shown or bool(self._start.path))

    def _enter_settings(self) -> None:
        problems = self.settings_form.check()
        self.settings_entered.emit({} if problems else self.settings_form.values(), " ".join(problems))
