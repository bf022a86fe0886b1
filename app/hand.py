"""The hand of the run that is shown: a card about it, and flipping everything together, undoably."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QUndoCommand

from app.features import Feature
from app.hand_card import HandCard
from app.newest import Newest
from app.run_files import StoredRun, load_run
from engine.io.hand import flipped, set_flipped

if TYPE_CHECKING:
    from app.main_window import MainWindow

SUBUNIT = (
    "The known part fixes the hand: its mirror image doesn't exist in nature, so this run can't be flipped."
)


def why_not(run: StoredRun | None) -> str:
    """Why a run can't be flipped, in a sentence; empty if it can."""
    if run is None or not run.exportable or not run.folder.is_dir():
        return "There is no finished run to flip."
    if any(o.kind == "subunit" for o in getattr(run.spec, "observations", ())):
        return SUBUNIT
    return ""


def is_flipped(run: StoredRun) -> bool:
    """Whether a run is shown as the mirror image of its files."""
    return run.sds.flipped if run.sds is not None else run.folder.is_dir() and flipped(run.folder)


class FlipHand(QUndoCommand):
    """Shows a run's results as their mirror image, or as computed again."""

    def __init__(self, feature: Hand, folder: Path, on: bool) -> None:
        super().__init__("Flip hand")
        self._feature, self._folder, self._on = feature, folder, on

    def redo(self) -> None:
        """Flip."""
        self._feature.write(self._folder, self._on)

    def undo(self) -> None:
        """Flip back."""
        self._feature.write(self._folder, not self._on)


class Hand(Feature):
    """Flips map, half maps, starts, volumes, poses, landscape or ensemble together.

    The files stay; ``results/hand.json`` says how they are read and exported (:mod:`engine.io.hand`).
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._wanted: dict[Path, bool] = {}
        self._writing = Newest(window.background)
        self._tab = 0
        tip = "Show and export everything of this run as its mirror image; undo brings it back"
        self.action = window.commands.add("&View", "&Flip hand", self.flip, "Shift+H", tip=tip)
        self.card = HandCard(self)
        window.commands.add(
            "&View", "&Hand: both side by side", self.card.toggle, "H",
            tip="The result beside its mirror image, and what speaks for each",
        )  # fmt: skip
        self.action.setEnabled(False)
        window.run_view.run_shown.connect(lambda run: self.action.setEnabled(run.exportable))
        window.run_view.cleared.connect(self._cleared)

    def flip(self) -> None:
        """Flip the run that is shown, or say why not."""
        run = self.window.run_view.stored
        reason = why_not(run)
        if reason or run is None:
            self.window.features["toasts"].tell(
                "Not flipped", reason or "No result is shown.", level="warning"
            )
            self.window.say(reason)
            return
        now = self._wanted.get(run.folder, is_flipped(run))
        self.window.history.push(FlipHand(self, run.folder, not now))

    def write(self, folder: Path, on: bool) -> None:
        """Write the hand of a run, and show it so if it is the one that is shown."""
        self._wanted[folder] = on
        run = self.window.run_view.stored
        shown = run is not None and run.folder == folder
        self._writing.ask(
            partial(_write, dict(self._wanted), folder if shown else None), self._written, self._failed
        )

    def close(self) -> None:
        """Write no more."""
        self._writing.drop()
        self.card.close()

    def _cleared(self) -> None:
        self.action.setEnabled(False)
        self.card.close()

    def _written(self, run: StoredRun | None) -> None:
        window, shown = self.window, self.window.run_view.stored
        if run is None or shown is None or shown.folder != run.folder:
            return
        self._wanted.pop(run.folder, None)
        maps, tab, page = window.sds_view.maps, window.tabs.currentWidget(), window.viewer.page
        key = maps.key
        window.run_view.show_run(run)
        if run.sds is not None and key:
            maps.show_key(key)
        window.viewer.show_page(page)
        if page == "hand":
            self.card.fill(run)
        window.tabs.setCurrentWidget(tab)
        on = is_flipped(run)
        measured = " Measures in the results are of the hand as computed." if on and run.metrics else ""
        window.say(
            (f"Flipped: everything is shown and exported as its mirror image.{measured}")
            if on
            else "Shown and exported in the hand as computed."
        )

    def _failed(self, error: Exception) -> None:
        from app.background import words

        self._wanted.clear()
        self.window.complain(words(error))


def _write(wanted: dict[Path, bool], shown: Path | None) -> StoredRun | None:
    for folder, on in wanted.items():
        if folder.is_dir() and flipped(folder) != on:
            set_flipped(folder, on)
    return load_run(shown) if shown is not None else None
