"""Works out, one after the other and in the background, how the tiles come onto the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.aligning import THRESHOLD, Aligned, Frame, Member, agreeing, correlations, frame_of, onto, staying
from app.background import Background
from app.newest import Newest
from app.superpose import STAY, Motion


@dataclass(frozen=True)
class Wish:
    """A member that is to come onto the first.

    Attributes
    ----------
    key : of its tile.
    shape : map or points; ready, and not going to change.
    turns : whether it may be turned at all; else it shares the frame of the first.
    either_hand : whether its mirror image may fit as well.
    """

    key: str
    shape: Member
    turns: bool = True
    either_hand: bool = False


class TileAlignment(QObject):
    """Keeps what was found as long as the first member stays.

    ``found`` tells which key.
    """

    found = Signal(str)

    def __init__(self, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._newest = Newest(background)
        self._first: Member | None = None
        self._frame: Frame | None = None
        self._known: dict[str, tuple[Member, Aligned]] = {}
        self._todo: list[Wish] = []
        self._asked: list[Wish] = []
        self._agreement: tuple[list[str], int] | None = None

    def ask(self, wishes: Sequence[Wish]) -> None:
        """Bring these onto the first of them; what is known already isn't done again."""
        if not wishes:
            self.clear()
            return
        if self._first is None or not _same(wishes[0].shape, self._first):
            self.clear()
            self._first = wishes[0].shape
        self._asked, self._agreement = list(wishes), None
        for key in set(self._known) - {w.key for w in wishes}:
            del self._known[key]
        self._todo = [
            w for w in wishes if w.key not in self._known or not _same(self._known[w.key][0], w.shape)
        ]
        self._next()

    def motion(self, key: str) -> Motion:
        """What moves a tile's content; nothing as long as it isn't known."""
        return self._known[key][1].motion if key in self._known else STAY

    def words(self, key: str) -> str:
        """How a tile was moved; empty for the first and while it isn't known."""
        return self._known[key][1].words if key in self._known else ""

    def knows(self, key: str) -> bool:
        """Whether it is known how a tile comes onto the first."""
        return key in self._known

    @property
    def busy(self) -> bool:
        """Whether something is still being worked out."""
        return bool(self._todo)

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is known."""
        return bool(self._asked) and all(w.key in self._known for w in self._asked)

    def agreement(self) -> tuple[list[str], int]:
        """Keys of the largest set that agrees, and how many were compared; nobody until all are known."""
        if not self.complete or len(self._asked) < 2:
            return [], 0
        if self._agreement is None:
            keys = [w.key for w in self._asked]
            table = correlations([self._known[key][1].box for key in keys])
            self._agreement = [keys[i] for i in agreeing(table, THRESHOLD)], len(keys)
        return self._agreement

    def clear(self) -> None:
        """Forget all, and want nothing."""
        self._newest.drop()
        self._first = self._frame = None
        self._known.clear()
        self._todo, self._asked, self._agreement = [], [], None

    def _next(self) -> None:
        if self._newest.busy or not self._todo or self._first is None:
            return
        wish = self._todo[0]
        self._newest.ask(
            partial(_align, wish, self._first, self._frame),
            partial(self._answered, wish),
            lambda _error: self._done(wish),  # a shape that can't be compared stays where it is
        )

    def _answered(self, wish: Wish, answer: tuple[Frame, Aligned]) -> None:
        self._frame = answer[0]
        self._known[wish.key], self._agreement = (wish.shape, answer[1]), None
        self._done(wish)
        self.found.emit(wish.key)

    def _done(self, wish: Wish) -> None:
        self._todo = [w for w in self._todo if w.key != wish.key or not _same(w.shape, wish.shape)]
        self._next()


def _same(one: Member, other: Member) -> bool:
    """Whether two are the same map, or the same row of the same array of points."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        first, second = one.__array_interface__, other.__array_interface__
        return one.shape == other.shape and first["data"] == second["data"]
    return one is other


def _align(wish: Wish, first: Member, frame: Frame | None) -> tuple[Frame, Aligned]:
    frame = frame or frame_of(first)
    if _same(wish.shape, first) or not wish.turns:
        return frame, staying(wish.shape, frame)
    return frame, onto(wish.shape, first, frame, either_hand=wish.either_hand)
