"""What was changed, step by step, so that it can be taken back and done again: exactly.

Each session gives its state as a flat dictionary of plain values. A step keeps the values that it
changed, before and after; undo and redo put them back. What files turn out to be is no part of the
state: sessions remember that, so that nothing has to be read again. Where a step was made, and where
it led, is gone to with it, but going somewhere is no step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.history_words import ABSENT, Differences, describe, leaves_of

__all__ = [
    "ABSENT", "Change", "History", "Part", "Step", "Values", "below", "describe", "differences", "prefixed",
    "put_items",
]  # fmt: skip

JOIN_S = 1.0  # changes of the same field that follow each other this closely are one step

Values = dict[str, Any]


class Part(Protocol):
    """Something whose state a history keeps."""

    def snapshot(self) -> Values:
        """The state: values that are never changed in place."""

    def put(self, values: Values) -> None:
        """Go back to these values, :data:`ABSENT` for none; what isn't named stays. Shows all of it."""


class Step:
    """What was changed at once.

    Attributes
    ----------
    changed : (part, key) to the value before and after.
    fields : names of what changed, down to the items of dictionaries.
    home : the step that this one has become a part of.
    places : where the user was when it began, and where when it had been made.
    """

    def __init__(self, text: str = "", *, of: str = "", merge: bool = False) -> None:
        self._given, self._of, self.merge = text, of, merge
        self.changed: Differences = {}
        self.fields: set[str] = set()
        self.at = 0.0
        self.home: Step | None = None
        self.places = ("", "")

    @property
    def text(self) -> str:
        """What it did, in words."""
        words = self._given or describe(self.changed)
        return f"{self._of}: {words}" if self._of else words

    def take(self, changed: Differences) -> None:
        """Add what was changed after it."""
        for key, (before, after) in changed.items():
            self.set(key, self.changed.get(key, (before, None))[0], after)

    def set(self, key: tuple[str, str], before: Any, after: Any) -> None:
        """What a value was before and after it; the same is no change."""
        if before == after:
            self.changed.pop(key, None)
        else:
            self.changed[key] = (before, after)


