"""Going back through a run: a slider over its frames, with play. Setters and signals only."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSlider, QWidget

from app.panels.elided import ElidedLabel

PLAY_MS = 120


class Scrubber(QWidget):
    """A row under the picture; the slider's right end is the result."""

    moved = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.play = QPushButton("Play")
        self.play.setCheckable(True)
        self.play.setToolTip("Play the run from here; again to stop (Ctrl+Space)")
        self.play.setAccessibleName("Play the run")
        self.play.toggled.connect(self._play)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Time in the run")
        self.slider.setToolTip("Go back through the run; arrow keys go frame by frame")
        self.slider.setMinimumWidth(80)
        self.slider.valueChanged.connect(self.moved)
        self._words = ElidedLabel()
        self._words.setObjectName("muted")
        self.end = QPushButton("Result")
        self.end.setToolTip("Back to what the run ended with")
        self.end.setAccessibleName("Result of the run")
        self.end.clicked.connect(lambda: self.slider.setValue(self.slider.maximum()))
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 4)
        for part, share in ((self.play, 0), (self.slider, 3), (self._words, 3), (self.end, 0)):
            row.addWidget(part, share)
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_MS)
        self._timer.timeout.connect(self._next)
        self.hide()

    def set_frames(self, count: int) -> None:
        """Offer this many frames and the result behind them; without frames there is no row."""
        self.stop()
        self.slider.blockSignals(True)
        self.slider.setRange(0, count)
        self.slider.setValue(count)
        self.slider.blockSignals(False)
        self.set_words("")
        self.setVisible(count > 1)

    def grow(self, count: int, place: int) -> None:
        """Offer more frames of a run that is going on; what is looked at is now at ``place``."""
        self.slider.blockSignals(True)
        self.slider.setRange(0, count)
        self.slider.setValue(place)
        self.slider.blockSignals(False)
        self.setVisible(count > 1)

    def set_live(self, on: bool) -> None:
        """Whether the right end is the present of a run that is going on, or its result."""
        self.end.setText("Now" if on else "Result")
        self.end.setToolTip("Back to what the run is doing" if on else "Back to what the run ended with")
        self.end.setAccessibleName("Present of the run" if on else "Result of the run")

    def set_words(self, text: str) -> None:
        """What is known of the frame."""
        self._words.show_text(text)
        self.slider.setAccessibleDescription(text)

    def stop(self) -> None:
        """Play no more."""
        self.play.setChecked(False)

    def _play(self, on: bool) -> None:
        self.play.setText("Stop" if on else "Play")
        if not on:
            self._timer.stop()
            return
        if self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        self._timer.start()

    def _next(self) -> None:
        self.slider.setValue(self.slider.value() + 1)
        if self.slider.value() >= self.slider.maximum():
            self.stop()
