"""The class averages that a run or a training will use: file, preparation, selection. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app import averages_files, averages_words
from app.averages_files import LoadedAverages, PreparedForShow
from app.background import Background, words
from app.coverage import Coverage
from app.forms import first_problem
from app.history import History, Step, Values, below, prefixed
from engine.specs.sds import ClassAveragesInput

OPTIONS = ("pixel_size_A", "contrast", "box", "centre", "mask_diameter_A")
MOST_PREPARED = 300  # images that are prepared to be shown, so that each change is answered soon
MOST_KEPT = 3  # files whose images stay in memory, so that undoing need not read them again

Chosen = tuple[int, ...] | None


@dataclass(eq=False)
class _Opened:
    """A file that was opened, and what it turned out to be."""

    path: Path
    reading: bool = False
    loaded: LoadedAverages | None = None
    quality: Any = None
    problem: str = ""


class AveragesSession(QObject):
    """One set of class averages, shared by the modes that use some.

    Parameters
    ----------
    background : where files are read and images prepared.
    history : where changes are kept, so that they can be taken back; one of its own by default.

    Attributes
    ----------
    state : ``empty``, ``reading``, ``ready`` or ``problem``.
    problem : why the file can't be used, in words.
    loaded : images and their thumbnails, or None.
    selected : (n,) bool: which images are used.
    quality : an :class:`engine.io.averages.AverageQuality`, or None while unknown.
    shown : the selected images as prepared, or None while unknown.
    preparation_problem : why they can't be prepared, in words.
    coverage : which directions the selected images show, where their poses are known.
    """

    kind = "averages"
    changed = Signal()
    read = Signal()
    selection_changed = Signal()
    quality_changed = Signal()
    prepared_changed = Signal()
    options_replaced = Signal()
    said = Signal(str)

    def __init__(
        self, background: Background, parent: QObject | None = None, *, history: History | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self.history = history or History(self)
        self._opened: _Opened | None = None
        self._kept: list[_Opened] = []
        self.path: Path | None = None
        self.options: dict[str, Any] = _defaults()
        self.option_problem = ""
        self._generation = 0
        self._preparing = self._prepare_again = False
        self._forget("empty")
        self.history.keep(self.kind, self)

    def _forget(self, state: str) -> None:
        self._generation += 1
        self.state, self.problem, self.preparation_problem = state, "", ""
        self.loaded: LoadedAverages | None = None
        self.selected: NDArray[np.bool_] = np.zeros(0, bool)
        self.quality: Any = None
        self.shown: PreparedForShow | None = None
        self.coverage: Coverage | None = None
        self._wanted: Chosen = None

    # ---- the file -------------------------------------------------------------------------------

    def open(self, path: Path, options: dict[str, Any] | None = None, select: tuple[int, ...] = ()) -> None:
        """Read a file or folder of class averages; ``select`` counts from 1, empty takes all."""
        path = Path(path).absolute()
        with self.history.step(f"open {path.name}"):
            self.options = _defaults() | {k: v for k, v in (options or {}).items() if k in OPTIONS}
            self.option_problem = ""
            self.options_replaced.emit()
            self._show(_Opened(path), select or None)
            self.changed.emit()

    def load(self, spec: ClassAveragesInput) -> None:
        """Show what a run description says; images that are here already are not read again."""
        values = spec.model_dump()
        if self.loaded is not None and self.path == Path(spec.file).absolute():
            with self.history.step("class averages of the settings"):
                self.options = {k: values[k] for k in OPTIONS}
                self.option_problem = ""
                self.choose(self._mask(spec.select or None), "")
                self.options_replaced.emit()
                self._prepare()
                self.changed.emit()
        else:
            self.open(Path(spec.file), values, spec.select)

    def close(self) -> None:
        """Take the class averages off."""
        with self.history.step(f"remove {self.path.name}" if self.path else ""):
            self._show(None, None)
            self.changed.emit()

    def release(self) -> None:
        """The window closes: a history that is destroyed would still tell of its change."""
        self._generation += 1
        self._opened = None
        self.history.blockSignals(True)

    def _show(self, opened: _Opened | None, chosen: Chosen) -> None:
        """Show a file as far as it is known, and find out the rest."""
        self._opened, self.path = opened, opened.path if opened else None
        self._forget("empty" if opened is None else "reading")
        self._wanted = chosen
        if opened is not None:
            self._kept = [*(o for o in self._kept if o is not opened), opened]
            for old in self._kept[:-MOST_KEPT]:
                old.loaded = old.quality = None
            self._kept = self._kept[-MOST_KEPT:]
        if opened is not None and opened.problem:
            self.state, self.problem = "problem", opened.problem
        if opened is None or opened.loaded is None:
            self.read.emit()
            if opened is not None and not opened.problem and not opened.reading:
                self._read(opened)
            return
        self.loaded, self.state, self.quality = opened.loaded, "ready", opened.quality
        self.selected = self._mask(chosen)
        self.read.emit()
        self.selection_changed.emit()
        self.quality_changed.emit()
        self._prepare()
        if opened.quality is None:
            self._background.submit(
                partial(averages_files.ranked, opened.loaded.averages),
                lambda quality: self._ranked(opened, quality),
                lambda error: self._not_ranked(opened, error),
            )

    def _read(self, opened: _Opened) -> None:
        cause, opened.reading = self.history.cause, True
        self._background.submit(
            partial(averages_files.load, opened.path),
            lambda found: self._found(opened, found, "", cause),
            lambda error: self._found(opened, None, words(error), cause),
        )

    def _found(self, opened: _Opened, found: LoadedAverages | None, problem: str, cause: Step | None) -> None:
        # Also kept if the file has been taken off meanwhile: it may come back.
        opened.reading, opened.loaded, opened.problem = False, found, problem
        if opened is self._opened:
            with self.history.follow(cause):
                self._show(opened, self._wanted)
                self.changed.emit()

    def _ranked(self, opened: _Opened, quality: Any) -> None:
        opened.quality = quality
        if opened is self._opened and self.quality is None:
            self.quality = quality
            self.quality_changed.emit()

    def _not_ranked(self, opened: _Opened, error: Exception) -> None:
        if opened is self._opened:
            self.said.emit(f"The images could not be ranked. {words(error)}")

    # ---- options --------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any], problem: str = "") -> None:
        """Take what was entered about the preparation; ``problem`` says what can't be read."""
        before = {**self.options, "": self.option_problem}
        with self.history.step(merge=True):
            self.options |= {k: v for k, v in values.items() if k in OPTIONS}
            self.option_problem = problem
            if {**self.options, "": problem} != before:
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
        return averages_words.selection_sentence(self)

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
        self.choose(wanted, f"{verb} {changed} image{'s' if changed != 1 else ''}")

    def select_all(self) -> None:
        """Use every image."""
        self.choose(np.ones_like(self.selected), "select all")

    def select_none(self) -> None:
        """Use no image."""
        self.choose(np.zeros_like(self.selected), "select none")

    def invert(self) -> None:
        """Use what was left out, and leave out what was used."""
        self.choose(~self.selected, "invert the selection")

    def leave_out_marked(self) -> None:
        """Leave out what looks like junk or repeats another."""
        self.choose(self.selected & ~self.marked, "leave out what is marked")

    def choose(self, wanted: NDArray[np.bool_], text: str) -> None:
        """Use exactly the images of a mask (n,): the one way in which a selection changes, as one step.

        Parameters
        ----------
        text : what the step does, as in "Undo: select all".

        Raises
        ------
        ValueError
            If the mask is for another number of images.
        """
        if len(wanted) != len(self.selected):
            raise ValueError(f"A mask of {len(wanted)} for {len(self.selected)} images.")
        if not np.array_equal(wanted, self.selected):
            with self.history.step(text):
                self.selected = np.array(wanted, bool)
                self.selection_changed.emit()
                self._prepare()
                self.changed.emit()

    def _chosen(self) -> Chosen:
        """The selected images, counted from 1; None for all, also of those that are still to be read."""
        if self.loaded is None:
            return self._wanted
        return None if self.selected.all() else tuple((np.flatnonzero(self.selected) + 1).tolist())

    def _mask(self, select: Chosen) -> NDArray[np.bool_]:
        count = len(self.loaded.names) if self.loaded else 0
        if select is None:
            return np.ones(count, bool)
        mask = np.zeros(count, bool)
        rows = np.asarray(select, int) - 1
        inside = (rows >= 0) & (rows < count)
        mask[rows[inside]] = True
        if not inside.all():
            self.said.emit(f"The settings select image {max(select)}, but there are only {count}.")
        return mask

    def set_coverage(self, coverage: Coverage | None) -> None:
        """Take what was found out about the directions of view."""
        before, self.coverage = self.coverage, coverage
        if (coverage.warning() if coverage else "") != (before.warning() if before else ""):
            self.changed.emit()

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
        return averages_words.missing(self)

    def spec(self) -> ClassAveragesInput:
        """The class averages as part of a run description. Raises ValueError in words."""
        if self.loaded is not None and not self.count:
            raise ValueError("No class average is selected.")
        select = self._chosen() or ()
        try:
            return ClassAveragesInput(file=str(self.path or ""), select=select, **self.options)
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    # ---- the history ----------------------------------------------------------------------------

    def snapshot(self) -> Values:
        """What the user has given; a file stands for what it turned out to be, too."""
        return {"file": self._opened, "chosen": self._chosen(), **prefixed("options", self.options)}

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`; a file that is known is not read again."""
        opened, chosen = values.get("file", self._opened), values.get("chosen", self._chosen())
        self.options |= below("options", values)
        self.option_problem = ""
        self.options_replaced.emit()
        if opened is not self._opened:
            self._show(opened, chosen)
        elif self.loaded is None:
            self._wanted = chosen
        else:
            self.selected = self._mask(chosen)
            self.selection_changed.emit()
            self._prepare()
        self.changed.emit()


def _defaults() -> dict[str, Any]:
    return {name: ClassAveragesInput.model_fields[name].default for name in OPTIONS}
