"""Work off the GUI thread: its answers never come before its ticket."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from pytestqt.qtbot import QtBot

from app.background import Background


class AtOnce:
    """A pool whose work has ended before `submit` returns, as with a small file on a quick disk."""

    def submit(self, work):
        future: Future[object] = Future()
        try:
            future.set_result(work())
        except ValueError as exc:
            future.set_exception(exc)
        return future

    def shutdown(self, **_how) -> None:
        pass


@pytest.mark.parametrize("fails", [False, True])
def test_an_answer_comes_after_the_ticket_however_quick_the_work(qtbot: QtBot, fails: bool):
    background = Background()
    background._pool.shutdown()
    background._pool = AtOnce()  # type: ignore[assignment]
    heard: list[object] = []

    def work() -> int:
        if fails:
            raise ValueError("no")
        return 7

    ticket = background.submit(work, heard.append, heard.append)
    assert not heard
    assert background.busy
    qtbot.waitUntil(lambda: bool(heard))
    assert str(heard[0]) == ("no" if fails else "7")
    assert not ticket.dropped
    assert not background.busy

    dropped = background.submit(work, heard.append, heard.append)
    dropped.drop()
    qtbot.waitUntil(lambda: not background.busy)
    assert len(heard) == 1
    background.close()
