"""How to make a volume from images at known poses: method, denoiser, output. Setters and signals only."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from app.forms import ModelForm
from app.known_poses_session import SETTINGS
from app.known_poses_words import DENOISERS, METHODS, REPRESENTATIONS
from app.number_fields import ChoiceBox
from app.panels.run_frame import FileRow, RunFrame, form_label, rule
from engine.specs.known_poses import (
    ASKS_DENOISER,
    TAKES_GAUSSIANS,
    DataOnly,
    DenoisedViews,
    GaussianImages,
    GaussianSplats,
    InlinePrior,
    KnownPosesSpec,
    PosedSds,
    PoseRefinement,
    TotalVariation,
    Voxels,
    Wiener,
)
from engine.specs.sds import ClosedFormDenoiser, TrainedDenoiser

_METHODS: dict[str, type[Any]] = {
    "denoised_views": DenoisedViews, "ipsm": InlinePrior, "sds": PosedSds,
    "total_variation": TotalVariation, "data": DataOnly, "wiener": Wiener,
}  # fmt: skip
_LABELS = {
    "weight": "Weight of the views", "eta_r": "Pull η_r", "eta_2": "Pull η_2", "geometry": "Geometry λ_g",
    "steps": "Steps", "views": "Random views", "strength": "Strength", "trust": "Trust in the views",
    "memory": "Memory",
}  # fmt: skip


class KnownPosesPanel(RunFrame):
    """Everything between the images with poses and the volume. The form is the chosen method's."""

    settings_entered = Signal(dict, str)
    part_entered = Signal(str, dict, str)
    weights_wanted = Signal()
    start_wanted = Signal()
    start_cleared = Signal()

    def __init__(self, presets: dict[str, str], parent: QWidget | None = None) -> None:
        super().__init__("Run", parent)
        self.presets.set_presets(presets)
        self.method = _choice(METHODS, "Method", "How the volume is made")
        for i, model in enumerate(_METHODS.values()):
            words = " ".join((model.__doc__ or "").split())
            self.method.setItemData(i, words, Qt.ItemDataRole.ToolTipRole)
        self.denoiser = _choice(DENOISERS, "Denoiser", "What projections of the volume should look like")
        self.representation = _choice(REPRESENTATIONS, "Volume made of", "What the volume is made of")
        self._method_forms = {
            kind: ModelForm(model, own_toggle=False, labels=_LABELS) for kind, model in _METHODS.items()
        }
        self._closed_form = ModelForm(ClosedFormDenoiser, own_toggle=False)
        self._gaussians = ModelForm(
            GaussianSplats, own_toggle=False,
            labels={"count": "Gaussians", "most": "At most", "anisotropic": "Ellipsoids"},
        )  # fmt: skip
        self._refinement = ModelForm(
            PoseRefinement, own_toggle=False,
            labels={"rounds": "Refine poses", "range_deg": "Largest turn", "range_px": "Largest shift"},
        )  # fmt: skip
        self.settings_form = ModelForm(
            KnownPosesSpec, include=SETTINGS, own_toggle=False, labels={"noise": "Noise of the images"}
        )
        self._weights = FileRow("Weights of the denoiser")
        self._start = FileRow("Map to begin with", clearable=True)
        self.advanced = QCheckBox("Show all settings")
        self.advanced.setToolTip("Settings that rarely need changing.")
        self._lay_out()
        self._connect()
        self._show_used()

    # ---- setters --------------------------------------------------------------------------------

    def show_values(self, settings: dict[str, Any], parts: dict[str, dict[str, Any]], start: str) -> None:
        """Show a whole run description. Emits nothing."""
        self.settings_form.set_values(settings)
        self._start.show_path(start)
        for box, name in (
            (self.method, "method"), (self.denoiser, "denoiser"), (self.representation, "representation")
        ):  # fmt: skip
            box.setCurrentIndex(box.findData(parts[name]["kind"]))
        self._method_forms[parts["method"]["kind"]].set_values(parts["method"])
        self._refinement.set_values(parts["refinement"])
        if parts["denoiser"]["kind"] == "closed_form":
            self._closed_form.set_values(parts["denoiser"])
        elif parts["denoiser"]["kind"] == "trained":
            self._weights.show_path(str(parts["denoiser"].get("weights", "")))
        if parts["representation"]["kind"] == "gaussians":
            self._gaussians.set_values(parts["representation"])
        self._show_used()

    def show_weights(self, path: str) -> None:
        """Show the file of the trained denoiser, and use it."""
        self.denoiser.setCurrentIndex(self.denoiser.findData("trained"))
        self._weights.show_path(path)
        self._show_used()
        self._enter_denoiser()

    @property
    def method_form(self) -> ModelForm:
        """The form of the method that is chosen."""
        return self._method_forms[str(self.method.currentData())]

    # ---- making ---------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        page = QWidget()
        page.setObjectName("page")
        self._rows = rows = QFormLayout()
        rows.setHorizontalSpacing(10)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow(form_label("Method"), self.method)
        for form in self._method_forms.values():
            rows.addRow(form)
        rows.addRow(form_label("Denoiser"), self.denoiser)
        for part in (self._weights, self._closed_form):
            rows.addRow(part)
        rows.addRow(form_label("Volume of"), self.representation)
        rows.addRow(self._gaussians)
        rows.addRow(rule())
        rows.addRow(self._refinement)
        rows.addRow(self.settings_form)
        rows.addRow(form_label("Begin with"), self._start)
        rows.addRow(form_label("Write to"), self._folder_row())
        rows.addRow(self.advanced)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(rows)
        layout.addStretch(1)
        self.set_page(page)

    def _connect(self) -> None:
        self.method.activated.connect(lambda _i: self._enter_method())
        self.denoiser.activated.connect(lambda _i: self._denoiser_activated())
        self.representation.activated.connect(lambda _i: self._enter_representation())
        for form in self._method_forms.values():
            form.changed.connect(self._enter_method)
        self._closed_form.changed.connect(self._enter_denoiser)
        self._gaussians.changed.connect(self._enter_representation)
        self._refinement.changed.connect(partial(self._enter, "refinement", self._refinement, PoseRefinement))
        self.settings_form.changed.connect(self._enter_settings)
        self._weights.wanted.connect(self.weights_wanted)
        self._start.wanted.connect(self.start_wanted)
        self._start.cleared.connect(self.start_cleared)
        self.advanced.toggled.connect(lambda _on: self._show_used())

    # ---- inside ---------------------------------------------------------------------------------

    def _show_used(self) -> None:
        """Show the settings that a run by the chosen method uses."""
        method, all_shown = str(self.method.currentData()), self.advanced.isChecked()
        for form in (*self._method_forms.values(), self._closed_form, self._gaussians, self._refinement,
                     self.settings_form):  # fmt: skip
            form.show_advanced(all_shown)
        words = " ".join((_METHODS[method].__doc__ or "").split())
        self.method.setToolTip(words)
        self.method.setAccessibleDescription(words)
        for kind, form in self._method_forms.items():
            self._rows.setRowVisible(form, kind == method and bool(form.values_shown()))
        asks, denoiser = method in ASKS_DENOISER, self.denoiser.currentData()
        self._rows.setRowVisible(self.denoiser, asks)
        self._rows.setRowVisible(self._weights, asks and denoiser == "trained")
        self._rows.setRowVisible(self._closed_form, asks and denoiser == "closed_form" and all_shown)
        moves = method in TAKES_GAUSSIANS
        self._rows.setRowVisible(self.representation, moves)
        self._rows.setRowVisible(self._gaussians, moves and self.representation.currentData() == "gaussians")
        self._rows.setRowVisible(self._start, all_shown or bool(self._start.path))

    def _denoiser_activated(self) -> None:
        self._show_used()
        if self.denoiser.currentData() == "trained" and not self._weights.path:
            self.weights_wanted.emit()
        self._enter_denoiser()

    def _enter_method(self) -> None:
        self._show_used()
        self._enter("method", self.method_form, _METHODS[str(self.method.currentData())])

    def _enter_denoiser(self) -> None:
        kind = self.denoiser.currentData()
        if kind == "trained":
            self.part_entered.emit("denoiser", TrainedDenoiser(weights=self._weights.path).model_dump(), "")
        elif kind == "gaussian":
            self.part_entered.emit("denoiser", GaussianImages().model_dump(), "")
        else:
            self._enter("denoiser", self._closed_form, ClosedFormDenoiser)

    def _enter_representation(self) -> None:
        self._show_used()
        if self.representation.currentData() == "voxels":
            self.part_entered.emit("representation", Voxels().model_dump(), "")
        else:
            self._enter("representation", self._gaussians, GaussianSplats)

    def _enter(self, name: str, form: ModelForm, model: type[Any]) -> None:
        problems = form.check()
        if problems:
            self.part_entered.emit(name, {}, " ".join(problems))
            return
        values = {field: info.default for field, info in model.model_fields.items()} | form.values()
        self.part_entered.emit(name, values, "")

    def _enter_settings(self) -> None:
        problems = self.settings_form.check()
        self.settings_entered.emit({} if problems else self.settings_form.values(), " ".join(problems))


def _choice(entries: dict[str, str], name: str, tip: str) -> ChoiceBox:
    box = ChoiceBox()
    for key, words in entries.items():
        box.addItem(words, key)
    box.setToolTip(f"{tip}.")
    box.setAccessibleName(name)
    return box
