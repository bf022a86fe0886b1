"""Forms made from the specs' field metadata: unit, bounds, help, and what is advanced."""

from __future__ import annotations

import html
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, Union

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from app.field_words import (
    CHOICES,
    ZERO_IS_AUTOMATIC,
    first_problem,
    in_words,
    label_of,
    limits_of,
    said,
    unit_of,
)
from app.number_fields import ChoiceBox, FloatBox, IntBox, TextValue

__all__ = ["LABEL_WIDTH", "ModelForm", "bounds", "first_problem", "label_of", "said", "split_optional"]

LABEL_WIDTH = 118  # so that the fields of neighbouring forms stand in one column
RESET = "reset"


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
        self._names: dict[str, QLabel] = {}
        self._tips: dict[str, str] = {}
        self._unused: set[str] = set()
        self._all_shown = False
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
        """Show or hide one field, which the run uses or doesn't; its value stays."""
        (self._unused.discard if shown else self._unused.add)(name)
        self._show_row(name)

    def default(self, name: str) -> Any:
        """What a field has unless it is changed; ``PydanticUndefined`` where it must be given."""
        return self.model.model_fields[name].default

    def differing(self) -> list[str]:
        """Names of the fields that hold something else than their default."""
        return [name for name in self._fields if self._differs(name)]

    def reset(self, name: str) -> None:
        """Set a field back to its default, as if the user had entered it."""
        if self._differs(name):
            _set_value(self._fields[name], self.default(name))
            if isinstance(self._fields[name], TextValue):
                self._edited()  # the others tell of it themselves

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
                    found.setdefault(name, said(item, unit_of(self.model.model_fields[name])))
        for name in self._errors:
            self._say(name, found.get(name, ""))
            self._mark(name)
        return [f"{self.label(name)}: {message}" for name, message in found.items()]

    def _add_row(self, name: str, info: FieldInfo) -> None:
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = unit_of(info)
        widget = _make_field(name, info, unit)
        widget.setAccessibleName(self.label(name) + (f" in {unit}" if unit else ""))
        if info.default is not PydanticUndefined:
            _set_value(widget, info.default)
        words = [info.description or "", f"Unit: {unit}." if unit else "", limits_of(info, unit)]
        if info.default is not PydanticUndefined:
            words.append(f"Default: {in_words(name, info.default, unit)}.")
        self._tips[name] = " ".join(filter(None, words))
        widget.setToolTip(self._tips[name])
        label = QLabel()
        label.setBuddy(widget)
        label.setMinimumWidth(LABEL_WIDTH)
        label.linkActivated.connect(lambda _link, name=name: self.reset(name))
        if isinstance(widget, IntBox | FloatBox):
            widget.refused.connect(lambda why, name=name: self._say(name, why))
        error = QLabel()
        error.setObjectName("error")
        error.setWordWrap(True)
        error.hide()
        self._rows.addRow(label, widget)
        self._rows.addRow(error)
        self._fields[name], self._errors[name], self._names[name] = widget, error, label
        self._mark(name)
        if extra.get("advanced"):
            self._advanced.append(name)
        _on_change(widget, self._edited)

    def _edited(self) -> None:
        self.check()
        self.changed.emit()

    def show_advanced(self, shown: bool) -> None:
        """Show or hide the fields that rarely need changing."""
        self._all_shown = shown
        for name in self._advanced:
            self._show_row(name)

    def _show_row(self, name: str) -> None:
        used = name not in self._unused
        self._rows.setRowVisible(self._fields[name], used and (self._all_shown or name not in self._advanced))
        self._errors[name].setVisible(bool(self._errors[name].text()) and used)

    def _say(self, name: str, problem: str) -> None:
        """Show what is wrong with a field below it; empty if nothing is."""
        label, field = self._errors[name], self._fields[name]
        label.setText(problem)
        label.setVisible(bool(problem) and name not in self._unused)
        if field.property("invalid") != bool(problem):
            field.setProperty("invalid", bool(problem))
            field.style().unpolish(field)
            field.style().polish(field)

    def _differs(self, name: str) -> bool:
        default = self.default(name)
        if default is PydanticUndefined:
            return False
        try:
            return bool(_value(self._fields[name]) != default)
        except ValueError:
            return True

    def _mark(self, name: str) -> None:
        """Offer the way back beside the name of a field that differs from its default."""
        widget, unit = self._fields[name], unit_of(self.model.model_fields[name])
        text = self.label(name) + (f" ({unit})" if unit and isinstance(widget, TextValue) else "")
        tip = self._tips[name]
        if self._differs(name):
            # no underline, and the colour of the text: a mark, not an advertisement
            text = f'{html.escape(text)} <a href="{RESET}" style="text-decoration:none">↺</a>'
            tip += " ↺ sets it back."
        label = self._names[name]
        if label.text() != text:
            label.setText(text)
            label.setToolTip(tip)
        elif not label.toolTip():
            label.setToolTip(tip)


def _make_field(name: str, info: FieldInfo, unit: str) -> QWidget:
    annotation, optional = split_optional(info.annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        box = ChoiceBox()
        for choice in arguments:
            box.addItem(CHOICES.get((name, choice), str(choice).replace("_", " ")), choice)
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
        if name in ZERO_IS_AUTOMATIC and low == 0:
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
