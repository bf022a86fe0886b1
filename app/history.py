"""What was changed, step by step, so that it can be taken back and done again: exactly.

Each session gives its state as a flat dictionary of plain values. A step keeps the values that it
changed, before and after; undo and redo put them back. What files turn out to be is no part of the
state: sessions remember that, so that nothing has to be read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.forms import label_of

JOIN_S = 1.0  # changes of the same field that follow each other this closely are one step
_LONGEST = 28  # characters of a value in a step's words

Values = dict[str, Any]
Differences = dict[tuple[str, str], tuple[Any, Any]]  # (part, key) → value before and after


class _Absent:
    """Where a key has no value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


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
    """

    def __init__(self, text: str = "", *, of: str = "", merge: bool = False) -> None:
        self._given, self._of, self.merge = text, of, merge
        self.changed: Differences = {}
        self.fields: set[str] = set()
        self.at = 0.0
        self.home: Step | None = None

    @property
    def text(self) -> str:
        """What it did, in words."""
        words = self._given or describe(self.changed)
        return f"{self._of}: {words}" if self._of else words

    def take(self, changed: Differences) -> None:
        """Add what was changed after it."""
        for key, (before, after) in changed.items():
            first = self.changed.get(key, (before, None))[0]
            if first == after:
                self.changed.pop(key, None)
            else:
                self.changed[key] = (first, after)


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
            self._history.apply(self.step, {key: after for key, (_, after) in self.step.changed.items()})

    def undo(self) -> None:
        """Take it back."""
        self._history.apply(self.step, {key: before for key, (before, _) in self.step.changed.items()})

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Join what goes on changing the same field; a change that leads back leaves no step."""
        if not isinstance(other, Change) or not self._history.joins(self.step, other.step):
            return False
        self.extend(other.step.changed)
        self.step.at, other.step.home = other.step.at, self.step
        return True

    def extend(self, changed: Differences) -> None:
        """Take in what followed from it."""
        self.step.take(changed)
        self.setText(self.step.text)
        self.setObsolete(not self.step.changed)


