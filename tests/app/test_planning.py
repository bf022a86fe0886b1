"""Presets, cost and cautions in the window."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import preset_values
from app.features import Features
from app.main_window import MainWindow
from app.planning import KINDS, Planning
from engine.errors import SpecError
from engine.specs.estimates import Machine
from engine.specs.presets import presets_of

DEMO = Path(__file__).parents[2] / "resources" / "demo"


@pytest.fixture
def planning(window: MainWindow) -> Planning:
    try:
        found = window.features["presets"]
    except KeyError:
        found = Features(window, ("app.planning:Planning",))["presets"]
    found.machine = Machine(cores=2, free=10**10, memory=10**10)
    return found


def words(window: MainWindow) -> str:
    return window.modes.panel.presets.words


def test_every_mode_offers_the_presets_and_says_what_differs(window: MainWindow, planning: Planning) -> None:
    for kind in KINDS:
        window.modes.set_mode(kind)
        for name in ("quick look", "thorough", "standard"):
            window.modes.panel.presets.buttons[name].click()
            planning.show()
            assert words(window) == presets_of(kind)[name], (kind, name)
            assert window.modes.panel.presets.buttons[name].isChecked()
    window.session.set_settings({"samples": 7})
    window.modes.set_mode("dps")
    planning.show()
    assert words(window).startswith("Changed from Standard: Samples.")
    window.modes.panel.presets._back("back")
    planning.show()
    assert window.session.settings["samples"] == 5
    window.modes.panel.presets.chosen.emit("no shapes")
    planning.show()
    assert words(window).startswith("No shapes: ")


def test_own_presets_are_kept_used_and_deleted(window: MainWindow, planning: Planning) -> None:
    for kind in KINDS:
        window.modes.set_mode(kind)
        window.modes.panel.presets.buttons["thorough"].click()
        mine = preset_values.present(window.modes)
        planning.ask_name = lambda problem: "mine" if not problem("mine") else ""
        planning.keep_own(kind)
        assert planning.own.names(kind) == ["mine"]
        window.modes.panel.presets.buttons["standard"].click()
        assert preset_values.differences(preset_values.present(window.modes), mine)
        window.modes.panel.presets.own_chosen.emit("mine")
        planning.show()
        assert preset_values.differences(preset_values.present(window.modes), mine) == []
        window.modes.panel.presets.delete_wanted.emit("mine")
        assert planning.own.names(kind) == []
    assert planning.own.problem("a/b")
    assert planning.own.problem("Standard", ("standard",))
    with pytest.raises(SpecError, match="can't be read"):
        planning.own.read("dps", "mine")


def test_a_damaged_preset_of_ones_own_changes_nothing(window: MainWindow, planning: Planning) -> None:
    path = planning.own.keep("dps", "odd", {"samples": 0})
    before = preset_values.present(window.modes)
    planning.use_own("dps", "odd")
    assert preset_values.present(window.modes) == before
    path.write_text("= nothing", encoding="utf-8")
    planning.use_own("dps", "odd")
    assert preset_values.present(window.modes) == before


def test_cost_and_cautions_are_shown_before_a_run(window: MainWindow, planning: Planning, qtbot) -> None:
    notes = window.run_panel.notes
    planning.show()
    assert notes.cost == ""
    window.session.add_files([DEMO / "projections.mrcs", DEMO / "projections.star"])
    qtbot.waitUntil(lambda: not window.session.missing(), timeout=20_000)
    qtbot.waitUntil(lambda: planning._evidence.views == 3, timeout=20_000)
    assert notes.cost.startswith("About ")
    assert [c.key for c in notes.cautions] == []
    window.session.set_settings({"samples": 1})
    planning.show()
    assert [c.key for c in notes.cautions] == ["one sample"]
    assert "Draw at least five." not in notes.text
    notes._open("one sample")
    assert "Draw at least five." in notes.text
    planning.machine = Machine(cores=2, free=10**8, memory=10**10)
    planning.show()
    assert [c.key for c in notes.cautions] == ["one sample", "memory"]
    assert not notes.isHidden()
    window.session.set_settings({"samples": 5, "device": "cuda"})
    planning.show()
    assert "no GPU" in [c.key for c in notes.cautions]