class Change(QUndoCommand):
    """A step on the stack."""

    def __init__(self, history: History, step: Step) -> None:
        super().__init__(step.text)
        self._history, self.step = history, step
        self._done = True  # when it is pushed it has been done already

    def id(self) -> int:
        """All of these may be joined."""
        return 1

    def redo(self) -> None:
        """Do it again."""
        if self._done:
            self._done = False
        else:
            self._history.apply(self.step, 1)

    def undo(self) -> None:
        """Take it back."""
        self._history.apply(self.step, 0)

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Join what goes on changing the same field; a change that leads back leaves no step."""
        if not isinstance(other, Change) or not self._history.joins(self.step, other.step):
            return False
        self.step.take(other.step.changed)
        self.step.at, other.step.home = other.step.at, self.step
        self.step.places = self.step.places[0], other.step.places[1]
        self.renew()
        return True

    def renew(self) -> None:
        """Say what the step changes now; one that changes nothing any more is none."""
        self.setText(self.step.text)
        self.setObsolete(not self.step.changed)


class History(QUndoStack):
    """The steps of a window, or of sessions without one.

    Attributes
    ----------
    refusal : says why nothing can be undone now; empty if it can.
    place : where the user is, e.g. the window's mode.
    go : goes there: before a step is taken back or done again.
    clock : seconds; replaced in tests.
    typing : whether the focus is in a line of text, where a pause does not end a step.
    """

    said = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.refusal: Callable[[], str] = str
        self.place: Callable[[], str] = str
        self.go: Callable[[str], object] = lambda place: None
        self.clock: Callable[[], float] = time.monotonic
        self.typing = False
        self._parts: dict[str, Part] = {}
        self._open: Step | None = None
        self._applied: Step | None = None
        self._sealed = True

    def keep(self, name: str, part: Part) -> None:
        """Keep the state of a session from now on."""
        self._parts[name] = part

    # ---- recording ------------------------------------------------------------------------------

    @contextmanager
    def step(self, text: str = "", *, of: str = "", merge: bool = False) -> Iterator[None]:
        """What is changed inside is one step; a step inside another is a part of it.

        Parameters
        ----------
        text : what it does, as in "Undo: remove a.star"; empty says which values changed, and how.
        of : what these values belong to, e.g. a file's name.
        merge : join it with the step before if that changed the same fields just now.
        """
        if self._open is not None or self._applied is not None:
            yield
            return
        step = self._open = Step(text, of=of, merge=merge)
        before, place = self.snapshots(), self.place()
        try:
            yield
        finally:
            self._open = None
            step.changed = differences(before, self.snapshots())
            if step.changed:
                step.fields = {name for name, _, _ in leaves_of(step.changed)}
                step.at, step.places = self.clock(), (place, self.place())
                self.push(Change(self, step))
                self._sealed = False

    @contextmanager
    def follow(self, cause: Step | None) -> Iterator[None]:
        """What is changed inside follows from an earlier step, which it is undone with.

        Answers of the background are taken in here. They come when they come, also after later steps
        or between undo and redo, and are no steps themselves. Afterwards it is as if they had come at
        once, but for what later steps have changed meanwhile: then they belong to the last of these.
        """
        if self._open is not None or self._applied is not None:
            yield
            return
        answer = self._open = Step()
        before, place = self.snapshots(), self.place()
        try:
            yield
        finally:
            self._open = None
            self._settle(answer, cause, differences(before, self.snapshots()))
            if answer.home is not None and self.place() != place:
                answer.home.places = answer.home.places[0], self.place()

    @property
    def cause(self) -> Step | None:
        """What is being done: for :meth:`follow` when its answer comes."""
        return self._open or self._applied

    @property
    def applying(self) -> bool:
        """Whether a step is being taken back or done again."""
        return self._applied is not None

    def seal(self) -> None:
        """Join no later change with the last step: the focus has moved on."""
        self._sealed = True

    def joins(self, last: Step, new: Step) -> bool:
        """Whether a change goes on with the last step."""
        soon = self.typing or new.at - last.at < JOIN_S
        return last.merge and new.merge and soon and not self._sealed and last.fields == new.fields

    def snapshots(self) -> dict[str, Values]:
        """The state of every part."""
        return {name: part.snapshot() for name, part in self._parts.items()}

    def _settle(self, answer: Step, cause: Step | None, changed: Differences) -> None:
        """Put what followed into the step that it followed from, and into what was done after it."""
        while cause is not None and cause.home is not None:
            cause = cause.home
        now = dict(changed)  # what it changes at the place on the stack that is looked at
        for i in reversed(range(self.index())):
            command = self.command(i)
            if not isinstance(command, Change):
                continue
            step = command.step
            if step is cause or any(_meet(step.changed.get(key), pair) for key, pair in now.items()):
                answer.home = step
                for key, (before, after) in now.items():
                    step.set(key, step.changed.get(key, (before, None))[0], after)
                command.renew()
                break
            for key, (before, after) in now.items():
                if key in step.changed:
                    then, later = step.changed[key]
                    earlier = _carried(then, before, after)
                    step.changed[key] = earlier, _carried(later, before, after)
                    now[key] = then, earlier
        self._settle_undone(changed)
        if self.canUndo() and self.command(self.index() - 1).isObsolete():
            super().undo()  # the stack lets go of it
        if changed:
            self.undoTextChanged.emit(self.undoText())

    def _settle_undone(self, changed: Differences) -> None:
        """What can be done again begins from here now."""
        later = [self.command(i) for i in range(self.index(), self.count())]
        for step in (command.step for command in later if isinstance(command, Change)):
            for key, (before, after) in list(changed.items()):
                pair = step.changed.get(key)
                if pair is not None:
                    end = pair[1] if _meet(pair, (before, after)) else _carried(pair[1], before, after)
                    step.changed[key] = after, end
                    changed[key] = pair[1], end

    # ---- undoing --------------------------------------------------------------------------------

    def push(self, command: QUndoCommand) -> None:
        """Do something that can be undone; other parts of the program have commands of their own."""
        if not isinstance(command, Change):
            self._sealed = True
            command.places = (self.place(), self.place())  # type: ignore[attr-defined]
        super().push(command)

    def _move(self, way: int) -> None:
        """One step back (-1) or forth (1); another command than a change goes to its place, too."""
        command = self.command(self.index() if way > 0 else self.index() - 1)
        if not isinstance(command, Change):
            self.go(getattr(command, "places", ("", ""))[0])
        (super().redo if way > 0 else super().undo)()

    def undo(self) -> None:
        """Take the last step back, unless something forbids it."""
        while self.canUndo() and self.command(self.index() - 1).isObsolete():
            super().undo()
        if self._allowed(self.canUndo()):
            text = self.undoText()
            self._move(-1)
            self.said.emit(f"Undone: {text}")

    def redo(self) -> None:
        """Do again what was taken back last, unless something forbids it."""
        while self.canRedo() and self.command(self.index()).isObsolete():
            super().redo()
        if self._allowed(self.canRedo()):
            text = self.redoText()
            self._move(1)
            self.said.emit(f"Done again: {text}")

    def go_to(self, index: int) -> None:
        """Take back or do again until this many steps are done, unless something forbids it."""
        if self._allowed(index != self.index()):
            while self.index() > index:
                self._move(-1)
            while self.index() < index:
                index -= self.command(self.index()).isObsolete()  # which the stack lets go of
                self._move(1)
            self.said.emit(f"Back to: {self.undoText()}" if self.canUndo() else "Back to the beginning")

    def steps(self) -> list[tuple[int, str]]:
        """How many steps are done after each, and what it does; all but those that are none any more."""
        commands = [(i + 1, self.command(i)) for i in range(self.count())]
        return [(number, command.text()) for number, command in commands if not command.isObsolete()]

    def _allowed(self, possible: bool) -> bool:
        refusal = self.refusal()
        if possible and refusal:
            self.said.emit(refusal)
        return possible and not refusal

    def apply(self, step: Step, end: int) -> None:
        """Put back the values from before (0) or after (1) a step; what commands call."""
        wanted: dict[str, Values] = {}
        for (name, key), pair in step.changed.items():
            wanted.setdefault(name, {})[key] = pair[end]
        self._applied, self._sealed = step, True
        try:
            self.go(step.places[end])
            for name, part in self._parts.items():
                if name in wanted:
                    part.put(wanted[name])
        finally:
            self._applied = None


def differences(before: dict[str, Values], after: dict[str, Values]) -> Differences:
    """The values that differ between two states."""
    found: Differences = {}
    for name, then in before.items():  # what has come into being meanwhile was made by no step
        now = after[name]
        for key in {**then, **now}:
            pair = then.get(key, ABSENT), now.get(key, ABSENT)
            if pair[0] != pair[1]:
                found[name, key] = pair
    return found


def _carried(value: Any, before: Any, after: Any) -> Any:
    """A value with what has changed from ``before`` to ``after``, item by item where all have items."""
    if not (isinstance(value, dict) and isinstance(before, dict) and isinstance(after, dict)):
        return after
    result = dict(value)
    for name in {**before, **after}:
        pair = before.get(name, ABSENT), after.get(name, ABSENT)
        if pair[0] != pair[1]:
            put_items(result, {name: _carried(value.get(name, ABSENT), *pair)})
    return result


def _meet(one: tuple[Any, Any] | None, other: tuple[Any, Any]) -> bool:
    """Whether two changes of a value are of the same items of it."""
    if one is None or one[0] == one[1] or other[0] == other[1]:
        return False
    if not all(isinstance(value, dict) for value in (*one, *other)):
        return True
    ends = [
        tuple(value.get(name, ABSENT) for value in pair)
        for name in {**other[0], **other[1]}
        for pair in (one, other)
    ]
    return any(_meet(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True))


def prefixed(prefix: str, values: Values) -> Values:
    """The values of which a snapshot has the keys ``prefix.name``."""
    return {f"{prefix}.{name}": value for name, value in values.items()}


def below(prefix: str, values: Values) -> Values:
    """The values that :func:`prefixed` gave these keys, by name."""
    start = f"{prefix}."
    return {key[len(start) :]: value for key, value in values.items() if key.startswith(start)}


def put_items(target: Values, values: Values) -> None:
    """Take values into a dictionary; :data:`ABSENT` takes the key out."""
    for name, value in values.items():
        if value is ABSENT:
            target.pop(name, None)
        else:
            target[name] = value
