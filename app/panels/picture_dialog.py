"""How large a picture is to be, and on what ground. Setters and signals only."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QSpinBox, QWidget

LARGEST = 8192
CM_PER_PIXEL = 2.54 / 300


@dataclass(frozen=True)
class PictureWish:
    """What was asked for: size in pixels, a transparent ground, scale bar and legend."""

    width: int
    height: int
    transparent: bool = False
    words: bool = True


class PictureDialog(QDialog):
    """Asks for a size and a ground.

    Parameters
    ----------
    width, height : what the window shows, pixels.
    """

    def __init__(self, width: int, height: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save a picture")
        self.width_, self.height_ = _pixels("Width", 2 * width), _pixels("Height", 2 * height)
        self.transparent = QCheckBox("Transparent background")
        self.words = QCheckBox("Scale bar, legend and captions")
        self.words.setChecked(True)
        self._print = QLabel()
        self._print.setObjectName("muted")
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Width", self.width_)
        form.addRow("Height", self.height_)
        for row in (self._print, self.transparent, self.words, buttons):
            form.addRow(row)
        for box in (self.width_, self.height_):
            box.valueChanged.connect(self._say)
        self._say()

    def wish(self) -> PictureWish:
        """What was asked for."""
        return PictureWish(
            self.width_.value(), self.height_.value(), self.transparent.isChecked(), self.words.isChecked()
        )

    def _say(self) -> None:
        w, h = self.width_.value() * CM_PER_PIXEL, self.height_.value() * CM_PER_PIXEL
        self._print.setText(f"{w:.1f} × {h:.1f} cm in print at 300 dpi")


def _pixels(name: str, value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(64, LARGEST)
    box.setValue(min(LARGEST, value))
    box.setSuffix(" px")
    box.setAccessibleName(name)
    box.setToolTip(f"64 to {LARGEST} pixels")
    return box