class History(QUndoStack):
    """The steps of a window, or of sessions without one.

    Attributes
    ----------
    refusal : says why nothing can be undone now; empty if it can.
    reveal : told which parts are about to change, to show them.
    clock : seconds; replaced in tests.
    typing : whether the focus is in a line of text, where a pause does not end a step.
    """

    said = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.refusal: Callable[[], str] = str
        self.reveal: Callable[[set[str]], object] = lambda parts: None
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
        before = self.snapshots()
        try:
            yield
        finally:
            self._open = None
            step.changed = differences(before, self.snapshots())
            if step.changed:
                step.fields = {name for name, _, _ in _leaves(step.changed)}
                step.at = self.clock()
                self.push(Change(self, step))
                self._sealed = False

    @contextmanager
    def follow(self, cause: Step | None) -> Iterator[None]:
        """What is changed inside follows from an earlier step, which it is undone with.

        Answers of the background are taken in here. They come when they come, also after later steps
        or between undo and redo, and are no steps themselves.
        """
        if self._open is not None or self._applied is not None:
            yield
            return
        place = self._open = Step()
        before = self.snapshots()
        try:
            yield
        finally:
            self._open = None
            self._extend(place, cause, differences(before, self.snapshots()))

    @property
    def cause(self) -> Step | None:
        """What is being done: for :meth:`follow` when its answer comes."""
        return self._open or self._applied

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

    def _extend(self, place: Step, cause: Step | None, changed: Differences) -> None:
        """Put what followed into the step that it followed from, or into the latest one."""
        at = self._position(cause, changed)
        if at is None:
            return
        command = self.command(at)
        assert isinstance(command, Change)  # noqa: S101 - for the type checker
        place.home = command.step
        if not changed:
            return
        command.extend(changed)
        for key, (_, now) in changed.items():  # what can be done again begins from here now
            for i in range(self.index(), self.count()):
                later = self.command(i)
                if isinstance(later, Change) and key in later.step.changed:
                    later.step.changed[key] = (now, later.step.changed[key][1])
                    break
        if command.isObsolete() and at == self.index() - 1:
            super().undo()  # the stack lets go of it

    def _position(self, cause: Step | None, changed: Differences) -> int | None:
        while cause is not None and cause.home is not None:
            cause = cause.home
        latest = None
        for i in reversed(range(self.index())):
            command = self.command(i)
            if not isinstance(command, Change):
                continue
            if command.step is cause:
                return i
            latest = i if latest is None else latest
            if changed.keys() & command.step.changed.keys():
                break
        return latest

    # ---- undoing --------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step back, unless something forbids it."""
        if self._allowed(self.canUndo()):
            while self.index() > 1 and self.command(self.index() - 1).isObsolete():
                super().undo()
            text = self.undoText()
            super().undo()
            self.said.emit(f"Undone: {text}")

    def redo(self) -> None:
        """Do again what was taken back last, unless something forbids it."""
        if self._allowed(self.canRedo()):
            text = self.redoText()
            super().redo()
            self.said.emit(f"Done again: {text}")

    def _allowed(self, possible: bool) -> bool:
        refusal = self.refusal()
        if possible and refusal:
            self.said.emit(refusal)
        return possible and not refusal

    def apply(self, step: Step, values: dict[tuple[str, str], Any]) -> None:
        """Put values back; what commands call."""
        wanted: dict[str, Values] = {}
        for (name, key), value in values.items():
            wanted.setdefault(name, {})[key] = value
        self._applied, self._sealed = step, True
        try:
            self.reveal(set(wanted))
            for name, part in self._parts.items():
                if name in wanted:
                    part.put(wanted[name])
        finally:
            self._applied = None


def differences(before: dict[str, Values], after: dict[str, Values]) -> Differences:
    """The values that differ between two states."""
    found: Differences = {}
    for name, now in after.items():
        then = before.get(name, {})
        for key in {**then, **now}:
            pair = then.get(key, ABSENT), now.get(key, ABSENT)
            if pair[0] != pair[1]:
                found[name, key] = pair
    return found


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


# ---- words --------------------------------------------------------------------------------------


def describe(changed: Differences) -> str:
    """Which values changed, and how, e.g. ``samples 5 → 8``."""
    leaves = _leaves(changed)
    kinds = [name.removesuffix("kind") for name, _, _ in leaves if name.endswith(".kind")]
    shown = [
        leaf for leaf in leaves
        if leaf[0].endswith(".kind") or not any(leaf[0].startswith(stem) for stem in kinds)
    ]  # fmt: skip
    if len(shown) == 1:
        name, before, after = shown[0]
        start = "" if before is ABSENT else f"{_words(before)} "
        return f"{_label(name)} {start}→ {_words(after)}"
    names = list(dict.fromkeys(_label(name) for name, _, _ in shown))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _leaves(changed: Differences) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []

    def add(name: str, before: Any, after: Any) -> None:
        if isinstance(before, dict) and isinstance(after, dict):
            for key in {**before, **after}:
                pair = before.get(key, ABSENT), after.get(key, ABSENT)
                if pair[0] != pair[1]:
                    add(f"{name}.{key}", *pair)
        else:
            found.append((name, before, after))

    for (part, key), (before, after) in changed.items():
        add(f"{part}.{key}", before, after)
    return found


def _label(name: str) -> str:
    parts = name.split(".")
    label = label_of(parts[-2] if parts[-1] == "kind" else parts[-1])
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _words(value: Any) -> str:
    if value is ABSENT or value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        text = ", ".join(_words(v) for v in value)
    elif isinstance(value, Path) or (isinstance(value, str) and "/" in value):
        text = Path(value).name
    else:
        text = str(value).replace("_", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
