"""How to run a reconstruction of points: preset, prior, sampler, output. Setters and signals only."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from app.forms import ModelForm
from app.number_fields import ChoiceBox
from app.panels.prior_choice import FILE, GAUSSIAN, PriorChoice
from app.panels.run_frame import FileRow, RunFrame, form_label, rule
from app.run_settings import SETTINGS
from engine.specs.components import GaussianPrior, Model, NetworkPrior, is_prior_name
from engine.specs.job import DpsSpec, FrameSpec
from engine.specs.samplers import (
    Algorithm1,
    Annealed,
    Daps,
    MaximumLikelihood,
    Proximal,
    SplitGibbs,
    Unconditional,
)

SAMPLERS: dict[str, tuple[str, type[Model]]] = {
    "proximal": ("Proximal sampler (default)", Proximal),
    "split_gibbs": ("Split Gibbs (PnP-DM)", SplitGibbs),
    "daps": ("Decoupled annealing (DAPS)", Daps),
    "algorithm1": ("Algorithm 1, as published", Algorithm1),
    "maximum_likelihood": ("Maximum likelihood, no prior", MaximumLikelihood),
    "unconditional": ("Prior alone, no evidence", Unconditional),
}
OTHER_PRIORS = ((FILE, "My own weights…"), (GAUSSIAN, "Gaussian control (no shapes)"))


class RunPanel(RunFrame):
    """Everything between the evidence and the result."""

    settings_entered = Signal(dict, str)
    prior_entered = Signal(dict)
    sampler_entered = Signal(dict)
    frame_entered = Signal(dict)
    weights_wanted = Signal()
    card_wanted = Signal(str)

    def __init__(self, presets: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__("Run", parent)
        self.set_page(self._make_page(presets))

    # ---- setters --------------------------------------------------------------------------------

    def show_values(
        self, settings: dict[str, Any], prior: dict[str, Any], sampler: dict[str, Any], frame: dict[str, Any]
    ) -> None:
        """Show a whole run description. Emits nothing."""
        self.settings_form.set_values(settings)
        self.frame_form.set_values(frame)
        if prior.get("kind") == "gaussian":
            self.prior.select(GAUSSIAN)
            self._prior_form.set_values(prior)
        else:
            weights = str(prior.get("weights", "shipped"))
            named = is_prior_name(weights)
            self._weights_row.show_path("" if named else weights)
            self.prior.select(weights if named else FILE)
        self._show_prior()
        self._select(self._sampler, str(sampler["kind"]))
        self._show_sampler()
        self._sampler_forms[str(sampler["kind"])].set_values(sampler)

    def show_weights(self, path: str) -> None:
        """Show the file with the prior's weights."""
        self._weights_row.show_path(path)
        self._show_prior()
        self._enter_prior()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        super().retint()
        self.prior.retint()

    # ---- making ---------------------------------------------------------------------------------

    def _make_page(self, presets: dict[str, str]) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        self._rows = rows = QFormLayout()
        rows.setHorizontalSpacing(10)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.presets.set_presets(presets)
        self.prior = PriorChoice("Prior", last=OTHER_PRIORS)
        self.prior.box.setToolTip("What is known about shapes before the data are seen.")
        self.prior.chosen.connect(self._prior_chosen)
        self.prior.card_wanted.connect(self._want_card)
        self._weights_row = FileRow("Weights of the prior")
        self._weights_row.wanted.connect(self.weights_wanted)
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
        rows.addRow(form_label("Prior"), self.prior)
        rows.addRow(self._weights_row)
        rows.addRow(self._prior_form)
        rows.addRow(form_label("Sampler"), self._sampler)
        for form in self._sampler_forms.values():
            rows.addRow(form)
        rows.addRow(rule())
        rows.addRow(self.settings_form)
        rows.addRow(form_label("Write to"), self._folder_row())
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
        key, used = self.prior.key, self._sampler.currentData() != "maximum_likelihood"
        self._rows.setRowVisible(self.prior, used)
        self._weights_row.setVisible(used and key == FILE)
        self._prior_form.setVisible(used and key == GAUSSIAN and self.advanced.isChecked())
        for kind, (_, model) in SAMPLERS.items():
            if issubclass(model, Annealed):
                for name in ("network_begin", "network_end"):
                    self._sampler_forms[kind].show_field(name, key != GAUSSIAN)

    def _show_sampler(self) -> None:
        for key, form in self._sampler_forms.items():
            form.setVisible(key == self._sampler.currentData())
        self._show_prior()

    def _prior_chosen(self, key: str) -> None:
        self._show_prior()
        if key == FILE and not self._weights_row.path:
            self.weights_wanted.emit()
        self._enter_prior()

    def _sampler_activated(self, _index: int) -> None:
        self._show_sampler()
        self._enter_sampler()

    def _enter_prior(self) -> None:
        key = self.prior.key
        if key == GAUSSIAN:
            if not self._prior_form.check():
                self.prior_entered.emit(GaussianPrior.model_validate(self._prior_form.values()).model_dump())
        else:
            weights = self._weights_row.path if key == FILE else key
            self.prior_entered.emit(NetworkPrior(weights=weights).model_dump())

    def _want_card(self, key: str) -> None:
        weights = self._weights_row.path if key == FILE else key
        if weights:
            self.card_wanted.emit(weights)
        else:
            self.weights_wanted.emit()

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
