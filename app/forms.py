"""Forms made from the specs' field metadata: unit, bounds, help, and what is advanced."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, Union

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from app.number_fields import ChoiceBox, FloatBox, IntBox, TextValue

LABEL_WIDTH = 118  # so that the fields of neighbouring forms stand in one column
_WORDS = {
    "pixel_size_A": "Pixel size", "voxel_size_A": "Voxel size", "rotation": "Pose (w, x, y, z)",
    "shift_A": "Shift", "select": "Images used", "sigma": "Width σ", "sigma_max": "Highest noise σ",
    "sigma_min": "Lowest noise σ", "rho": "Level spacing ρ", "zeta": "Fresh noise ζ",
    "alpha": "Guidance α", "beta": "Churn β", "clamp": "Bound of φ",
    "observation_sigma": "Error of the evidence", "mass_fraction": "Share of the mass", "centre_A": "Centre",
    "scale_A": "Half-size", "points": "Points", "batch": "Samples at once",
    "mask_diameter_A": "Mask diameter", "centre": "Centre the particles", "box": "Working box",
    "volumes": "Volumes", "only": "Only these images", "restarts": "Independent starts",
    "refine_rounds": "Refinement rounds", "half_sets": "Refine half-sets too", "start": "Volumes start from",
    "views_first": "Views, first step", "views_last": "Views, last step", "sigma_first": "First noise σ",
    "sigma_last": "Last noise σ", "step_size": "Step size α", "anchor": "Weight of the image",
    "motion_rounds": "Motion rounds", "motion_components": "Motion components",
    "neighbours": "Similar images", "solvent": "Mask the solvent", "angle_step_deg": "Rotation step",
    "components": "Components",
    "shift_px": "Also shifted by", "architecture": "Network", "minutes": "Training time",
    "max_steps": "Most steps", "ema_decay": "Weight average", "p_mean": "Mean of ln σ",
    "p_std": "Spread of ln σ", "shift": "Random shift", "held_out": "Held out",
    "checkpoint_minutes": "Checkpoint every", "learning_rate": "Learning rate",
}  # fmt: skip
_CHOICES = {
    ("contrast", "auto"): "find out", ("contrast", "white"): "particles are white",
    ("contrast", "black"): "particles are black", ("volumes", "one"): "one consensus volume",
    ("volumes", "each"): "one for each class average", ("start", "consensus"): "the consensus",
    ("start", "nothing"): "nothing, as published", ("architecture", "small"): "small, for a CPU",
    ("architecture", "paper"): "paper (3.9 M parameters)",
    ("architecture", "ribosome"): "ribosome (5.3 M parameters)",
    ("architecture", "equivariant"): "equivariant (default)",
    ("architecture", "kernel"): "kernel: plain channels",
    ("architecture", "point_e"): "Point-E transformer, for a GPU",
    ("augment", "SO3"): "at random (molecules)", ("augment", "O3"): "and mirrored at random",
    ("precision", "auto"): "find out",
}  # fmt: skip
_ZERO_IS_AUTOMATIC = frozenset({"box"})


def label_of(name: str) -> str:
    """A field's name in words, without its unit suffix."""
    return _WORDS.get(name) or name.removesuffix("_A").replace("_", " ").capitalize()


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with some values, in a sentence that names the field."""
    first = error.errors()[0]
    message = said(first)
    where = next((str(part) for part in reversed(first["loc"]) if not isinstance(part, int)), "")
    return f"{label_of(where)}: {message}" if where and first["type"] != "value_error" else message


def said(item: Any) -> str:
    """What pydantic says of one value, as a sentence; our own validators' words as they are."""
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return str(item["msg"]).rstrip(".") + "."


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """``float | None`` to ``(float, True)``; anything else to ``(itself, False)``."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def bounds(info: FieldInfo, *, whole: bool) -> tuple[float, float]:
    """The smallest and largest value that the field takes; open bounds move in by one small step."""
    step = 1 if whole else 1e-6
    low, high = (-(2**31), 2**31 - 1) if whole else (-1e9, 1e9)
    for item in info.metadata:
        low = getattr(item, "ge", low)
        high = getattr(item, "le", high)
        low = getattr(item, "gt", low - step) + step if hasattr(item, "gt") else low
        high = getattr(item, "lt", high + step) - step if hasattr(item, "lt") else high
    return low, high


class ModelForm(QWidget):
    """An editor of some fields of a pydantic model.

    Parameters
    ----------
    model : the model class.
    include : fields to show, in this order; None shows all but ``exclude``.
    exclude : fields not shown.
    own_toggle : whether the form has its own box to show what is advanced; otherwise
        :meth:`show_advanced` is for its owner to call.
    labels : other words for some fields than :func:`label_of` has.
    advanced : fields that rarely need changing here, besides those whose metadata say so.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[BaseModel],
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        own_toggle: bool = True,
        labels: dict[str, str] | None = None,
        advanced: Iterable[str] = (),
    ) -> None:
        super().__init__()
        folded = frozenset(advanced)
        self.model = model
        self._labels = labels or {}
        names = list(include) if include is not None else list(model.model_fields)
        hidden = {"kind", "schema_version", *exclude}
        self._fields: dict[str, QWidget] = {}
        self._errors: dict[str, QLabel] = {}
        self._advanced: list[str] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._rows = QFormLayout()
        self._rows.setHorizontalSpacing(10)
        self._rows.setVerticalSpacing(6)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        layout.addLayout(self._rows)
        for name in (n for n in names if n not in hidden):
            self._add_row(name, model.model_fields[name])
        self._advanced += [n for n in self._fields if n in folded and n not in self._advanced]
        self._toggle = QCheckBox("Show all settings")
        self._toggle.setToolTip("Settings that rarely need changing.")
        self._toggle.toggled.connect(self.show_advanced)
        self._toggle.setVisible(bool(self._advanced) and own_toggle)
        layout.addWidget(self._toggle)
        self.show_advanced(False)

    def field(self, name: str) -> QWidget:
        """The entry field of one value."""
        return self._fields[name]

    def label(self, name: str) -> str:
        """A field's name in words."""
        return self._labels.get(name) or label_of(name)

    def values_shown(self) -> list[str]:
        """Names of the fields, in order."""
        return list(self._fields)

    def show_field(self, name: str, shown: bool) -> None:
        """Show or hide one field; its value stays."""
        self._rows.setRowVisible(self._fields[name], shown)

    def values(self) -> dict[str, Any]:
        """What is entered, read but not validated. Raises ValueError naming a field that can't be read."""
        found: dict[str, Any] = {}
        for name, widget in self._fields.items():
            try:
                found[name] = _value(widget)
            except ValueError as exc:
                raise ValueError(f"{self.label(name)}: {exc}") from None
        return found

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values; names that the form doesn't have are ignored. Emits nothing."""
        for name, value in values.items():
            if name in self._fields:
                widget = self._fields[name]
                blocked = widget.blockSignals(True)
                _set_value(widget, value)
                widget.blockSignals(blocked)
        self.check()

    def check(self) -> list[str]:
        """Show what is wrong under each field, and say it in sentences."""
        found: dict[str, str] = {}
        entered: dict[str, Any] = {}
        for name, widget in self._fields.items():
            try:
                entered[name] = _value(widget)
            except ValueError as exc:
                found[name] = str(exc)
        try:
            self.model.model_validate(entered)
        except ValidationError as exc:
            for item in exc.errors():
                name = str(item["loc"][0]) if item["loc"] else ""
                if name in self._fields and item["type"] != "missing":
                    found.setdefault(name, said(item))
        for name, label in self._errors.items():
            label.setText(found.get(name, ""))
            label.setVisible(name in found)
            field = self._fields[name]
            if field.property("invalid") != (name in found):
                field.setProperty("invalid", name in found)
                field.style().unpolish(field)
                field.style().polish(field)
        return [f"{self.label(name)}: {message}" for name, message in found.items()]

    def _add_row(self, name: str, info: FieldInfo) -> None:
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = str(extra.get("unit") or "")
        widget = _make_field(name, info, unit)
        tip = (info.description or "") + (f" Unit: {unit}." if unit else "")
        widget.setToolTip(tip)
        widget.setAccessibleName(self.label(name) + (f" in {unit}" if unit else ""))
        if info.default is not PydanticUndefined:
            _set_value(widget, info.default)
        label = QLabel(self.label(name) + (f" ({unit})" if unit and isinstance(widget, TextValue) else ""))
        label.setToolTip(tip)
        label.setBuddy(widget)
        label.setMinimumWidth(LABEL_WIDTH)
        error = QLabel()
        error.setObjectName("error")
        error.setWordWrap(True)
        error.hide()
        self._rows.addRow(label, widget)
        self._rows.addRow(error)
        self._fields[name], self._errors[name] = widget, error
        if extra.get("advanced"):
            self._advanced.append(name)
        _on_change(widget, self._edited)

    def _edited(self) -> None:
        self.check()
        self.changed.emit()

    def show_advanced(self, shown: bool) -> None:
        """Show or hide the fields that rarely need changing."""
        for name in self._advanced:
            self._rows.setRowVisible(self._fields[name], shown)


