"""Every field of every mode: help, unit, default, bounds, and the way back to the default."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic_core import PydanticUndefined
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from app import prior_session, sds_session, training_session
from app.evidence import MODELS, PATH_FIELDS
from app.forms import ModelForm
from app.number_fields import FloatBox, IntBox, PixelSizeBox, TextValue
from app.panels import run
from app.panels.sds_run import SdsPanel
from engine.specs.components import GaussianPrior, Model, NetworkPrior
from engine.specs.job import DpsSpec, FrameSpec, TrainPriorSpec
from engine.specs.presets import presets_of
from engine.specs.samplers import MaximumLikelihood, Proximal, SamplerSpec
from engine.specs.sds import ClassAveragesInput, ClosedFormDenoiser, Distillation, SdsSpec, TrainDenoiserSpec

FORMS: list[tuple[type[Model], tuple[str, ...] | None, tuple[str, ...]]] = [
    *((model, None, ()) for _, model in run.SAMPLERS.values()),
    *((model, None, ()) for model in (GaussianPrior, FrameSpec, ClosedFormDenoiser, Distillation)),
    *((model, None, PATH_FIELDS[role]) for role, model in MODELS.items()),
    (ClassAveragesInput, None, ("file", "select")),
    (DpsSpec, run.SETTINGS, ()),
    (SdsSpec, sds_session.SETTINGS, ()),
    (TrainDenoiserSpec, training_session.SETTINGS, ()),
    (TrainPriorSpec, prior_session.SETTINGS, ()),
]


@pytest.fixture(params=FORMS, ids=lambda form: form[0].__name__)
def form(qtbot, request: pytest.FixtureRequest) -> ModelForm:
    model, include, exclude = request.param
    made = ModelForm(model, include=include, exclude=exclude)
    qtbot.addWidget(made)
    return made


def limit(form: ModelForm, name: str, *keys: str) -> float | None:
    found = [getattr(item, key, None) for item in form.model.model_fields[name].metadata for key in keys]
    return next((value for value in found if value is not None), None)


def enter(form: ModelForm, name: str, text: str) -> None:
    """As a user does: type, then leave the field."""
    field = form.field(name)
    if isinstance(field, IntBox | FloatBox):
        field.lineEdit().setText(text)
        field.interpretText()
    else:
        assert isinstance(field, TextValue)
        field.setText(text)
        field.textEdited.emit(text)


def said_below(form: ModelForm, name: str) -> str:
    return form._errors[name].text()


def test_each_field_explains_itself_and_keeps_its_bounds(form: ModelForm) -> None:
    each_field_says_what_it_is(form)
    empty_is_explained_where_it_is_allowed(form)
    each_number_is_kept_within_its_bounds(form)


def each_field_says_what_it_is(form: ModelForm) -> None:
    for name in form.values_shown():
        info, tip = form.model.model_fields[name], form.field(name).toolTip()
        assert info.description in tip
        assert tip == form._names[name].toolTip()
        unit = info.json_schema_extra["unit"]
        assert not unit or f"Unit: {unit}." in tip
        assert unit in form.field(name).accessibleName()
        assert info.default is PydanticUndefined or "Default: " in tip
        for bound in (limit(form, name, "ge", "gt"), limit(form, name, "le", "lt")):
            assert bound is None or f"{bound:.10g}" in tip


def empty_is_explained_where_it_is_allowed(form: ModelForm) -> None:
    for name in form.values_shown():
        field = form.field(name)
        if isinstance(field, TextValue) and field.placeholderText() in ("automatic", "none", "all"):
            words = form.model.model_fields[name].description
            assert "empty" in words or "where" in words or "Density" in words


def each_number_is_kept_within_its_bounds(form: ModelForm) -> None:
    for name in form.values_shown():
        for keys, sign, words in (
            (("ge", "gt"), -1, ("least", "greater")),
            (("le", "lt"), 1, ("most", "less")),
        ):
            bound = limit(form, name, *keys)
            if bound is None:
                continue
            before = form.field(name).value()
            enter(form, name, f"{bound + sign * max(1, abs(bound))}".removesuffix(".0"))
            assert any(word in said_below(form, name) for word in words), (name, said_below(form, name))
            if isinstance(form.field(name), IntBox | FloatBox):
                assert form.field(name).value() == before
            else:
                assert form.check() != []
                form.field(name).set_value(before)
            assert form.field(name).property("invalid") in (True, False)
            form.check()
            assert said_below(form, name) == ""


def test_a_changed_field_offers_its_default(qtbot) -> None:
    form = ModelForm(Proximal)
    qtbot.addWidget(form)
    heard = []
    form.changed.connect(lambda: heard.append(form.values()["steps"]))
    label: QLabel = form._names["steps"]
    assert (form.differing(), label.text()) == ([], "Steps")
    form.field("steps").setValue(41)
    assert form.differing() == ["steps"]
    assert "↺" in label.text()
    assert "Default: 40." in label.toolTip()
    label.linkActivated.emit("reset")
    assert heard == [41, 40]
    assert (form.differing(), label.text()) == ([], "Steps")
    form.set_values({"steps": 7})
    assert form.differing() == ["steps"]


def test_a_refusal_goes_with_the_next_entry(qtbot) -> None:
    form = ModelForm(ClassAveragesInput, include=("box", "mask_diameter_A"))
    qtbot.addWidget(form)
    enter(form, "box", "513")
    assert said_below(form, "box") == "Must be at most 512 px; 0 px is kept."
    enter(form, "box", "48")
    assert said_below(form, "box") == ""
    enter(form, "mask_diameter_A", "-3")
    assert said_below(form, "mask_diameter_A") == "Must be greater than 0 Å."


def test_a_field_that_the_run_does_not_use_stays_hidden(qtbot) -> None:
    form = ModelForm(Proximal)
    qtbot.addWidget(form)
    form.show_field("rho", False)
    form.show_advanced(True)
    assert form.field("rho").isHidden()
    assert not form.field("sigma_max").isHidden()
    form.show_field("rho", True)
    assert not form.field("rho").isHidden()
    assert "rho" in form.values()


def test_volumes_show_what_the_choice_uses(qtbot) -> None:
    panel = SdsPanel(presets_of("sds"))
    qtbot.addWidget(panel)
    panel.advanced.setChecked(True)
    settings, form = {n: SdsSpec.model_fields[n].default for n in sds_session.SETTINGS}, panel.settings_form

    def shown(**changes: object) -> set[str]:
        panel.show_values(settings | changes, ClosedFormDenoiser().model_dump(), Distillation().model_dump())
        return {name for name in form.values_shown() if not form.field(name).isHidden()}

    only_each = {"only", "start", "motion_rounds", "motion_components", "neighbours"}
    assert shown() == set(sds_session.SETTINGS) - only_each
    assert panel.distillation_form.isHidden()
    assert panel._denoiser.isHidden()
    assert shown(volumes="each") == set(sds_session.SETTINGS)
    assert not panel.distillation_form.isHidden()
    assert not panel._denoiser.isHidden()
    assert "neighbours" not in shown(volumes="each", start="nothing")
    assert "half_sets" not in shown(refine_rounds=0)
    assert not panel._denoiser.isHidden()
    shown()
    form.field("volumes").setCurrentIndex(1)
    assert not panel._denoiser.isHidden()


def test_points_show_what_the_choice_uses(qtbot) -> None:
    panel = run.RunPanel(presets_of("dps"))
    qtbot.addWidget(panel)
    panel.advanced.setChecked(True)
    settings = {n: DpsSpec.model_fields[n].default for n in run.SETTINGS}
    frame, network = FrameSpec().model_dump(), NetworkPrior().model_dump()
    proximal = panel._sampler_forms["proximal"]
    panel.show_values(settings, network, Proximal().model_dump(), frame)
    assert not panel.prior.isHidden()
    assert not proximal.field("network_begin").isHidden()
    panel.show_values(settings, GaussianPrior().model_dump(), Proximal().model_dump(), frame)
    assert proximal.field("network_begin").isHidden()
    panel.show_values(settings, network, MaximumLikelihood().model_dump(), frame)
    assert panel.prior.isHidden()
    assert proximal.isHidden()


def test_a_pixel_size_is_empty_until_it_is_typed(qtbot) -> None:
    box = PixelSizeBox()
    qtbot.addWidget(box)
    box.show()
    known: list[bool] = []
    box.known.connect(known.append)
    assert not box.text().strip()
    qtbot.keyClicks(box, "3.54")
    assert box.value() == 3.54
    assert known[-1]
    box.selectAll()
    qtbot.keyClick(box, Qt.Key.Key_Delete)
    assert not known[-1]


def test_every_sampler_of_a_run_can_be_chosen() -> None:
    kinds = {model.model_fields["kind"].default for model in get_args(get_args(SamplerSpec)[0])}
    assert set(run.SAMPLERS) == kinds
    assert all(model.model_fields["kind"].default == key for key, (_, model) in run.SAMPLERS.items())
