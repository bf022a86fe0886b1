"""How to make volumes from class averages: preset, denoiser, steps, output. Setters and signals only."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from app.forms import ModelForm
from app.number_fields import ChoiceBox
from app.panels.run_frame import FileRow, RunFrame, form_label, rule
from app.sds_session import SETTINGS
from engine.specs.sds import ClosedFormDenoiser, Distillation, SdsSpec, TrainedDenoiser

DENOISERS = {"closed_form": "Closed form (no training)", "trained": "Trained denoiser…"}


class SdsPanel(RunFrame):
    """Everything between the class averages and the volumes."""

    settings_entered = Signal(dict, str)
    denoiser_entered = Signal(dict)
    distillation_entered = Signal(dict)
    weights_wanted = Signal()

    def __init__(self, presets: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__("Run", parent)
        self.set_page(self._make_page(presets))

    # ---- setters --------------------------------------------------------------------------------

    def show_values(
        self, settings: dict[str, Any], denoiser: dict[str, Any], distillation: dict[str, Any]
    ) -> None:
        """Show a whole run description. Emits nothing."""
        self.settings_form.set_values(settings)
        self.distillation_form.set_values(distillation)
        kind = str(denoiser["kind"])
        self._denoiser.setCurrentIndex(self._denoiser.findData(kind))
        if kind == "closed_form":
            self._closed_form.set_values(denoiser)
        else:
            self._weights.show_path(str(denoiser.get("weights", "")))
        self._show_used()

    def show_weights(self, path: str) -> None:
        """Show the file of the trained denoiser, and use it."""
        self._denoiser.setCurrentIndex(self._denoiser.findData("trained"))
        self._weights.show_path(path)
        self._show_used()
        self._enter_denoiser()

    # ---- making ---------------------------------------------------------------------------------

    def _make_page(self, presets: dict[str, str]) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        self.presets.set_presets(presets)
        self._denoiser = ChoiceBox()
        for key, words in DENOISERS.items():
            self._denoiser.addItem(words, key)
        self._denoiser.setToolTip("What projections of the volume should look like.")
        self._denoiser.setAccessibleName("Denoiser")
        self._denoiser.activated.connect(self._denoiser_activated)
        self._weights = FileRow("Weights of the denoiser")
        self._weights.wanted.connect(self.weights_wanted)
        self._closed_form = ModelForm(ClosedFormDenoiser, own_toggle=False)
        self._closed_form.changed.connect(self._enter_denoiser)
        self.settings_form = ModelForm(SdsSpec, include=SETTINGS, own_toggle=False)
        self.settings_form.changed.connect(self._enter_settings)
        self.distillation_form = ModelForm(Distillation, own_toggle=False)
        self.distillation_form.changed.connect(self._enter_distillation)
        self.advanced = QCheckBox("Show all settings")
        self.advanced.setToolTip("Settings that rarely need changing.")
        self.advanced.toggled.connect(self._show_advanced)
        self._rows = rows = QFormLayout()
        rows.setHorizontalSpacing(10)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow(form_label("Denoiser"), self._denoiser)
        rows.addRow(self._weights)
        rows.addRow(self._closed_form)
        self._rule = rule()
        rows.addRow(self._rule)
        rows.addRow(self.settings_form)
        rows.addRow(rule())
        rows.addRow(self.distillation_form)
        rows.addRow(form_label("Write to"), self._folder_row())
        rows.addRow(self.advanced)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(rows)
        layout.addStretch(1)
        self._show_advanced(False)
        return page

    # ---- inside ---------------------------------------------------------------------------------

    def _show_advanced(self, shown: bool) -> None:
        for form in (self.settings_form, self.distillation_form, self._closed_form):
            form.show_advanced(shown)
        self._show_used()

    def _show_used(self) -> None:
        """Show the settings that a run with the others uses."""
        try:
            values = self.settings_form.values()
        except ValueError:
            return  # what can't be read is said below its field
        each, refined = values["volumes"] == "each", bool(values["refine_rounds"])
        for name in ("only", "start", "motion_rounds"):
            self.settings_form.show_field(name, each)
        self.settings_form.show_field("half_sets", refined)
        moving = each and values["start"] == "consensus" and bool(values["motion_rounds"])
        for name in ("motion_components", "neighbours"):
            self.settings_form.show_field(name, moving)
        distilled = each or not refined
        self.distillation_form.setVisible(distilled)
        self._rows.setRowVisible(self._denoiser, distilled or self._denoiser.currentData() == "trained")
        self._rule.setVisible(distilled or self._denoiser.currentData() == "trained")
        self._show_denoiser(distilled)

    def _show_denoiser(self, distilled: bool = True) -> None:
        trained = self._denoiser.currentData() == "trained"
        self._weights.setVisible(trained)
        self._closed_form.setVisible(not trained and distilled and self.advanced.isChecked())

    def _denoiser_activated(self, _index: int) -> None:
        self._show_used()
        if self._denoiser.currentData() == "trained" and not self._weights.path:
            self.weights_wanted.emit()
        self._enter_denoiser()

    def _enter_denoiser(self) -> None:
        if self._denoiser.currentData() == "trained":
            self.denoiser_entered.emit(TrainedDenoiser(weights=self._weights.path).model_dump())
        elif not self._closed_form.check():
            values = self._closed_form.values()
            self.denoiser_entered.emit(ClosedFormDenoiser.model_validate(values).model_dump())

    def _enter_settings(self) -> None:
        self._show_used()
        problems = self.settings_form.check()
        self.settings_entered.emit({} if problems else self.settings_form.values(), " ".join(problems))

    def _enter_distillation(self) -> None:
        if not self.distillation_form.check():
            self.distillation_entered.emit(self.distillation_form.values())