def _make_field(name: str, info: FieldInfo, unit: str) -> QWidget:
    annotation, optional = split_optional(info.annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        box = ChoiceBox()
        for choice in arguments:
            box.addItem(_CHOICES.get((name, choice), str(choice).replace("_", " ")), choice)
        return box
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return TextValue("integers" if arguments[0] is int else "names")
        return TextValue("numbers", count=len(arguments), optional=optional, unit=unit)
    if annotation is bool:
        return QCheckBox()
    if annotation in (int, float):
        whole = annotation is int
        if optional:
            return TextValue("integer" if whole else "number", optional=True, unit=unit)
        number: IntBox | FloatBox = IntBox() if whole else FloatBox()
        low, high = bounds(info, whole=whole)
        number.setRange(int(low) if whole else low, int(high) if whole else high)  # type: ignore[arg-type]
        number.setSuffix(f" {unit}" if unit else "")
        number.setKeyboardTracking(False)
        if name in _ZERO_IS_AUTOMATIC:
            number.setSpecialValueText("automatic")
        return number
    return TextValue("text", optional=optional)


def _value(widget: QWidget) -> Any:
    if isinstance(widget, ChoiceBox):
        return widget.currentData()
    if isinstance(widget, QCheckBox):
        return widget.isChecked()
    if isinstance(widget, IntBox | FloatBox | TextValue):
        return widget.value()
    raise TypeError(type(widget).__name__)


def _set_value(widget: QWidget, value: Any) -> None:
    if isinstance(widget, ChoiceBox):
        widget.setCurrentIndex(widget.findData(value))
    elif isinstance(widget, QCheckBox):
        widget.setChecked(bool(value))
    elif isinstance(widget, TextValue):
        widget.set_value(value)
    elif isinstance(widget, IntBox | FloatBox):
        widget.setValue(value)


def _on_change(widget: QWidget, slot: Any) -> None:
    if isinstance(widget, ChoiceBox):
        widget.currentIndexChanged.connect(lambda _i: slot())
    elif isinstance(widget, QCheckBox):
        widget.toggled.connect(lambda _on: slot())
    elif isinstance(widget, TextValue):
        widget.edited.connect(slot)
    elif isinstance(widget, IntBox | FloatBox):
        widget.valueChanged.connect(lambda _v: slot())
