"""What the window is to do: points, volumes in two ways, or one of two trainings. One button each."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QGridLayout, QPushButton, QSizePolicy, QWidget

MODES = {
    "dps": (
        "Points from projections",
        "Points from projections (DPS)",
        "An ensemble of point clouds from a few projections with known poses, and other evidence (Alt+1)",
    ),
    "sds": (
        "Volumes from averages",
        "Volumes from class averages (SDS)",
        "A map, or one per class average, from 2D class averages without poses (Alt+2)",
    ),
    "train_denoiser": (
        "Train a 2D denoiser",
        "Train a 2D denoiser",
        "Learn what the class averages look like; volumes can then be made with it (Alt+3)",
    ),
    "train_prior": (
        "Train a new prior",
        "Train a new prior of points",
        "Learn shapes from structures of your own; points can then be made with it (Alt+4)",
    ),
    "known_poses": (
        "Volume from known poses",
        "Volume from known poses (IPSM)",
        "A map from a few images at known poses; what they don't show comes from a 2D denoiser (Alt+5)",
    ),
}
ROWS = (("dps", "sds"), ("known_poses",), ("train_denoiser", "train_prior"))
"""How the buttons stand: what reconstructs above what trains. A button alone in its row is as wide as two."""
COLUMNS = 2


class ModeSwitch(QWidget):
    """A button for each mode, one of which is pressed."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._buttons: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        layout = QGridLayout(self)
        layout.setContentsMargins(10, 8, 4, 0)
        layout.setSpacing(4)
        numbers = {mode: number for number, mode in enumerate(MODES, 1)}
        places = [(mode, row, column) for row, modes in enumerate(ROWS) for column, mode in enumerate(modes)]
        for mode, row, column in places:  # in the order in which Tab goes through them
            text, name, tip = MODES[mode]
            button = QPushButton(text)
            button.setObjectName("mode")
            button.setCheckable(True)
            button.setToolTip(f"{name}.\n{tip}")
            button.setAccessibleName(name)
            button.setShortcut(f"Alt+{numbers[mode]}")
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self._buttons[mode] = button
            self._group.addButton(button)
            layout.addWidget(button, row, column, 1, COLUMNS // len(ROWS[row]))
        self._group.buttonClicked.connect(self._clicked)
        self.show_mode("dps")

    def show_mode(self, mode: str) -> None:
        """Press a mode's button. Emits nothing."""
        self._buttons[mode].setChecked(True)

    def button(self, mode: str) -> QPushButton:
        """A mode's button."""
        return self._buttons[mode]

    def buttons(self) -> list[QPushButton]:
        """All of them, in the order of the modes."""
        return [self._buttons[mode] for mode in MODES]

    def set_enabled(self, on: bool) -> None:
        """While a job runs the mode stays."""
        for button in self._buttons.values():
            button.setEnabled(on)

    def _clicked(self, button: QAbstractButton) -> None:
        self.chosen.emit(next(mode for mode, own in self._buttons.items() if own is button))
