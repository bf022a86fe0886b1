"""The priors that can be chosen in the window: shipped ones and the user's own. No widgets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.background import Background, FailedWith, words
from app.newest import Newest
from engine.io import prior_library
from engine.io.prior_library import PriorEntry
from engine.specs.components import is_prior_name


class PriorShelf(QObject):
    """The library of priors, read in the background.

    Parameters
    ----------
    background : where files are read and copied.

    Attributes
    ----------
    entries : all priors, also those that can't be used.
    known : whether the library has been read.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: tuple[PriorEntry, ...] = ()
        self.known = False
        self._background = background
        self._reading = Newest(background)
        self._told: set[str] = set()

    def refresh(self) -> None:
        """Read the library again."""
        self._reading.ask(prior_library.list_priors, self._found, lambda error: self.said.emit(words(error)))

    @property
    def usable(self) -> list[PriorEntry]:
        """Those that can be chosen."""
        return [entry for entry in self.entries if not entry.problem]

    def entry(self, weights: str) -> PriorEntry | None:
        """The prior that a run description names this way, or whose file this is."""
        return next((e for e in self.usable if weights in (e.weights, e.name, str(e.path))), None)

    def problem(self, weights: str) -> str:
        """Why weights can't be used, in words; empty if they can, as far as is known."""
        if not self.known or not is_prior_name(weights) or self.entry(weights) is not None:
            return ""
        broken = next((e for e in self.entries if e.name == weights), None)
        if broken is not None:
            return f"The prior “{weights}” can't be used. {broken.problem}"
        return f"There is no prior named “{weights}” in your library. Choose another one."

    def keep(self, path: Path, name: str, done: Callable[[PriorEntry], None], failed: FailedWith) -> None:
        """Copy weights into the user's library under a name."""

        def kept(entry: PriorEntry) -> None:
            self.refresh()
            done(entry)

        self._background.submit(partial(prior_library.keep, path, name), kept, failed)

    def read_card(self, weights: str, done: Callable[[PriorEntry], None], failed: FailedWith) -> None:
        """Give the card of a prior of the library, or of a file."""
        entry = self.entry(weights)
        if entry is not None:
            done(entry)
        else:
            self._background.submit(partial(_card_of, weights), done, failed)

    def _found(self, entries: list[PriorEntry]) -> None:
        self.entries, self.known = tuple(entries), True
        for entry in entries:
            text = f"The prior {entry.path.name} can't be used. {entry.problem}"
            if entry.problem and text not in self._told:
                self._told.add(text)
                self.said.emit(text)
        self.changed.emit()


def _card_of(weights: str) -> PriorEntry:
    return prior_library.describe(prior_library.locate(weights))
