"""Servers that files are asked of, and the manners towards them: pace, pauses, patience."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from engine.errors import Cancelled, SpecError
from engine.io.accessions import Entry
from engine.io.transfer_failures import Failure

_BACKOFF_S, _BACKOFF_MAX_S = 1.0, 60.0
_EARNED_BYTES = 1 << 20
_SLICE_S = 0.2  # how soon a pause notices that it should stop
_LOST_IN_A_ROW = 3


@runtime_checkable
class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The computer's."""

    def now(self) -> float:
        """Seconds, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Pace:
    """At most so many requests a second, and pauses that can be broken off.

    Parameters
    ----------
    rate_per_s : requests a second.
    clock : the time.
    cancel : asked often; True raises :class:`Cancelled`.
    """

    def __init__(self, rate_per_s: float, clock: Clock, cancel: Callable[[], bool]) -> None:
        self._interval_s = 1 / rate_per_s
        self._clock = clock
        self._cancel = cancel
        self._next = float("-inf")

    def now(self) -> float:
        """Seconds on the clock."""
        return self._clock.now()

    def stop_if_asked(self) -> None:
        """Raise :class:`Cancelled` if that was asked for."""
        if self._cancel():
            raise Cancelled

    def turn(self) -> None:
        """Wait until the next request may be made."""
        self.pause(self._next - self._clock.now())
        self._next = self._clock.now() + self._interval_s

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.stop_if_asked()
        end = self._clock.now() + seconds
        while (left := end - self._clock.now()) > 0:
            self._clock.sleep(min(left, _SLICE_S))
            self.stop_if_asked()


class Patience:
    """How many more attempts, and how long to wait before each: longer and longer, and never in step.

    Attempts that bring the file a megabyte further than ever begin anew; of these there are only so
    many in a file of limited size.
    """

    def __init__(self, retries: int, size: int) -> None:
        self._retries = retries
        self._failures = 0
        self._furthest = size

    def spend(self, size: int) -> float | None:
        """Seconds to wait after a failure that left ``size`` bytes; None if it was the last."""
        if size >= self._furthest + _EARNED_BYTES:
            self._failures, self._furthest = 0, size
        if self._failures >= self._retries:
            return None
        self._failures += 1
        return min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** (self._failures - 1)) * random.uniform(0.5, 1.5)


class Server:
    """One source: its addresses, and how it has behaved so far.

    Parameters
    ----------
    name : for people.
    base : address that the files are under.
    divided : whether structures lie in folders named after the middle of their ids.

    Attributes
    ----------
    lost : why it is no longer asked, or None.
    rest_until : when it may be asked again, on the clock.
    """

    def __init__(self, name: str, base: str, *, divided: bool = False) -> None:
        self.name = name
        self._base = base.rstrip("/")
        self._divided = divided
        self._answered = False
        self._missed = 0
        self.rest_until = float("-inf")
        self.lost: Failure | None = None

    def url(self, entry: Entry) -> str:
        """Where it has an entry's file."""
        if entry.kind == "map":
            return f"{self._base}/{entry.id}/map/{entry.file_name}"
        folder = f"{entry.middle}/" if self._divided else ""
        return f"{self._base}/{folder}{entry.file_name}"

    def answered(self) -> None:
        """Note that there was a connection."""
        self._answered, self._missed = True, 0

    @property
    def worth_retrying(self) -> bool:
        """Whether a failing connection may be a passing fault: it has stood before."""
        return self._answered

    def missed(self, failure: Failure) -> None:
        """It couldn't be reached for an entry: enough if it never could, or several times in a row."""
        self._missed += 1
        if not self._answered or self._missed >= _LOST_IN_A_ROW:
            self.lost = failure


def check_base(url: str, name: str) -> None:
    """Raise SpecError unless ``url`` can be the base address of a server.

    Parameters
    ----------
    url : e.g. ``https://files.rcsb.org/download``.
    name : of the setting, for the message.
    """
    advice = "Give an address that begins with https:// or http://, without user, password, ? and #."
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        raise SpecError(f"The address of {name} is {url[:200]!r}.", advice) from None
    good = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.password
    if not good or parts.query or parts.fragment or any(c.isspace() for c in url):
        raise SpecError(f"The address of {name} is {url[:200]!r}.", advice)
