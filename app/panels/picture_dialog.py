"""How large a picture is to be, on what ground, and with which words. Setters and signals only."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QWidget

from app.number_fields import IntBox

SMALLEST, LARGEST = 64, 8192
DPI = 300
CM_PER_PIXEL = 2.54 / DPI


@dataclass(frozen=True)
class PictureWish:
    """What a picture is to be.

    Attributes
    ----------
    width, height : pixels.
    transparent : no ground at all: the file's alpha channel is 0 where there is nothing.
    bar : with the scale bar.
    words : with legends, axes and captions.
    """

    width: int
    height: int
    transparent: bool = False
    bar: bool = True
    words: bool = True


class PictureDialog(QDialog):
    """Asks for size, ground and words.

    Parameters
    ----------
    width, height : what the window shows, in pixels of the screen; the suggestion is twice that.
    largest : more pixels along a side can't be drawn here.
    last : what was asked for last time; its ticks are suggested again.
    """

    def __init__(
        self,
        width: int,
        height: int,
        largest: int = LARGEST,
        last: PictureWish | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save a picture")
        self._shape = max(1, width), max(1, height)
        largest = min(largest, LARGEST)
        factor = min(2.0, largest / max(self._shape))
        self.width_ = _pixels("Width", round(factor * width), largest)
        self.height_ = _pixels("Height", round(factor * height), largest)
        self.keep = QCheckBox("In the shape of the window")
        self.keep.setToolTip("Off: any size; the object then fills the shorter side")
        self.keep.setChecked(True)
        self.transparent = QCheckBox("Transparent background")
        self.transparent.setToolTip("For slides and figures: nothing but the object")
        self.bar = QCheckBox("Scale bar")
        self.words = QCheckBox("Legend, axes and captions")
        for box, on in ((self.bar, True), (self.words, True)):
            box.setChecked(on)
        if last is not None:
            self.transparent.setChecked(last.transparent)
            self.bar.setChecked(last.bar)
            self.words.setChecked(last.words)
        self.printed = QLabel()
        self.printed.setObjectName("muted")
        self.refused = QLabel()
        self.refused.setObjectName("warning")
        self.refused.setWordWrap(True)
        self.refused.hide()
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Width", self.width_)
        form.addRow("Height", self.height_)
        for row in (
            self.keep, self.printed, self.refused, self.transparent, self.bar, self.words, buttons
        ):  # fmt: skip
            form.addRow(row)
        for name, control in (
            ("Width of the picture", self.width_), ("Height of the picture", self.height_),
            *((box.text(), box) for box in (self.keep, self.transparent, self.bar, self.words)),
        ):  # fmt: skip
            control.setAccessibleName(name)
        self.width_.valueChanged.connect(lambda value: self._follow(self.height_, value, 1))
        self.height_.valueChanged.connect(lambda value: self._follow(self.width_, value, -1))
        self.keep.toggled.connect(lambda _on: self._follow(self.height_, self.width_.value(), 1))
        for spin in (self.width_, self.height_):
            spin.refused.connect(self._refuse)
        self._say()

    def wish(self) -> PictureWish:
        """What was asked for."""
        return PictureWish(
            self.width_.value(), self.height_.value(), self.transparent.isChecked(), self.bar.isChecked(),
            self.words.isChecked(),
        )  # fmt: skip

    def _follow(self, other: IntBox, value: int, direction: int) -> None:
        if self.keep.isChecked():
            width, height = self._shape
            other.blockSignals(True)
            other.setValue(round(value * (height / width) ** direction))
            other.blockSignals(False)
        self._say()

    def _say(self) -> None:
        w, h = self.width_.value() * CM_PER_PIXEL, self.height_.value() * CM_PER_PIXEL
        self.printed.setText(f"Printed at {DPI} dpi: {w:.1f} × {h:.1f} cm")
        self.refused.hide()

    def _refuse(self, why: str) -> None:
        self.refused.setText(why)
        self.refused.show()


def _pixels(name: str, value: int, largest: int) -> IntBox:
    box = IntBox()
    box.setRange(SMALLEST, largest)
    box.setValue(min(largest, max(SMALLEST, value)))
    box.setSuffix(" px")
    box.setToolTip(f"{name}, {SMALLEST} to {largest:,} pixels")
    return box
