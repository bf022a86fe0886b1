"""Work off the GUI thread, answered on it.

Threads only ever hold plain functions with plain arguments. The callbacks, which may hold widgets,
stay in a table on the GUI side: so no widget or OpenGL object can be finalised in a worker thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

Done = Callable[[Any], None]
FailedWith = Callable[[Exception], None]


class Ticket:
    """A piece of work under way; after :meth:`drop` its result is thrown away."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.dropped = False

    def drop(self) -> None:
        """Never deliver the result (a later request has overtaken it)."""
        self.dropped = True


class Background(QObject):
    """A few threads for reading, checking and writing files.

    Parameters
    ----------
    threads : how many pieces of work run at once.
    parent : Qt owner.
    """

    _answered = Signal(int, object, object)

    def __init__(self, threads: int = 2, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="verglas-file")
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[Ticket, Done, FailedWith]] = {}
        self._closed = False
        # Queued even from the GUI thread: work that ends before `submit` returns runs its callback there, and
        # callers note the ticket only after that.
        self._answered.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def busy(self) -> bool:
        """Whether any result is still to come."""
        return bool(self._waiting)

    def submit(self, work: Callable[[], Any], done: Done, failed: FailedWith) -> Ticket:
        """Run ``work()`` in a thread, then ``done(result)`` or ``failed(exception)`` on the GUI thread."""
        ticket = Ticket(next(self._numbers))
        if self._closed:
            ticket.drop()
            return ticket
        self._waiting[ticket.number] = (ticket, done, failed)
        number, answered = ticket.number, self._answered

        def answer(future: Future[Any]) -> None:
            if future.cancelled():
                return
            try:
                error = future.exception()
                answered.emit(number, None if error else future.result(), error)
            except RuntimeError:
                pass  # the window was closed meanwhile and its signals are gone

        self._pool.submit(work).add_done_callback(answer)
        return ticket

    def close(self) -> None:
        """Throw away what has not begun, and deliver nothing any more."""
        self._closed = True
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @Slot(int, object, object)
    def _deliver(self, number: int, result: object, error: object) -> None:
        entry = self._waiting.pop(number, None)
        if entry is None:
            return
        ticket, done, failed = entry
        if ticket.dropped:
            return
        if isinstance(error, Exception):
            failed(error)
        else:
            done(result)


def words(error: Exception) -> str:
    """An exception in words for the user; anything but a VerglasError is a fault of ours and says so."""
    from engine.errors import VerglasError

    if isinstance(error, VerglasError):
        return f"{error.problem} {error.advice}".strip()
    return f"Unexpected {type(error).__name__}: {error}. Please report this."
