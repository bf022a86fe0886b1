"""Selections of class averages that are kept under a name, per file; every change can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.averages_session import AveragesSession
from app.averages_words import are_shares
from app.history import Values

LONGEST = 60  # characters of a name
MOST = 50  # names per file
MOST_FILES = 100
Rows = tuple[int, ...]  # counted from 1, as in run descriptions
Named = Mapping[str, Mapping[str, Rows]]


class NamedSelections(QObject):
    """Keeps selections of the images of a session, and takes them up again.

    Parameters
    ----------
    session : whose images are meant, and whose history keeps the changes.
    """

    kind = "selections"
    changed = Signal()

    def __init__(self, session: AveragesSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._all: dict[str, dict[str, Rows]] = {}  # replaced, never changed in place
        session.history.keep(self.kind, self)
        session.read.connect(self.changed)

    # ---- asking ---------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the selections of the present file, in the order in which they were kept."""
        return tuple(self._own)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """(n,) which images it holds. Raises KeyError for an unknown name."""
        found = np.zeros(len(self._session.selected), bool)
        rows = np.asarray(self._own[name], int) - 1
        found[rows[rows < len(found)]] = True
        return found

    def words(self, name: str) -> str:
        """How much it holds."""
        mask = self.mask(name)
        count = int(np.count_nonzero(mask))
        text = f"{count:,} image{'s' if count != 1 else ''}"
        loaded = self._session.loaded
        counts = loaded.averages.counts if loaded is not None else None
        if counts is None or are_shares(counts):
            return text
        return f"{text} ({counts[mask].sum():,.0f} particles)"

    def problem(self, name: str) -> str:
        """Why a name can't be used for a new one; empty if it can."""
        name = name.strip()
        if not name:
            return "It needs a name."
        if len(name) > LONGEST:
            return f"At most {LONGEST} characters."
        if not name.isprintable():
            return "Only characters that can be seen."
        if name in self._own:
            return "There is a selection of that name."
        return f"There are {MOST} already. Delete one first." if len(self._own) >= MOST else ""

    def suggestion(self) -> str:
        """A name that is free."""
        return next(f"Selection {i}" for i in range(1, MOST + 2) if f"Selection {i}" not in self._own)

    # ---- changing -------------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """Keep the present selection under a name; one that has it already is replaced."""
        name = name.strip()
        if self._session.loaded is None or (name not in self._own and self.problem(name)):
            return
        verb = "replace" if name in self._own else "keep"
        rows = tuple((np.flatnonzero(self._session.selected) + 1).tolist())
        self._put_own({**self._own, name: rows}, f"{verb} the selection “{name}”")

    def rename(self, name: str, new: str) -> None:
        """Give it another name, in its place."""
        new = new.strip()
        if name in self._own and not self.problem(new):
            own = {new if key == name else key: rows for key, rows in self._own.items()}
            self._put_own(own, f"rename the selection “{name}” to “{new}”")

    def delete(self, name: str) -> None:
        """Forget it; what is selected stays."""
        rest = {key: rows for key, rows in self._own.items() if key != name}
        self._put_own(rest, f"delete the selection “{name}”")

    def use(self, name: str, deed: str = "only") -> None:
        """Select its images ``only``, ``add`` them, or ``take out`` what it holds."""
        if name not in self._own or self._session.loaded is None:
            return
        mask, now = self.mask(name), self._session.selected
        if deed == "add":
            self._session.choose(now | mask, f"add the selection “{name}”")
        elif deed == "take out":
            self._session.choose(now & ~mask, f"leave out the selection “{name}”")
        else:
            self._session.choose(mask, f"use the selection “{name}”")

    # ---- the session and the history ------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All of them as plain values: file, name, rows counted from 1."""
        return {path: {n: list(rows) for n, rows in own.items()} for path, own in self._all.items()}

    def restore(self, state: Any) -> None:
        """Take up values of :meth:`state`; what doesn't fit is passed over. No step of the history."""
        found = {}
        for path, own in list(state.items())[-MOST_FILES:] if isinstance(state, dict) else ():
            kept = {n: tuple(rows) for n, rows in own.items() if _fits(n, rows)} if _named(path, own) else {}
            if kept:
                found[path] = dict(list(kept.items())[:MOST])
        self._all = found
        self.changed.emit()

    def snapshot(self) -> Values:
        """What the history keeps."""
        return {"named": self._all}

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`."""
        found = values.get("named", self._all)
        self._all = found if isinstance(found, dict) else {}  # absent: before this was made
        self.changed.emit()

    @property
    def _own(self) -> dict[str, Rows]:
        return self._all.get(self._file, {})

    @property
    def _file(self) -> str:
        return str(self._session.path or Path())

    def _put_own(self, own: dict[str, Rows], text: str) -> None:
        if own == self._own and list(own) == list(self._own):
            return
        with self._session.history.step(text):
            others = {path: kept for path, kept in self._all.items() if path != self._file}
            found = {**others, self._file: own} if own else others
            self._all = dict(list(found.items())[-MOST_FILES:])
            self.changed.emit()


def _named(path: Any, own: Any) -> bool:
    return isinstance(path, str) and isinstance(own, dict)


def _fits(name: Any, rows: Any) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST
        and isinstance(rows, list)
        and all(type(row) is int and row > 0 for row in rows)
    )
