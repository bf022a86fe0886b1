"""Any sequence of changes, taken back and done again, gives back the identical session.

A real window, two hundred deeds of a user drawn at random, answers of the background that come at random
times in random order. A failure names the seed and the last deeds; each deed draws from a seed of its own, so
that any of them can be left out to find the few that matter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent

from app.main_window import MainWindow
from app.settings import Settings
from tests.app.undo_walk import Hands, LateBackground, displayed, write_files

LENGTH = 200
Deed = tuple[str, int]  # its name, and what seeds the generator that it draws from
Key = tuple[str, str]


@dataclass
class State:
    """The window at one moment."""

    values: dict[Key, Any]
    shown: dict[str, Any] | None  # None while answers are still to come


@dataclass
class Place:
    """What is known of the window after so many steps of the history."""

    entered: State | None = None  # when the last of these steps had been made
    left: State | None = None  # when the next one was begun
    late: set[Key] = field(default_factory=set)  # values that an answer has changed since, elsewhere


def alike(one: Any, other: Any) -> bool:
    """Whether the same is shown, as far as it can be said: None is what nobody has entered."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one is None or other is None or one == other


class Walk:
    """Does deeds in a window, and holds against each other what should be the same.

    Parameters
    ----------
    lateness : the share of deeds after which answers stay out.
    """

    def __init__(self, window: MainWindow, hands: Hands, seed: int, lateness: float) -> None:
        self.window, self.hands, self.history = window, hands, window.history
        self.rng, self.lateness = random.Random(seed), lateness
        self.background: LateBackground = window.background  # type: ignore[assignment]
        self.now = 0.0
        self.history.clock = lambda: self.now
        self.places = [Place()]
        self.drain()
        self.history.clear()
        self.places = [Place(entered=self.state())]
        self.compared = self.excused = 0

    # ---- looking --------------------------------------------------------------------------------

    def values(self) -> dict[Key, Any]:
        return {
            (part, key): value
            for part, values in self.history.snapshots().items()
            for key, value in values.items()
        }

    def state(self) -> State:
        return State(self.values(), None if self.background.busy else displayed(self.window))

    def same(self, then: State | None, late: set[Key], what: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold the window against an earlier state of it, ``but`` for parts that are shown."""
        if then is None:
            return
        now = self.state()
        changed = {k for k in now.values | then.values if now.values.get(k) != then.values.get(k)}
        self.compared += len(then.values)
        self.excused += len(changed & late)
        assert not changed - late, (what, [(k, then.values.get(k), now.values.get(k)) for k in changed])
        if now.shown is not None and then.shown is not None and not late:
            for name, shown in then.shown.items():
                assert name in but or alike(shown, now.shown[name]), (what, name)

    # ---- answers --------------------------------------------------------------------------------

    def answer(self) -> bool:
        """Take one answer; what it changes here may be known to have been different elsewhere."""
        before, index = self.values(), self.history.index()
        if self.background.answer(self.rng) is None:
            return False
        now = self.values()
        changed = {k for k in now | before if now.get(k) != before.get(k)}
        if self.history.index() > index:  # it made a step of its own
            self.made(index, State(before, None))
        for number, place in enumerate(self.places):
            if number != self.history.index():
                place.late |= changed
        if self.history.index() < len(self.places):
            here = self.places[self.history.index()]
            here.entered, here.left = self.state(), None
        return True

    def drain(self) -> None:
        while self.answer():
            pass

    # ---- doing ----------------------------------------------------------------------------------

    def made(self, index: int, before: State) -> None:
        """Keep what is known after a deed that led from ``index`` to where the history is now."""
        now = self.history.index()
        del self.places[max(now, 0) :]
        if now > index and index < len(self.places):
            self.places[index].left = before
        self.places += [Place() for _ in range(now - len(self.places))]
        self.places.append(Place(entered=self.state()))

    def do(self, deed: Deed) -> None:
        """One deed of the user, and perhaps some answers."""
        name, number = deed
        rng, deeds = random.Random(number), self.hands.deeds()
        self.now += rng.choice((0.2, 5.0))
        if name in ("undo", "redo"):
            self.move(1 if name == "redo" else -1)
        else:
            before, index, step = self.state(), self.history.index(), self.step_time()
            deeds[name](rng)
            if (self.history.index(), self.step_time()) == (index, step):
                now = self.values()
                changed = {k for k in now | before.values if now.get(k) != before.values.get(k)}
                assert not changed, f"{name} changes {changed} without a step"
                self.places[index].left = None
            elif self.history.index() == index - 1 or self.history.canRedo():
                self.places = self.places[: self.history.index() + 1]  # joined, and led back
                self.same(self.places[-1].entered, self.places[-1].late, f"{name}, which led back")
            else:
                last: Any = self.history.command(index - 1) if index else None
                joined = hasattr(last, "step") and last.step.at != step
                self.made(index, before)
                if joined and self.history.index() > index:  # into the last step first, then one of its own
                    self.places[index].left = self.places[index].entered = None
        if rng.random() >= self.lateness:
            self.drain()
        else:
            for _ in range(rng.randrange(3)):
                self.answer()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def step_time(self) -> float:
        """Changes when something is joined with the last step."""
        command: Any = self.history.command(self.history.index() - 1) if self.history.index() else None
        return command.step.at if hasattr(command, "step") else 0.0

    def move(self, way: int) -> None:
        """Undo or redo, and hold what comes back against what was there."""
        index = self.history.index()
        (self.history.undo if way < 0 else self.history.redo)()
        now = self.history.index()
        if now == index or now >= len(self.places):
            return
        place = self.places[now]
        what = f"{'undo' if way < 0 else 'redo'} to {now}: {self.history.undoText()}"
        self.same(place.left if way < 0 else place.entered, place.late, what)

    def everything(self) -> None:
        """Take all of it back, do all of it again, and take it back: each time the same, step by step."""
        self.drain()
        first = self.ahead  # the last deeds may have been taken back already
        back = {first: self.state()}
        while self.history.canUndo():
            self.move(-1)
            self.drain()
            back[self.ahead] = self.state()
        # going somewhere is no step: the first one may have been made in another mode
        self.same(self.places[0].entered, set(), "all undone", but=("mode", "run panel", "class averages"))
        while self.ahead > first:
            self.history.redo()
            if self.rng.random() >= self.lateness:
                self.drain()
            self.same(State(back[self.ahead].values, None), set(), "done again")
        self.drain()
        self.same(State(back[self.ahead].values, None), set(), "all done again")
        while self.history.canUndo():
            self.history.undo()
            self.drain()
            self.same(back[self.ahead], set(), "undone again")

    @property
    def ahead(self) -> int:
        """How many steps can be done again; it stays when the history lets go of one that is done."""
        return self.history.count() - self.history.index()

    def half(self, deeds: list[Deed]) -> None:
        """Undo half, do other things, undo everything."""
        while self.history.canRedo():
            self.history.redo()
        self.drain()
        for _ in range(self.history.index() // 2):
            self.history.undo()
        self.places = [Place(entered=self.places[0].entered)]
        self.places += [Place() for _ in range(self.history.count())]
        for deed in deeds:
            self.do(deed)
        self.drain()
        while self.history.canUndo():
            self.history.undo()
        self.drain()
        but = ("mode", "run panel", "class averages")
        self.same(self.places[0].entered, set(), "half undone, then all", but=but)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def window(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, _no_leaks: None, files: dict[str, list[Path]]
) -> Iterator[MainWindow]:
    monkeypatch.setattr("app.main_window.Background", LateBackground)
    window = MainWindow(settings)
    window.features.make_all()
    rng = random.Random(0)
    window.open_run(files["run"][0])
    while window.background.answer(rng):
        pass
    window.modes.set_mode("dps")
    yield window
    window.close()
    window.deleteLater()
    QCoreApplication.processEvents()


def program(hands: Hands, seed: int, length: int) -> list[Deed]:
    """Deeds of a seed; what is done most often is also drawn most often."""
    rng = random.Random(seed)
    names = [*hands.deeds(), "undo", "undo", "redo", "settings", "add", "choose", "evidence_form"]
    return [(rng.choice(names), rng.getrandbits(32)) for _ in range(length)]


@pytest.mark.parametrize(("seed", "lateness"), [(1, 0.0), (2, 0.3), (3, 0.8)])
def test_any_sequence_undone_gives_back_the_identical_session(
    window: MainWindow, files: dict[str, list[Path]], seed: int, lateness: float
) -> None:
    hands = Hands(window, files)
    walk = Walk(window, hands, seed, lateness)
    deeds = program(hands, seed, LENGTH + 40)
    done: list[Deed] = []
    try:
        for deed in deeds[:LENGTH]:
            done.append(deed)
            walk.do(deed)
        walk.everything()
        walk.half(deeds[LENGTH:])
    except AssertionError:
        print(f"seed {seed}, lateness {lateness}, after {len(done)} deeds:")
        for deed in done[-12:]:
            print("   ", deed)
        raise
    assert walk.compared > 10 * LENGTH
    assert walk.excused <= 0.02 * walk.compared
