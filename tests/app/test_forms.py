from __future__ import annotations

import pytest
from PySide6.QtWidgets import QDoubleSpinBox, QSpinBox

from app.forms import ModelForm, bounds, label_of
from app.number_fields import ChoiceBox, FloatBox, TextValue
from engine.specs.components import CoarseMap, ProjectionImages, ProjectionPoints, Subunit
from engine.specs.job import FrameSpec
from engine.specs.samplers import Algorithm1, Proximal

MODELS = {
    Proximal: Proximal(steps=7, sigma_max=2.5, observation_sigma=0.02),
    Algorithm1: Algorithm1(alpha=80000.0, clamp=None, beta="inverse_then_zero"),
    CoarseMap: CoarseMap(file="m.mrc", points=33, threshold=0.5, voxel_size_A=4.25),
    ProjectionImages: ProjectionImages(images="a", poses="b", select=(1, 3, 4), contrast="black", points=77),
    Subunit: Subunit(file="s.pdb", chains=("A", "B2"), mass_fraction=0.25),
    ProjectionPoints: ProjectionPoints(file="p.csv", rotation=(1.0, 0.0, 0.0, 0.0), shift_A=(3.0, -1.5)),
    FrameSpec: FrameSpec(centre_A=(1.0, 2.0, -3.5), scale_A=120.0),
}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_what_a_form_shows_is_what_it_gives(qtbot, model) -> None:
    form = ModelForm(model)
    qtbot.addWidget(form)
    form.set_values(MODELS[model].model_dump())
    assert form.check() == []
    extra = {"kind": MODELS[model].kind} if "kind" in model.model_fields else {}
    assert model.model_validate({**form.values(), **extra}) == MODELS[model]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_has_help_and_its_unit(qtbot, model) -> None:
    form = ModelForm(model)
    qtbot.addWidget(form)
    for name in form.values_shown():
        info = model.model_fields[name]
        assert info.description in form.field(name).toolTip()
        unit = info.json_schema_extra["unit"]
        assert unit in form.field(name).accessibleName()


def test_bounds_come_from_the_model(qtbot) -> None:
    form = ModelForm(Proximal)
    qtbot.addWidget(form)
    steps = form.field("steps")
    assert isinstance(steps, QSpinBox)
    assert (steps.minimum(), steps.maximum()) == (2, 1000)
    low, high = bounds(Proximal.model_fields["sigma_max"], whole=False)
    assert 0 < low < 1e-5
    assert high == 80
    assert isinstance(form.field("zeta"), QDoubleSpinBox)


def test_advanced_fields_are_hidden_until_asked_for(qtbot) -> None:
    form = ModelForm(Proximal)
    qtbot.addWidget(form)
    assert form.field("sigma_max").isHidden()
    assert not form.field("steps").isHidden()
    form.show_advanced(True)
    assert not form.field("sigma_max").isHidden()


def test_a_wrong_entry_is_said_in_words_and_not_handed_on(qtbot) -> None:
    form = ModelForm(CoarseMap, exclude=("file",))
    qtbot.addWidget(form)
    heard = []
    form.changed.connect(lambda: heard.append(form.check()))
    field = form.field("voxel_size_A")
    field.setText("four")
    field.textEdited.emit("four")
    assert heard == [["Voxel size: Needs a number."]]
    field.setText("-4")
    (problem,) = form.check()
    assert problem.startswith("Voxel size:")
    assert "greater than 0" in problem
    field.setText("")
    assert form.check() == []
    assert form.values()["voxel_size_A"] is None


def test_setting_values_is_silent(qtbot) -> None:
    form = ModelForm(Proximal)
    qtbot.addWidget(form)
    heard = []
    form.changed.connect(lambda: heard.append(1))
    form.set_values({"steps": 12, "rho": 5.0})
    assert heard == []
    form.field("steps").setValue(13)
    assert heard == [1]


@pytest.mark.parametrize(
    ("text", "value"), [("", ()), ("3", (3,)), ("1-3, 7", (1, 2, 3, 7)), ("2;4 6", (2, 4, 6))]
)
def test_lists_of_images(qtbot, text: str, value: tuple[int, ...]) -> None:
    field = TextValue("integers")
    qtbot.addWidget(field)
    field.setText(text)
    assert field.value() == value


@pytest.mark.parametrize("text", ["a", "1-", "1-x", "1-999999999"])
def test_lists_that_are_none(qtbot, text: str) -> None:
    field = TextValue("integers")
    qtbot.addWidget(field)
    field.setText(text)
    with pytest.raises(ValueError, match=r"Needs|long"):
        field.value()


@pytest.mark.parametrize(
    ("value", "text"), [(0.002, "0.002"), (10000.0, "10000"), (0.00001, "0.00001"), (1.5, "1.5")]
)
def test_numbers_are_short(qtbot, value: float, text: str) -> None:
    box = FloatBox()
    qtbot.addWidget(box)
    box.setRange(0, 1e7)
    box.setSuffix(" Å")
    box.setValue(value)
    assert box.cleanText() == text
    box.lineEdit().setText("1e3")
    box.interpretText()
    assert box.value() == 1000


def test_choices_keep_their_values(qtbot) -> None:
    form = ModelForm(Algorithm1)
    qtbot.addWidget(form)
    box = form.field("beta")
    assert isinstance(box, ChoiceBox)
    assert [box.itemText(i) for i in range(box.count())] == ["inverse", "inverse then zero"]
    assert label_of("shift_A") == "Shift"
