"""A guided tour of the window: on the first start, and from the menu Help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtWidgets import QApplication, QWidget

from app.features import Feature
from app.panels.tour import Spotlight

if TYPE_CHECKING:
    from app.main_window import MainWindow

SEEN = "seen"
TOUR = "tour"


class Step(NamedTuple):
    """A widget and what to say about it."""

    target: Callable[[MainWindow], QWidget]
    title: str
    text: str


STEPS = (
    Step(
        lambda w: w.modes.switch, "What do you have?",
        "Projections with known poses make points, or a volume. Class averages without poses make volumes. "
        "The other two train networks of your own. Alt+1 to Alt+5.",
    ),
    Step(
        lambda w: w.modes.inputs, "Put your data in",
        "Drop files anywhere on the window, or press Add files. Each is read at once: you see what it is "
        "and what was assumed. To look around first: File › Load the demo.",
    ),
    Step(
        lambda w: w.modes.panel, "Then press Run",
        "The settings fit your data. This says what a run will do, or what is still missing. A run goes on "
        "without the window if you close it.",
    ),
    Step(
        lambda w: w.modes.middle, "Watch it form",
        "Points and maps appear here while they are made. Drag to turn, wheel to zoom, Shift + drag to move.",
    ),
    Step(
        lambda w: w.tabs, "How good is it?",
        "Misfits, spread, FSC and what Verglas assumed. Under Results are the figures and the export for "
        "other programs.",
    ),
    Step(
        lambda w: w.menuBar(), "Everything by name",
        "Ctrl+K finds any command, run or page of the guide by typing. F1 explains the panel you are in, "
        "Shift+F1 lists all keys.",
    ),
)  # fmt: skip


class Tour(Feature):
    """Shows the steps one after the other; nothing else can be used meanwhile.

    Parameters
    ----------
    window : that is shown around in.
    """

    name = "tour"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.spotlight: Spotlight | None = None
        self.number = 0
        self._before: QWidget | None = None
        window.commands.add("&Help", "&Tour", self.start, tip="What is where, in six steps")

    def start_if_new(self) -> None:
        """Start on the very first start of the window."""
        if not self.window.settings.words(TOUR):
            self.start()

    def start(self) -> None:
        """Start from the beginning."""
        self.window.settings.set_words(TOUR, [SEEN])
        if self.spotlight is None:
            self.spotlight = Spotlight(self.window)
            self.spotlight.moved.connect(self._move)
            self.spotlight.ended.connect(self.stop)
        self._before = QApplication.focusWidget()
        self.number = 0
        self._show()

    def stop(self) -> None:
        """Give the window back."""
        if self.spotlight is not None and self.spotlight.isVisible():
            self.spotlight.hide()
            if self._before is not None and self._before.isVisible():
                self._before.setFocus()
        self._before = None

    def close(self) -> None:
        """The window closes."""
        self.stop()

    def _move(self, by: int) -> None:
        self.number = max(0, self.number + by)
        if self.number >= len(STEPS):
            self.stop()
        else:
            self._show()

    def _show(self) -> None:
        step = STEPS[self.number]
        if self.spotlight is not None:
            target = step.target(self.window)
            self.spotlight.show_step(target, step.title, step.text, self.number, len(STEPS))
