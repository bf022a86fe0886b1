"""The class averages that a run or a training will use: file, preparation, selection. No widgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app import averages_files
from app.averages_files import LoadedAverages, PreparedForShow
from app.background import Background, words
from app.forms import first_problem
from engine.specs.sds import ClassAveragesInput

OPTIONS = ("pixel_size_A", "contrast", "box", "centre", "mask_diameter_A")
FEWEST = 2  # images; one alone says nothing about other directions
MOST_PREPARED = 300  # images that are prepared to be shown, so that each change is answered soon


class AveragesSession(QObject):
    """One set of class averages, shared by the modes that use some.

    Parameters
    ----------
    background : where files are read and images prepared.

    Attributes
    ----------
    state : ``empty``, ``reading``, ``ready`` or ``problem``.
    problem : why the file can't be used, in words.
    loaded : images and their thumbnails, or None.
    selected : (n,) bool: which images are used.
    quality : an :class:`engine.io.averages.AverageQuality`, or None while unknown.
    shown : the selected images as prepared, or None while unknown.
    preparation_problem : why they can't be prepared, in words.
    undo : the history of the selection.
    """

    changed = Signal()
    read = Signal()
    selection_changed = Signal()
    quality_changed = Signal()
    prepared_changed = Signal()
    options_replaced = Signal()
    said = Signal(str)

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self.undo = QUndoStack(self)
        self.path: Path | None = None
        self.options: dict[str, Any] = _defaults()
        self.option_problem = ""
        self._generation = 0
        self._preparing = self._prepare_again = False
        self._forget("empty")

    def _forget(self, state: str) -> None:
        self._generation += 1
        self.state, self.problem, self.preparation_problem = state, "", ""
        self.loaded: LoadedAverages | None = None
        self.selected: NDArray[np.bool_] = np.zeros(0, bool)
        self.quality: Any = None
        self.shown: PreparedForShow | None = None
        self._wanted: tuple[int, ...] = ()
        self.undo.clear()

    # ---- the file -------------------------------------------------------------------------------

    def open(self, path: Path, options: dict[str, Any] | None = None, select: tuple[int, ...] = ()) -> None:
        """Read a file or folder of class averages; ``select`` counts from 1, empty takes all."""
        self.path = Path(path).absolute()
        self._forget("reading")
        self.options = _defaults() | {k: v for k, v in (options or {}).items() if k in OPTIONS}
        self.option_problem = ""
        self._wanted = select
        self.options_replaced.emit()
        self.read.emit()
        self.changed.emit()
        self._read()

    def load(self, spec: ClassAveragesInput) -> None:
        """Show what a run description says; images that are here already are not read again."""
        values = spec.model_dump()
        if self.loaded is not None and self.path == Path(spec.file).absolute():
            self.options = {k: values[k] for k in OPTIONS}
            self.option_problem = ""
            self._choose(self._mask(spec.select), "selection of the settings")
            self.options_replaced.emit()
            self._prepare()
            self.changed.emit()
        else:
            self.open(Path(spec.file), values, spec.select)

    def close(self) -> None:
        """Take the class averages off."""
        self.path = None
        self._forget("empty")
        self.read.emit()
        self.changed.emit()

    def release(self) -> None:
        """The window closes: a history that is destroyed would still tell of its change."""
        self._generation += 1
        self.undo.blockSignals(True)

    def _read(self) -> None:
        assert self.path is not None  # noqa: S101 - for the type checker
        generation = self._generation
        self._background.submit(
            partial(averages_files.load, self.path),
            lambda found: self._found(generation, found),
            lambda error: self._not_usable(generation, error),
        )

    def _found(self, generation: int, found: LoadedAverages) -> None:
        if generation != self._generation:
            return
        self.loaded, self.state = found, "ready"
        self.selected = self._mask(self._wanted)
        self.read.emit()
        self.selection_changed.emit()
        self._prepare()
        self._background.submit(
            partial(averages_files.ranked, found.averages),
            lambda quality: self._ranked(generation, quality),
            lambda error: self._not_ranked(generation, error),
        )
        self.changed.emit()

    def _not_usable(self, generation: int, error: Exception) -> None:
        if generation == self._generation:
            self._forget("problem")
            self.problem = words(error)
            self.read.emit()
            self.changed.emit()

    def _ranked(self, generation: int, quality: Any) -> None:
        if generation == self._generation:
            self.quality = quality
            self.quality_changed.emit()

    def _not_ranked(self, generation: int, error: Exception) -> None:
        if generation == self._generation:
            self.said.emit(f"The images could not be ranked. {words(error)}")

    # ---- options --------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any], problem: str = "") -> None:
        """Take what was entered about the preparation; ``problem`` says what can't be read."""
        before = dict(self.options)
        self.options |= {k: v for k, v in values.items() if k in OPTIONS}
        self.option_problem = problem
        if self.options != before or problem:
            self._prepare()
        self.changed.emit()

    @property
    def pixel_size_A(self) -> float:
        """What the user or the file says, Å; 0 if neither does."""
        own = self.loaded.averages.pixel_size_A if self.loaded else 0.0
        return float(self.options["pixel_size_A"] or own or 0.0)

    @property
    def asks_pixel_size(self) -> bool:
        """Whether the user must still say how large a pixel is."""
        return self.loaded is not None and not self.pixel_size_A

    # ---- selection ------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many images are selected."""
        return int(np.count_nonzero(self.selected))

    @property
    def particles(self) -> float | None:
        """How many particles the selected images stand for; None where no file says it."""
        counts = self.loaded.averages.counts if self.loaded else None
        return None if counts is None else float(counts[self.selected].sum())

    @property
    def marked(self) -> NDArray[np.bool_]:
        """(n,) which images look like junk or repeat another."""
        if self.quality is None or len(self.quality.junk) != len(self.selected):
            return np.zeros(len(self.selected), bool)
        return np.asarray(self.quality.junk, bool) | (np.asarray(self.quality.duplicate_of) >= 0)

    def selection_sentence(self) -> str:
        """How much is selected, in words."""
        if self.loaded is None:
            return ""
        text = f"Selected {self.count:,} of {len(self.selected):,}"
        particles = self.particles
        return text if particles is None else f"{text} ({particles:,.0f} particles)"

    def toggle(self, image: int) -> None:
        """Use an image (counted from 0), or leave it out."""
        on = not self.selected[image]
        self.select([image], on=bool(on))

    def select(self, images: Any, *, on: bool) -> None:
        """Use these images (counted from 0), or leave them out; the others stay as they are."""
        wanted = self.selected.copy()
        wanted[np.asarray(images, int)] = on
        changed = int(np.count_nonzero(wanted != self.selected))
        verb = "use" if on else "leave out"
        self._choose(wanted, f"{verb} {changed} image{'s' if changed != 1 else ''}")

    def select_all(self) -> None:
        """Use every image."""
        self._choose(np.ones_like(self.selected), "select all")

    def select_none(self) -> None:
        """Use no image."""
        self._choose(np.zeros_like(self.selected), "select none")

    def invert(self) -> None:
        """Use what was left out, and leave out what was used."""
        self._choose(~self.selected, "invert the selection")

    def leave_out_marked(self) -> None:
        """Leave out what looks like junk or repeats another."""
        self._choose(self.selected & ~self.marked, "leave out what is marked")

    def _choose(self, wanted: NDArray[np.bool_], text: str) -> None:
        if not np.array_equal(wanted, self.selected):
            self.undo.push(_Selection(self, self.selected, wanted, text))

    def apply_selection(self, wanted: NDArray[np.bool_]) -> None:
        """What undo and redo call; use the other methods instead."""
        self.selected = wanted
        self.selection_changed.emit()
        self._prepare()
        self.changed.emit()

    def _mask(self, select: tuple[int, ...]) -> NDArray[np.bool_]:
        count = len(self.loaded.names) if self.loaded else 0
        if not select:
            return np.ones(count, bool)
        mask = np.zeros(count, bool)
        rows = np.asarray(select) - 1
        inside = (rows >= 0) & (rows < count)
        mask[rows[inside]] = True
        if not inside.all():
            self.said.emit(f"The settings select image {max(select)}, but there are only {count}.")
        return mask

    # ---- preparation ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Prepare what is selected: one piece of work at a time, the newest wish last."""
        if self._preparing:
            self._prepare_again = True
            return
        if self.loaded is None or not self.pixel_size_A or not self.count or self.option_problem:
            self._show_prepared(None, "")
            return
        try:
            spec = self.spec()
        except ValueError as exc:
            self._show_prepared(None, str(exc))
            return
        if self.count > MOST_PREPARED:
            some = np.linspace(0, self.count - 1, MOST_PREPARED).round().astype(int)
            chosen = np.flatnonzero(self.selected)[some] + 1
            spec = spec.model_copy(update={"select": tuple(int(i) for i in chosen)})
        self._preparing, generation = True, self._generation
        self._background.submit(
            partial(averages_files.prepared, self.loaded.averages, spec),
            lambda found: self._prepared(generation, found, ""),
            lambda error: self._prepared(generation, None, words(error)),
        )

    def _prepared(self, generation: int, found: PreparedForShow | None, problem: str) -> None:
        self._preparing = False
        again, self._prepare_again = self._prepare_again, False
        if generation == self._generation and not again:
            self._show_prepared(found, problem)
        if again or (generation != self._generation and self.loaded is not None):
            self._prepare()

    def _show_prepared(self, found: PreparedForShow | None, problem: str) -> None:
        if found is self.shown and problem == self.preparation_problem:
            return
        self.shown, self.preparation_problem = found, problem
        self.prepared_changed.emit()
        self.changed.emit()

    @property
    def box(self) -> int:
        """The working box in pixels; 0 while it isn't known."""
        if self.shown is not None:
            return int(self.shown.prepared.stack.images.shape[-1])
        return int(self.options["box"])

    # ---- the run --------------------------------------------------------------------------------

    def missing(self) -> str:
        """What stands in the way, in words; empty if nothing does."""
        if self.state == "empty" or self.path is None:
            return "Add class averages first."
        if self.state == "reading":
            return f"{self.path.name} is being read."
        if self.state == "problem":
            return f"{self.path.name} can't be used. {self.problem}"
        if self.option_problem:
            return self.option_problem
        if self.asks_pixel_size:
            return "The file doesn't say how large a pixel is. Enter the pixel size."
        if self.count < FEWEST:
            return f"Select at least {FEWEST} class averages."
        return self.preparation_problem

    def spec(self) -> ClassAveragesInput:
        """The class averages as part of a run description. Raises ValueError in words."""
        if self.loaded is not None and not self.count:
            raise ValueError("No class average is selected.")
        select = () if self.selected.all() else tuple(int(i) + 1 for i in np.flatnonzero(self.selected))
        try:
            return ClassAveragesInput(file=str(self.path or ""), select=select, **self.options)
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None


class _Selection(QUndoCommand):
    """A change of which images are used."""

    def __init__(
        self, session: AveragesSession, before: NDArray[np.bool_], after: NDArray[np.bool_], text: str
    ) -> None:
        super().__init__(text)
        self._session, self._before, self._after = session, before, after

    def redo(self) -> None:
        """Do it."""
        self._session.apply_selection(self._after)

    def undo(self) -> None:
        """Take it back."""
        self._session.apply_selection(self._before)


def _defaults() -> dict[str, Any]:
    return {name: ClassAveragesInput.model_fields[name].default for name in OPTIONS}
