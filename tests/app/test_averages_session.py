from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import averages_files
from app.averages_session import AveragesSession
from engine.errors import InputError
from engine.io.averages import export_selection
from engine.io.class_averages import read_class_averages
from engine.specs.sds import ClassAveragesInput
from tests.app import averages_phantom, phantom
from tests.app.conftest import ImmediateBackground


@pytest.fixture
def background() -> ImmediateBackground:
    return ImmediateBackground()


@pytest.fixture
def session(background: ImmediateBackground) -> AveragesSession:
    return AveragesSession(background)


def test_nothing_can_be_used_before_there_are_images(session: AveragesSession, tmp_path: Path) -> None:
    assert session.missing() == "Add class averages first."
    junk = tmp_path / "junk.mrcs"
    junk.write_bytes(bytes(range(256)) * 8)
    session.open(junk)
    assert session.state == "problem"
    assert "junk.mrcs can't be used" in session.missing()
    session.close()
    assert session.missing() == "Add class averages first."


def test_images_are_read_ranked_and_prepared(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 6, junk=1))
    assert session.missing() == ""
    assert session.count == 6
    assert session.particles is None
    assert list(np.flatnonzero(session.marked)) == [5]
    prepared = session.shown.prepared
    assert session.box == prepared.stack.images.shape[-1] == phantom.BOX
    assert len(session.shown.thumbnails.pixels) == 6
    assert session.spec() == ClassAveragesInput(file=str(tmp_path / "averages.mrcs"))


def test_a_missing_pixel_size_is_asked_for(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 4, pixel_size_A=0.0))
    assert session.asks_pixel_size
    assert session.shown is None
    assert "how large a pixel" in session.missing()
    session.set_options({"pixel_size_A": 2.5})
    assert not session.asks_pixel_size
    assert session.missing() == ""
    assert session.shown.prepared.stack.pixel_size_A == pytest.approx(2.5)
    assert session.spec().pixel_size_A == 2.5


def test_the_selection_counts_particles_and_goes_into_the_spec(
    session: AveragesSession, tmp_path: Path
) -> None:
    session.open(averages_phantom.write_classes(tmp_path, 5))
    assert session.selection_sentence() == "Selected 5 of 5 (1,500 particles)"
    session.toggle(4)
    assert session.selection_sentence() == "Selected 4 of 5 (1,000 particles)"
    assert session.spec().select == (1, 2, 3, 4)
    session.invert()
    assert session.spec().select == (5,)
    assert "at least 2" in session.missing()
    session.select_none()
    with pytest.raises(ValueError, match="No class average"):
        session.spec()
    session.select_all()
    assert session.spec().select == ()


def test_there_is_one_door_to_the_selection(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 4))
    mask = np.array([True, False, True, False])
    session.choose(mask, "use the even ones")
    assert session.history.undoText() == "use the even ones"
    mask[:] = False  # the session has its own
    assert session.count == 2
    with pytest.raises(ValueError, match="A mask of 3 for 4 images"):
        session.choose(np.ones(3, bool), "")


def test_shares_of_particles_are_not_called_particles(session: AveragesSession, tmp_path: Path) -> None:
    averages = replace(
        averages_files.load(averages_phantom.write_stack(tmp_path, 4)).averages,
        counts=np.array([0.1, 0.2, 0.3, 0.4]),
    )
    session.open(export_selection(averages, [0, 1, 2, 3], tmp_path / "shares.star")[0])
    assert session.selection_sentence() == "Selected 4 of 4 (100 % of the particles)"
    session.toggle(3)
    assert session.selection_sentence() == "Selected 3 of 4 (60 % of the particles)"


def test_every_change_of_the_selection_can_be_undone(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 6, junk=2))
    states = [session.selected.copy()]
    for change in (
        lambda: session.toggle(0),
        lambda: session.select([1, 2], on=False),
        session.leave_out_marked,
        session.invert,
        session.select_none,
        session.select_all,
    ):
        change()
        states.append(session.selected.copy())
    assert session.history.count() == 7
    session.select_all()  # changes nothing: not a step
    assert session.history.count() == 7
    for state in reversed(states[:-1]):
        session.history.undo()
        np.testing.assert_array_equal(session.selected, state)
    assert session.history.undoText() == "open averages.mrcs"
    for state in states[1:]:
        session.history.redo()
        np.testing.assert_array_equal(session.selected, state)
    session.open(tmp_path / "averages.mrcs")
    assert session.history.count() == 8
    session.history.undo()
    np.testing.assert_array_equal(session.selected, states[-1])


