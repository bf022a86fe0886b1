"""Undo and redo: words, joining, late answers, keys in fields, modes, the list of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.history import ABSENT, History, Values, put_items
from app.session import Session
from tests.app import phantom
from tests.app.conftest import ImmediateBackground


class Notes:
    """A part whose values are set one by one."""

    def __init__(self, history: History) -> None:
        self.history, self.values = history, {}
        history.keep("notes", self)

    def set(self, name: str, value: Any, **how: Any) -> None:
        with self.history.step(**how):
            self.values[name] = value

    def snapshot(self) -> Values:
        return dict(self.values)

    def put(self, values: Values) -> None:
        put_items(self.values, values)


@pytest.fixture
def history(qapp) -> History:
    found = History()
    found.clock = lambda: 0.0
    return found


@pytest.fixture
def notes(history: History) -> Notes:
    return Notes(history)


# ---- joining ----------------------------------------------------------------------------------------


def test_changes_of_one_field_join_while_they_follow_closely(history: History, notes: Notes) -> None:
    for at, value in ((0.0, 1), (0.5, 2), (1.2, 3), (3.0, 4)):
        history.clock = lambda at=at: at
        notes.set("samples", value, merge=True)
    assert [history.command(i).text() for i in range(2)] == ["samples → 3", "samples 3 → 4"]
    history.undo()
    assert notes.values == {"samples": 3}
    history.undo()
    assert notes.values == {}
    history.redo()
    history.redo()
    assert notes.values == {"samples": 4}


def test_what_ends_a_joined_step(history: History, notes: Notes) -> None:
    notes.set("samples", 1, merge=True)
    history.seal()  # the focus has moved
    notes.set("samples", 2, merge=True)
    notes.set("seed", 2, merge=True)  # another field
    notes.set("samples", 3, merge=True)
    notes.set("samples", 4)  # no change by typing
    assert history.count() == 5
    history.undo()
    notes.set("samples", 9, merge=True)  # after an undo
    assert history.count() == 5
    history.undo()
    assert notes.values == {"samples": 3, "seed": 2}


def test_while_typing_a_pause_ends_no_step_and_going_back_leaves_none(history: History, notes: Notes) -> None:
    notes.set("title", "", merge=False)
    history.typing = True
    for at, text in enumerate(("a", "ab", "abc", "ab", "a", "")):
        history.clock = lambda at=at: 100.0 * at
        notes.set("title", text, merge=True)
        assert history.count() == (2 if text else 1)
    assert not history.canRedo()


# ---- late answers -----------------------------------------------------------------------------------


def test_an_answer_belongs_to_what_asked_for_it(history: History, notes: Notes) -> None:
    with history.step("add"):
        notes.values["row"] = {"role": None, "weight": 1}
        cause = history.cause
    notes.set("row", {"role": None, "weight": 2})
    notes.set("title", "x")
    with history.follow(cause):
        notes.values["row"] = {"role": "map", "weight": 2}
    history.undo()
    history.undo()
    assert notes.values == {"row": {"role": "map", "weight": 1}, "title": ABSENT} or notes.values == {
        "row": {"role": "map", "weight": 1}
    }
    history.undo()
    assert notes.values == {}
    for _ in range(3):
        history.redo()
    assert notes.values == {"row": {"role": "map", "weight": 2}, "title": "x"}


def test_an_answer_that_a_later_step_stands_in_the_way_of_belongs_to_that(
    history: History, notes: Notes
) -> None:
    with history.step("add"):
        notes.values["stack"] = {"weight": 1}
        cause = history.cause
    notes.set("stack", {"weight": 2})
    notes.set("title", "x")
    with history.follow(cause):  # it is put together with another, as it is now
        del notes.values["stack"]
        notes.values["pair"] = {"weight": 2}
    history.undo()
    assert notes.values == {"pair": {"weight": 2}}
    history.undo()
    assert notes.values == {"stack": {"weight": 1}}
    history.redo()
    assert notes.values == {"pair": {"weight": 2}}


def test_an_answer_after_the_history_was_cleared_is_no_step(history: History, notes: Notes) -> None:
    with history.step("restore"):
        notes.values["row"] = {"role": None}
        cause = history.cause
    history.clear()
    notes.set("title", "x")
    with history.follow(cause):
        notes.values["row"] = {"role": "map"}
    assert history.count() == 1
    history.undo()
    assert notes.values == {"row": {"role": "map"}}


def test_an_answer_between_undo_and_redo_stays(history: History, notes: Notes) -> None:
    with history.step("add"):
        notes.values["row"] = {"role": None, "weight": 1}
        cause = history.cause
    notes.set("row", {"role": None, "weight": 2})
    notes.set("row", {"role": None, "weight": 3})
    history.undo()
    history.undo()
    with history.follow(cause):
        notes.values["row"] = {"role": "map", "weight": 1}
    seen = [dict(notes.values["row"])]
    for _ in range(2):
        history.redo()
        seen.append(dict(notes.values["row"]))
    assert seen == [{"role": "map", "weight": w} for w in (1, 2, 3)]
    history.undo()
    history.undo()
    assert notes.values["row"] == seen[0]


def test_a_step_that_an_answer_takes_back_is_passed_over(history: History, notes: Notes) -> None:
    said: list[str] = []
    history.said.connect(said.append)
    with history.step("add junk"):
        notes.values["junk"] = 1
        cause = history.cause
    notes.set("title", "x")
    with history.follow(cause):
        del notes.values["junk"]
    history.undo()
    history.undo()
    assert said == ["Undone: title → x"]
    assert not history.canUndo()
    with history.step("add junk"):
        notes.values["junk"] = 1
        cause = history.cause
    with history.follow(cause):
        del notes.values["junk"]
    assert not history.canUndo()


# ---- the session ------------------------------------------------------------------------------------


class Shuffled(ImmediateBackground):
    """Answers when asked to, in the order in which a generator draws them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.held, self.random = [], np.random.default_rng(seed)

    def answer(self) -> None:
        self.held.pop(int(self.random.integers(len(self.held))))()


@pytest.mark.parametrize("seed", range(12))
def test_images_poses_and_a_map_come_together_in_any_order(qapp, tmp_path: Path, seed: int) -> None:
    background = Shuffled(seed)
    session = Session(background, tmp_path)
    stack, star = phantom.write_projections(tmp_path, 2)
    files = [star, phantom.write_map(tmp_path / "m.mrc"), tmp_path / "missing.pdb"]
    files += [stack] if seed % 2 else []  # else the STAR file names it
    session.add_files(files)
    while background.held:
        background.answer()
    states = {row.names: (row.role, row.state) for row in session.evidence.values()}
    assert states == {
        "views.mrcs + views.star": ("projection_images", "ready"), "m.mrc": ("coarse_map", "ready"),
        "missing.pdb": (None, "problem"),
    }  # fmt: skip
    assert not session.checking
    end = session.history.snapshots()
    session.history.undo()
    assert session.evidence == {}
    assert not session.history.canUndo()
    session.history.redo()
    assert session.history.snapshots() == end
    assert {row.names: (row.role, row.state) for row in session.evidence.values()} == states


def test_a_stack_that_cannot_be_read_keeps_no_other_from_its_star_file(qapp, tmp_path: Path) -> None:
    background = Shuffled(0)
    session = Session(background, tmp_path)
    _, star = phantom.write_projections(tmp_path, 2)
    session.add_files([star, tmp_path / "missing.mrc"])
    while background.held:
        background.held.pop(0)()  # the one that is missing last
    assert "views.mrcs + views.star" in [row.names for row in session.evidence.values()]
