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
}  # fmt: skip


def label_of(name: str) -> str:
    """A field's name in words, without its unit suffix."""
    return _WORDS.get(name) or name.removesuffix("_A").replace("_", " ").capitalize()


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
    """

    changed = Signal()

    def __init__(
        self,
        model: type[BaseModel],
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        own_toggle: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
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
        self._toggle = QCheckBox("Show all settings")
        self._toggle.setToolTip("Settings that rarely need changing.")
        self._toggle.toggled.connect(self.show_advanced)
        self._toggle.setVisible(bool(self._advanced) and own_toggle)
        layout.addWidget(self._toggle)
        self.show_advanced(False)

    def field(self, name: str) -> QWidget:
        """The entry field of one value."""
        return self._fields[name]

    def values_shown(self) -> list[str]:
        """Names of the fields, in order."""
        return list(self._fields)

    def values(self) -> dict[str, Any]:
        """What is entered, read but not validated. Raises ValueError naming a field that can't be read."""
        found: dict[str, Any] = {}
        for name, widget in self._fields.items():
            try:
                found[name] = _value(widget)
            except ValueError as exc:
                raise ValueError(f"{label_of(name)}: {exc}") from None
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
                    found.setdefault(name, item["msg"] + ".")
        for name, label in self._errors.items():
            label.setText(found.get(name, ""))
            label.setVisible(name in found)
            field = self._fields[name]
            if field.property("invalid") != (name in found):
                field.setProperty("invalid", name in found)
                field.style().unpolish(field)
                field.style().polish(field)
        return [f"{label_of(name)}: {message}" for name, message in found.items()]

    def _add_row(self, name: str, info: FieldInfo) -> None:
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = str(extra.get("unit") or "")
        widget = _make_field(info, unit)
        tip = (info.description or "") + (f" Unit: {unit}." if unit else "")
        widget.setToolTip(tip)
        widget.setAccessibleName(label_of(name) + (f" in {unit}" if unit else ""))
        if info.default is not PydanticUndefined:
            _set_value(widget, info.default)
        label = QLabel(label_of(name) + (f" ({unit})" if unit and isinstance(widget, TextValue) else ""))
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


def _make_field(info: FieldInfo, unit: str) -> QWidget:
    annotation, optional = split_optional(info.annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        box = ChoiceBox()
        for choice in arguments:
            box.addItem(str(choice).replace("_", " "), choice)
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
