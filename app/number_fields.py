"""Entry fields for the kinds of values that specs have: each knows its value, its unit and its error."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QValidator, QWheelEvent
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox

SMALLEST_PIXEL_A = 0.01


class IntBox(QSpinBox):
    """Whole numbers; ignores the wheel, which is for scrolling the panel.

    What is typed out of bounds is refused: ``refused`` says why, and the value stays.
    """

    refused = Signal(str)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Let any number be typed, so that a refusal can be said in words."""
        bare = _bare(text, self.suffix())
        if text and text.strip() == self.specialValueText():
            return QValidator.State.Acceptable, text, position
        if not re.fullmatch(r"[-+]?\d*", bare):
            return QValidator.State.Invalid, text, position
        inside = bare.strip("+-") and self.minimum() <= int(bare) <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def fixup(self, text: str) -> str:
        """Leave a wrong number wrong, so that the value stays, and say why."""
        self.refused.emit(_refusal(_bare(text, self.suffix()), self))
        return text

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the scroll area."""
        event.ignore()


class FloatBox(QDoubleSpinBox):
    """Decimal numbers from 1e-6 to 1e7, shown without trailing zeros.

    What is typed out of bounds is refused: ``refused`` says why, and the value stays.
    """

    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setDecimals(6)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)

    def textFromValue(self, value: float) -> str:
        """Show 0.002 as 0.002 and 10000 as 10000."""
        return f"{value:.8g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.6f}".rstrip("0")

    def valueFromText(self, text: str) -> float:
        """Read a number, also 1e4."""
        return float(_bare(text, self.suffix()))

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept scientific notation too."""
        bare = _bare(text, self.suffix())
        try:
            inside = self.minimum() <= float(bare) <= self.maximum()
        except ValueError:
            partial = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?)?", bare, re.IGNORECASE)
            state = QValidator.State.Intermediate if partial else QValidator.State.Invalid
            return state, text, position
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def fixup(self, text: str) -> str:
        """Leave a wrong number wrong, so that the value stays, and say why."""
        self.refused.emit(_refusal(_bare(text, self.suffix()), self))
        return text

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the scroll area."""
        event.ignore()


class ChoiceBox(QComboBox):
    """One of several values; ignores the wheel, and takes the width that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the scroll area."""
        event.ignore()


class TextValue(QLineEdit):
    """A line of text that stands for a value: numbers, lists of numbers, names, or nothing.

    Parameters
    ----------
    shape : ``text``, ``number``, ``integer``, ``integers`` (``1-3, 7``), ``names`` or ``numbers``.
    count : how many numbers ``numbers`` must have.
    optional : whether empty text stands for None.
    unit : named in the error message.
    """

    edited = Signal()

    def __init__(self, shape: str, *, count: int = 0, optional: bool = False, unit: str = "") -> None:
        super().__init__()
        self._shape, self._count, self._optional, self._unit = shape, count, optional, unit
        self.textEdited.connect(lambda _text: self.edited.emit())
        if optional:
            self.setPlaceholderText("automatic" if shape != "text" else "none")
        elif shape in ("integers", "names"):
            self.setPlaceholderText("all")

    def value(self) -> Any:
        """The value that the text stands for. Raises ValueError, in words, when it stands for none."""
        text = self.text().strip()
        if not text and self._optional:
            return None
        try:
            return _READERS[self._shape](text, self._count)
        except ValueError as exc:
            raise ValueError(str(exc) if str(exc)[:1].isupper() else _HINTS[self._shape]) from None

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if value is None:
            self.setText("")
        elif isinstance(value, tuple | list):
            self.setText(", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value))
        else:
            self.setText(f"{value:g}" if isinstance(value, float) else str(value))


def _refusal(typed: str, box: IntBox | FloatBox) -> str:
    """Why a number isn't taken, and what is kept."""
    kept = f"{box.textFromValue(box.value())}{box.suffix()}"  # type: ignore[arg-type]
    try:
        number = float(typed)
    except ValueError:
        return f"Needs a number; {kept} is kept."
    low, high = (f"{box.textFromValue(v)}{box.suffix()}" for v in (box.minimum(), box.maximum()))  # type: ignore[arg-type]
    bound = f"at least {low}" if number < box.minimum() else f"at most {high}"
    return f"Must be {bound}; {kept} is kept."


class PixelSizeBox(FloatBox):
    """Asks for a pixel size, Å: empty until one is typed, since any number would look like one read.

    Attributes
    ----------
    known : whether there is a size now.
    """

    known = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0.0, 100.0)
        self.setDecimals(4)
        self.setSuffix(" Å")
        self.setSpecialValueText(" ")
        self.setAccessibleName("Pixel size in Å")
        self.valueChanged.connect(lambda value: self.known.emit(value >= SMALLEST_PIXEL_A))

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Nothing is acceptable, too."""
        if not _bare(text, self.suffix()):
            return QValidator.State.Acceptable, text, position
        return super().validate(text, position)

    def valueFromText(self, text: str) -> float:
        """Nothing is 0."""
        return super().valueFromText(text) if _bare(text, self.suffix()) else 0.0


def _bare(text: str, suffix: str) -> str:
    text = text.strip()
    if suffix.strip() and text.endswith(suffix.strip()):
        text = text[: -len(suffix.strip())].strip()
    return text


def _integers(text: str, _count: int) -> tuple[int, ...]:
    found: list[int] = []
    for part in filter(None, re.split(r"[,;\s]+", text)):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last if dash else first)
        if high - low > 100_000:
            raise ValueError("That range is too long.")
        found.extend(range(low, high + 1))
    return tuple(found)


def _numbers(text: str, count: int) -> tuple[float, ...]:
    values = tuple(float(part) for part in filter(None, re.split(r"[,;\s]+", text)))
    if count and len(values) != count:
        raise ValueError(f"Needs {count} numbers, separated by commas.")
    return values


_READERS: dict[str, Callable[[str, int], Any]] = {
    "text": lambda text, _n: text,
    "number": lambda text, _n: float(text),
    "integer": lambda text, _n: int(text),
    "integers": _integers,
    "numbers": _numbers,
    "names": lambda text, _n: tuple(filter(None, re.split(r"[,;\s]+", text))),
}
_HINTS = {
    "text": "Needs text.",
    "number": "Needs a number.",
    "integer": "Needs a whole number.",
    "integers": "Needs whole numbers, such as 1-3, 7.",
    "numbers": "Needs numbers, separated by commas.",
    "names": "Needs names, separated by commas.",
}
