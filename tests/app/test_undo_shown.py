"""What the window shows after undo and redo: fields, cards, modes, the list of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from app.main_window import MainWindow
from engine.specs.sds import ClassAveragesInput, SdsSpec
from tests.app import averages_phantom, phantom
from tests.app.conftest import spin

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
