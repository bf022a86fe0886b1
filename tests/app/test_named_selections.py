from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.averages_session import AveragesSession
from app.main_window import MainWindow
from app.named_selections import MOST, NamedSelections
from tests.app import averages_phantom
from tests.app.conftest import ImmediateBackground, spin


@pytest.fixture
def session(tmp_path: Path) -> AveragesSession:
    found = AveragesSession(ImmediateBackground())
    found.open(averages_phantom.write_classes(tmp_path, 5))
    return found


@pytest.fixture
def named(session: AveragesSession) -> NamedSelections:
    return NamedSelections(session)


def chosen(session: AveragesSession) -> list[int]:
    return np.flatnonzero(session.selected).tolist()


def test_selections_are_kept_and_taken_up_again(session: AveragesSession, named: NamedSelections) -> None:
    assert named.suggestion() == "Selection 1"
    session.select([0, 1], on=False)
    named.keep("Selection 1")
    assert named.suggestion() == "Selection 2"
    assert named.words("Selection 1") == "3 images (1,200 particles)"
    session.select_all()
    session.select([1, 2, 3, 4], on=False)
    named.keep(" one ")
    named.use("Selection 1")
    assert chosen(session) == [2, 3, 4]
    named.use("one", "add")
    assert chosen(session) == [0, 2, 3, 4]
    named.use("Selection 1", "take out")
    assert chosen(session) == [0]
    named.use("nothing of that name")
    assert chosen(session) == [0]


def test_every_change_can_be_undone(session: AveragesSession, named: NamedSelections) -> None:
    states = [(named.state(), chosen(session))]

    def took(text: str) -> None:
        assert session.history.undoText() == text
        states.append((named.state(), chosen(session)))

    named.keep("all")
    took("keep the selection “all”")
    session.select([3, 4], on=False)
    states.append((named.state(), chosen(session)))
    named.keep("few")
    took("keep the selection “few”")
    named.use("all")
    took("use the selection “all”")
    named.keep("few")
    took("replace the selection “few”")
    named.rename("few", "same")
    took("rename the selection “few” to “same”")
    assert named.names == ("all", "same")
    named.delete("all")
    took("delete the selection “all”")
    steps = session.history.count()
    named.keep("same")  # as it is: no step
    named.delete("all")
    assert session.history.count() == steps
    for state in reversed(states[:-1]):
        session.history.undo()
        assert (named.state(), chosen(session)) == state
    for state in states[1:]:
        session.history.redo()
        assert (named.state(), chosen(session)) == state


def test_names_belong_to_their_file(session: AveragesSession, named: NamedSelections, tmp_path: Path) -> None:
    named.keep("mine")
    (tmp_path / "other").mkdir()
    first = session.path
    session.open(averages_phantom.write_stack(tmp_path / "other", 3))
    assert named.names == ()
    named.keep("theirs")
    assert (named.names, named.words("theirs")) == (("theirs",), "3 images")
    session.open(first)
    assert named.names == ("mine",)


def test_names_that_cannot_be(named: NamedSelections) -> None:
    named.keep("a")
    assert [bool(named.problem(n)) for n in ("", " ", "a", "x" * 61, "a\nb", "b")] == [True] * 5 + [False]
    for i in range(MOST - 1):
        named.keep(f"n{i}")
    assert "Delete one" in named.problem("new")
    named.keep("new")
    assert len(named.names) == MOST


def test_nonsense_from_a_session_is_passed_over(session: AveragesSession, named: NamedSelections) -> None:
    good = {
        str(session.path): {"good": [1, 9], "bad": [0], "worse": "x", "": [1]},
        "/b": [],
        "c": {"a": [True]},
    }
    named.restore(good)
    assert named.names == ("good",)
    named.use("good")
    assert chosen(session) == [0]  # there is no ninth image
    named.restore(None)
    assert named.names == ()


def open_averages(window: MainWindow, path: Path) -> None:
    window.modes.open_averages(path)
    averages = window.modes.averages
    spin(lambda: averages.quality is not None and not window.background.busy)


def test_the_window_keeps_recalls_and_restores(window: MainWindow, tmp_path: Path) -> None:
    open_averages(window, averages_phantom.write_classes(tmp_path, 5))
    state, gallery, averages = window.features["gallery"], window.modes.gallery, window.modes.averages
    averages.select([0, 1], on=False)
    asked: list[str] = []

    def answer(title, what, explained, suggestion, problem) -> str:
        asked.append(problem(suggestion))
        return "few" if suggestion == "Selection 1" else "fewer"

    window.dialogs.new_name = answer
    state.keep()
    assert list(gallery._named.menus) == ["few"]
    few = gallery._named.menus["few"]
    assert few.title() == "“few”, 3 images (1,200 particles)"
    deeds = {a.text().replace("&", ""): a for a in few.actions()}
    averages.select_all()
    deeds["Use only these"].trigger()
    assert chosen(averages) == [2, 3, 4]
    deeds["Rename…"].trigger()
    assert list(gallery._named.menus) == ["fewer"]
    gallery.sort_by("particles")
    kept = state.state()
    window.history.undo()
    assert list(gallery._named.menus) == ["few"]
    gallery.sort_by("number")
    state.restore(kept)
    assert list(gallery._named.menus) == ["fewer"]
    assert list(gallery.model.order) == [4, 3, 2, 1, 0]
    state.restore({"sort": 3, "captions": [1], "named": 7, "side": "x"})
    assert gallery.model.key == "particles"
    assert asked == ["", ""]