def test_a_stack_that_overtakes_another_wins(
    session: AveragesSession, background: ImmediateBackground, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    first = averages_phantom.write_stack(tmp_path / "a", 3)
    second = averages_phantom.write_stack(tmp_path, 5)
    background.held = []
    session.open(first)
    session.open(second)
    assert "is being read" in session.missing()
    for work in reversed(background.held[:]):
        work()
    assert session.path == second
    assert session.count == 5


def test_only_the_newest_preparation_is_shown(
    session: AveragesSession, background: ImmediateBackground, tmp_path: Path
) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 6))
    background.held = []
    for i in range(4):
        session.toggle(i)
    assert len(background.held) == 1  # one is under way, the rest wait as one
    while background.held:
        background.held.pop(0)()
    assert list(session.shown.prepared.used) == [4, 5]


def test_of_many_images_some_are_prepared_to_be_shown(
    session: AveragesSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.averages_session.MOST_PREPARED", 3)
    session.open(averages_phantom.write_stack(tmp_path, 8))
    assert list(session.shown.prepared.used) == [0, 4, 7]
    session.toggle(0)
    assert list(session.shown.prepared.used) == [1, 4, 7]
    assert session.spec().select == tuple(range(2, 9))  # the run uses them all


def test_what_cannot_be_prepared_says_why(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_stack(tmp_path, 3))
    session.set_options({"mask_diameter_A": 2.0})
    assert "mask" in session.missing().lower()
    assert session.shown is None
    session.set_options({}, "Mask diameter: needs a number.")
    assert session.missing() == "Mask diameter: needs a number."
    session.set_options({"mask_diameter_A": None}, "")
    assert session.missing() == ""


def test_settings_that_select_too_much_are_told(session: AveragesSession, tmp_path: Path) -> None:
    said: list[str] = []
    session.said.connect(said.append)
    path = str(averages_phantom.write_stack(tmp_path, 3))
    session.load(ClassAveragesInput(file=path, select=(1, 3, 9)))
    assert list(session.selected) == [True, False, True]
    assert "only 3" in said[0]
    undone = session.history.count()
    session.load(ClassAveragesInput(file=path, select=(2, 3), box=32))  # the same file: as one step
    assert session.history.count() == undone + 1
    assert session.box == 32


def test_an_exported_selection_is_read_back(session: AveragesSession, tmp_path: Path) -> None:
    session.open(averages_phantom.write_classes(tmp_path, 5))
    session.select([0, 2], on=False)
    rows = np.flatnonzero(session.selected)
    averages_files.export(session.loaded.averages, rows, tmp_path / "out.star")
    back = read_class_averages(tmp_path / "out.star")
    np.testing.assert_array_equal(back.images, session.loaded.averages.images[rows])
    np.testing.assert_allclose(back.counts, session.loaded.averages.counts[rows])
    with pytest.raises(InputError):
        averages_files.export(session.loaded.averages, rows[:0], tmp_path / "none.star")


def test_thumbnails_show_dark_as_black_and_bright_as_white() -> None:
    ramp = np.tile(np.linspace(-5, 7, 300, dtype=np.float32), (2, 300, 1))
    ramp[1] *= 100
    found = averages_files.thumbnails(ramp)
    assert max(found.pixels.shape[1:]) <= averages_files.THUMBNAIL_PX
    assert (np.diff(found.pixels.astype(int), axis=2) >= 0).all()
    np.testing.assert_allclose(found.pixels[0], found.pixels[1], atol=1)  # each over its own range
    assert 0 <= found.levels[0, 0] < found.levels[0, 1] <= 255
    together = averages_files.thumbnails(ramp, together=True)
    assert np.ptp(together.pixels[0]) < 5 < np.ptp(together.pixels[1])
    flat = averages_files.thumbnails(np.full((1, 8, 8), np.nan, np.float32))
    assert flat.levels[0, 1] > flat.levels[0, 0]


def test_names_say_the_file_only_where_there_are_several() -> None:
    number = np.array([0, 1], np.int32)
    assert averages_files.image_names(("a.mrcs", "a.mrcs"), number) == ("1", "2")
    assert averages_files.image_names(("x/a.spi", "x/b.spi"), number * 0) == ("a", "b")
    three = np.array([0, 1, 0], np.int32)
    assert averages_files.image_names(("a.mrcs", "a.mrcs", "b.mrcs"), three) == ("a 1", "a 2", "b 1")
