"""Undo and redo: words, joining, late answers, keys in fields, modes, the list of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from app.history import ABSENT, History, Values, put_items
from app.main_window import MainWindow
from app.session import Session
from engine.specs.sds import ClassAveragesInput, SdsSpec
from tests.app import averages_phantom, phantom
from tests.app.conftest import ImmediateBackground, spin


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


# ---- what is shown ----------------------------------------------------------------------------------


def focus(field: QWidget) -> None:
    field.window().activateWindow()
    field.setFocus()
    spin(lambda: QApplication.focusWidget() is field)


def ready(window: MainWindow) -> None:
    spin(lambda: not window.session.checking and not window.background.busy)


def shown_cards(window: MainWindow) -> list[str]:
    layout = window.inputs._list
    widgets = [layout.itemAt(i).widget() for i in range(layout.count())]
    return [w._names.text() for w in widgets if w in window.inputs.cards.values()]


def test_a_card_comes_back_to_its_place(window: MainWindow, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        window.session.add_files([phantom.write_map(tmp_path / f"{name}.mrc")])
    ready(window)
    first, second, _ = window.session.evidence
    window.session.remove(second)
    window.session.remove(first)
    window.history.undo()
    window.history.undo()
    assert shown_cards(window) == ["a.mrc", "b.mrc", "c.mrc"]


def a_form(window: MainWindow, tmp_path: Path) -> tuple[int, Any]:
    window.session.add_files([phantom.write_map(tmp_path / "a.mrc")])
    ready(window)
    (number,) = window.session.evidence
    card = window.inputs.cards[number]
    card._settings.setChecked(True)
    card.form.show_advanced(True)
    return number, card.form


def type_over(field: QLineEdit, text: str) -> None:
    field.selectAll()
    QTest.keyClicks(field, text)


def test_a_field_with_the_focus_shows_what_undo_gave_back(window: MainWindow, tmp_path: Path) -> None:
    number, form = a_form(window, tmp_path)
    field = form.field("voxel_size_A")
    focus(field)
    assert field.text() == ""
    type_over(field, "7.5")
    assert window.session.evidence[number].options["voxel_size_A"] == 7.5
    assert field.text() == "7.5"  # what is typed is left as it is
    window.history.undo()
    assert "voxel_size_A" not in window.session.evidence[number].options
    assert field.text() == ""
    window.history.redo()
    assert field.text() == "7.5"
    type_over(field, "7.5x")  # can't be read: no step
    window.history.undo()
    assert field.text() == ""


def test_ctrl_z_in_a_field_takes_back_what_the_window_knows(window: MainWindow, tmp_path: Path) -> None:
    title, samples = (window.run_panel.settings_form.field(name) for name in ("title", "samples"))
    focus(title)
    QTest.keyClicks(title, "first")
    samples.setValue(8)
    focus(title)  # it could take back its own text, but the samples were changed later
    QTest.keyClick(title, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.settings["samples"] != 8
    assert title.text() == "first"
    QTest.keyClick(title, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.settings["title"] == ""
    assert title.text() == ""
    control = Qt.KeyboardModifier.ControlModifier
    for _ in range(2):
        QTest.keyClick(title, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
    assert (window.session.settings["title"], window.session.settings["samples"]) == ("first", 8)
    assert (title.text(), samples.value()) == ("first", 8)


def test_ctrl_z_first_takes_back_what_cannot_be_read(window: MainWindow) -> None:
    window.session.set_settings({"samples": 8})
    field = window.run_panel.settings_form.field("samples")
    focus(field)
    field.selectAll()
    QTest.keyClicks(field, "9")  # not entered yet
    QTest.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.settings["samples"] == 8
    QTest.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.settings["samples"] == 5


def test_a_field_that_is_no_setting_keeps_ctrl_z_to_itself(window: MainWindow) -> None:
    window.session.set_settings({"samples": 8})
    search = QLineEdit(window)
    search.show()
    focus(search)
    QTest.keyClicks(search, "x")
    for _ in range(3):
        QTest.keyClick(search, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert search.text() == ""
    assert window.session.settings["samples"] == 8


# ---- modes ------------------------------------------------------------------------------------------


def test_undo_goes_where_a_step_was_made_and_back_from_where_it_led(
    window: MainWindow, tmp_path: Path
) -> None:
    modes = window.modes
    window.session.set_settings({"samples": 8})
    modes.load(SdsSpec(averages=ClassAveragesInput(file=str(averages_phantom.write_stack(tmp_path)))))
    assert modes.mode == "sds"
    ready(window)
    modes.set_mode("train_prior")
    window.history.undo()
    assert modes.mode == "dps"
    assert modes.averages.path is None
    window.history.redo()
    assert modes.mode == "sds"
    modes.set_mode("train_denoiser")
    window.history.undo()
    window.history.undo()
    assert modes.mode == "dps"
    assert window.session.settings["samples"] == 5
    assert not window.history.canUndo()


def test_what_was_dropped_or_prepared_is_one_step(window: MainWindow, tmp_path: Path) -> None:
    from app.next_steps import step

    modes = window.modes
    clouds = [tmp_path / "clouds.npz", tmp_path / "clouds-val.npz"]
    for path in clouds:
        np.savez(path, points=np.zeros((3, 8, 3), np.float32))
    modes.set_mode("train_prior")
    modes.add_files(clouds)
    assert window.history.count() == 1
    assert len(modes.prior.session.sources) == 2
    path = averages_phantom.write_stack(tmp_path)
    spec = SdsSpec(title="x", averages=ClassAveragesInput(file=str(path)))
    modes.next.follow(step("train_denoiser"), spec, tmp_path)
    assert modes.mode == "train_denoiser"
    assert window.history.count() == 2
    assert window.history.undoText() == "train a denoiser on these averages"
    ready(window)
    window.history.undo()
    window.history.undo()
    assert modes.prior.session.sources == {}
    assert modes.mode == "train_prior"
    assert not window.history.canUndo()


def test_using_a_trained_prior_is_one_step(window: MainWindow, tmp_path: Path) -> None:
    modes = window.modes
    modes.set_mode("train_prior")
    modes.prior._folder = tmp_path
    modes.prior.use()
    assert window.session.prior["weights"].endswith("prior.safetensors")
    assert (modes.mode, window.history.count()) == ("dps", 1)
    window.history.undo()
    assert modes.mode == "train_prior"


def test_undo_shows_the_preset_again(window: MainWindow) -> None:
    planning = window.features["presets"]

    def words() -> str:
        planning.show()
        return window.modes.panel.presets.words

    fields = {"dps": "samples", "sds": "restarts", "train_denoiser": "batch", "train_prior": "batch"}
    for mode, field in fields.items():
        window.modes.set_mode(mode)
        seen = []
        buttons = window.modes.panel.presets.buttons

        def change(what: str, mode: str = mode, buttons: Any = buttons) -> None:
            if what in buttons:
                buttons[what].click()
            else:
                window.modes.session.set_settings({what: 3})

        before = window.history.index()
        for what in ("thorough", field, "quick look", "quick look"):  # the last one changes nothing
            seen.append((window.history.index(), words()))
            change(what)
        assert window.history.index() == before + 3, mode
        for index, text in reversed(seen[:3]):
            window.history.undo()
            assert (window.history.index(), words()) == (index, text)


# ---- the list ---------------------------------------------------------------------------------------


def the_list(window: MainWindow) -> Any:
    from app.panels.history_list import HistoryList

    action = next(a for _, a in window.commands.all() if a.text() == "&History…")
    action.trigger()
    return window.findChild(HistoryList)


def click(panel: Any, row: int) -> None:
    view = panel.view
    place = view.visualRect(view.model().index(row, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_list_goes_to_any_step_unless_something_forbids_it(window: MainWindow) -> None:
    said: list[str] = []
    window.history.said.connect(said.append)
    for value in (6, 7, 8):
        window.session.set_settings({"samples": value})
        window.history.seal()
    panel = the_list(window)
    QCoreApplication.processEvents()
    texts = [panel.view.model().index(i, 0).data() for i in range(panel.view.model().rowCount())]
    assert texts == ["Beginning", "samples 5 → 6", "samples 6 → 7", "samples 7 → 8"]
    click(panel, 1)
    assert window.session.settings["samples"] == 6
    click(panel, 3)
    assert window.session.settings["samples"] == 8
    assert len(said) == 2
    window.history.refusal = lambda: "Not now."
    click(panel, 0)
    assert window.session.settings["samples"] == 8
    assert said[-1] == "Not now."
    assert panel.view.currentIndex().row() == 3
    window.history.refusal = str
    click(panel, 0)
    assert window.session.settings["samples"] == 5
    window.session.set_settings({"seed": 3})
    assert panel.view.model().rowCount() == 2
    panel.close()
