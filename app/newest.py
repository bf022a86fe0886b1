"""Work of which only the newest request counts: at most one runs, at most one waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.background import Background, Done, FailedWith, Ticket

Work = Callable[[], Any]


def _ignore(_error: Exception) -> None:
    """Say nothing."""


class Newest:
    """Asks the background for one thing after another, and skips what has been overtaken.

    While one request is being worked on its answer is still delivered, so that what is dragged or
    arrives live keeps moving; of those that wait only the last is kept.

    Parameters
    ----------
    background : where work is done.
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._running: Ticket | None = None
        self._waiting: tuple[Work, Done, FailedWith] | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._running is not None

    def ask(self, work: Work, done: Done, failed: FailedWith = _ignore) -> None:
        """Do ``work()``, then ``done(result)`` or ``failed(exception)``, unless a later request comes."""
        if self._running is not None:
            self._waiting = (work, done, failed)
            return
        # An answer may come within submit: what follows must not overwrite what it started.
        answered = False

        def finish(deliver: Callable[[], None]) -> None:
            nonlocal answered
            answered, self._running = True, None
            try:
                deliver()
            finally:
                self._next()

        ticket = self._background.submit(
            work,
            lambda result: finish(lambda: done(result)),
            lambda error: finish(lambda: failed(error)),
        )
        if not answered:
            self._running = ticket

    def drop(self) -> None:
        """Want nothing any more; what is being worked on is thrown away."""
        self._waiting = None
        if self._running is not None:
            self._running.drop()
            self._running = None

    def _next(self) -> None:
        if self._waiting is not None and self._running is None:
            work, done, failed = self._waiting
            self._waiting = None
            self.ask(work, done, failed)
